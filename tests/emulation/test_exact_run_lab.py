"""Whole runs in the virtual lab: delays are the budget's to the nanosecond, and repeat."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from benchmarks.isolation import Packet, flood_packets, followed
from controllers.policies.lowest_delay import LowestDelay
from testbed.analysis.hops import spent
from testbed.emulation.readback import Readback
from testbed.frames import LABEL_BYTES, UDP_HEADERS_BYTES
from testbed.lab.virtual import VirtualLab
from testbed.net.paths import Path as Way
from testbed.plan.model import Plan
from testbed.prepare import Prepared
from testbed.probes.schedule import moments
from testbed.results.folder import RunFolder
from testbed.results.stamps import stamps
from testbed.run import execute
from testbed.scenario.model import Capture
from testbed.scenario.scenario import Scenario
from testbed.topology.model import Network, Node
from tests.plan.networks import GOLD, MBIT, MS, S, app, compiled, flow, link, probe, scenario

pytestmark = [pytest.mark.lab, pytest.mark.exact]

LAB = VirtualLab()
ODD_BPS = (7 * MBIT, 10_000 * MBIT, 9_999_991)
"""Few packets take a whole number of nanoseconds at these."""
_SENT = ("seq", "sent_ns")
SLOW_GOLD = msgspec.structs.replace(GOLD, guaranteed_bps=MBIT)


def chain(host_bps: int, *rates_bps: int) -> Network:
    """h1 and h3 - s1 - s2 - ... - h2, links of 10.007 us, switches of 1.003 us."""
    switches = [f"s{n}" for n in range(1, len(rates_bps) + 2)]
    ends = [*pairwise(switches), ("h1", "s1"), ("h3", "s1"), ("h2", switches[-1])]
    rates = [*rates_bps, host_bps, host_bps, 100_000 * MBIT]
    return Network(
        name="chain",
        nodes=(
            *(Node(name=s, role="switch", kind="router", forwarding_ns=1003) for s in switches),
            *(Node(name=h, role="host", kind="host") for h in ("h1", "h2", "h3")),
        ),
        links=tuple(link(a, b, 10_007, rate) for (a, b), rate in zip(ends, rates, strict=True)),
    )


def run(root: Path, asked: Scenario, network: Network, sizes: tuple[int, ...]) -> tuple[Plan, Path]:
    if LAB.missing():
        pytest.skip("; ".join(missing.what for missing in LAB.missing()))
    apps = {f"app{size}": app(f"app{size}", size_bytes=size, interval_ns=30 * MS) for size in sizes}
    plan = compiled(LowestDelay(), asked, network, **apps)
    prepared = Prepared(scenario=asked, plan=plan)
    folder = execute(
        prepared, LAB, root=root, notes=(), command=(), show=lambda *_: None, timeout_s=200
    )
    return plan, folder


def excess_ns(plan: Plan, folder: Path) -> dict[str, list[int]]:
    """Delay less budget of each session's packets, there and back."""
    table = pq.read_table(folder / "5-samples.parquet").to_pylist()
    found: dict[str, list[int]] = {}
    for session in plan.sessions:
        rows = [row for row in table if row["session"] == session.id]
        assert len(rows) == session.count
        for leg in session.legs:
            assert all(row["received"] for row in rows)
            off = [row[f"{leg.name}_ns"] - leg.budget.total_ns for row in rows]
            found[f"{session.id} {leg.name}"] = off
    return found


def test_alone_a_message_takes_its_budget_to_the_nanosecond(tmp_path: Path) -> None:
    sizes = (48, 1001, 5003)
    probes = tuple(
        probe(
            f"p{size}",
            app=f"app{size}",
            phase_ns=n * 10 * MS,
            drift_ppb=-80_001 * n,  # which keeps them apart
            duration_ns=2 * S,
        )
        for n, size in enumerate(sizes)
    )
    asked = scenario(slices=(SLOW_GOLD,), probes=probes)
    plan, folder = run(tmp_path, asked, chain(333_333_333, *ODD_BPS), sizes)
    assert {s.fragments for s in plan.sessions} == {1, 4}
    table = pq.read_table(folder / "5-samples.parquet").to_pylist()
    for session in plan.sessions:
        due = [row["intended_ns"] for row in table if row["session"] == session.id]
        assert due == list(moments(session))
    for what, off in excess_ns(plan, folder).items():
        assert off == [0] * len(off), what
    back = msgspec.json.decode((folder / "3-readback.json").read_bytes(), type=Readback)
    assert {port.got.discipline for port in back.ports} == {"port"}


