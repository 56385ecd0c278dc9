"""compile_plan: scenario and network to Plan. Pure, and the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from testbed.plan import pairs
from testbed.plan.afterwards import afterwards
from testbed.plan.background import backgrounds, with_sources
from testbed.plan.matches import carried
from testbed.plan.model import Load, Plan
from testbed.plan.pacing import derived_seed
from testbed.plan.policing import check_backgrounds, with_policers
from testbed.plan.routing import Router
from testbed.plan.rules import all_tables
from testbed.plan.session_bounds import hold_delays, watching, with_bounds
from testbed.plan.traffic import demands, loads, sessions
from testbed.plan.validate import validate_network, validate_scenario
from testbed.plan.wiring import Wiring, wire
from testbed.port.pipeline import Port
from testbed.scenario.model import Probe, Slice
from testbed.scenario.scenario import Scenario
from testbed.slices.policy import Policy
from testbed.slices.queues import with_queues
from testbed.topology.model import Network
from testbed.traffic.classes import AppClass


def compile_plan(
    scenario: Scenario,
    network: Network,
    policy: Policy,
    apps: Mapping[str, AppClass],
    *,
    every_pair: Slice | None = None,
) -> Plan:
    """Everything a lab needs to answer the scenario's question on this network.

    `apps` are the application classes by name. All packets between each two hosts belong to
    the slice `every_pair`, if there is one, where its protection can be had. Raises
    InputError for names and values that are wrong, PlanError for promises the network
    cannot keep.
    """
    validate_network(network)
    slices = validate_scenario(scenario, network, apps)
    graph = network.graph()
    graph.graph.update(scheduler=scenario.scheduler, cycle_ns=scenario.cycle_ns)
    wiring = wire(network)
    asked = demands(scenario, slices, apps)
    hosts = {host.name: host for host in wiring.hosts}
    if every_pair is not None:
        asked = [*asked, *pairs.demands(hosts, every_pair)]
    router = Router(graph, policy, slices.values(), asked)
    stamp = sessions(scenario, wiring, router, apps)
    flows = loads(scenario, wiring, router)
    modelled = backgrounds(scenario, router)
    everything = tuple(pairs.carried(router, hosts)) if every_pair is not None else ()
    queues = with_queues(
        wiring.ports,
        wiring.switches,
        router.paths,
        slices,
        router.queue_names,
        scheduler=scenario.scheduler,
        cycle_ns=scenario.cycle_ns,
    )
    if scenario.policing_burst_bytes is not None:
        check_backgrounds(modelled, slices)
        burst_bytes = scenario.policing_burst_bytes
        queues = with_policers(queues, router.paths, slices, router.queue_names, burst_bytes)
    seeded = [_seeded(port, scenario.seed) for port in queues]
    ports = with_sources(seeded, modelled, scenario.seed)
    queued = Wiring(wiring.hosts, wiring.switches, ports)
    traffic: tuple[Probe | Load, ...] = (*scenario.probes, *flows)
    taken = (*carried(stamp, flows), *everything)
    tables = all_tables(graph, queued, taken)
    plan = Plan(
        experiment=scenario.experiment,
        seed=scenario.seed,
        scheduler=scenario.scheduler,
        policy=policy.name,
        recovery=scenario.recovery,
        hosts=wiring.hosts,
        switches=wiring.switches,
        links=network.links,
        ports=ports,
        slices=scenario.slices,
        paths=taken,
        rules=tables.rules,
        groups=tables.groups,
        repairs=tables.repairs,
        sessions=stamp,
        traffic={demand.id: demand.traffic for demand in asked if demand.traffic is not None},
        loads=flows,
        events=scenario.events,
        captures=scenario.captures,
        sample_ports_ns=scenario.sample_ports_ns,
        duration_ns=max((item.start_ns + item.duration_ns for item in traffic), default=0),
        positions=_positions(network),
    )
    told = {demand.id: demand.traffic for demand in asked}
    bounded, backlogs = with_bounds(queued, stamp, flows, told, watching(plan))
    if policy.keeps_delays:
        hold_delays(bounded, slices)
    plan = msgspec.structs.replace(plan, sessions=bounded, backlog_bounds=backlogs)
    return msgspec.structs.replace(plan, afterwards=afterwards(plan, told))


def _seeded(port: Port, seed: int) -> Port:
    """Each port that loses packets loses its own."""
    if not port.loss:
        return port
    seeded = msgspec.structs.replace(port.channel, seed=derived_seed(seed, f"loss of {port.name}"))
    return port.having(seeded)


def _positions(network: Network) -> dict[str, tuple[float, float]]:
    """Empty when no node says where it is."""
    positions = {node.name: (node.x, node.y) for node in network.nodes}
    return positions if any(x or y for x, y in positions.values()) else {}
