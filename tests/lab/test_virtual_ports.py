"""The lab kernel's ports against the reference model, and virtual time against itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ports import measure
from benchmarks.ports_cases import Case, background_cases, cases, scheduling_cases
from testbed.lab.virtual import VirtualLab

pytestmark = [
    pytest.mark.lab,
    pytest.mark.exact,
    pytest.mark.skipif(bool(VirtualLab().missing()), reason="the virtual lab lacks something"),
]


def run(todo: list[Case], job: Path) -> None:
    job.mkdir()
    for outcome in measure(VirtualLab(), todo, job):
        assert outcome.wrong == 0, outcome
        assert outcome.counters_agree, outcome
        assert outcome.largest_ns == 0, outcome


def test_every_packet_comes_out_when_the_model_says(tmp_path: Path) -> None:
    todo = cases(300, only=6)
    assert any(case.load > 1 for case in todo)
    run(todo, tmp_path / "job")


def test_priorities_gates_and_policers_do_what_the_model_does(tmp_path: Path) -> None:
    run(scheduling_cases(200), tmp_path / "job")


def test_modelled_background_delays_packets_as_the_model_says(tmp_path: Path) -> None:
    run(background_cases(100)[:4], tmp_path / "job")


def test_a_run_repeats_to_the_byte(tmp_path: Path) -> None:
    todo = cases(200, only=2)
    for name in ("one", "other"):
        run(todo, tmp_path / name)
    for number in range(len(todo)):
        for side in ("in", "out"):
            file = f"{number}-{side}.pcap"
            one, other = ((tmp_path / name / file).read_bytes() for name in ("one", "other"))
            assert len(one) > 24
            assert one == other
