"""What the logs' arrivals say about each message of a session (host side).

A message is there when all its packets are; it arrived with the last of them, whichever
that was. Order is told by RFC 4737 clause 3, of messages and of packets: one is reordered
if one that left later had arrived before it. Only first copies count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MISSING = int(np.iinfo(np.int64).min)
"""A time that is not known."""
_NEVER = int(np.iinfo(np.int64).max)

Times = NDArray[np.int64]


class Arrivals:
    """The STAMP packets of one direction, one for each of `count` messages."""

    def __init__(self, rows: NDArray[np.void], count: int, *, replies: bool = False) -> None:
        rows = rows[rows["number"] < count]
        seq = rows["number"]
        self.time_ns = first_times(rows, count)
        self.copies = np.bincount(seq, minlength=count)
        self.tos = np.zeros(count, np.uint8)
        self.tos[seq] = rows["b"] >> 32 & 0xFF
        _, first = np.unique(seq, return_index=True)
        order = np.zeros(len(rows), bool)
        order[first] = True
        leaving = rows["b"] & 0xFFFF_FFFF if replies else seq  # numbers in the order of leaving
        self.reordered = np.zeros(count, bool)
        self.reordered[seq[order]] = _overtaken(leaving[order])


class Messages:
    """Messages of several packets.

    Args:
        last: their STAMP packets.
        known: which of these arrived; the time of one may not be known.
        rows: LEADING_RX of the session.
        packets: of one message.
    """

    def __init__(
        self,
        last: Arrivals,
        known: NDArray[np.bool_],
        rows: NDArray[np.void],
        packets: int,
    ) -> None:
        count, leading = len(known), packets - 1
        rows = rows[(rows["number"] < count) & (_index(rows) < leading)]
        copies = np.bincount(_place(rows, leading), minlength=count * leading)
        self.copies = np.maximum(copies.reshape(count, leading).max(axis=1), last.copies)
        rows = rows[rows["flag"] == 0]
        places, first = np.unique(_place(rows, leading), return_index=True)
        message = places // leading
        times = np.where(rows["a"][first] > 0, rows["a"][first], _NEVER)
        self.arrived = np.bincount(message, minlength=count) + known
        """Packets of each message; copies not counted."""
        end = np.where(known & (last.time_ns != MISSING), last.time_ns, _NEVER)
        np.maximum.at(end, message, times)
        whole = self.arrived == packets
        self.time_ns: Times = np.where(whole & (end != _NEVER), end, MISSING)
        """When each was there, all of it."""
        self.reordered = np.zeros(count, bool)
        there = np.flatnonzero(self.time_ns != MISSING)
        order = there[np.argsort(self.time_ns[there], kind="stable")]
        self.reordered[order] = _overtaken(order)

        stamped = np.flatnonzero(last.time_ns != MISSING)
        sent = np.concatenate([message * packets + places % leading, (stamped + 1) * packets - 1])
        came = np.concatenate([times, last.time_ns[stamped]])
        order = np.lexsort((sent, came))
        late = sent[order][_overtaken(sent[order])]
        self.reordered_packets = np.bincount(late // packets, minlength=count)


def first_times(rows: NDArray[np.void], count: int) -> Times:
    """Each message's first time in `rows`, else MISSING."""
    rows = rows[rows["number"] < count]
    times = np.full(count, MISSING, np.int64)
    times[rows["number"][::-1]] = rows["a"][::-1]
    return times


def _overtaken(leaving: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Of numbers in the order of their arrival, which come after a larger one."""
    return leaving < np.maximum.accumulate(leaving) if len(leaving) else np.zeros(0, bool)


def _index(rows: NDArray[np.void]) -> Times:
    index: Times = rows["b"] & 0xFFFF_FFFF
    return index


def _place(rows: NDArray[np.void], leading: int) -> Times:
    """Which of all leading packets of the session, in the order of leaving."""
    place: Times = rows["number"].astype(np.int64) * leading + _index(rows)
    return place
