"""The controller process against switches that only speak OpenFlow."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.net.deltas.reroute import Reroute
from testbed.net.tables import Bucket, Group
from testbed.net.timeline import read_timeline, since
from testbed.plan.model import Plan
from tests.controllers.chain import chain
from tests.controllers.fake_switch import FakeSwitch
from tests.controllers.test_restoration import FAR, NEAR, planned

BAD_ACTION, BAD_OUT_PORT = 2, 4


class Controller:
    """A controllers.launch for the chain of three switches."""

    def __init__(
        self,
        folder: Path,
        plan: Plan | None = None,
        port: int | None = None,
        timeout: int = 20,
        more: Sequence[str] = (),
    ) -> None:
        self.plan = plan or chain(3)
        self.port = port or free_port()
        self.status_file = folder / "status.json"
        (folder / "plan.json").write_bytes(msgspec.json.encode(self.plan))
        self.log, self.timeline = folder / "log", folder / "controller.jsonl"
        self.status_file.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command(folder, self.port, timeout), "--timeline", str(self.timeline), *more],
                stderr=log,
            )

    def status(self, until: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The status file, once it is there and `until` holds."""
        for _ in range(400):
            if self.status_file.exists():
                status: dict[str, Any] = json.loads(self.status_file.read_text())
                if until(status):
                    return status
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def end(self) -> dict[str, Any]:
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log.read_text()
        return self.status()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    started: list[Controller] = []

    def begin(**how: Any) -> Controller:
        started.append(Controller(tmp_path, **how))
        return started[-1]

    yield begin
    for controller in started:
        controller.process.kill()
        controller.process.wait()


