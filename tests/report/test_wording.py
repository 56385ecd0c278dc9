"""Words and formats of table and page."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from testbed.analysis.fidelity import NOTHING_KNOWN, Doubt, Floor, Instrument
from testbed.analysis.loads import Deviation
from testbed.analysis.outage import Outage
from testbed.analysis.percentiles import Estimate
from testbed.analysis.summary import SummaryRow, summarise
from testbed.analysis.terms import Held, Promise
from testbed.report import wording
from testbed.results.samples import tidy
from testbed.scenario.terms import Name
from tests.results import synthetic


@pytest.fixture(scope="module")
def row() -> SummaryRow:
    plan = synthetic.plan()
    session = plan.sessions[1]
    frame = tidy(session.id, synthetic.raw(session)).to_pandas()
    return summarise(msgspec.structs.replace(plan, sessions=(session,)), frame)[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\N{EN DASH}"), (math.inf, "lost"), (1_234_567, "1.23 ms"), (980, "980 ns")],
)
def test_delay(value: float | None, text: str) -> None:
    assert wording.delay(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(5_000_000, "5 ms"), (16_700_000, "16.7 ms"), (500_000, "500 us"), (5 * 10**9, "5 s")],
)
def test_asked_for_times_have_no_digits_nobody_wrote(value: int, text: str) -> None:
    assert wording.nominal(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1e-5, "0.001 %"), (0.0123, "1.2 %"), (0.5, "50 %"), (1, "100 %")],
)
def test_a_share_is_never_rounded_to_nothing(value: float, text: str) -> None:
    assert wording.share(value) == text


def test_reliability_keeps_its_nines() -> None:
    assert wording.reliability(0.99999) == "99.999 %"
    assert wording.reliability(1.0) == "every message"
    assert wording.portion(0.999999) == "99.9999 %"
    assert wording.portion(1) == "100 %"


@pytest.mark.parametrize("width", range(9, 40))
def test_a_path_keeps_its_ends_and_fits(width: int) -> None:
    short = wording.path("ue1>gnb1>agg1>core1>agg2>edge1", width)
    assert short.startswith("ue1>")
    assert short.endswith(">edge1")
    assert len(short) <= max(width, len("ue1>…>edge1"))


def test_a_refused_percentile_says_what_it_takes(row: SummaryRow) -> None:
    assert wording.percentile(row, "p999") == "1000<3688"
    assert wording.interval(row, "p999") == ""
    lost = msgspec.structs.replace(row, p99=Estimate(value=math.inf, low=1e6, high=math.inf))
    assert wording.percentile(lost, "p99") == "lost"
    assert wording.interval(lost, "p99") == "1.00 ms to lost"
    assert not wording.by_bound(lost)
    within = msgspec.structs.replace(row, p50=Estimate(value=2e6, low=1e6, high=3e6, by="bound"))
    assert wording.interval(within, "p50") == "1.00 ms to 3.00 ms by budget and bound"
    assert wording.by_bound(within)


def test_verdicts_in_words(row: SummaryRow) -> None:
    assert wording.verdict(row) == (
        "0 of 1,000 messages late or lost; 99.99 % within 10 ms asked, "
        "which takes 36,887 messages to show."
    )
    for word in ("met", "missed", "not valid", "no deadline"):
        assert wording.verdict(msgspec.structs.replace(row, verdict=word)).endswith(".")


def test_packets_are_told_beside_messages(row: SummaryRow) -> None:
    row = msgspec.structs.replace(row, judged="forward", messages=100, lost=4, packets=100)
    assert wording.packets([row]) == []
    many = msgspec.structs.replace(row, packets=4_400, packets_lost=5)
    (line,) = wording.packets([many])
    assert line.endswith("4 of 100 messages lost, 5 of their 4,400 packets.")
    assert wording.packets([msgspec.structs.replace(many, packets_lost=0)]) == []
    assert (wording.messages(row), wording.messages(many)) == ("100", "100 (4,400 packets)")
    late = msgspec.structs.replace(many, packets_reordered=7)
    assert wording.packets([late])[0].endswith("4,400 packets; 7 packets out of order.")
    both = msgspec.structs.replace(row, judged="rtt", packets=196)
    assert wording.packets([both]) == []


def test_tally(row: SummaryRow) -> None:
    met = msgspec.structs.replace(row, verdict="met")
    none = msgspec.structs.replace(row, verdict="no deadline")
    assert wording.tally([met, met, none]) == "2 of 2 deadlines met."
    assert wording.tally([met, row]).startswith("1 of 2 deadlines met, 1 not shown")
    assert wording.tally([none]) == "No class of this run has a deadline."


def test_the_instruments_own_error_is_told(row: SummaryRow) -> None:
    floor = Floor(packets=800, lost=0, hop_ns=2_000, p99_ns=9e4, p999_ns=None, max_ns=4e5, stalls=0)
    known = Instrument("wall", floor, np.array([1.0]), {})
    rows = [
        msgspec.structs.replace(row, fidelity="good", fidelity_ns=error) for error in (4e5, 9e5)
    ]
    assert wording.precision(rows, known) == (
        "Lab wall (real time on a shared processor): numbers are good to 400 us at best, "
        "900 us at worst. A bare wire beside the network was 400 us late at most "
        "(800 packets, 0 over 1 ms)."
    )
    exact = [msgspec.structs.replace(row, fidelity="exact", fidelity_ns=5)]
    assert "exact, every number to 5 ns" in wording.precision(exact, known._replace(lab="virtual"))
    assert "its own error is unknown" in wording.precision([row], NOTHING_KNOWN)


@pytest.mark.parametrize("why", ["sender", "load", "stalls", "error"])
def test_a_doubt_is_explained(row: SummaryRow, why: Doubt) -> None:
    doubtful = msgspec.structs.replace(row, verdict="not valid", doubt=why, fidelity_ns=1e6)
    assert "The lab cannot tell: " in wording.verdict(doubtful)


def test_a_load_that_deviates_is_named(row: SummaryRow) -> None:
    floor = Floor(packets=800, lost=0, hop_ns=0, p99_ns=0, p999_ns=None, max_ns=0, stalls=0)
    known = Instrument("virtual", floor, np.array([0.0]), {})
    assert wording.deviations(known) == []
    found = [
        Deviation(load=load, way="less", what=what)
        for load, what in (("a", "began 11.0 ms late"), ("a", "ended 2.00 s early"), ("b", "died"))
    ]
    known = known._replace(deviations=tuple(found))
    lines = ["Load a began 11.0 ms late.", "Load a ended 2.00 s early.", "Load b died."]
    assert wording.deviations(known) == lines
    exact = [msgspec.structs.replace(row, fidelity="exact", fidelity_ns=0)]
    assert "to 0 ns, but not all traffic was as planned: see load a, b. A bare" in (
        wording.precision(exact, known)
    )
    assert "TCP" not in wording.precision(exact, known)
    assert wording.precision(exact, known._replace(unchecked=("bulk", "more"))).endswith(
        "Of TCP load bulk and more only what they sent in all is held against their rates, not "
        "when their packets left."
    )


def test_the_tally_says_why_verdicts_are_not_valid(row: SummaryRow) -> None:
    def tally(*doubts: Doubt) -> str:
        return wording.tally(
            [msgspec.structs.replace(row, verdict="not valid", doubt=doubt) for doubt in doubts]
        )

    assert tally("load").endswith("1 not valid: a load was not sent as planned.")
    assert tally("error", "stalls").endswith("2 not valid: the lab is not exact enough for them.")
    assert "planned and the lab" in tally("load", "error")


def test_a_bound_says_how_long_it_held(row: SummaryRow) -> None:
    held = msgspec.structs.replace(row, bound="kept", bound_ns=2_000_000, max_ns=1_000_000)
    assert wording.bound(held).startswith("at most 2.00 ms (kept, the longest took 50 % of it)")
    assert not wording.outlived(held)
    later = msgspec.structs.replace(held, max_ns=3_000_000)
    assert "kept until the first event, the longest took 150 % of it" in wording.bound(later)
    assert wording.outlived(later)


def test_who_speaks_for_a_slice() -> None:
    def row(session: str, held: Held, found: float, term: Name = "guaranteed rate") -> Promise:
        return Promise(
            slice="s", session=session, direction="UL", term=term, asked=1e6, found=found, held=held
        )

    tried = [row("a", "not shown", 3e5), row("b", "kept", 1e6), row("c", "not shown", 5e5)]
    assert "(b UL)" in wording.promises(tried)[0]
    untried, where = wording.promises([tried[0], tried[2]])
    assert untried.endswith("guaranteed rate of 1 Mbit/s: not shown, 500 kbit/s (c UL).")
    assert where == "What would show a rate or MTU is in the report and in 8-promises.csv."
    both = wording.promises([row("a", "kept", 1.0, "delay"), *tried[:1], row("d", "broken", 9e5)])
    assert both[0].index("broken") < both[0].index("kept")
    broken = [*tried, row("d", "broken", 9e5), row("e", "broken", 8e5)]
    assert wording.promises(broken) == [
        "Slice s promises guaranteed rate of 1 Mbit/s: broken, 800 kbit/s (e UL)."
    ]
    late = [row(str(ns), "broken", ns, "delay") for ns in (2e6, 3e6)]
    assert "(3000000.0 UL)" in wording.promises(late)[0]


def test_a_null_path_that_loses_packets_has_no_error_of_its_own(row: SummaryRow) -> None:
    inf = math.inf
    floor = Floor(packets=8, lost=2, hop_ns=0, p99_ns=None, p999_ns=None, max_ns=inf, stalls=2)
    known = Instrument("wall", floor, np.array([inf]), {})
    rows = [msgspec.structs.replace(row, fidelity="good", fidelity_ns=inf)]
    assert wording.precision(rows, known) == (
        "Lab wall (real time on a shared processor): its own error is unknown. A bare wire beside "
        "the network lost 2 packets (8 packets, 2 over 1 ms)."
    )
    assert wording.fidelity(rows[0]) == "unknown"
    doubtful = msgspec.structs.replace(rows[0], verdict="not valid", doubt="error")
    assert "packets of its null path were lost" in wording.verdict(doubtful)


def test_what_the_headline_says_is_not_said_again() -> None:
    cut = Outage(
        event="cut a-b", at_ns=3 * 10**9, session="p", app="p", direction="UL", lost=2,
        reordered=0, outage_ns=3_000_000,
    )  # fmt: skip
    spared = msgspec.structs.replace(cut, event="order x", lost=0, outage_ns=0)
    assert wording.events("outages", [cut, spared]) == []
    assert wording.events("orders", [spared]) == []
    assert wording.events("orders", [cut])[0].startswith("cut a-b at 3 s: p UL lost 2 messages")
    assert wording.events("verdicts", [spared]) == [
        "No message was lost or out of order by order x at 3 s."
    ]
    disorder = msgspec.structs.replace(cut, reordered=7)
    assert "7 out of order" in wording.events("outages", [disorder])[0]
