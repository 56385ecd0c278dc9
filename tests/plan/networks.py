"""Networks, scenarios and application classes made by hand or by hypothesis.

h1 --- s1 ------ 1 ms ------ s2 --- h2       h1 and h3 share s1
h3 ----/  \\                 /
           200 us - s3 - 200 us              more hops, less delay
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from testbed.links.link import Way
from testbed.links.stated import Stated
from testbed.net.tables import Rule
from testbed.plan.compile import compile_plan
from testbed.plan.model import Plan
from testbed.scenario.model import Flow, Probe, Slice, TopologyRef
from testbed.scenario.scenario import Scenario
from testbed.slices.policy import Policy
from testbed.topology.model import Network, Node
from testbed.traffic.classes import AppClass

MBIT = 1_000_000
MS, S = 1_000_000, 1_000_000_000


def link(a: str, b: str, delay_ns: int, rate_bps: int | None, back_ns: int | None = None) -> Stated:
    """A link with one delay each way unless `back_ns` is given."""
    way = Way(rate_bps=rate_bps)
    back_ns = delay_ns if back_ns is None else back_ns
    return Stated(a=a, b=b, ab=way, ba=way, ab_ns=delay_ns, ba_ns=back_ns)


def triangle(rate_bps: int | None = 100 * MBIT) -> Network:
    """The drawing above; switches forward in 1 us, hosts' links are not shaped."""
    switches = [
        Node(name=f"s{n}", role="switch", kind="router", forwarding_ns=1000) for n in (1, 2, 3)
    ]
    hosts = [Node(name=f"h{n}", role="host", kind="host") for n in (1, 2, 3)]
    return Network(
        name="triangle",
        nodes=(*switches, *hosts),
        links=(
            link("s1", "s2", MS, rate_bps),
            link("s1", "s3", 200_000, rate_bps),
            link("s3", "s2", 200_000, rate_bps),
            link("h1", "s1", 0, None),
            link("h2", "s2", 0, None),
            link("h3", "s1", 0, None),
        ),
    )


def app(name: str = "app", **given: Any) -> AppClass:
    """An application class: 100 bytes up every 10 ms, 5 ms one-way, unless given."""
    fields: dict[str, Any] = {
        "name": name,
        "description": name,
        "direction": "UL",
        "size_bytes": 100,
        "interval_ns": 10 * MS,
        "sampled": False,
        "arrivals": "periodic",
        "stated_deadline_ns": 5 * MS,
        "stated_kind": "OW",
        "deadline_ns": 5 * MS,
        "judged": "one-way",
        "network_share_reason": "",
        "reliability": 0.999,
        "survival_ns": None,
        "sst": 2,
        "five_qi": None,
        "pdb_ns": None,
        "per": None,
        "dscp": 46,
        "source": "test",
        "evidence": "D",
    }
    return AppClass(**(fields | given))


def probe(id_: str = "p", terminal: str = "h1", server: str = "h2", **given: Any) -> Probe:
    """A probe of 10 s on slice gold unless given."""
    fields: dict[str, Any] = {"app": "app", "slice": "gold", "duration_ns": 10 * S}
    return Probe(id=id_, terminal=terminal, server=server, **(fields | given))


def flow(id_: str = "f", src: str = "h1", dst: str = "h2", **given: Any) -> Flow:
    """A best-effort UDP load of 10 Mbit/s for 10 s unless given."""
    fields: dict[str, Any] = {"slice": "best-effort", "rate_bps": 10 * MBIT, "duration_ns": 10 * S}
    return Flow(id=id_, src=src, dst=dst, **(fields | given))


GOLD = Slice(id="gold", sst=2, priority=20, guaranteed_bps=10 * MBIT)
SILVER = Slice(id="silver", sst=1, priority=40, guaranteed_bps=20 * MBIT)


def scenario(**given: Any) -> Scenario:
    """One probe on slice gold; silver is there too."""
    fields: dict[str, Any] = {
        "experiment": "test",
        "question": "?",
        "params": {},
        "seed": 1,
        "policy": "any",
        "topology": TopologyRef(name="triangle"),
        "slices": (GOLD, SILVER),
        "probes": (probe(),),
    }
    return Scenario(**(fields | given))


def compiled(
    policy: Policy, asked: Scenario | None = None, network: Network | None = None, **apps: AppClass
) -> Plan:
    """The plan of a scenario (one probe) on a network (the triangle)."""
    return compile_plan(asked or scenario(), network or triangle(), policy, {"app": app(), **apps})


def rules_of(plan: Plan, switch: str, cookie: int) -> list[Rule]:
    return [rule for rule in plan.rules if rule.switch == switch and rule.cookie == cookie]


_delays = st.sampled_from([0, 1000, 50_000, 100_000, 123_456])
_rates = st.sampled_from([None, 100 * MBIT, 1000 * MBIT])


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Connected: a random tree of switches with more links, and hosts hung on it."""
    switches = [f"s{n}" for n in range(draw(st.integers(1, 7)))]
    pairs = {(draw(st.sampled_from(switches[:n])), switches[n]) for n in range(1, len(switches))}
    spare = sorted(set(combinations(switches, 2)) - pairs)
    if spare:
        pairs |= set(draw(st.lists(st.sampled_from(spare), unique=True)))
    hosts = [f"h{n}" for n in range(draw(st.integers(2, 6)))]
    ends = [*sorted(pairs), *((host, draw(st.sampled_from(switches))) for host in hosts)]
    forwarding = st.sampled_from([0, 1000, 15_000])
    return Network(
        name="random",
        nodes=tuple(
            Node(name=name, role="switch", kind="router", forwarding_ns=draw(forwarding))
            for name in switches
        )
        + tuple(Node(name=name, role="host", kind="host") for name in hosts),
        links=tuple(link(a, b, draw(_delays), draw(_rates), draw(_delays)) for a, b in ends),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Scenario, Network, dict[str, AppClass]]:
    """A network, and probes and flows of several classes and slices on it."""
    network = draw(networks())
    hosts = [node.name for node in network.nodes if node.role == "host"]
    pair = st.lists(st.sampled_from(hosts), min_size=2, max_size=2, unique=True)
    slices = tuple(
        Slice(
            id=f"slice{n}",
            sst=1 + n,
            priority=draw(st.integers(1, 127)),
            guaranteed_bps=draw(st.sampled_from([0, MBIT, 20 * MBIT])),
        )
        for n in range(draw(st.integers(0, 4)))
    )
    names = st.sampled_from([*(s.id for s in slices), "best-effort"])
    apps = {
        f"app{n}": app(
            f"app{n}",
            direction=draw(st.sampled_from(["UL", "DL", "UL+DL", "U2U", "DC"])),
            judged=draw(st.sampled_from(["one-way", "rtt"])),
            size_bytes=draw(st.integers(1, 20_000)),
            interval_ns=draw(st.integers(100_000, S)),
            dscp=draw(st.integers(0, 63)),
        )
        for n in range(3)
    }
    probes = tuple(
        probe(f"p{n}", *draw(pair), app=draw(st.sampled_from(sorted(apps))), slice=draw(names))
        for n in range(draw(st.integers(0, 5)))
    )
    kinds = st.sampled_from(["udp", "tcp", "flood"])
    flows = tuple(
        flow(f"f{n}", *draw(pair), slice=draw(names), kind=draw(kinds))
        for n in range(draw(st.integers(0, 3)))
    )
    return scenario(slices=slices, probes=probes, flows=flows), network, apps
