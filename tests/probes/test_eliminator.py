"""One of each copy passes (IEEE 802.1CB clause 7.4.3.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.probes.eliminator import SEQUENCE_SPACE, Eliminator

MS = 1_000_000


def passed(numbers: list[int], gap_ns: int = MS, history: int = 8) -> list[int]:
    eliminator = Eliminator(history=history)
    return [n for at, n in enumerate(numbers) if eliminator.first(n, at * gap_ns)]


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.integers(0, 7))
def test_each_packet_passes_once_whichever_way_is_later(lost: list[bool], behind: int) -> None:
    """The second way is `behind` packets later; the first loses some."""
    count = len(lost)
    arrivals = []
    for at in range(count + behind):
        if at < count and (not lost[at] or at == 0):
            arrivals.append(at)
        if at >= behind:
            arrivals.append(at - behind)
    assert sorted(passed(arrivals)) == list(range(count))


def test_numbers_begin_anywhere_and_wrap() -> None:
    last = SEQUENCE_SPACE - 1
    assert passed([last, last, 0, 0, 1]) == [last, 0, 1]


def test_what_is_too_far_off_is_dropped_until_nothing_came_for_long() -> None:
    assert passed([0, 8, 1]) == [0, 1]
    assert passed([9, 1, 2]) == [9, 2]
    assert passed([0, 1000], gap_ns=100 * MS) == [0, 1000]
