"""A small made-up run, for tests: a plan by hand and seeded random delays.

    ue1 --- gnb1 --- agg1 --- core1 --- agg2 --- edge1
                       |        |
                      core2 - core3 --- cloud1

No packet was ever sent for it; its experiment says so. No two of its intervals have a large
divisor, so that no session is in step with another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path as FsPath

import msgspec
import numpy as np
import pyarrow.parquet as pq

from testbed.net.legs import Budget
from testbed.net.nodes import Host, Switch
from testbed.net.paths import Path
from testbed.plan.model import Plan, Session
from testbed.port.channel import Channel
from testbed.port.pipeline import Port
from testbed.probes.arrivals import MISSING
from testbed.probes.samples import SAMPLE, Samples
from testbed.results.folder import PLAN, PROVENANCE, SAMPLES, SCENARIO
from testbed.results.provenance import Provenance, measure_host
from testbed.results.samples import ARROW, tidy
from testbed.scenario.events.link import LinkEvent
from testbed.scenario.model import Slice, TopologyRef
from testbed.scenario.scenario import Scenario
from tests.legs import there_and_back

MS = 1_000_000

POSITIONS = {
    "ue1": (-9.0, 1.5),
    "ue2": (-9.0, -1.5),
    "gnb1": (-6.0, 0.0),
    "agg1": (0.0, 0.0),
    "core1": (12.0, 4.0),
    "core2": (4.0, -9.0),
    "core3": (18.0, -8.0),
    "agg2": (24.0, 0.0),
    "edge1": (28.0, 2.0),
    "cloud1": (30.0, -9.0),
}
KM = {("gnb1", "agg1"): 6, ("agg1", "core1"): 18, ("core1", "agg2"): 18, ("agg1", "core2"): 14}
KM |= {("core2", "core3"): 21, ("core3", "agg2"): 16, ("core1", "core3"): 19}
LAN = [("ue1", "gnb1"), ("ue2", "gnb1"), ("agg2", "edge1"), ("core3", "cloud1")]

NEAR = ("gnb1", "agg1", "core1", "agg2")
FAR = ("gnb1", "agg1", "core2", "core3")


def _path(slice_id: str, nodes: Sequence[str], cookie: int) -> Path:
    return Path(
        id=f"{slice_id}-{cookie}",
        cookie=cookie,
        slice=slice_id,
        src=nodes[0],
        dst=nodes[-1],
        nodes=tuple(nodes),
        label=16 + cookie,
        queue=1,
        policy="lowest_delay",
    )


def session(
    app: str,
    slice_id: str,
    sender: str,
    core: Sequence[str],
    reflector: str,
    *,
    number: int,
    interval_ns: int,
    count: int,
    deadline_ns: int | None,
    reliability: float | None,
    judged: Sequence[str] = ("forward",),
    kind: str = "one-way",
    survival_ns: int | None = None,
) -> Session:
    nodes = (sender, *core, reflector)
    km = sum(KM.get((a, b), KM.get((b, a), 0)) for a, b in pairwise(nodes))
    budget = Budget(
        propagation_ns=round(4897 * km), device_ns=20_000 * len(core), serialisation_ns=48_000
    )
    return msgspec.convert(
        {
            "id": app,
            "app": app,
            "slice": slice_id,
            "sender": sender,
            "reflector": reflector,
            "sender_ip": "10.0.0.1",
            "reflector_ip": "10.0.0.2",
            "sender_port": 20000 + number,
            "dscp": 46,
            "size_bytes": 100,
            "start_ns": 0,
            "interval_ns": interval_ns,
            "count": count,
            "warmup_ns": 1000 * MS,
            "deadline_ns": deadline_ns,
            "deadline_kind": kind,
            "judged": tuple(judged),
            "reliability": reliability,
            "survival_ns": survival_ns,
            "legs": msgspec.to_builtins(
                there_and_back(
                    _path(slice_id, nodes, 2 * number),
                    _path(slice_id, nodes[::-1], 2 * number + 1),
                    budget,
                )
            ),
            "source": "made up",
        },
        Session,
    )


def plan() -> Plan:
    """Six classes on three slices, over the drawing above."""
    links = [*KM, *LAN]
    ports = [
        Port(
            node=a,
            name=f"{a}-eth{i}",
            number=i,
            ifindex=100 + i,
            mac="02:00:00:00:00:01",
            peer_node=b,
            peer_name=f"{b}-eth{i}",
            stages=(Channel(km=KM.get((a, b), 0.0)),),
        )
        for i, (a, b) in enumerate([*links, *[(b, a) for a, b in links]], start=1)
    ]
    names = [n for n in POSITIONS if not n.startswith(("ue", "edge", "cloud"))]
    hosts = [("ue1", "ue"), ("ue2", "ue"), ("edge1", "compute"), ("cloud1", "compute")]
    return Plan(
        experiment="made_up",
        seed=7,
        policy="lowest_delay",
        hosts=tuple(
            Host(name=n, kind=k, site="", ip=f"10.0.0.{i}", prefix=8, mac="02:00:00:00:00:02")
            for i, (n, k) in enumerate(hosts, start=1)
        ),
        switches=tuple(
            Switch(name=n, kind="gnb" if n.startswith("gnb") else "otn", site="", dpid=i)
            for i, n in enumerate(names, start=1)
        ),
        ports=tuple(ports),
        rules=(),
        sessions=(
            session(
                "telesurgery_haptic", "urllc", "ue1", NEAR, "edge1",
                number=1, interval_ns=1 * MS, count=11_000, deadline_ns=5 * MS,
                reliability=0.999, judged=("forward", "reverse"), survival_ns=1 * MS,
            ),
            session(
                "v2x_l4_coop", "v2x", "ue2", NEAR, "edge1",
                number=2, interval_ns=10 * MS + 1, count=1_100, deadline_ns=10 * MS,
                reliability=0.9999, survival_ns=10 * MS,
            ),
            session(
                "ar_vr_dl", "embb", "ue1", NEAR, "edge1",
                number=3, interval_ns=16 * MS + 3, count=700, deadline_ns=10 * MS, reliability=0.99,
            ),
            session(
                "hft_order", "urllc", "ue2", NEAR, "edge1",
                number=4, interval_ns=5 * MS + 9, count=2_000, deadline_ns=500_000,
                reliability=0.999, judged=("rtt",), kind="rtt",
            ),
            session(
                "llm_chat", "embb", "ue1", FAR, "cloud1",
                number=5, interval_ns=40 * MS + 7, count=280, deadline_ns=20 * MS, reliability=0.99,
            ),
            session(
                "best_effort", "best", "ue2", FAR, "cloud1",
                number=6, interval_ns=4 * MS + 9, count=2_800, deadline_ns=None, reliability=None,
                judged=(),
            ),
        ),
        events=(LinkEvent(at_ns=6000 * MS, action="cut", a="core1", b="agg2"),),
        duration_ns=11_000 * MS,
        positions=POSITIONS,
    )  # fmt: skip


def scenario() -> Scenario:
    """The question of the made-up run."""
    return Scenario(
        experiment="made_up",
        question="Made-up data for tests: no packet was sent for these numbers.",
        params={"flood": 0.9},
        seed=7,
        policy="lowest_delay",
        topology=TopologyRef(name="by_hand"),
        slices=tuple(Slice(id=i, sst=2) for i in ("urllc", "v2x", "embb", "best")),
    )


def raw(s: Session, *, loss: float = 0.0, noise_ns: float = 40_000, seed: int = 1) -> Samples:
    """Raw records of a session: its budget plus seeded gamma noise."""
    random = np.random.default_rng([seed, s.sender_port])
    n = s.count
    rows = np.zeros(n, dtype=SAMPLE)
    rows["seq"] = np.arange(n)
    rows["packets"] = rows["arrived"] = 1
    rows["answered"] = True
    rows["intended_ns"] = s.start_ns + s.interval_ns * np.arange(n)
    rows["schedule_error_ns"] = random.exponential(15_000, n)
    rows["sent_ns"] = rows["intended_ns"] + rows["schedule_error_ns"]
    rows["forward_ns"] = s.legs[0].budget.total_ns + random.gamma(1.2, noise_ns, n)
    rows["reverse_ns"] = s.legs[1].budget.total_ns + random.gamma(1.2, noise_ns, n)
    rows["forward_intended_ns"] = rows["forward_ns"] + rows["schedule_error_ns"]
    rows["rtt_ns"] = rows["forward_ns"] + rows["reverse_ns"]
    rows["rtt_intended_ns"] = rows["rtt_ns"] + rows["schedule_error_ns"]
    rows["received"] = True
    lose(rows, "forward", random.random(n) < loss)
    lose(rows, "reverse", random.random(n) < loss)
    return rows


def lose(rows: Samples, way: str, which: np.ndarray | slice) -> None:
    """Lose packets, or their replies."""
    lost = np.zeros(len(rows), dtype=bool)
    lost[which] = True
    lost &= rows["received"]
    rows[f"lost_{way}"] |= lost
    rows["received"] &= ~lost
    for name in ("reverse_ns", "rtt_ns", "rtt_intended_ns"):
        rows[name][lost] = MISSING
    if way == "forward":
        rows["arrived"][lost] = 0
        rows["answered"] &= ~lost
        rows["forward_ns"][lost] = rows["forward_intended_ns"][lost] = MISSING


def raws(p: Plan) -> dict[str, Samples]:
    """Raw records of every session; the last class is congested and loses packets."""
    found = {}
    for s in p.sessions:
        congested = s.slice == "best"
        found[s.id] = raw(s, loss=0.02 if congested else 0.0, noise_ns=6e6 if congested else 40_000)
    return found


def provenance() -> Provenance:
    """Provenance that says what this is."""
    host = measure_host()
    return Provenance.of(
        scenario=scenario(),
        lab={"lab": "none", "kernel": "none: made-up data"},
        notes=("made-up data for tests",),
        command=("testbed", "run", "made_up", "--seed", "7"),
        host=host,
    )


def run_folder(folder: FsPath) -> FsPath:
    """A complete made-up run folder without its summary."""
    folder.mkdir(parents=True)
    p = plan()
    (folder / PROVENANCE).write_bytes(
        msgspec.json.encode(msgspec.structs.replace(provenance(), id="abc123"))
    )
    (folder / SCENARIO).write_bytes(msgspec.json.encode(scenario()))
    (folder / PLAN).write_bytes(msgspec.json.encode(p))
    with pq.ParquetWriter(folder / SAMPLES, ARROW) as writer:
        for name, rows in raws(p).items():
            writer.write_table(tidy(name, rows))
    return folder
