"""Delays by hop and queue, from captures that are written here as tcpdump writes them."""

from __future__ import annotations

import struct
from io import StringIO
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from testbed.analysis.hops import Spent, spent
from testbed.errors import InputError, ResultError
from testbed.frames import UDP_HEADERS_BYTES, label_bytes
from testbed.plan.model import Plan, Session
from testbed.prepare import prepare
from testbed.report.hops import COLUMNS, hops_table, lines, title, untold
from testbed.results.folder import CAPTURES, CONTROL, PLAN, RunFolder
from testbed.results.stamps import stamps
from testbed.scenario.model import Capture
from tests.results import synthetic

BEGAN_NS = 1_700_000_000_123_456_789
MS = 1_000_000
LOADS_ONLY = """from testbed.scenario.experiment import Experiment
class LoadsOnly(Experiment):
    def build(self) -> None:
        self.topology("metro_ring")
        self.slice("s", sst=1)
        self.flow("load", "h2", "h3", slice="s", rate="1 Mbit/s", duration="1 s")
"""


@pytest.fixture(scope="module")
def planned() -> Plan:
    return prepare("slice_isolation", {}, hops=True).plan


class Run:
    """A run folder whose packets are made up, one by one."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.plan, self.session = plan, plan.sessions[0]
        self.path = synthetic.run_folder(root / "run")
        (self.path / PLAN).write_bytes(msgspec.json.encode(plan))
        (self.path / CONTROL).write_text(f'{{"began_realtime_ns": {BEGAN_NS}}}')
        (self.path / CAPTURES).mkdir(exist_ok=True)
        for one in plan.captures:
            head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 96, 1)
            (self.path / CAPTURES / one.file).write_bytes(head)
        self.rows: list[dict[str, object]] = []

    def leaves(self, hop: tuple[str, str], packet: bytes, at_ns: int) -> None:
        seconds, ns = divmod(BEGAN_NS + at_ns, 1_000_000_000)
        record = struct.pack("<IIII", seconds, ns, min(96, len(packet)), len(packet))
        file = self.path / CAPTURES / Capture(node=hop[0], peer=hop[1], probes=True).file
        with file.open("ab") as out:
            out.write(record + packet[:96])

    def message(self, seq: int, waits: list[int], *, sent_ns: int = 2000 * MS) -> int:
        """One that waits so long at each port of its planned way; its delay."""
        at_ns, nodes = sent_ns, self.session.paths[0].nodes
        for number, (hop, wait) in enumerate(zip(pairwise(nodes), waits, strict=True)):
            port, label = self.plan.port(*hop), label_bytes(number, nodes)
            size = self.session.size_bytes + UDP_HEADERS_BYTES + label
            at_ns += wait + port.transmitter.sent_ns(size) + port.delay_ns
            self.leaves(hop, request(self.session, seq, labelled=bool(label)), at_ns)
        self.arrives(seq, sent_ns, at_ns - sent_ns)
        return at_ns - sent_ns

    def arrives(self, seq: int, sent_ns: int, delay_ns: int | None) -> None:
        self.rows.append(
            {"session": self.session.id, "seq": seq, "intended_ns": sent_ns, "sent_ns": sent_ns,
             "forward_ns": delay_ns, "lost_forward": delay_ns is None}
        )  # fmt: skip

    def found(self) -> list[Spent]:
        run = RunFolder(self.path)
        frame = pd.DataFrame(self.rows).astype({"forward_ns": "Int64"})
        run.__dict__["samples"] = frame
        return spent(run)


def request(session: Session, seq: int, *, labelled: bool, sport: int | None = None) -> bytes:
    payload = struct.pack("!I", seq).ljust(session.size_bytes, b"\0")
    shim = MPLS(label=77, s=1, ttl=64) if labelled else None
    inner = (
        IP(src=session.sender_ip, dst=session.reflector_ip)
        / UDP(sport=sport or session.sender_port, dport=session.reflector_port)
        / payload
    )
    ether = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
    return bytes(ether / shim / inner if shim else ether / inner)


def test_parts_sum_to_the_delay_of_every_hop_and_message(tmp_path: Path, planned: Plan) -> None:
    run = Run(tmp_path, planned)
    hops = len(run.session.paths[0].nodes) - 1
    random = np.random.default_rng(3)
    waits = random.integers(0, 300_000, (40, hops)).tolist()
    delays = [run.message(seq, each, sent_ns=(2000 + seq) * MS) for seq, each in enumerate(waits)]
    (one,) = run.found()
    assert (one.messages, one.arrived, one.nodes) == (40, 40, run.session.paths[0].nodes)
    slowest = int(np.argmax(delays))
    assert one.slowest_ns == max(delays)
    assert [hop.slowest_ns for hop in one.hops] == waits[slowest]
    assert [hop.wait_max_ns for hop in one.hops] == np.max(waits, axis=0).tolist()
    assert [hop.wait_mean_ns for hop in one.hops] == pytest.approx(np.mean(waits, axis=0))
    assert sum(hop.fixed_ns + hop.slowest_ns for hop in one.hops) == max(delays)
    assert sum(hop.fixed_ns + hop.wait_mean_ns for hop in one.hops) == pytest.approx(one.mean_ns)
    assert one.mean_ns == pytest.approx(np.mean(delays))
    assert (one.beyond_slowest_ns, one.beyond_mean_ns) == (0, 0)
    budget = run.session.legs[0].budget
    for part in ("propagation_ns", "device_ns", "radio_ns", "serialisation_ns"):
        assert sum(getattr(hop, part) for hop in one.hops) == getattr(budget, part)


def test_a_page_shows_what_sums(tmp_path: Path, planned: Plan) -> None:
    run = Run(tmp_path, planned)
    hops = len(run.session.paths[0].nodes) - 1
    delay = run.message(0, [1000 * n for n in range(hops)])
    (one,) = run.found()
    *rows, last = lines(one)
    assert {len(row) for row in (*rows, last)} == {len(COLUMNS)}
    exact = [int(row[-1].removesuffix(" ns").replace(",", "")) for row in rows]
    assert sum(exact) == int(last[-1].removesuffix(" ns").replace(",", "")) == delay
    assert f"{delay:,} ns the slowest" in title(one)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_numbers_are_whole_in_any_terminal(tmp_path: Path, planned: Plan, width: int) -> None:
    run = Run(tmp_path, planned)
    hops = len(run.session.paths[0].nodes) - 1
    delay = run.message(0, [123_456] * hops)
    found = run.found()
    console = Console(width=width, file=StringIO())
    console.print(hops_table(found, width))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in said
    assert f"{delay:,} ns" in said
    assert max(map(len, said.splitlines())) <= width


def test_what_cannot_be_followed_is_left_out_and_counted(tmp_path: Path, planned: Plan) -> None:
    """A lost message, one with a stamp missing, one of the warm-up, and packets of others."""
    run = Run(tmp_path, planned)
    nodes = run.session.paths[0].nodes
    hops = list(pairwise(nodes))
    run.message(0, [0] * len(hops))
    run.leaves(hops[0], request(run.session, 1, labelled=False), 2001 * MS)
    run.arrives(1, 2001 * MS, None)
    run.leaves(hops[0], request(run.session, 2, labelled=False), 2002 * MS)
    run.arrives(2, 2002 * MS, 5 * MS)
    run.message(3, [0] * len(hops), sent_ns=1)
    run.leaves(hops[0], request(run.session, 0, labelled=False, sport=9), 2000 * MS)
    run.leaves(hops[0], b"\0" * 60, 2000 * MS)
    (one,) = run.found()
    assert (one.messages, one.arrived) == (1, 2)
    assert "1 messages of 2 that arrived" in title(one)


def test_torn_and_strange_captures_have_the_packets_that_are_whole(
    tmp_path: Path, planned: Plan
) -> None:
    run = Run(tmp_path, planned)
    hops = list(pairwise(run.session.paths[0].nodes))
    run.message(0, [0] * len(hops))
    first = run.path / CAPTURES / Capture(node=hops[0][0], peer=hops[0][1], probes=True).file
    whole = first.read_bytes()
    first.write_bytes(whole + b"\1\2\3")
    assert run.found()[0].messages == 1
    first.write_bytes(whole[:-5])
    assert run.found() == []
    first.write_bytes(b"")
    assert run.found() == []
    first.write_bytes(b"nonsense, and a lot of it")
    with pytest.raises(ResultError, match="no nanoseconds"):
        run.found()
    for told in ("[]", "{}", '{"began_realtime_ns": "now"}'):
        (run.path / CONTROL).write_text(told)
        assert run.found() == []


def test_messages_that_went_other_ways_are_told_apart(tmp_path: Path, planned: Plan) -> None:
    """The second goes by the links of the first one, but round the ring the other way."""
    run = Run(tmp_path, planned)
    nodes = run.session.paths[0].nodes
    run.message(0, [0] * (len(nodes) - 1))
    run.message(1, [0] * (len(nodes) - 1), sent_ns=2100 * MS)
    mine = {(port.node, port.peer_node) for port in planned.ports}
    other = (nodes[0], *_round(mine, nodes[1], nodes[-2], set(pairwise(nodes))), nodes[-1])
    at_ns = 2200 * MS
    extra = tuple(Capture(node=a, peer=b, probes=True) for a, b in pairwise(other))
    known = tuple(dict.fromkeys((*planned.captures, *extra)))
    plan = msgspec.structs.replace(planned, captures=known)
    (run.path / PLAN).write_bytes(msgspec.json.encode(plan))
    for one in extra:
        if one not in planned.captures:
            head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 96, 1)
            (run.path / CAPTURES / one.file).write_bytes(head)
    for number, hop in enumerate(pairwise(other)):
        at_ns += MS
        labelled = bool(label_bytes(number, other))
        run.leaves(hop, request(run.session, 2, labelled=labelled), at_ns)
    run.arrives(2, 2200 * MS, at_ns - 2200 * MS)
    first, second = run.found()
    assert (first.nodes, first.messages) == (nodes, 2)
    assert (second.nodes, second.messages) == (other, 1)
    assert sum(hop.fixed_ns + hop.slowest_ns for hop in second.hops) == second.slowest_ns


def _round(
    hops: set[tuple[str, str]], begin: str, end: str, taken: set[tuple[str, str]]
) -> list[str]:
    """Switches from one to the other that share no link of the core with what is taken."""
    ways = [[begin]]
    while ways:
        way = ways.pop(0)
        if way[-1] == end:
            return way
        ways += [
            [*way, b]
            for a, b in sorted(hops)
            if a == way[-1]
            and b not in way
            and not b.startswith(("h", "dc"))
            and ((a, b) not in taken or len(way) == 1 or b == end)
        ]
    raise AssertionError("no other way")


def test_a_reply_is_known_by_its_senders_number(tmp_path: Path, planned: Plan) -> None:
    """Behind the reflector's own number and times (RFC 8762)."""
    run = Run(tmp_path, planned)
    asked = IP(request(run.session, 7, labelled=False)[14:])
    payload = struct.pack("!I20xI", 99, 7).ljust(run.session.size_bytes, b"\0")
    back = IP(src=asked.dst, dst=asked.src) / UDP(sport=asked.dport, dport=asked.sport) / payload
    hop = next(iter(pairwise(run.session.legs[0].path.nodes)))
    packet = bytes(Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / back)
    run.leaves(hop, packet, 5 * MS)
    found = stamps(RunFolder(run.path))
    assert found is not None
    (row,) = found.itertuples(index=False)
    assert (row.session, row.reply, row.seq, row.at_ns) == (run.session.id, True, 7, 5 * MS)
    assert planned.ports[int(str(row.port))].peer_node == hop[1]