def test_under_a_flood_one_packet_a_hop_at_most_and_again_the_same(tmp_path: Path) -> None:
    asked = scenario(
        slices=(SLOW_GOLD,),
        probes=(probe(app="app200", duration_ns=3 * S),),
        flows=(flow(src="h3", kind="flood", rate_bps=12 * MBIT, duration_ns=3 * S),),
    )
    network = chain(100 * MBIT, *(10 * MBIT,) * 3)
    (plan, one), (_, two) = (run(tmp_path, asked, network, (200,)) for _ in range(2))
    off = excess_ns(plan, one)
    most = shared_ns(plan, plan.sessions[0].paths[0], plan.loads[0].path)
    print(f"excess {min(off['p forward'])} to {max(off['p forward'])} ns, bound {most} ns")
    assert min(off["p forward"]) >= 0
    assert most / 10 < max(off["p forward"]) <= most
    assert set(off["p reverse"]) == {0}
    for name in ("5-samples.parquet", "6-loads.json", "3-readback.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_each_hop_is_the_models_and_all_sum_to_the_delay(tmp_path: Path) -> None:
    """Two slices behind a flood: when every packet leaves every port, and what is told of it."""
    asked = scenario(
        slices=(SLOW_GOLD,),
        probes=tuple(
            probe(f"p{size}", app=f"app{size}", phase_ns=n * MS, duration_ns=2 * S)
            for n, size in enumerate((200, 1001))
        ),
        flows=(flow(src="h3", kind="flood", rate_bps=9 * MBIT, duration_ns=2 * S),),
    )
    network, sizes = chain(100 * MBIT, *(10 * MBIT,) * 3), (200, 1001)
    apps = {f"app{size}": app(f"app{size}", size_bytes=size, interval_ns=30 * MS) for size in sizes}
    ports = compiled(LowestDelay(), asked, network, **apps).ports
    taps = tuple(Capture(node=port.node, peer=port.peer_node, probes=True) for port in ports)
    plan, folder = run(tmp_path, msgspec.structs.replace(asked, captures=taps), network, sizes)
    found = RunFolder(folder)
    packets = [
        Packet(int(sent_ns), session.id, int(seq), session.size_bytes, session.paths[0])
        for session in plan.sessions
        for seq, sent_ns in zip(
            *(found.samples[found.samples["session"] == session.id][name] for name in _SENT),
            strict=True,
        )
    ]
    floods = [packet for load in plan.loads for packet in flood_packets(load)]
    model = followed(plan, sorted([*packets, *floods], key=lambda packet: packet.time_ns))
    seen = stamps(found)
    assert seen is not None
    there = seen[~seen["reply"]].groupby(["session", "seq"])["at_ns"].agg(list)
    waited = 0
    for packet in packets:
        assert there[packet.owner, packet.number] == model[packet.owner, packet.number][1:]
    for one in spent(found):
        assert one.messages == one.arrived > 0
        assert min(hop.slowest_ns for hop in one.hops) >= 0
        assert sum(hop.fixed_ns + hop.slowest_ns for hop in one.hops) == one.slowest_ns
        assert (one.beyond_mean_ns, one.beyond_slowest_ns) == (0, 0)
        waited += sum(hop.wait_max_ns for hop in one.hops)
    assert waited > 100_000


def test_losses_are_seeded(tmp_path: Path) -> None:
    network = chain(100 * MBIT, 100 * MBIT)
    first, *others = network.links
    lossy = msgspec.structs.replace(first, ab=msgspec.structs.replace(first.ab, loss=0.3))
    network = msgspec.structs.replace(network, links=(lossy, *others))

    def lost(seed: int) -> list[bool]:
        asked = scenario(seed=seed, probes=(probe(app="app48", duration_ns=6 * S),))
        _, folder = run(tmp_path, asked, network, (48,))
        return list(pq.read_table(folder / "5-samples.parquet")["lost_forward"].to_pylist())

    one, again, other = lost(1), lost(1), lost(2)
    assert one == again != other
    assert 0.15 < sum(one) / len(one) < 0.45  # 200 messages: 4.6 sigma


def shared_ns(plan: Plan, way: Way, load: Way) -> int:
    """One packet of the load at every port that both pass."""
    shared = [plan.port(a, b) for a, b in pairwise(way.nodes) if (a, b) in pairwise(load.nodes)]
    size = plan.loads[0].packet_bytes + UDP_HEADERS_BYTES + LABEL_BYTES
    return sum(port.transmitter.sent_ns(size) for port in shared)
