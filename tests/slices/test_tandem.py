"""The named analyses on servers in a row: what public functional tests of network calculus
say, column by column, and what can be shown by hand.

Numbers are abstract: a rate of 10 and a latency of 10 are 10 bit/s and 10 s here, but for a
factor that keeps the rounding of rates and bits to whole numbers small.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import pytest

from testbed.port.curves import Bucket, S, Server, together
from testbed.slices.tandem import Cross, any_order, in_order, in_row

SCALE = 10**6


def server(rate: float, latency: float) -> Server:
    return Server(round(rate * SCALE), round(latency * S))


def bucket(rate: float, burst: float) -> Bucket:
    return Bucket(round(burst * SCALE), round(rate * SCALE))


@dataclass(frozen=True)
class Net:
    """Servers, and flows by the numbers of the servers that they pass; flow 0 is asked for."""

    servers: tuple[Server, ...]
    flows: tuple[tuple[Bucket, tuple[int, ...]], ...]

    def path(self) -> list[Server]:
        return [self.servers[n] for n in self.flows[0][1]]

    def at(self, flow: int, here: int) -> Bucket:
        """A flow as it comes to a server, the one asked for aside: its burst grows by its rate
        times each latency before."""
        sent, path = self.flows[flow]
        late = sum(self.servers[n].latency_ns for n in path[: path.index(here)])
        return sent.late(late)

    def crossing(self, here: int) -> list[Bucket]:
        return [self.at(n, here) for n, (_, path) in enumerate(self.flows) if n and here in path]

    # The analyses

    def total_flow(self) -> int | None:
        """All at a server in the order they came, server by server."""
        waits = [
            self.servers[here].wait_ns((together([self.at(0, here), *self.crossing(here)]),), 0)
            for here in self.flows[0][1]
        ]
        return None if None in waits else sum(wait or 0 for wait in waits)

    def separated_in_order(self) -> int | None:
        return self._separated(in_order)

    def separated_any_order(self) -> int | None:
        return self._separated(any_order)

    def _separated(self, analysis) -> int | None:  # type: ignore[no-untyped-def]
        left = [
            analysis([self.servers[n]], [Cross(b, 0, 0) for b in self.crossing(n)])
            for n in self.flows[0][1]
        ]
        return None if None in left else in_row(left).wait_ns((self.flows[0][0],), 0)

    def multiplexing_once(self) -> int | None:
        """In any order, the others' bursts once."""
        path = self.flows[0][1]
        crossing = []
        for number, (_, way) in enumerate(self.flows):
            shared = [n for n in path if n in way]
            if number and shared:
                first, last = path.index(shared[0]), path.index(shared[-1])
                crossing.append(Cross(self.at(number, shared[0]), first, last))
        left = any_order(self.path(), crossing)
        return left and left.wait_ns((self.flows[0][0],), 0)


TEN, TWENTY, SIX = server(10, 10), server(20, 20), server(6, 6)
FLOW = bucket(5, 25)
ONE, BOTH, ALL = (0,), (0, 1), (0, 1, 2)
RISING = tuple((bucket(0.1 * n, n), ONE) for n in range(1, 11))
TREE = ((FLOW, (0, 2)), (FLOW, (1, 2)))

