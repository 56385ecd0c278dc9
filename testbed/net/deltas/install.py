"""An order is installed, changed or ended, while packets flow."""

from __future__ import annotations

import msgspec

from testbed.net.paths import Placed
from testbed.net.state import State, effect, with_rules
from testbed.net.tables import Rule
from testbed.port.pipeline import Port
from testbed.scenario.delta import Delta
from testbed.scenario.model import Frozen


class Step(Frozen, frozen=True, kw_only=True):
    """What happens between two barriers; queues before rules."""

    wait_ns: int = 0
    """First, until packets on their way have passed."""
    ports: tuple[Port, ...] = ()
    """Ports whose queues become these."""
    add: tuple[Rule, ...] = ()
    delete: tuple[Rule, ...] = ()


class Install(Delta, frozen=True, kw_only=True, tag="install"):
    """A slice becomes as it was ordered, make before break."""

    id: str
    """Of the slice."""
    placed: Placed | None
    """As it is carried from now on; None: it ends."""
    serial: int
    """Numbers given to paths by then."""
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        return f"install {self.id}" if self.placed else f"remove {self.id}"


@effect(Install)
def install(state: State, delta: Install) -> State:
    """The order is in the book or out of it, and its steps are done."""
    for step in delta.steps:
        state = stepped(state, step)
    placed = [one for one in state.book.placed if one.slice.id != delta.id]
    if delta.placed is not None:
        known = [one.slice.id for one in state.book.placed]
        at = known.index(delta.id) if delta.id in known else len(placed)
        placed.insert(at, delta.placed)
    book = msgspec.structs.replace(state.book, placed=tuple(placed), serial=delta.serial)
    return msgspec.structs.replace(state, book=book)


def stepped(state: State, step: Step) -> State:
    """After one step: what switches have between two barriers."""
    ports = state.ports
    if step.ports:
        changed = {port.name: port for port in step.ports}
        ports = tuple(changed.get(port.name, port) for port in ports)
    rules = state.rules
    if step.add or step.delete:
        rules = with_rules(rules, step.add, step.delete)
    return msgspec.structs.replace(state, ports=ports, rules=rules)
