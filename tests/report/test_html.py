"""The page: self-contained, complete, and true to the summary."""

from __future__ import annotations

import re
import resource
import xml.etree.ElementTree as ET  # our own files
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from matplotlib.figure import Figure

from testbed.errors import ResultError
from testbed.report import html
from testbed.report.html import write_report
from testbed.report.style import Picture, save
from testbed.results.folder import FIGURES, LOADS, PLAN, PROVENANCE, REPORT, SCENARIO, RunFolder
from testbed.scenario.model import Slice
from tests.results import synthetic

VOID = {"meta", "wbr", "br", "link", "img", "hr", "input"}


class Reader(HTMLParser):
    """Tags, ids and references of a page; complains about tags left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("href", "src", "xlink:href") and value:
                self.references.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = synthetic.run_folder(tmp_path_factory.mktemp("html") / "run")
    assert write_report(made) == made / REPORT
    return made


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """Pages have empty figures; where each would have been drawn to."""
    targets: list[Path | None] = []

    def draw(_folder: RunFolder, _rows: object, target: Path | None) -> list[Picture]:
        targets.append(target)
        names = ("map", "ccdf", "budget", "time")
        return [Picture(name, name, name, '<svg role="img"></svg>') for name in names]

    monkeypatch.setattr(html, "draw", draw)
    return targets


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / REPORT).read_text()


def test_it_is_one_file_that_asks_for_no_other(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert {"script", "link", "img", "iframe"}.isdisjoint(reader.tags)
    assert len(reader.ids) == len(set(reader.ids))
    assert all(r.startswith("#") and r[1:] in reader.ids for r in reader.references)
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert "@import" not in page
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/1999/xlink"}


class Cells(HTMLParser):
    """Columns of each row of each table, spans counted."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(0)
        elif tag in ("td", "th"):
            self.tables[-1][-1] += int(dict(attrs).get("colspan") or 1)


def test_rows_have_as_many_columns_as_their_table(page: str) -> None:
    cells = Cells()
    cells.feed(page)
    assert len(cells.tables) >= 2
    for rows in cells.tables:
        assert len(set(rows)) == 1, rows
        assert len(rows) > 1
    assert "_<wbr>" in page  # so that names leave room for numbers


def test_it_has_every_part(page: str) -> None:
    for text in (
        "Made-up data for tests",
        "3 of 6 deadlines are met: telesurgery_haptic UL/DL",
        "Map of the network",
        "Delay by class",
        "Delay budget against measured",
        "Delay over time",
        "testbed run made_up --seed 7",
        "none: made-up data",
        "36,887 messages to show",
        "gnb1 \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} agg1",
    ):
        assert text in page
    assert page.count("✗ missed") == 1
    assert page.count('role="img" aria-label="') == 4
    assert "prefers-color-scheme: dark" in page


