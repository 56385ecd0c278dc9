"""Networks on a real kernel and a real Open vSwitch: what lab_checks found, judged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest

from testbed.emulation import lab_qdisc, stock_qdisc
from testbed.emulation.readback import PortReadback, differences
from testbed.lab.base import CONSOLE, GUEST_JOB, Lab
from testbed.lab.choice import LABS, choose
from testbed.port.pipeline import Pipeline
from tests.emulation.plans import linear, two_queues

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DISCIPLINES = {"virtual": {"port"}, "wall": {"netem", "htb"}}


def check(lab: Lab, job: Path, *names: str) -> dict[str, Any]:
    """What these checks find, or all."""
    command = ["python3", "-m", "tests.emulation.lab_checks", GUEST_JOB, *names]
    with lab.start(job, command) as process:
        code = process.wait(timeout=280)
    assert code == 0, (job / CONSOLE).read_text()
    result: dict[str, Any] = json.loads((job / "found.json").read_text())
    return result


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return check(choose().lab, tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module", params=["virtual", "wall"])
def queues(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each lab's way to make a port, and its read-back."""
    lab = LABS[request.param]
    if lab.missing():
        pytest.skip("; ".join(missing.what for missing in lab.missing()))
    return request.param, check(lab, tmp_path_factory.mktemp(request.param), "readback", "policing")


def test_round_trip_is_the_sum_of_both_directions(found: dict[str, Any]) -> None:
    rtts_ms = found["delays"]["rtts_ms"]
    assert len(rtts_ms) == 10
    links, frame_bits = 4, 98 * 8
    expected_ms = 2 * links * (5 + frame_bits / 100_000)
    # ping prints three digits; a busy machine adds, and never takes away
    assert expected_ms - 0.1 <= min(rtts_ms) < expected_ms + 4


def test_tcp_gets_the_rate_and_no_more(found: dict[str, Any]) -> None:
    most = 20_000_000 * 1448 / 1514
    assert 0.6 * most < found["rate"]["bps"] <= most * 1.02


def test_protected_queue_hardly_notices_a_flood(found: dict[str, Any]) -> None:
    flooded, protected = (found["isolation"][f"queue {n} ms"] for n in (0, 1))
    # the flood leaves room for every other packet: a ping is dropped, or waits for
    # 125 packets of 1490 bytes at 5 Mbit/s, 298 ms
    assert len(flooded) < 10 or median(flooded) > 200
    assert all(delay_ms > 200 for delay_ms in sorted(flooded)[len(flooded) // 2 :])
    assert len(protected) == 10
    assert median(protected) < 50
    counters = found["isolation"]["counters"]
    by_queue = {queue["id"]: queue for queue in counters["queues"]}
    assert by_queue[0]["drops"] > 100
    assert by_queue[1]["packets"] >= 10
    assert by_queue[1]["drops"] == 0


def test_a_policer_drops_what_it_has_no_tokens_for(queues: tuple[str, dict[str, Any]]) -> None:
    queue = queues[1]["policing"]
    # ten at once, and ten in the 121 ms that fifty take to arrive, on a clock that is exact
    assert (18 if queues[0] == "virtual" else 10) <= queue["packets"] <= 22
    assert queue["policed"] == 50 - queue["packets"]
    assert queue["drops"] == 0


def test_every_port_is_read_back_as_asked(queues: tuple[str, dict[str, Any]]) -> None:
    lab, readback = queues[0], queues[1]["readback"]
    two = two_queues(5_000_000_000, 1_000_000_000)
    asked = linear(2, rate_bps=5_000_000_000, delay_ns=1_234_567, queues=two)
    rows = [msgspec.convert(row, PortReadback) for row in readback["ports"]]
    assert [row.name for row in rows] == [port.name for port in asked.ports]
    for row, port in zip(rows, asked.ports, strict=True):
        assert row.asked == (lab_qdisc if lab == "virtual" else stock_qdisc).shape(port)
        assert not differences(row.asked, row.got)
    assert {row.got.discipline for row in rows} == DISCIPLINES[lab]
    inner = next(row.got for row in rows if row.name == "s1-eth2")
    if lab == "virtual":
        made = Pipeline(stages=inner.stages)
        assert (made.delay_ns, made.queues[0].promised_bps) == (1_234_567, 4_000_000_000)
    else:
        assert {inner.delay_ns, *(q.delay_ns for q in inner.queues)} == {0, 1_234_567}
        assert inner.queues[0].rate_bps == 4_000_000_000


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("limit", r"limit (\d+) packets, got \d+ packets"),
        ("delay", "(delay|propagation) 1234567 ns, got 1300000 ns"),
        ("none", r"discipline \w+, got none"),
        ("other", "queueing discipline 'tbf'"),
        ("rate", r"queue 1 (rate|promised) 1000000000 bit/s, got 2000000000 bit/s"),
    ],
)
def test_a_changed_queue_is_an_error(
    queues: tuple[str, dict[str, Any]], what: str, said: str
) -> None:
    problem = queues[1]["readback"]["tampered"][what]
    assert re.search(said, problem)
    assert "s1-eth" in problem
    assert "remedy" in problem


