"""Ways through the network, and the packets that take them."""

from __future__ import annotations

from testbed.net.tables import Match
from testbed.scenario.model import Frozen, Protection, Slice


class Backup(Frozen, frozen=True, kw_only=True):
    """Another way for the packets of a path, under a label of its own."""

    failed: tuple[str, str] | None
    """The link it goes round; None: it carries a copy of every packet."""
    nodes: tuple[str, ...]
    """From where it leaves the path to the path's last host: from the switch before the
    failed link for fast failover, else from the first host."""
    label: int


class Path(Frozen, frozen=True, kw_only=True):
    """A pinned path of one session, in one direction."""

    id: str
    cookie: int
    slice: str
    src: str
    dst: str
    nodes: tuple[str, ...]
    """Host, switches, host."""
    label: int | None
    """MPLS label between the first and the last switch; None if there is one switch."""
    queue: int
    policy: str
    backup: tuple[str, ...] = ()
    """The policy's other path, which shares no link of the core; empty: none."""
    protection: Protection = "none"
    backups: tuple[Backup, ...] = ()
    """What stands in for the path, as its protection says; links in the path's order."""


class Carried(Frozen, frozen=True, kw_only=True):
    """A path and the packets that take it."""

    path: Path
    """Of an order: its id is the contract's (scenario.Contract), after the slice's."""
    matches: tuple[Match, ...]
    guaranteed_bps: int = 0
    """Kept on every link of the path for it alone; 0: it has what its slice has."""
    dscp: int | None = None
    """What its packets are marked with, where the matches leave it open; None: anything."""


class Placed(Frozen, frozen=True, kw_only=True):
    """A slice that was ordered at run time, as the network carries it."""

    slice: Slice
    queue_name: str
    """Of the queue its packets wait in; empty: queue 0."""
    queue: int
    carried: tuple[Carried, ...]
    held: bool = False
    """What it sends beyond its contracts is dropped where it enters the network."""


class Book(Frozen, frozen=True, kw_only=True):
    """The orders that are installed."""

    placed: tuple[Placed, ...] = ()
    """In the order they came."""
    serial: int = 0
    """Numbers given to paths so far; cookies and labels go by it."""

    def find(self, id_: str) -> Placed | None:
        """Its slice as it is carried; None: there is no such order."""
        return next((one for one in self.placed if one.slice.id == id_), None)
