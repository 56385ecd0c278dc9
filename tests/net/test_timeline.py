"""What happened in a run, as it is written and read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.net.deltas.install import Install
from testbed.net.timeline import Entry, Timeline, entry, read_timeline
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


def test_other_processes_count_from_their_own_moment() -> None:
    noted = msgspec.to_builtins(
        msgspec.structs.replace(
            CUT,
            delta=msgspec.structs.replace(events.cut_fibre("a", "b"), at_ns=1_040),
            began_ns=1_050,
            actual_ns=1_060,
        )
    )
    found = entry(noted, 1_000)
    assert (found.delta.at_ns, found.began_ns, found.actual_ns) == (40, 50, 60)
