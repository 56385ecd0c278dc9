"""What rows are called: by their probe, so that two of one class are told apart."""

from __future__ import annotations

import msgspec
import pytest

from testbed.analysis.summary import SummaryRow, summarise
from testbed.report.naming import called, classes, names
from testbed.results.samples import tidy
from tests.results import synthetic


@pytest.fixture(scope="module")
def row() -> SummaryRow:
    plan = synthetic.plan()
    session = plan.sessions[1]
    frame = tidy(session.id, synthetic.raw(session)).to_pandas()
    return summarise(msgspec.structs.replace(plan, sessions=(session,)), frame)[0]


def of(row: SummaryRow, session: str, app: str, direction: str = "UL") -> SummaryRow:
    return msgspec.structs.replace(row, session=session, app=app, direction=direction)


def test_rows_of_one_class_have_the_names_of_their_probes(row: SummaryRow) -> None:
    rows = [of(row, f"site-{n}", "site_reach") for n in (1, 2)]
    assert [called(one) for one in rows] == ["site-1 UL", "site-2 UL"]
    assert classes(rows) == "site-1 and site-2 are of class site_reach."


def test_a_session_each_way_is_the_same_probe(row: SummaryRow) -> None:
    ways = [of(row, "cam.ul", "video", "UL"), of(row, "cam.dl", "video", "DL")]
    assert [called(one) for one in ways] == ["cam UL", "cam DL"]
    assert names(ways) == "cam UL/DL"
    assert classes(ways) == "cam is of class video."
    assert called(of(row, "cars.out", "v2x", "U2U out")) == "cars U2U out"
    assert called(of(row, "cam.ul", "video", "DL")) == "cam.ul DL"


def test_a_probe_that_is_called_as_its_class_is_not_told_of(row: SummaryRow) -> None:
    assert classes([of(row, "video", "video"), of(row, "video-2", "video")]) == ""
    many = [of(row, f"h{n}", "site_reach") for n in range(50)]
    assert classes(many) == "50 probes are of class site_reach."
    assert names(many) == "50 of them"
