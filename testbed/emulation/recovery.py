"""What happens at the prompt: carried out, answered as in a planned run, told and timed.

    here = Recoveries(lab, ask, timeline, start_ns)
    here.happen(cut_fibre("s3", "s2"))     what becomes of the paths that were on it, in lines

Paths that a controller restores (`reactive`) are elsewhere when the switches have confirmed
it, which the controller's own timeline tells. Those of `fast_failover` are when the switches,
asked by ofproto/trace, would send their packets by the detour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path as File

import msgspec

from testbed.emulation.acts import Lab, carry_out
from testbed.emulation.proof import Ask, Tracer
from testbed.errors import EmulationError
from testbed.net.deltas.reroute import Reroute
from testbed.net.paths import Carried, Path
from testbed.net.restoration import reroutes, ways
from testbed.net.state import State
from testbed.net.timeline import UNCONFIRMED, Entry, read_timeline, since
from testbed.net.ways import Ways, links
from testbed.scenario.delta import Delta
from testbed.units import show_ns

PATIENCE_NS = 10_000_000_000
"""How long an answer is waited for, beyond the wait-to-restore."""
_LOOK_S = 0.001
_MOST_NAMES = 6


class Recoveries:
    """The deltas of a network at the prompt.

    Args:
        ask: of ovs-vswitchd, as for `proof`.
        others: timelines that other processes write, the controller's first.
    """

    def __init__(self, lab: Lab, ask: Ask, others: Callable[[], list[File]]) -> None:
        """Times count from now."""
        self._lab, self._ask, self._others = lab, ask, others
        self.start_ns = time.monotonic_ns()
        self._plan = lab.net.plan
        self._known = ways(self._plan)
        self._on: dict[int, int] = {}
        self._entries: list[Entry] = []
        self._done: tuple[Entry, ...] = ()
        self._read = 0
        """Bytes of the controller's timeline when it was last read."""

    def happen(self, delta: Delta, do: Callable[[], object] | None = None) -> Iterator[str]:
        """Carry a delta out, by `do` or as any; what became of it, in lines, as it is known.

        Raises EmulationError, and InputError for what cannot happen.
        """
        known = len(self._controllers())
        before = self._now()
        began_ns = time.monotonic_ns()
        delta = msgspec.structs.replace(delta, by="prompt", at_ns=began_ns - self.start_ns)
        if do is None:
            carry_out(self._lab, delta)
        else:
            do()
        done_ns = time.monotonic_ns()
        noted = msgspec.structs.replace(delta, at_ns=began_ns)
        self._entries.append(Entry(delta=noted, began_ns=began_ns, actual_ns=done_ns))
        yield from self._answered(before, known, began_ns)

    def timeline(self) -> list[Entry]:
        """All that happened since the prompt came, in order."""
        noted = list(self._entries)
        for file in self._others():
            if file.exists():
                noted += read_timeline(file)
        return sorted(since(self.start_ns, noted), key=lambda one: one.actual_ns)

    def _now(self) -> State:
        """The network, with the ways that paths are on."""
        return msgspec.structs.replace(self._lab.net.state, ways=dict(self._on))

    def _controllers(self) -> Sequence[Entry]:
        """What the controller has done, so also which ways paths are on."""
        file = self._others()[0]
        size = file.stat().st_size if file.exists() else 0
        if size != self._read:
            self._read, self._done = size, read_timeline(file)
            for one in self._done:
                if isinstance(one.delta, Reroute) and one.told != UNCONFIRMED:
                    self._on[one.delta.cookie] = one.delta.way
        return self._done

    def _answered(self, before: State, known: int, began_ns: int) -> Iterator[str]:
        """Times are from when the delta began; what the controller did before is its first
        `known` entries."""
        after, moved = self._now(), []
        if after.condition.controller:
            moved = reroutes(self._known, self._on, after.seen_down())
        for home in (False, True):
            if some := [delta for delta in moved if (delta.way == 0) == home]:
                yield self._restored(after, some, known, began_ns)
        was, now = Ways(before), Ways(self._now())
        switched = [
            one
            for one in after.paths
            if one.path.protection == "fast_failover"
            and was.sent_by(one.path) != now.sent_by(one.path)
        ]
        if switched:
            yield self._switched(now, switched, began_ns)
        lost: dict[str, list[str]] = {}
        for one in after.paths:
            if was.whole(one.path) and not now.whole(one.path):
                lost.setdefault(self._why(after, now, one.path), []).append(one.path.id)
        for why, names in lost.items():
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            yield why.format(", ".join(names[:_MOST_NAMES]) + more)

    def _why(self, after: State, now: Ways, path: Path) -> str:
        """Why packets of a path are lost, `{}` for its name."""
        movable = {delta.cookie for delta in reroutes(self._known, self._on, after.seen_down())}
        if path.cookie in movable:
            if after.condition.controller:
                return "the controller has not put {} on other ways"
            return "no controller runs that would put {} on other ways"
        unseen = after.broken() - after.seen_down()
        if any(link in unseen for way in now.sent_by(path) for link in links(way)):
            without = " without BFD" if after.recovery.bfd_ns is None else ""
            return f"a link is silent, which nobody sees{without}: packets are lost of {{}}"
        return "no way is left for {}"

    def _restored(self, after: State, moved: list[Reroute], known: int, began_ns: int) -> str:
        """Wait for the controller."""
        missing = {(delta.cookie, delta.way) for delta in moved}
        back = all(delta.way == 0 for delta in moved)
        wait_ns = after.recovery.wait_to_restore_ns if back else 0
        last_ns = began_ns
        while missing:
            for one in self._controllers()[known:]:
                if not isinstance(one.delta, Reroute) or one.told == UNCONFIRMED:
                    continue
                which = (one.delta.cookie, one.delta.way)
                if which in missing:
                    missing.discard(which)
                    last_ns = max(last_ns, one.actual_ns)
            if missing and time.monotonic_ns() > began_ns + wait_ns + PATIENCE_NS:
                break
            time.sleep(_LOOK_S)
        where = "back on their own ways" if back else "on other ways"
        took = show_ns(last_ns - began_ns)
        waited = f", {show_ns(wait_ns)} of it the wait-to-restore" if wait_ns else ""
        done = len(moved) - len(missing)
        told = f"the controller has put {done} of {len(moved)} paths {where}"
        return f"{told} after {took}{waited}" if done else told

    def _switched(self, now: Ways, switched: list[Carried], began_ns: int) -> str:
        """Wait for the switches."""
        left = list(switched)
        looked_ns = began_ns
        while left:
            tracer = Tracer(self._plan, self._ask)
            looked_ns = time.monotonic_ns()
            left = [one for one in left if not _goes(tracer, one, now)]
            if looked_ns > began_ns + PATIENCE_NS:
                break
            if left:
                time.sleep(_LOOK_S)
        done = len(switched) - len(left)
        told = f"the switches send {done} of {len(switched)} paths by other ways"
        return f"{told} within {show_ns(looked_ns - began_ns)}"


def _goes(tracer: Tracer, one: Carried, now: Ways) -> bool:
    try:
        for match in one.matches:
            list(tracer.follow(one.path, match, now.sent_by(one.path)))
    except EmulationError:
        return False
    return True
