"""What figures decide before they draw."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.summary import SummaryRow, summarise
from testbed.report import figures
from testbed.results.samples import tidy
from tests.results import synthetic


def _row() -> SummaryRow:
    plan = synthetic.plan()
    session = plan.sessions[4]
    frame = tidy(session.id, synthetic.raw(session)).to_pandas()
    return summarise(msgspec.structs.replace(plan, sessions=(session,)), frame)[0]


ROW = _row()


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_every_row_is_on_one_axis_of_its_magnitude(sizes: list[int]) -> None:
    rows = [msgspec.structs.replace(ROW, session=str(i), budget_ns=s) for i, s in enumerate(sizes)]
    groups = figures.magnitudes(rows)
    assert sorted(int(r.session) for g in groups for r in g) == list(range(len(rows)))
    for group in groups:
        assert max(r.budget_ns for r in group) <= 4 * min(r.budget_ns for r in group)
        assert [int(r.session) for r in group] == sorted(int(r.session) for r in group)


@pytest.mark.parametrize(("rows", "shown"), [(3, 3), (24, 24), (50, 24)])
def test_the_longest_tails_are_shown_over_time(rows: int, shown: int) -> None:
    many = [msgspec.structs.replace(ROW, session=str(i), max_ns=1e6 + i) for i in range(rows)]
    found = figures.longest_tails(many)
    assert [int(r.session) for r in found] == list(range(rows - shown, rows))
    assert len(figures.longest_tails([ROW] * 30)) == 24


def test_fifty_sessions_of_one_class() -> None:
    plan = synthetic.plan()
    session = plan.sessions[4]
    sessions = tuple(
        msgspec.structs.replace(session, id=f"s{i}", sender_port=3000 + i) for i in range(50)
    )
    plan = msgspec.structs.replace(plan, sessions=sessions)
    packets = {s.id: tidy(s.id, synthetic.raw(s)).to_pandas() for s in sessions}
    rows = [msgspec.structs.replace(ROW, session=s.id) for s in sessions]
    figure = figures.ccdf(plan, rows, packets, {session.slice: "#0072b2"})
    (ax,) = figure.axes
    assert ax.get_legend() is None
    assert "50 curves" in {t.get_text() for t in ax.texts}
