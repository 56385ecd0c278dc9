"""Requests of a run and what every probe saw after each, in words."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from testbed.net.timeline import Entry, Timeline
from testbed.report import html
from testbed.report.html import write_report
from testbed.report.lifecycle import Request, lifecycle_table, requests
from testbed.results.folder import PLAN, REPORT, TIMELINE, RunFolder
from testbed.scenario.delta import Delta
from testbed.scenario.events import order
from tests.results import synthetic

MS = 1_000_000


def ended(number: int, asked: Delta, status: int, message: str = "") -> Entry:
    errors = {"ietf-restconf:errors": {"error": [{"error-message": message}]}}
    answer = {"status": status, "body": errors}
    return Entry(
        delta=asked,
        event=number,
        began_ns=asked.at_ns,
        actual_ns=asked.at_ns + 20 * MS,
        told={"answer": answer},
    )


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have no figures."""
    monkeypatch.setattr(html, "draw", lambda *_: [])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = synthetic.run_folder(tmp_path_factory.mktemp("lifecycle") / "run")
    asked = tuple(
        msgspec.structs.replace(order(name, sst=1, ends=[("ue1", "edge1")]), at_ns=at * 1000 * MS)
        for name, at in (("drones", 4), ("video", 8))
    )
    plan = msgspec.structs.replace(synthetic.plan(), events=asked)
    (path / PLAN).write_bytes(msgspec.json.encode(plan))
    timeline = Timeline(path / TIMELINE)
    timeline.add(ended(0, asked[0], 201))
    timeline.add(ended(1, asked[1], 409, "link a -> b has no room; order less"))
    return RunFolder(path)


def test_each_request_says_what_was_asked_and_answered(run: RunFolder) -> None:
    start, first, second = requests(run)
    assert (start.at, start.asked, start.answer) == ("start", "", "")
    assert (first.at, first.asked, first.answer) == ("4.00 s", "order drones", "done in 20.0 ms")
    assert second.answer == "refused (409), link a -> b has no room"
    assert set(start.largest) == set(first.largest) == set(second.largest)
    assert start.largest["telesurgery_haptic UL"].endswith(" us")
    assert any(" lost" in value for value in second.largest.values())


def test_the_table_fits_and_the_page_has_it(run: RunFolder, tmp_path: Path) -> None:
    told = lifecycle_table(run)
    assert told is not None
    for width in (110, 200):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(told)
        text = console.export_text()
        assert all(len(line) <= width for line in text.splitlines())
    assert "order drones: done in 20.0 ms" in text
    page = write_report(run.path, tmp_path / REPORT).read_text()
    assert "Requests for slices" in page
    assert "refused (409), link a -&gt; b has no room" in page


def test_a_run_without_orders_has_none(tmp_path: Path) -> None:
    plain = RunFolder(synthetic.run_folder(tmp_path / "run"))
    assert requests(plain) == list[Request]()
    assert lifecycle_table(plain) is None
    assert "Requests for slices" not in write_report(plain.path, tmp_path / "page").read_text()