TABLE = {
    "one server, 1 flow": (Net((TEN,), ((FLOW, ONE),)), 12.5, 12.5, 12.5, 12.5),
    "one server, 2 flows": (Net((TEN,), ((FLOW, ONE),) * 2), 15, 17.5, 30, 30),
    "one server, 10 flows": (Net((TEN,), RISING), 15.5, 1796 / 115, 775 / 23, 775 / 23),
    "two in tandem, 1 flow": (Net((TEN,) * 2, ((FLOW, BOTH),)), 30, 22.5, 22.5, 22.5),
    "two in tandem, 2 flows": (Net((TEN,) * 2, ((FLOW, BOTH),) * 2), 40, 35, 65, 50),
    "two in tandem, 4 flows": (
        *(Net((TEN,) * 2, ((bucket(2, 10), BOTH),) * 4), 36, 34.5, 82.5, 60),
    ),
    "unlike servers": (
        *(Net((TEN, SIX), ((FLOW, BOTH),)), 31, 20 + 1 / 6, 20 + 1 / 6, 20 + 1 / 6),
    ),
    "both, beside one at the second": (
        *(Net((TWENTY,) * 2, ((FLOW, BOTH), (FLOW, (1,)))), 48.75, 42 + 11 / 12, 50, 50),
    ),
    "one at the second, beside both": (
        *(Net((TWENTY,) * 2, ((FLOW, (1,)), (FLOW, BOTH))), 27.5, 27 + 11 / 12),
        *(36 + 2 / 3, 36 + 2 / 3),
    ),
    "three in tandem, 2 flows": (
        *(Net((TWENTY,) * 3, ((FLOW, ALL),) * 2), 97.5, 80 + 5 / 12),
        *(106 + 2 / 3, 83 + 1 / 3),
    ),
    "sink tree of three, 2 flows": (
        *(Net((TWENTY,) * 3, TREE), 53.75, 47 + 11 / 12, 56 + 2 / 3, 56 + 2 / 3),
    ),
}
"""Total flow in order, separated flow in order, separated flow and multiplexing once in any."""


@pytest.mark.parametrize("name", TABLE)
def test_each_analysis_column_by_column(name: str) -> None:
    net, *expected = TABLE[name]
    found = (
        net.total_flow(),
        net.separated_in_order(),
        net.separated_any_order(),
        net.multiplexing_once(),
    )
    for ns, seconds in zip(found, expected, strict=True):
        assert ns is not None
        assert seconds * S - 0.5 <= ns <= seconds * S * (1 + 1e-6) + 10


def test_one_server_of_any_order_in_total() -> None:
    """Ten flows, and none of them held by the order: 310/9."""
    every = together(sent for sent, _ in RISING)
    left = any_order([TEN], [Cross(every, 0, 0)])
    assert left is not None
    assert left.latency_ns == pytest.approx(310 / 9 * S, rel=1e-6)


def test_a_tree_to_one_sink_in_order_is_exact() -> None:
    """Flows that join at each server and stay: sum of T_i + b_i / R'_i, R'_i what those that
    join later leave (Lenzini, Martorini, Mingozzi and Stea, Performance Evaluation 63, 2006)."""
    servers = [server(10, 1)] * 3
    joining = [Cross(bucket(2, 4), n, 2) for n in range(3)]
    left = in_order(servers, joining)
    assert left is not None
    expected = 3 + 4 / 10 + 4 / 8 + 4 / 6
    assert left.latency_ns == pytest.approx(expected * S, rel=1e-6)
    assert left.bps == 4 * SCALE
    # in any order the same flows leave less
    worse = any_order(servers, joining)
    assert worse is not None
    assert worse.latency_ns > left.latency_ns


def test_nothing_is_left_beside_too_much() -> None:
    assert any_order([TEN], [Cross(bucket(10, 1), 0, 0)]) is None
    assert in_order([TEN], [Cross(bucket(10, 1), 0, 0)]) is None


def test_the_sum_over_backlogged_periods_is_never_more() -> None:
    """any_order is the largest sum of d_i with sum [R_i (d_i - T_i)]+ at most what crosses."""
    draw = random.Random(3)
    for _ in range(300):
        count = draw.randint(1, 5)
        servers = [server(draw.randint(5, 20), draw.randint(0, 5)) for _ in range(count)]
        crossing = []
        for _ in range(draw.randint(0, 4)):
            first, last = sorted(draw.choices(range(count), k=2))
            crossing.append(Cross(bucket(draw.uniform(0, 1), draw.randint(0, 9)), first, last))
        left = any_order(servers, crossing)
        assert left is not None
        for _ in range(50):
            periods = [Fraction(draw.randint(0, 200), 10) for _ in servers]
            served = sum(
                max(Fraction(0), s.bps * (d - Fraction(s.latency_ns, S)))
                for s, d in zip(servers, periods, strict=True)
            )
            others = sum(
                b.bits + b.bps * sum(periods[first : last + 1]) for b, first, last in crossing
            )
            own = max(0, served - others)  # what the flow itself may have been sent at most
            assert sum(periods) <= Fraction(left.latency_ns, S) + own / left.bps
