"""Paths for all packets between each two hosts, where nothing else says what will be sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations

from testbed.errors import PlanError
from testbed.net.nodes import Host
from testbed.net.paths import Carried
from testbed.net.tables import Match
from testbed.plan.routing import Router
from testbed.scenario.model import Slice
from testbed.slices.policy import Demand


def demands(hosts: Iterable[str], slice_: Slice) -> list[Demand]:
    """One for each direction."""
    return [Demand(id=f"{a}-{b}", slice=slice_, src=a, dst=b) for a, b in permutations(hosts, 2)]


def carried(router: Router, hosts: Mapping[str, Host]) -> Iterator[Carried]:
    """The paths of those demands. Two hosts that cannot have the protection which their slice
    orders have best effort."""
    for a, b in permutations(hosts, 2):
        try:
            path = router.path(f"{a}-{b}")
        except PlanError:
            continue
        if path.backups:
            match = Match(ipv4_src=hosts[a].ip, ipv4_dst=hosts[b].ip)
            yield Carried(path=path, matches=(match,))
