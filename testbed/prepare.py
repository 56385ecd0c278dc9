"""From an experiment's name to its plan: the one parse path of check, plan and run.

Nothing here needs root or a lab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import msgspec
from mininet.topo import Topo

from testbed.errors import InputError, unknown
from testbed.net.history import history
from testbed.net.walk import walk_each, walk_failures
from testbed.plan import background
from testbed.plan.compile import compile_plan
from testbed.plan.model import Plan
from testbed.plan.offered import overloads
from testbed.plan.unkept import unkept
from testbed.scenario import discovery
from testbed.scenario.events.order import OrderEvent
from testbed.scenario.experiment import Experiment, scenario_of
from testbed.scenario.model import Capture, Param, Protection, Recovery, Slice, TopologyRef
from testbed.scenario.params import bind
from testbed.scenario.scenario import Scenario
from testbed.slices.policy import Policy
from testbed.topology.describe import describe
from testbed.topology.model import Network
from testbed.traffic.classes import BUILT_IN, AppClass, load_classes


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario with what was decided for it."""

    scenario: Scenario
    plan: Plan
    sources: Mapping[str, bytes] = {}
    """The files it was made from: path below a project's folder -> content."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads a result has to know of the plan, in sentences."""
        scenario, plan = self.scenario, self.plan
        return (*unkept(scenario, plan), *overloads(scenario, plan), *background.notes(plan))


def classes(broken: list[InputError] | None = None) -> dict[str, AppClass]:
    """All application classes, shipped and the user's own.

    Raises InputError for a file that is wrong, unless there is a list `broken` to add it to.
    """
    return load_classes((BUILT_IN, *discovery.folders("class")), broken)


def policy(name: str) -> Policy:
    """A policy by name. Raises InputError."""
    kind: type[Policy] = discovery.load("policy", name, Policy)
    return kind()


Built = tuple[Network, dict[str, Param]]
"""A topology built with its parameters, and those parameters with defaults filled in."""


def network(ref: TopologyRef) -> Built:
    """A topology. Raises InputError: unknown topology or parameter, wrong type, unit or value."""
    kind: Any = discovery.load("topology", ref.name, Topo)
    params = bind(kind.build, ref.params, f"topology {ref.name}")
    return describe(kind(**params), ref.name), params


def experiment(name: str) -> type[Experiment]:
    """An experiment class by name. Raises InputError."""
    kind: type[Experiment] = discovery.load("experiment", name, Experiment)
    return kind


def prepare(
    name: str,
    given: Mapping[str, object],
    *,
    seed: int = 1,
    captures: tuple[str, ...] = (),
    hops: bool = False,
    sample_ports_ns: int | None = None,
) -> Prepared:
    """The plan of an experiment with these parameters, checked by the table walker.

    `captures` are NODE:PORT, the port named by its interface or by the neighbour; `hops` also
    asks when probes leave each port of their ways, and `sample_ports_ns` how often ports are
    to tell their depth. Raises InputError or PlanError.
    """
    once = _Topologies()
    scenario = scenario_of(
        name, experiment(name), given, seed=seed, network=lambda ref: once.network(ref)[0]
    )
    if not (scenario.probes or scenario.flows or scenario.backgrounds or scenario.events):
        raise InputError(
            "build() asks nothing: no probe, no load and no event",
            where=f"experiment {name}",
            expected="self.probe(CLASS, TERMINAL, SERVER, slice=.., duration=..)",
            remedy="testbed list shows the application classes",
        )
    scenario = msgspec.structs.replace(scenario, sample_ports_ns=sample_ports_ns)
    prepared = plan_of(scenario, once.network)
    if captures or hops:
        more = tuple(_capture(text, prepared.plan) for text in captures)
        if hops:
            more += _hops(prepared.plan)
        prepared = plan_of(
            msgspec.structs.replace(
                scenario, captures=tuple(dict.fromkeys(scenario.captures + more))
            ),
            once.network,
        )
    return prepared


