"""Outages of made-up samples, to the packet."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec
import pandas as pd

from controllers.policies.lowest_delay import LowestDelay
from testbed.analysis.outage import Outage, outages
from testbed.plan.model import Plan
from testbed.report.wording import outages as told
from testbed.scenario.events import cut_fibre, mend_fibre
from tests.plan.networks import MS, S, compiled, scenario

COUNT, INTERVAL_NS, DELAY_NS = 1000, 10 * MS, 6 * MS


def measured(
    lost: set[int],
    reordered: Collection[int] = (),
    unanswered: Collection[int] = (),
    judged: Literal["forward", "reverse"] = "forward",
) -> list[Outage]:
    """A cut at 3 s and a mend at 6 s; every 10 ms a packet that takes 6 ms each way."""
    plan = planned()
    session = msgspec.structs.replace(plan.sessions[0], judged=(judged,))
    plan = msgspec.structs.replace(plan, sessions=(session,))
    seq = range(COUNT)
    gone = [n in lost for n in seq]
    samples = pd.DataFrame(
        {
            "session": plan.sessions[0].id,
            "seq": seq,
            "intended_ns": [n * INTERVAL_NS for n in seq],
            "forward_ns": pd.array([None if g else DELAY_NS for g in gone], dtype="Int64"),
            "reverse_ns": pd.array(
                [None if n in lost or n in unanswered else DELAY_NS for n in seq], dtype="Int64"
            ),
            "packets": 1,
            "arrived": [0 if g else 1 for g in gone],
            "answered": [not g for g in gone],
            "received": [not (n in lost or n in unanswered) for n in seq],
            "lost_forward": gone,
            "lost_reverse": [n in unanswered for n in seq],
            "reordered_forward": [n in reordered for n in seq],
            "reordered_reverse": False,
        }
    )
    return outages(plan, samples)


def planned() -> Plan:
    happens = ((3 * S, cut_fibre("s1", "s2")), (6 * S, mend_fibre("s1", "s2")))
    dated = tuple(msgspec.structs.replace(event, at_ns=at) for at, event in happens)
    return compiled(LowestDelay(), scenario(events=dated))


def test_nothing_lost() -> None:
    cut, mend = measured(set())
    assert (cut.event, cut.at_ns, cut.lost, cut.outage_ns) == ("cut s1-s2", 3 * S, 0, 0)
    assert (mend.event, mend.lost, mend.reordered) == ("mend s1-s2", 0, 0)
    assert told([cut, mend]) == [
        "No message was lost or out of order by cut s1-s2 at 3 s, mend s1-s2 at 6 s."
    ]


def test_gap_from_the_last_good_packet_to_the_first() -> None:
    cut, _ = measured({300, 301, 302})
    assert (cut.lost, cut.outage_ns) == (3, 40 * MS)
    (line, _) = told([cut, _])
    assert line == ("cut s1-s2 at 3 s: p UL lost 3 messages, 40.0 ms without one (within 50.0 ms).")


def test_what_was_under_way_counts() -> None:
    """Due 10 ms before the cut, within the round trip of 12; another 10 ms is not."""
    assert [row.lost for row in measured({299, 300})] == [2, 0]
    assert [row.lost for row in measured({298, 300})] == [1, 0]


def test_longest_of_several_and_all_packets() -> None:
    cut, mend = measured({310, 320, 321, 330, 700})
    assert (cut.lost, cut.outage_ns) == (4, 30 * MS)
    assert (mend.lost, mend.outage_ns) == (1, 20 * MS)


def test_losses_until_the_mend_are_the_cuts() -> None:
    cut, mend = measured(set(range(300, 600)))
    assert (cut.lost, cut.outage_ns, mend.lost) == (300, 3010 * MS, 0)
    assert "(over 50.0 ms)" in told([cut])[0]


def test_losses_that_span_the_first_event_are_its_own() -> None:
    """A queue that grew held messages of longer ago than any that arrived took."""
    cut, mend = measured(set(range(290, 600)))
    assert (cut.lost, mend.lost) == (310, 0)
    assert [row.lost for row in measured(set(range(290, 296)))] == [0, 0]


def test_never_restored() -> None:
    cut, _ = measured(set(range(300, COUNT)))
    assert (cut.lost, cut.outage_ns) == (700, None)
    assert "not restored" in told([cut])[0]


def test_out_of_order() -> None:
    cut, mend = measured(set(), {601, 602})
    assert (cut.reordered, mend.reordered) == (0, 2)
    assert "lost 0 messages, 2 out of order" in told([mend])[0]


def test_replies_are_counted_for_requests_that_arrived_only() -> None:
    """Replies leave 50 ms after their requests, so those to earlier ones are lost."""
    cut, _ = measured(set(range(300, 303)), unanswered=set(range(295, 298)), judged="reverse")
    assert (cut.lost, cut.outage_ns) == (3, 40 * MS)