def test_stop_leaves_nothing(found: dict[str, Any]) -> None:
    before, during, after = (found["leftovers"][when] for when in ("before", "during", "after"))
    assert {"s1", "s1-eth1", "ovs-system"} <= set(during["links"])
    assert {"ovs-vswitchd", "ovsdb-server", "tcpdump", "sleep"} <= set(during["processes"])
    assert after == before


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("index", "the kernel refused link s1-eth2 - s2-eth2: "),
        ("peer", "port s1-eth2 has no other end"),
        ("rate", "rate 7 bit/s cannot be shaped"),
        ("port number", "70000 is not in the valid range 1 to 65279"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_undone(
    found: dict[str, Any], what: str, said: str
) -> None:
    assert said in found["failures"]["texts"][what]
    assert found["failures"]["after"] == found["failures"]["before"]


def test_cut_links_are_seen_by_switches_and_can_be_mended(found: dict[str, Any]) -> None:
    cuts = found["cuts"]
    down = {"whole": {}, "cut s1 s2": {"2"}, "cut h1 s1": {"1"}, "down": {"2"}}
    for when, ports in down.items():
        said = {port for port, state in cuts[when]["state"] if state == "LINK_DOWN"}
        assert said == set(ports), when
        assert cuts[when]["answers"] == (0 if ports else 2)
    assert cuts["mended s1 s2"]["answers"] == cuts["mended h1 s1"]["answers"] == 2
    assert "unknown neighbour of h1 'h2'" in cuts["no link"]


def test_captures_are_whole_and_in_nanoseconds(found: dict[str, Any]) -> None:
    assert found["captures"] == {
        name: {"magic": "4d3cb2a1", "packets": 6} for name in ("h1-s1.pcap", "s1-s2.pcap")
    }


def test_mininet_api(found: dict[str, Any]) -> None:
    face = found["mininet_face"]
    assert face["lost"] == 0
    assert face["names"] == [["h1", "h2", "s1", "s2"], 3, True]
    assert face["connections"] == [["s1-eth2", "s2-eth2"]]
    assert face["addresses"] == ["10.0.0.1", "02:00:00:00:03:e8", "h1-eth0"]
    assert face["popen"] == ["10.0.0.1"]
    assert face["pexec"] == "there"
    assert face["status"] == "(OK OK)"


def test_mininet_prompt(found: dict[str, Any]) -> None:
    said = found["mininet_face"]["said"]
    assert "h1 h2 s1 s2" in said
    assert "1 packets transmitted, 1 received" in said
    assert "s1-eth2<->s2-eth2 (OK OK)" in said
    assert "actions=NORMAL" in said
    tcp, udp = re.findall(r"\*\*\* Results: \[(.*)\]", said)
    assert tcp.count("bit/s'") == 2
    assert udp.startswith("'5M', '")


def test_hosts_add_nothing_of_their_own(found: dict[str, Any]) -> None:
    face = found["mininet_face"]
    assert face["address"] == ""  # IPv6
    assert "10.0.0.2 dev h1-eth0 lladdr 02:00:00:00:03:ea PERMANENT" in face["neighbours"]
    for what in (
        "tx-checksumming",
        "scatter-gather",
        "tcp-segmentation-offload",
        "generic-segmentation-offload",
        "generic-receive-offload",
    ):
        assert f"{what}: off" in face["offloads"]


def test_hosts_of_other_prefixes_are_reached(found: dict[str, Any]) -> None:
    assert found["routes"]["answers"] == 2


def test_killed_outright_nothing_runs_on(found: dict[str, Any]) -> None:
    before, during, after = (found["death"][when] for when in ("before", "during", "after"))
    assert "ovs-vswitchd" in during["processes"]
    assert after["processes"] == before["processes"]
    assert "s1-eth1" in during["links"]
    assert "s1-eth1" not in after["links"]  # it went with its host's namespace
