"""Terms that a plan keeps or not, whatever is sent: diversity, protection, isolation.

diversity   another path of the policy shares no link of the core with the path or, for
            `node`, none of its inner switches
protection  the path has stand-ins of the kind that was ordered, for every link of the core
            that something goes round
isolation   `dedicated-queue`: no other slice of the plan waits in the path's queue
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from testbed.analysis.terms import Held
from testbed.net.paths import Path
from testbed.plan.model import Load, Plan, Session
from testbed.scenario.model import Slice
from testbed.scenario.terms import Name


def structure(plan: Plan, slice_: Slice, path: Path) -> Iterator[tuple[Name, str, Held, str]]:
    """Term, what was asked, whether the plan keeps it, and how or why not."""
    if slice_.diversity != "none":
        yield "diversity", slice_.diversity, *_diversity(slice_.diversity, path)
    if slice_.protection != "none":
        yield "protection", slice_.protection, *_protection(slice_.protection, path)
    if slice_.isolation != "shared":
        yield "isolation", slice_.isolation, *_isolation(plan, path)


def _core(nodes: Sequence[str]) -> set[frozenset[str]]:
    return {frozenset(link) for link in pairwise(nodes[1:-1])}


def _diversity(asked: str, path: Path) -> tuple[Held, str]:
    if not _core(path.nodes):
        return "kept", "by plan: the path has no link of the core"
    if not path.backup:
        return "broken", f"policy {path.policy} plans one path"
    common = sorted("-".join(sorted(link)) for link in _core(path.nodes) & _core(path.backup))
    if not common and asked == "node":
        common = sorted(set(path.nodes[2:-2]) & set(path.backup[2:-2]))
    if common:
        return "broken", f"the other path shares {', '.join(common)}"
    return "kept", f"by plan: the other path is {'>'.join(path.backup)}"


def _protection(asked: str, path: Path) -> tuple[Held, str]:
    core = _core(path.nodes)
    if not core:
        return "kept", "by plan: the path has no link of the core"
    if path.protection != asked or not path.backups:
        return "broken", "the plan has no stand-in for the path"
    if any(backup.failed is None for backup in path.backups):
        return "kept", "by plan: every packet goes two ways"
    gone_round = {frozenset(backup.failed) for backup in path.backups if backup.failed}
    bare = sorted("-".join(sorted(link)) for link in core - gone_round)
    but = f", but not for {', '.join(bare)}, which nothing goes round" if bare else ""
    return "kept", f"by plan: {len(gone_round)} of {len(core)} links of the core{but}"


def _isolation(plan: Plan, path: Path) -> tuple[Held, str]:
    if not path.queue:
        return "broken", f"policy {path.policy} has no queue for it"
    flows: list[Session | Load] = [*plan.sessions, *plan.loads]
    others = {
        flow.slice
        for flow in flows
        for one in flow.paths
        if one.queue == path.queue and flow.slice != path.slice
    } | {
        source.slice
        for port in plan.ports
        for source in port.sources
        if source.queue == path.queue and source.slice != path.slice
    }
    if others:
        return "broken", f"it shares queue {path.queue} with {', '.join(sorted(others))}"
    return "kept", f"by plan: queue {path.queue} is its own at every port"