def test_figures_are_files_too(run: Path) -> None:
    for name in ("map", "ccdf", "budget", "time"):
        png = (run / FIGURES / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        assert ET.parse(run / FIGURES / f"{name}.svg").getroot().tag.endswith("svg")


def test_figures_follow_the_readers_colours(page: str) -> None:
    pictures = page[page.index("<svg") :]
    assert "var(--ink)" in pictures
    assert "#1f2933" not in pictures


@pytest.mark.usefixtures("undrawn")
def test_text_of_users_is_escaped(tmp_path: Path) -> None:
    run = synthetic.run_folder(tmp_path / "run")
    text = (run / PROVENANCE).read_text()
    (run / PROVENANCE).write_text(text.replace('"made_up","--seed"', '"<b>&","--seed"'))
    assert "&lt;b&gt;&amp;" in write_report(run).read_text()


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A failed run in which no packet was sent."""
    run = synthetic.run_folder(tmp_path / "run")
    made = msgspec.json.decode((run / PROVENANCE).read_bytes())
    made |= {"status": "failed", "error": "the lab ended"}
    (run / PROVENANCE).write_bytes(msgspec.json.encode(made))
    plan = msgspec.structs.replace(synthetic.plan(), sessions=(), positions={})
    (run / PLAN).write_bytes(msgspec.json.encode(plan))
    return run


def test_a_failed_run_without_packets_has_a_page(silent: Path) -> None:
    page = write_report(silent).read_text()
    assert "the lab ended" in page
    assert "This run failed" in page
    assert "Map of the network" in page


@pytest.mark.usefixtures("undrawn")
def test_loads_asked_and_sent(tmp_path: Path) -> None:
    run = synthetic.run_folder(tmp_path / "run")
    plan = synthetic.plan()
    path = plan.sessions[0].paths[0]
    load = {
        "id": "flood", "slice": "best", "kind": "flood", "src": "ue1", "dst": "cloud1",
        "src_ip": "10.0.0.1", "dst_ip": "10.0.0.4", "port": 5201, "rate_bps": 20_000_000,
        "packet_bytes": 1448, "dscp": 0, "start_ns": 0, "duration_ns": 10**9,
        "paths": (path, path),
    }  # fmt: skip
    whole = msgspec.to_builtins(plan) | {"loads": [msgspec.to_builtins(load)]}
    (run / PLAN).write_bytes(msgspec.json.encode(whole))
    row = {"id": "flood", "kind": "flood", "asked_bps": 2e7, "sent_bps": 1e7, "lost_packets": 3}
    row |= {"sent_bytes": 1_250_000, "seconds": 1.0}
    (run / LOADS).write_bytes(msgspec.json.encode([row]))
    page = write_report(run).read_text()
    assert "Load flood sent 10 Mbit/s of 20 Mbit/s asked" in page
    assert re.search(r">20 Mbit/s</td>\s*<td[^>]*>10 Mbit/s</td>\s*<td[^>]*>3</td>", page)


def test_a_page_that_cannot_be_written_leaves_the_one_before(silent: Path) -> None:
    page = write_report(silent).read_bytes()
    before = {path: path.read_bytes() for path in silent.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(page) // 2, limits[1]))  # a disk that is full
    try:
        with pytest.raises(ResultError, match="cannot write the report: File too large"):
            write_report(silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in silent.rglob("*") if path.is_file()} == before


def test_a_page_elsewhere(tmp_path: Path, undrawn: list[Path | None]) -> None:
    run = synthetic.run_folder(tmp_path / "run")
    there = sorted(run.rglob("*"))
    assert write_report(run, tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_text().count('role="img"') == 4
    assert sorted(run.rglob("*")) == there
    assert undrawn == [None]
    with pytest.raises(ResultError, match="No such file") as caught:
        write_report(run, tmp_path / "absent" / "page.html")
    assert "--output FILE" in caught.value.remedy


def test_a_figure_without_a_folder_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = save(Figure(), None, "none", "Nothing", "Nothing is drawn")
    assert 'role="img" aria-label="Nothing is drawn"' in picture.svg
    assert list(tmp_path.iterdir()) == []


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(ResultError):
        write_report(tmp_path)


def test_texts_are_neither_markup_nor_mathematics(tmp_path: Path) -> None:
    made = synthetic.run_folder(tmp_path / "run")
    nasty = "<script> </title> $x_{ [/24] {{ 1 }} \x1b[31m \u202e \x00"
    scenario = msgspec.json.decode((made / SCENARIO).read_bytes())
    (made / SCENARIO).write_bytes(msgspec.json.encode(scenario | {"question": nasty}))
    plan = msgspec.json.decode((made / PLAN).read_bytes())
    for session in plan["sessions"]:
        session["app"] += " $x_{$ <b>"
    (made / PLAN).write_bytes(msgspec.json.encode(plan))
    write_report(made)
    page = (made / REPORT).read_text()
    assert r"&lt;script&gt; &lt;/title&gt; $x_{ [/24] {{ 1 }} \x1b[31m \u202e \x00" in page
    assert not set("\x00\x1b\u202e") & set(page)
    drawn = (made / FIGURES / "ccdf.svg").read_text()
    ET.fromstring(drawn)
    assert "$x_{$ &lt;b&gt;" in drawn
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in reader.tags


@pytest.mark.usefixtures("undrawn")
def test_a_promise_of_a_slice_that_nothing_uses_is_shown(tmp_path: Path) -> None:
    made = synthetic.run_folder(tmp_path / "run")
    idle = Slice(id="idle", sst=2, delay_ns=1_000_000)
    asked = msgspec.structs.replace(synthetic.scenario(), slices=(idle,))
    (made / SCENARIO).write_bytes(msgspec.json.encode(asked))
    text = write_report(made, tmp_path / "page.html").read_text()
    assert "nothing was sent: add a probe or a flow" in text