def test_a_run_without_stamps_has_none(tmp_path: Path) -> None:
    assert spent(RunFolder(synthetic.run_folder(tmp_path / "run"))) == []


def test_where_nothing_can_be_told_it_says_why(tmp_path: Path, planned: Plan) -> None:
    run = Run(tmp_path, planned)
    run.arrives(0, 2000 * MS, 5 * MS)
    assert run.found() == []
    why = untold(RunFolder(run.path), [])
    assert why is not None
    assert "no message arrived that was seen" in why
    (run.path / CONTROL).unlink()
    why = untold(RunFolder(run.path), [])
    assert why is not None
    assert "the run ended before" in why
    plain = synthetic.run_folder(tmp_path / "plain")
    assert untold(RunFolder(plain), []) is None


def test_a_run_that_shows_hops_has_nothing_untold(tmp_path: Path, planned: Plan) -> None:
    run = Run(tmp_path, planned)
    run.message(0, [0] * (len(run.session.paths[0].nodes) - 1))
    assert untold(RunFolder(run.path), run.found()) is None


def test_without_a_probe_there_are_no_hops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "loads_only.py").write_text(LOADS_ONLY)
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path))
    assert prepare("loads_only", {}).plan.sessions == ()
    with pytest.raises(InputError, match="no probe whose hops"):
        prepare("loads_only", {}, hops=True)
