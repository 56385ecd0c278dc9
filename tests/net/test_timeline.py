"""What happened in a run, as it is written and read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.net.deltas.install import Install
from testbed.net.deltas.reroute import Reroute
from testbed.net.timeline import UNCONFIRMED, Entry, Timeline, read_timeline, since
from testbed.scenario import events
from tests.plan.ordered import admission, order

CUT = Entry(delta=events.cut_fibre("a", "b"), began_ns=50, actual_ns=60, event=0)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    here = admission()
    made = here.admit(here.first, order(dscp=(10,)))
    assert isinstance(made, Install)
    timeline = Timeline(tmp_path / "timeline.jsonl")
    timeline.add(CUT)
    assert read_timeline(tmp_path / "timeline.jsonl") == (CUT,)
    installed = Entry(delta=made, began_ns=10, actual_ns=20)
    timeline.complete([installed])
    assert read_timeline(tmp_path / "timeline.jsonl") == (installed, CUT)


def test_a_run_without_deltas_has_an_empty_one(tmp_path: Path) -> None:
    Timeline(tmp_path / "timeline.jsonl").complete([])
    assert read_timeline(tmp_path / "timeline.jsonl") == ()


def test_a_torn_line_is_left_out_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    Timeline(path).add(CUT)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(CUT)[:-20])
    assert read_timeline(path) == (CUT,)
    path.write_bytes(b'{"delta": {"of": "weather"}}\n')
    with pytest.raises(msgspec.ValidationError, match="weather"):
        read_timeline(path)


def test_a_process_that_starts_again_goes_on_behind_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    Timeline(path).add(CUT)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(CUT)[:-20])
    again = Timeline(path)
    assert again.entries == [CUT]
    mended = Entry(delta=events.mend_fibre("a", "b"), began_ns=70, actual_ns=80)
    again.add(mended)
    assert read_timeline(path) == (CUT, mended)


def moved(way: int, actual_ns: int, told: dict[str, bool]) -> Entry:
    way_of = Reroute(path="p", cookie=1, way=way, nodes=(), prepare=(), switch_over=(), at_ns=990)
    return Entry(delta=way_of, began_ns=1_000 + way, actual_ns=actual_ns, told=told)


def test_other_processes_count_from_their_own_moment() -> None:
    noted = msgspec.structs.replace(
        CUT,
        delta=msgspec.structs.replace(events.cut_fibre("a", "b"), at_ns=1_040),
        began_ns=1_050,
        actual_ns=1_060,
    )
    (found,) = since(1_000, [noted])
    assert (found.delta.at_ns, found.began_ns, found.actual_ns) == (40, 50, 60)


def test_what_is_confirmed_is_told_once_and_what_is_not_is_told_as_that() -> None:
    noted = [moved(1, 1_005, UNCONFIRMED), moved(1, 1_009, {}), moved(2, 1_010, UNCONFIRMED)]
    found = [(one.actual_ns, one.told) for one in since(1_000, noted)]
    assert found == [(9, {}), (10, UNCONFIRMED)]
