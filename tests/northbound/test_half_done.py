"""Changes that fail half-way, and processes that end there: nothing is left half installed."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest

from testbed.errors import InputError
from testbed.net.deltas.install import Install, stepped
from testbed.northbound.address import ENTRY
from testbed.northbound.journal import Journal, Record
from testbed.northbound.problem import ProblemError
from testbed.northbound.service import Service
from tests.northbound.asking import Wires, document, late, serving
from tests.plan.networks import MBIT
from tests.plan.ordered import admission, canonical


@pytest.mark.parametrize("step", [1, 2])
def test_a_creation_that_fails_is_undone(tmp_path: Path, step: int) -> None:
    here = admission()
    wires = Wires(here)
    with serving(tmp_path, here, wires) as (client, service, _):
        wires.fail_at = step
        told = client.post(late())
        assert (told.status, told.errors[0]["error-tag"]) == (500, "operation-failed")
        assert service.state.book.placed == ()
        assert wires.state.rules == here.first.rules
        assert wires.state.ports == here.first.ports
        assert client.post(late()).status == 201


def test_a_change_that_cannot_be_undone_at_once_is_undone_before_the_next(tmp_path: Path) -> None:
    here = admission()
    wires = Wires(here)
    with serving(tmp_path, here, wires) as (client, service, _):
        client.post(late())
        before = canonical(wires.state)
        wires.down = True
        assert client.put(late(rate=20 * MBIT)).status == 503
        assert client.ask("DELETE", f"{ENTRY}late").status == 503
        assert client.ask("GET", f"{ENTRY}late").status == 200
        wires.down = False
        assert client.ask("DELETE", f"{ENTRY}nobody").status == 404
        assert canonical(wires.state) == before
        assert service.state.book.find("late") is not None


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_process_that_ended_in_mid_change_leaves_nothing(tmp_path: Path, done: int) -> None:
    here = admission()
    wires = Wires(here)
    first = Service(here, Journal(tmp_path / "journal.json"), wires)
    first.create(document(late()))
    record = Journal(tmp_path / "journal.json").read()
    delta = here.admit(first.state, late("other", dscp=(12,)))
    assert isinstance(delta, Install)
    after = (first.state + delta).book
    before = canonical(wires.state)
    journal = Journal(tmp_path / "journal.json")
    journal.write(msgspec.structs.replace(record, begun=after))
    for step in delta.steps[:done]:
        wires.state = stepped(wires.state, step)

    second = Service(here, journal, wires)
    assert [placed.slice.id for placed in second.state.book.placed] == ["late"]
    assert canonical(wires.state) == before
    second.create(document(late("other", dscp=(12,))))
    assert canonical(wires.state).rules == canonical(here.at_once(second.state.book)).rules


def test_a_process_that_starts_knows_what_is_installed(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, first, wires):
        client.post(late())
        book = first.state.book
    with serving(tmp_path, wires=wires) as (client, second, _):
        assert second.state.book == book
        assert client.ask("GET", f"{ENTRY}late").status == 200
        assert client.ask("DELETE", f"{ENTRY}late").status == 204
        assert wires.state.rules == admission().first.rules


def test_a_journal_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, service, wires):
        (tmp_path / "journal.json.part").mkdir()
        assert client.post(late()).status == 500
        assert service.state.book.placed == ()
        assert wires.state.rules == admission().first.rules


def test_what_is_told_and_what_is_installed_stay_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal takes that a change begins, and not that it is done."""
    with serving(tmp_path) as (client, service, wires):
        write = Journal.write
        calls: list[Record] = []

        def once(journal: Journal, record: Record) -> None:
            calls.append(record)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(journal, record)

        monkeypatch.setattr(Journal, "write", once)
        assert client.post(late()).status == 500
        assert service.state.book.placed == ()
        assert client.ask("GET", f"{ENTRY}late").status == 404
        assert client.post(late()).status == 201
        assert service.state.book.find("late") is not None
        assert client.ask("DELETE", f"{ENTRY}late").status == 204
        assert wires.state.rules == admission().first.rules


def test_an_order_stands_whose_line_in_the_timeline_is_lost(tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    here = admission()
    service = Service(here, Journal(tmp_path / "journal.json"), Wires(here), told=full)
    service.create(document(late()))
    assert service.read("late")
    service.remove("late")
    assert service.state.book.placed == ()


@pytest.mark.parametrize("raw", [b"{}[", b'{"rules": "\xff"}', b"[" * 100_000])
def test_a_journal_that_is_none_is_told(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "journal.json").write_bytes(raw)
    with pytest.raises(InputError, match="journal"):
        Service(admission(), Journal(tmp_path / "journal.json"), lambda _: None)


def test_one_change_at_a_time(tmp_path: Path) -> None:
    here = admission()
    service = Service(here, Journal(tmp_path / "journal.json"), Wires(here))
    with service._changing(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("testbed.northbound.service._PATIENCE_S", 0.05)
        with pytest.raises(ProblemError) as problem:
            service.create(document(late()))
        assert problem.value.status == 503
