"""The ways that packets of a path are sent by in a state, and which of them are whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from testbed.net.paths import Backup, Path
from testbed.net.state import Pair, State

Way = tuple[tuple[str, int | None], ...]
"""The nodes of a packet's way, and the label it has when it leaves each."""


class Ways:
    """The ways of a state's packets. What is wrong with the state is found once."""

    def __init__(self, state: State) -> None:
        self._on = state.ways
        self._seen, self._broken = state.seen_down(), state.broken()
        self._bare = set(state.condition.bare)

    def sent_by(self, path: Path) -> list[Way]:
        """Every way by which a packet of the path is sent, whether or not it arrives."""
        if path.protection == "frer":
            return [own(path), *(copy(path, backup) for backup in path.backups)]
        if path.protection == "reactive":
            number = self._on.get(path.cookie, 0)
            return [copy(path, path.backups[number - 1]) if number else own(path)]
        for backup in path.backups:  # in the path's order: the first switch that sees it acts
            if frozenset(backup.failed or ()) in self._seen:
                return [detour(path, backup)]
        return [own(path)]

    def whole(self, path: Path) -> list[Way]:
        """Those of them that nothing of is broken."""
        return [
            way
            for way in self.sent_by(path)
            if not any(link in self._broken for link in links(way))
            and not any(node in self._bare for node, _ in way)
        ]


def own(path: Path) -> Way:
    """The path itself: its label between the first and the last switch."""
    return _labelled(path.nodes, path.label)


def copy(path: Path, backup: Backup) -> Way:
    """A backup from the first host on."""
    return _labelled(backup.nodes, backup.label)


def detour(path: Path, backup: Backup) -> Way:
    """The path up to where the backup leaves it, and the backup."""
    at = path.nodes.index(backup.nodes[0])
    return _labelled(path.nodes, path.label)[:at] + _labelled(backup.nodes, backup.label)


def links(way: Way) -> Iterator[Pair]:
    """Those of a way, in its order."""
    return (frozenset(hop) for hop in pairwise(node for node, _ in way))


def _labelled(nodes: Sequence[str], label: int | None) -> Way:
    """Hosts send without a label, and last switches take it off."""
    last = len(nodes) - 2
    return tuple((node, None if at >= last else label) for at, node in enumerate(nodes))
