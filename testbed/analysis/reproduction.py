"""Whether a run that was repeated measured the same, to the byte, and where first it did not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from testbed.results.folder import RunFolder
from testbed.scenario.model import Frozen


class Difference(Frozen, frozen=True, kw_only=True):
    """The first value of a session that is another one."""

    message: int
    """Its number in the session, from 0."""
    column: str
    """Of the samples (testbed/results/samples.py)."""
    before: Any
    now: Any
    """None: not known."""


class Compared(Frozen, frozen=True, kw_only=True):
    """One session of two runs."""

    session: str
    messages: int
    """That both have, and that were compared."""
    unmatched: int
    """That only one of the two has."""
    difference: Difference | None

    @property
    def same(self) -> bool:
        """Whether every value of every message is the same."""
        return self.difference is None and not self.unmatched


def compare(before: RunFolder, now: RunFolder) -> list[Compared]:
    """Every session of the stored run and of its repetition, and the null path last.

    Of an unfinished run, those messages whose fate it knows. Raises ResultError.
    """
    known = before.provenance.status != "unfinished"
    pairs = [(before.samples, now.samples)]
    if before.null_path is not None and now.null_path is not None:
        pairs.append((before.null_path, now.null_path))
    found = []
    for old, new in pairs:
        for session in dict.fromkeys((*old["session"], *new["session"])):
            rows = [table[table["session"] == session].set_index("seq") for table in (old, new)]
            found.append(_session(str(session), rows[0], rows[1], complete=known))
    return found


def _session(session: str, before: pd.DataFrame, now: pd.DataFrame, *, complete: bool) -> Compared:
    if not complete:
        fates = ["received", "not_sent", "lost_forward", "lost_reverse"]
        before = before[before[fates].any(axis=1)]
        now = now[now.index.isin(before.index)]
    both = before.index.intersection(now.index)
    columns = [name for name in before if name in now and name != "session"]
    old, new = before.loc[both, columns], now.loc[both, columns]
    differ = ((old != new) & ~(old.isna() & new.isna())).to_numpy()
    return Compared(
        session=session,
        messages=len(both),
        unmatched=len(before) + len(now) - 2 * len(both),
        difference=_first(old, new, differ),
    )


def _first(old: pd.DataFrame, new: pd.DataFrame, differ: Any) -> Difference | None:
    rows = np.flatnonzero(differ.any(axis=1))
    if not len(rows):
        return None
    row, column = int(rows[0]), int(np.flatnonzero(differ[rows[0]])[0])
    return Difference(
        message=int(old.index[row]),
        column=str(old.columns[column]),
        before=_plain(old.iat[row, column]),
        now=_plain(new.iat[row, column]),
    )


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
