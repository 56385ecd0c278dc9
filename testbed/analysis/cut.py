"""What can be said of a run that was cut short: messages that were under way when it ended.

Such a message is neither received nor lost. Whether it would still have come in time is
not known of one that was sent shortly before the end; so messages that were not given their
time are left out, those that came as well, or only fast ones would count. One that had its
time and had not come is late, and yet not known to be lost.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.plan.model import Session


def under_way(direction: str, messages: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of the samples had not arrived, and are not known to be lost."""
    lost = {name: messages[f"lost_{name}"].to_numpy(bool) for name in ("forward", "reverse")}
    there = messages["arrived"].to_numpy() < messages["packets"].to_numpy()
    back = messages["answered"].to_numpy(bool) & ~messages["received"].to_numpy(bool)
    out: dict[str, NDArray[np.bool_]] = {
        "forward": there & ~lost["forward"],
        "reverse": back & ~lost["reverse"],
        "rtt": (there | back) & ~lost["forward"] & ~lost["reverse"],
    }
    return out[direction]


def settled(session: Session, direction: str, messages: pd.DataFrame) -> pd.DataFrame:
    """Those of a session's samples that were given their time: its deadline, or else twice
    the largest delay. All, if none was under way."""
    if not under_way(direction, messages).any():
        return messages
    due_ns = messages["intended_ns"].to_numpy(float)
    waited_ns = due_ns.max() - due_ns
    before = session.before(direction)
    for leg in before:
        waited_ns -= messages[f"{leg.name}_ns"].to_numpy(float, na_value=np.nan)
    waited_ns -= sum(leg.end.hold_ns for leg in (*before, *session.over(direction)[:-1]))
    time_ns = session.deadline_ns
    if time_ns is None:
        taken_ns = messages[f"{direction}_ns"].to_numpy(float, na_value=np.nan)
        time_ns = 2 * np.fmax.reduce(taken_ns, initial=0.0)
    kept: pd.DataFrame = messages[waited_ns >= time_ns]
    return kept


def as_late(direction: str, messages: pd.DataFrame) -> pd.DataFrame:
    """Samples in which what was under way is marked as lost, to be judged as late."""
    out = under_way(direction, messages)
    if not out.any():
        return messages
    name = "lost_reverse" if direction == "reverse" else "lost_forward"
    return messages.assign(**{name: messages[name].to_numpy(bool) | out})
