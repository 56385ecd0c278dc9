"""Links that are cut, fall silent, and are mended."""

from __future__ import annotations

import msgspec

from testbed.net.state import State, effect, pair
from testbed.scenario.events.link import LinkEvent


@effect(LinkEvent)
def link(state: State, delta: LinkEvent) -> State:
    """A link is cut or silent until it is mended, which undoes both."""
    state.check_link(delta.a, delta.b, delta.text)
    which = pair(delta.a, delta.b)
    cut, silent = set(state.condition.cut) - {which}, set(state.condition.silent) - {which}
    if delta.action != "mend":
        cut |= {which} & set(state.condition.cut)
        silent |= {which} & set(state.condition.silent)
        (cut if delta.action == "cut" else silent).add(which)
    now = msgspec.structs.replace(
        state.condition, cut=tuple(sorted(cut)), silent=tuple(sorted(silent))
    )
    return msgspec.structs.replace(state, condition=now)
