"""Changes that fail half-way, and processes that end there: nothing is left half installed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from testbed.errors import InputError
from testbed.northbound.address import ENTRY
from testbed.northbound.journal import Journal
from testbed.northbound.problem import ProblemError
from testbed.northbound.service import Service
from testbed.plan.change import change, installed
from testbed.plan.openflow import key
from tests.northbound.asking import Wires, document, late, serving
from tests.plan.networks import MBIT
from tests.plan.ordered import intake


@pytest.mark.parametrize("step", [1, 2])
def test_a_creation_that_fails_is_undone(tmp_path: Path, step: int) -> None:
    here = intake()
    wires = Wires(here)
    with serving(tmp_path, here, wires) as (client, service, _):
        wires.fail_at = step
        told = client.post(late())
        assert (told.status, told.errors[0]["error-tag"]) == (500, "operation-failed")
        assert service.book.placed == ()
        assert wires.switches.plan().rules == here.plan.rules
        assert wires.switches.plan().ports == here.plan.ports
        assert client.post(late()).status == 201


def test_a_change_that_cannot_be_undone_at_once_is_undone_before_the_next(tmp_path: Path) -> None:
    here = intake()
    wires = Wires(here)
    with serving(tmp_path, here, wires) as (client, service, _):
        client.post(late())
        before = (dict(wires.switches.rules), dict(wires.switches.ports))
        wires.down = True
        assert client.put(late(rate=20 * MBIT)).status == 503
        assert client.ask("DELETE", f"{ENTRY}late").status == 503
        assert client.ask("GET", f"{ENTRY}late").status == 200
        wires.down = False
        assert client.ask("DELETE", f"{ENTRY}nobody").status == 404
        assert (wires.switches.rules, wires.switches.ports) == before
        assert service.book.find("late") is not None


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_process_that_ended_in_mid_change_leaves_nothing(tmp_path: Path, done: int) -> None:
    here = intake()
    wires = Wires(here)
    first = Service(here, Journal(tmp_path / "journal.json"), wires)
    first.create(document(late()))
    record = Journal(tmp_path / "journal.json").read()
    after = here.place(record.book, late("other", dscp=(12,)))
    before = (dict(wires.switches.rules), dict(wires.switches.ports))
    journal = Journal(tmp_path / "journal.json")
    journal.write(msgspec.structs.replace(record, begun=after))
    for step in change(here, record.book, after)[:done]:
        wires.switches.do(step)

    second = Service(here, journal, wires)
    assert [placed.slice.id for placed in second.book.placed] == ["late"]
    assert (wires.switches.rules, wires.switches.ports) == before
    second.create(document(late("other", dscp=(12,))))
    assert wires.switches.rules == {key(r): r for r in installed(here, second.book).rules}


def test_a_process_that_starts_knows_what_is_installed(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, first, wires):
        client.post(late())
        book = first.book
    with serving(tmp_path, wires=wires) as (client, second, _):
        assert second.book == book
        assert client.ask("GET", f"{ENTRY}late").status == 200
        assert client.ask("DELETE", f"{ENTRY}late").status == 204
        assert wires.switches.plan().rules == intake().plan.rules


def test_a_journal_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, service, wires):
        (tmp_path / "journal.json.part").mkdir()
        assert client.post(late()).status == 500
        assert service.book.placed == ()
        assert wires.switches.plan().rules == intake().plan.rules


@pytest.mark.parametrize("raw", [b"{}[", b'{"rules": "\xff"}', b"[" * 100_000])
def test_a_journal_that_is_none_is_told(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "journal.json").write_bytes(raw)
    with pytest.raises(InputError, match="journal"):
        Service(intake(), Journal(tmp_path / "journal.json"), lambda _: None)


def test_one_change_at_a_time(tmp_path: Path) -> None:
    here = intake()
    service = Service(here, Journal(tmp_path / "journal.json"), Wires(here))
    with service._changing(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("testbed.northbound.service._PATIENCE_S", 0.05)
        with pytest.raises(ProblemError) as problem:
            service.create(document(late()))
        assert problem.value.status == 503