def command(folder: Path, port: int, timeout: int = 20) -> list[str]:
    return [
        *(sys.executable, "-m", "controllers.launch"),
        *("--plan", f"{folder}/plan.json", "--status", f"{folder}/status.json"),
        *("--port", str(port), "--timeout", str(timeout)),
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def connect(controller: Controller, *dpids: int, **how: Any) -> list[FakeSwitch]:
    switches = [FakeSwitch(dpid, controller.port, **how) for dpid in dpids]
    for switch in switches:
        switch.start()
    return switches


def test_every_switch_gets_its_rules_and_counters_come_back(
    start: Callable[..., Controller],
) -> None:
    controller = start()
    switches = connect(controller, 1, 2, 3)
    status = controller.status()
    assert (status["installed"], status["switches"], status["rules"]) == (True, 3, 6)
    assert status["error"] is None
    assert 0 < status["seconds"] < 5
    assert status["framework"].startswith("os-ken 4")
    for switch in switches:
        assert (len(switch.rules), switch.deletions) == (2, 1)
        assert switch.steps == "dD|f|"
        switch.packets = 7 * switch.dpid

    found = controller.end()["counters"]
    planned = [
        {"switch": r.switch, "priority": r.priority, "match": r.match, "cookie": r.cookie}
        | {"packets": 7 * int(r.switch[1:]), "bytes": 700 * int(r.switch[1:])}
        for r in controller.plan.rules
    ]
    assert sorted(map(_canonical, found)) == sorted(map(_canonical, planned))


def _canonical(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def test_snapshot_keeps_the_controller_running(start: Callable[..., Controller]) -> None:
    controller = start()
    switches = connect(controller, 1, 2, 3)
    controller.status()
    switches[0].packets = 3
    controller.process.send_signal(signal.SIGUSR1)
    first = controller.status(lambda s: s.get("snapshots") == 1)
    assert sum(row["packets"] for row in first["counters"]) == 6
    assert len(first["ports"]) == 6
    assert first["ports"][0] == {"switch": "s1", "port": 1} | {
        "rx_packets": 0,
        "tx_packets": 1,
        "rx_bytes": 2,
        "tx_bytes": 3,
        "rx_dropped": 4,
        "tx_dropped": 5,
        "rx_errors": 6,
        "tx_errors": 7,
    }
    assert controller.end()["snapshots"] == 2


def test_groups_are_there_before_the_rules_that_need_them(
    start: Callable[..., Controller],
) -> None:
    plan = chain(1)
    rules = tuple(msgspec.structs.replace(rule, actions=({"group": 7},)) for rule in plan.rules)
    group = Group(switch="s1", id=7, kind="all", buckets=(Bucket(actions=({"output": 2},)),))
    controller = start(plan=msgspec.structs.replace(plan, rules=rules, groups=(group,)))
    (switch,) = connect(controller, 1)
    assert controller.status()["installed"]
    assert switch.steps == "dD|g|f|"
    assert (len(switch.groups), len(switch.rules)) == (1, 2)
    assert switch.xids == [0, 0, 3]


def test_failed_link_moves_paths_in_two_steps_and_back(start: Callable[..., Controller]) -> None:
    plan = planned()
    controller = start(plan=plan)
    switches = connect(controller, 1, 2, 3)
    controller.status()
    one, two, three = switches
    before = [list(switch.rules) for switch in switches]
    for switch, peer, live in ((three, "s2", False), (two, "s3", False)):
        switch.tell(plan.port(f"s{switch.dpid}", peer).number, live=live)
    wait(lambda: [s.steps for s in switches] == ["dD|f|f|f|", "dD|f|f|f|", "dD|f|"])
    assert [len(s.rules) - len(b) for s, b in zip(switches, before, strict=True)] == [2, 2, 0]
    assert one.xids[2] < one.xids[3]
    for switch, peer, live in ((three, "s2", True), (two, "s3", True)):
        switch.tell(plan.port(f"s{switch.dpid}", peer).number, live=live)
    wait(lambda: [s.steps for s in switches] == ["dD|f|f|f|f|", "dD|f|f|f|f|", "dD|f|"])
    assert one.rules[-1][48:] in [rule[48:] for rule in before[0]]
    wait(lambda: one.barriers == 5)
    controller.end()
    rows = since(0, read_timeline(controller.timeline))
    nodes = [one.delta.nodes for one in rows if isinstance(one.delta, Reroute)]
    assert len(nodes) == 4
    assert all(one.delta.at_ns <= one.began_ns < one.actual_ns for one in rows)
    assert not any(one.told for one in rows), "all are confirmed"
    assert re.fullmatch(r"s[23] says that its port \d is down", rows[0].delta.why)
    assert {way[::-1] if way[0] == "h2" else way for way in nodes[:2]} == {FAR}
    assert {way[::-1] if way[0] == "h2" else way for way in nodes[2:]} == {NEAR}


def test_one_that_is_killed_leaves_what_it_did_and_the_next_goes_on_from_there(
    start: Callable[..., Controller],
) -> None:
    plan = planned()
    controller = start(plan=plan)
    switches = connect(controller, 1, 2, 3)
    controller.status()
    _, two, three = switches
    three.tell(plan.port("s3", "s2").number, live=False)
    two.tell(plan.port("s2", "s3").number, live=False)
    wait(lambda: [s.steps for s in switches] == ["dD|f|f|f|", "dD|f|f|f|", "dD|f|"])
    told = [[rule[48:] for rule in switch.rules] for switch in switches]
    controller.process.kill()
    controller.process.wait()
    rows = since(0, read_timeline(controller.timeline))
    assert len({one.delta.text for one in rows}) == 2

    again = start(plan=plan, more=["--keep"])
    later = connect(again, 1, 2, 3)
    again.status()
    for before, switch in zip(told, later, strict=True):
        assert "D" not in switch.steps, "nothing is deleted"
        assert {rule[48:] for rule in switch.rules} <= set(before)
    assert told[0][-1] in [rule[48:] for rule in later[0].rules], "the way in force"
    for here, there in (("s1", "s3"), ("s3", "s1"), ("s3", "s2"), ("s2", "s3")):
        later[int(here[1]) - 1].tell(plan.port(here, there).number, live=True)
    wait(lambda: len(since(0, read_timeline(again.timeline))) == 4)
    back = since(0, read_timeline(again.timeline))[2:]
    assert {one.delta.way for one in back if isinstance(one.delta, Reroute)} == {0}
    assert all(one.began_ns - one.delta.at_ns >= 0 for one in back)


def wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_thousand_rules_come_back_from_one_switch(start: Callable[..., Controller]) -> None:
    plan = chain(1)
    rules = tuple(
        msgspec.structs.replace(plan.rules[0], match=plan.rules[0].match | {"udp_dst": port})
        for port in range(1000)
    )
    controller = start(plan=msgspec.structs.replace(plan, rules=rules))
    (switch,) = connect(controller, 1)
    controller.status()
    assert len(switch.rules) == 1000
    assert len(controller.end()["counters"]) == 1000


def test_refused_rule_fails_the_install_and_is_named(start: Callable[..., Controller]) -> None:
    controller = start()
    connect(controller, 1, 3)
    connect(controller, 2, refuse={1: (BAD_ACTION, BAD_OUT_PORT)})
    status = controller.status()
    assert status["installed"] is False
    for words in ("s2 answered", "OFPET_BAD_ACTION", "OFPBAC_BAD_OUT_PORT", "mpls_label=18"):
        assert words in status["error"]
    assert controller.process.wait(10) == 5


def test_switch_that_never_confirms_is_named(start: Callable[..., Controller]) -> None:
    controller = start(timeout=4)
    connect(controller, 1, 3)
    connect(controller, 2, mute=True)
    status = controller.status()
    assert not status["installed"]
    assert "1 of 3 switches did not confirm their rules within 4 s: s2" in status["error"]
    assert controller.process.wait(10) == 5


def test_switch_not_in_the_plan_is_left_alone(start: Callable[..., Controller]) -> None:
    controller = start()
    (stranger,) = connect(controller, 99)
    connect(controller, 1, 2, 3)
    assert controller.status()["installed"]
    controller.end()
    assert stranger.deletions == stranger.barriers == 0
    assert "0x63 is not in the plan" in controller.log.read_text()


def test_switch_that_comes_back_is_set_up_again(start: Callable[..., Controller]) -> None:
    controller = start()
    switches = connect(controller, 1, 2, 3)
    controller.status()
    switches[1].leave()
    (again,) = connect(controller, 2)
    wait(lambda: again.barriers > 0)
    status = controller.end()
    assert len(again.rules) == 2
    assert again.steps == "f|"
    assert status["reinstalled"] == {"s2": 1}
    assert status["installed"]


def test_switch_that_is_gone_is_silent_in_the_counters(start: Callable[..., Controller]) -> None:
    controller = start()
    switches = connect(controller, 1, 2, 3)
    controller.status()
    switches[1].leave()
    time.sleep(0.2)
    status = controller.end()
    assert status["silent"] == ["s2"]
    assert {row["switch"] for row in status["counters"]} == {"s1", "s3"}


def test_taken_port_is_an_error_with_a_remedy(start: Callable[..., Controller]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        controller = start(port=port)
        assert controller.process.wait(10) == 5
        assert f"ss -ltnp sport = {port}" in controller.status()["error"]


def test_rule_that_cannot_be_encoded_ends_it_before_any_switch_comes(
    start: Callable[..., Controller],
) -> None:
    plan = chain(1)
    wrong = msgspec.structs.replace(plan.rules[0], actions=({"set_mpls_tc": 9},))
    controller = start(plan=msgspec.structs.replace(plan, rules=(wrong,)))
    assert controller.process.wait(10) == 3
    assert "set_mpls_tc cannot be 9" in controller.status()["error"]
    assert "Traceback" not in controller.log.read_text()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(chain(1)))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *command(tmp_path, free_port())],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(1)
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    for _ in range(1200):  # a starved child is long in starting
        if not Path(f"/proc/{child}").exists() or is_zombie(child):
            return
        time.sleep(0.05)
    raise AssertionError("the controller outlived its parent")


PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
child.wait()
"""


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
