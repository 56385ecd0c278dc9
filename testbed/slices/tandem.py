"""Servers in a row, and what traffic that shares some of them leaves of them.

    in_row      no other traffic (theorem 1.4.6)
    any_order   others may go before, in whatever order: their bursts are paid once along all
                servers that they share (Schmitt, Zdarsky and Fidler, Infocom 2008: pay
                multiplexing only once)
    in_order    first in, first out: the least upper delay bound where the others' ways are
                nested (Lenzini, Mingozzi and Stea, Performance Evaluation 65, 2008); each
                leaves of the servers it shares what proposition 6.2.1 says with the theta of
                its burst's delay. Exact for trees that lead to one sink

Of one server each, and put in a row by in_row, these are the separated flow analyses. All
numbers are whole and rounded so that a server is never too good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from testbed.port.curves import Bucket, S, Server, together, up


class Cross(NamedTuple):
    """Traffic that shares servers `first` to `last` of a row, both included."""

    bucket: Bucket
    """As it comes to the first of them."""
    first: int
    last: int


def in_row(servers: Iterable[Server]) -> Server:
    """One server for several."""
    every = list(servers)
    return Server(min(s.bps for s in every), sum(s.latency_ns for s in every))


def any_order(servers: Sequence[Server], crossing: Iterable[Cross]) -> Server | None:
    """What is left of strict servers whatever goes before; None: nothing.

    In the backlogged periods that end in each other, server i gets d_i, in which it sends
    at least R_i (d_i - T_i); what crosses sends at most its burst and its rate times the
    sum of the d_i that it shares. The sum of all d_i is most where every d_i is T_i, and
    the rest is at the server that has least left.
    """
    taken = [0] * len(servers)
    bits = 0
    for bucket, first, last in crossing:
        bits += bucket.bits
        for number in range(first, last + 1):
            taken[number] += bucket.bps
    rate = min(s.bps - bps for s, bps in zip(servers, taken, strict=True))
    if rate <= 0:
        return None
    bits += sum(up(bps * s.latency_ns, S) for s, bps in zip(servers, taken, strict=True))
    return Server(rate, in_row(servers).latency_ns + up(bits * S, rate))


def in_order(servers: Sequence[Server], crossing: Iterable[Cross]) -> Server | None:
    """What is left where all traffic is served in the order it came; None: nothing.

    Ways must be nested: of two that share servers, one has all those of the other.
    """
    ways: dict[tuple[int, int], list[Bucket]] = defaultdict(list)
    for bucket, first, last in crossing:
        ways[first, last].append(bucket)
    left = {number: (number, server) for number, server in enumerate(servers)}
    for first, last in sorted(ways, key=lambda way: (way[1] - way[0], way)):
        inner, number = list[Server](), first
        while number <= last:
            end, server = left.pop(number)
            inner.append(server)
            number = end + 1
        row, bucket = in_row(inner), together(ways[first, last])
        if row.bps <= bucket.bps:
            return None
        less = Server(row.bps - bucket.bps, row.latency_ns + up(bucket.bits * S, row.bps))
        left[first] = last, less
    return in_row(server for _, server in left.values())