def bare(
    topology: str,
    given: Mapping[str, object],
    policy_name: str,
    protection: Protection = "none",
    bfd_ns: int | None = None,
) -> Prepared:
    """A topology alone, all hosts connected: what `testbed shell` runs.

    With a protection, all packets between two hosts take a path that has it, where the
    network can give it.
    """
    return plan_of(
        Scenario(
            experiment=f"shell_{topology}",
            question=f"A look around {topology}.",
            params={},
            seed=1,
            policy=policy_name,
            topology=TopologyRef(name=topology, params=_params(given)),
            recovery=Recovery(bfd_ns=bfd_ns),
            slices=(Slice(id="default", sst=1, protection=protection),),
        ),
        every_pair=protection != "none",
    )


class _Topologies:
    """Topologies that were built, each once."""

    def __init__(self) -> None:
        self._built: list[tuple[TopologyRef, Built]] = []

    def network(self, ref: TopologyRef) -> Built:
        for asked, built in self._built:
            if asked == ref:
                return built
        self._built.append((ref, network(ref)))
        return self._built[-1][1]


def plan_of(
    scenario: Scenario,
    network: Callable[[TopologyRef], Built] = network,
    *,
    every_pair: bool = False,
) -> Prepared:
    """Plan a scenario and walk its tables. Raises InputError or PlanError.

    With `every_pair` all packets between two hosts belong to its only slice.
    """
    net, params = network(scenario.topology)
    scenario = msgspec.structs.replace(
        scenario, topology=TopologyRef(name=scenario.topology.name, params=params)
    )
    of_all = scenario.slices[0] if every_pair else None
    plan = compile_plan(scenario, net, policy(scenario.policy), classes(), every_pair=of_all)
    walk_failures(plan)
    walk_each(plan, history(plan, plan.events)[1:])
    return Prepared(scenario=scenario, plan=plan, sources=sources(scenario))


def sources(scenario: Scenario) -> dict[str, bytes]:
    """The experiment, topology, policy and classes of a scenario as they are on disk now:
    path below a project's folder -> content. What has no file is left out."""
    named = {
        "experiment": [scenario.experiment],
        "topology": [scenario.topology.name],
        "policy": [scenario.policy],
    }
    found = {
        f"{discovery.FOLDERS[kind]}/{name}.py": path
        for kind, names in named.items()
        for name, path in discovery.files(kind).items()
        if name in names
    }
    for folder in (BUILT_IN, *discovery.folders("class")):
        for app in {probe.app for probe in scenario.probes}:
            found[f"{discovery.FOLDERS['class']}/{app}.toml"] = folder / f"{app}.toml"
    return {place: path.read_bytes() for place, path in sorted(found.items()) if path.is_file()}


def _hops(plan: Plan) -> tuple[Capture, ...]:
    """Of the probes, at each port that they may leave by: where slices may be ordered, at all.

    Raises InputError if there is no probe.
    """
    if not plan.sessions:
        raise InputError(
            "there is no probe whose hops could be told",
            where="--hops",
            expected="an experiment with probes",
            remedy="add one in build(), self.probe(CLASS, TERMINAL, SERVER, slice=.., "
            "duration=..), or leave --hops out",
        )
    ways = {
        hop
        for session in plan.sessions
        for path in session.paths
        for nodes in (path.nodes, *(backup.nodes for backup in path.backups))
        for hop in pairwise(nodes)
    }
    anywhere = any(isinstance(event, OrderEvent) for event in plan.events)
    return tuple(
        Capture(node=port.node, peer=port.peer_node, probes=True)
        for port in plan.ports
        if anywhere or (port.node, port.peer_node) in ways
    )


def _params(given: Mapping[str, object]) -> dict[str, Param]:
    return {k: v for k, v in given.items() if isinstance(v, str | int | float | bool)}


def _capture(text: str, plan: Plan) -> Capture:
    node, colon, port = text.partition(":")
    expected = "NODE:PORT, the port by its interface or by the neighbour it leads to"
    if not colon or not node or not port:
        raise InputError(f"capture {text!r}", where="--pcap", expected=expected)
    names = {p.node for p in plan.ports}
    if node not in names:
        raise unknown("node", node, names, where=f"--pcap {text}")
    ports = [p for p in plan.ports if p.node == node]
    for p in ports:
        if port in (p.name, p.peer_node, p.name.removeprefix(f"{node}-")):
            return Capture(node=node, peer=p.peer_node)
    raise unknown(
        "port", port, [p.name for p in ports] + [p.peer_node for p in ports], where=f"--pcap {text}"
    )
