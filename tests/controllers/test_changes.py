"""Rules that come and go while the controller runs, as its socket is asked for them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controllers.northbound import Asked
from testbed.net.tables import Rule
from tests.controllers.chain import chain
from tests.controllers.fake_switch import FakeSwitch
from tests.controllers.test_launch import command, free_port, wait

BAD_ACTION, BAD_OUT_PORT = 2, 4
PLAN = chain(3)
MORE = tuple(
    Rule(
        switch=f"s{n}",
        priority=200,
        match={"in_port": 1, "eth_type": 0x8847, "mpls_label": 600_000},
        actions=({"output": 2},),
        cookie=1 << 32,
    )
    for n in (1, 2)
)


class Running:
    """A controller with its three switches."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self.port = folder, free_port()
        self.control = folder / "c.sock"
        (folder / "plan.json").write_bytes(msgspec.json.encode(PLAN))
        given = ["--control", str(self.control), *more]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([*command(folder, self.port), *given], stderr=log)
        self.switches = [FakeSwitch(dpid, self.port) for dpid in (1, 2, 3)]
        for switch in self.switches:
            switch.start()
        wait(lambda: self.process.poll() is not None or (folder / "status.json").exists())
        assert self.process.poll() is None, (folder / "log").read_text()

    def ask(self, body: bytes) -> Any:
        with socket.socket(socket.AF_UNIX) as to, to.makefile("rb") as lines:
            to.settimeout(30)
            to.connect(str(self.control))
            to.sendall(body + b"\n")
            return msgspec.json.decode(lines.readline())["error"]

    def change(self, add: tuple[Rule, ...] = (), delete: tuple[Rule, ...] = ()) -> Any:
        return self.ask(msgspec.json.encode(Asked(add, delete)))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    yield found
    found.process.kill()
    found.process.wait()


def test_rules_come_and_go_with_a_barrier(running: Running) -> None:
    assert running.change(add=MORE) == ""
    assert [len(switch.rules) for switch in running.switches] == [3, 3, 2]
    assert [switch.steps for switch in running.switches] == ["dD|f|f|", "dD|f|f|", "dD|f|"]
    assert running.change(delete=MORE) == ""
    assert [len(switch.rules) for switch in running.switches] == [2, 2, 2]
    assert running.switches[0].steps == "dD|f|f|x|"


def test_a_switch_that_connects_again_gets_them_too(running: Running) -> None:
    assert running.change(add=MORE) == ""
    assert running.change(delete=MORE[1:]) == ""
    running.switches[0].leave()
    again = FakeSwitch(1, running.port)
    again.start()
    wait(lambda: again.barriers > 0)
    assert len(again.rules) == 3
    assert running.change(delete=MORE[:1]) == ""
    assert len(again.rules) == 2


def test_what_a_switch_refuses_is_told(running: Running) -> None:
    class Everything(dict[int, tuple[int, int]]):
        def __contains__(self, _: object) -> bool:
            return True

        def __missing__(self, _: int) -> tuple[int, int]:
            return BAD_ACTION, BAD_OUT_PORT

    running.switches[1].refuse = Everything()
    assert "s2 answered OFPET_BAD_ACTION" in running.change(add=MORE)
    running.switches[1].refuse = {}
    assert running.change(add=MORE) == ""
    assert running.process.poll() is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"more": []}', b'{"add": [{"switch": "s1"}]}']
)
def test_what_is_no_change_is_told(running: Running, body: bytes) -> None:
    assert running.ask(body)
    assert running.change(add=MORE) == ""


def test_a_controller_that_starts_again_knows_what_had_come(tmp_path: Path) -> None:
    orders = tmp_path / "orders.json"
    orders.write_bytes(msgspec.json.encode({"book": {}, "rules": MORE}))
    running = Running(tmp_path, "--orders", str(orders))
    try:
        assert [len(switch.rules) for switch in running.switches] == [3, 3, 2]
    finally:
        running.process.kill()
        running.process.wait()
