"""The plan as tables for people: title, headers, and rows of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.net.legs import RTT, Budget, budget_over
from testbed.net.paths import Path
from testbed.plan.model import Load, Plan, Session
from testbed.port.pipeline import Port
from testbed.units import show_bps, show_ns


@dataclass(frozen=True)
class Table:
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(plan: Plan) -> tuple[Table, ...]:
    """All tables, in the order to read them."""
    some = (backgrounds(plan), ports(plan), gates(plan), policers(plan))
    given = [table for table in some if table.rows]
    kept = (table for table in (backups(plan),) if table.rows)
    told = (paths(plan), *kept, schedules(plan), budgets(plan), bounds(plan), loads(plan))
    return (*told, *given, rules(plan))


def paths(plan: Plan) -> Table:
    """Each pinned path: by which nodes, with which label and queue."""
    both: list[Session | Load] = [*plan.sessions, *plan.loads]
    return Table(
        "Paths",
        ("path", "slice", "nodes", "label", "queue"),
        tuple(
            (path.id, path.slice, " > ".join(path.nodes), _or_none(path.label), str(path.queue))
            for item in both
            for path in item.paths
        ),
    )


def backups(plan: Plan) -> Table:
    """What stands in for each path that is protected, and the failures it goes round."""
    both: list[Session | Load] = [*plan.sessions, *plan.loads]
    return Table(
        "Backups",
        ("path", "protection", "round", "nodes", "label"),
        tuple(
            (
                path.id,
                path.protection,
                "-" if backup.failed is None else "-".join(backup.failed),
                " > ".join(backup.nodes),
                str(backup.label),
            )
            for item in both
            for path in item.paths
            for backup in path.backups
        ),
    )


def schedules(plan: Plan) -> Table:
    """When each session's messages are due; phases and clocks are the seed's unless fixed."""
    return Table(
        f"Messages (seed {plan.seed})",
        ("session", "sender", "first at", "every", "arrivals", "messages", "clock"),
        tuple(
            (
                session.id,
                session.sender,
                show_ns(session.start_ns),
                show_ns(session.interval_ns),
                session.arrivals,
                f"{session.count:,}",
                _clock(session),
            )
            for session in plan.sessions
        ),
    )


def _clock(sender: Session | Load) -> str:
    if not sender.drift_ppb:
        return "exact"
    return f"{abs(sender.drift_ppb) / 1000:g} ppm {'slow' if sender.drift_ppb > 0 else 'fast'}"


def budgets(plan: Plan) -> Table:
    """What each session's delay is without queueing, beside its deadline."""
    return Table(
        "Delay budget (one-way; forward carries the whole message, reverse one packet)",
        (
            "session",
            "direction",
            "bytes",
            "propagation",
            "device",
            "radio",
            "serialisation",
            "total",
            "deadline",
        ),
        tuple(row for session in plan.sessions for row in _session_budgets(session)),
    )


def _session_budgets(session: Session) -> Iterator[tuple[str, ...]]:
    deadline = _deadline(session)
    for leg in session.legs:
        held = deadline if leg.name in session.judged else "-"
        size = sum(session.payloads(leg))
        yield (session.id, leg.called, str(size), *_parts(leg.budget), held)
    if RTT in session.judged:
        total_ns = budget_over(session.legs).total_ns
        yield (session.id, RTT, "", "", "", "", "", show_ns(total_ns), deadline)


def _parts(budget: Budget) -> tuple[str, ...]:
    return (
        show_ns(budget.propagation_ns),
        show_ns(budget.device_ns),
        show_ns(budget.radio_ns),
        show_ns(budget.serialisation_ns),
        show_ns(budget.total_ns),
    )


def _deadline(session: Session) -> str:
    if session.deadline_ns is None:
        return "none"
    return f"{show_ns(session.deadline_ns)} {session.deadline_kind}"


def bounds(plan: Plan) -> Table:
    """What each session's packets take at most, and what that rests on."""
    return Table(
        "Delay bounds (one-way, by network calculus; no link down)",
        ("session", "direction", "bound", "without queueing", "by", "if"),
        tuple(
            (
                session.id,
                leg.called,
                "none" if bound.latency_ns is None else show_ns(bound.latency_ns),
                show_ns(leg.budget.total_ns),
                "path" if bound.concatenated else "port",
                "; ".join(bound.assumptions),
            )
            for session in plan.sessions
            for leg in session.legs
            if (bound := leg.bound) is not None
        ),
    )


def loads(plan: Plan) -> Table:
    """Background flows."""
    return Table(
        "Loads",
        ("load", "kind", "slice", "from", "to", "rate", "starts", "lasts", "clock"),
        tuple(
            (
                load.id,
                load.kind,
                load.slice,
                load.src,
                load.dst,
                show_bps(load.rate_bps),
                show_ns(load.start_ns),
                show_ns(load.duration_ns),
                _clock(load),
            )
            for load in plan.loads
        ),
    )


def backgrounds(plan: Plan) -> Table:
    """Modelled background at each port it passes."""
    return Table(
        "Modelled background",
        ("background", "slice", "port", "towards", "queue", "rate", "of the port"),
        tuple(
            (
                source.id,
                source.slice,
                port.name,
                port.peer_node,
                str(source.queue),
                show_bps(source.rate_bps),
                f"{source.rate_bps / port.rate_bps:.0%}" if port.rate_bps else "-",
            )
            for port in plan.ports
            for source in port.sources
        ),
    )


def ports(plan: Plan) -> Table:
    """Each port with its delay and rate, and a row for each of its queues."""
    return Table(
        "Ports and queues",
        ("port", "towards", "queue", "delay", "rate", "at most", "priority", "buffer"),
        tuple(row for port in plan.ports for row in _port(port)),
    )


def _port(port: Port) -> Iterator[tuple[str, ...]]:
    rate = "not shaped" if port.rate_bps is None else show_bps(port.rate_bps)
    room = str(port.buffer_packets)
    kind = "" if port.queues else "fifo"
    yield (port.name, port.peer_node, kind, show_ns(port.delay_ns), rate, "", "", room)
    for queue in port.queues:
        yield (
            "",
            "",
            f"{queue.id} {queue.name}",
            "",
            show_bps(queue.promised_bps),
            show_bps(queue.peak_bps or port.rate_bps or 0),
            str(queue.level),
            str(queue.limit_packets),
        )


def gates(plan: Plan) -> Table:
    """Of each port with gates, what is open when, from a cycle's start."""
    rows = []
    for port in plan.ports:
        names = {queue.id: queue.name for queue in port.queues}
        at_ns = 0
        for gate in port.gates:
            of = (port.name, port.peer_node) if at_ns == 0 else ("", "")
            open_ = ", ".join(names[id_] for id_ in gate.open)
            rows.append((*of, open_, show_ns(at_ns), show_ns(gate.interval_ns)))
            at_ns += gate.interval_ns
    return Table("Gates", ("port", "towards", "open", "from", "for"), tuple(rows))


def policers(plan: Plan) -> Table:
    """What a slice may send where it enters the network."""
    return Table(
        "Policers",
        ("port", "towards", "slice", "rate", "burst"),
        tuple(
            (
                port.name,
                port.peer_node,
                policer.name,
                show_bps(policer.rate_bps),
                f"{policer.burst_bytes} B",
            )
            for port in plan.ports
            for policer in port.policers
        ),
    )


def rules(plan: Plan, switch: str | None = None) -> Table:
    """OpenFlow entries, of one switch or of all."""
    names = _path_names(plan)
    return Table(
        "Rules" if switch is None else f"Rules of {switch}",
        ("switch", "priority", "match", "actions", "path"),
        tuple(
            (
                rule.switch,
                str(rule.priority),
                ",".join(f"{name}={_value(name, value)}" for name, value in rule.match.items()),
                ",".join(
                    f"{name}:{_value(name, value)}"
                    for action in rule.actions
                    for name, value in action.items()
                )
                or "drop",
                names.get(rule.cookie, "best effort"),
            )
            for rule in plan.rules
            if switch in (None, rule.switch)
        ),
    )


def _path_names(plan: Plan) -> dict[int, str]:
    both: list[Session | Load] = [*plan.sessions, *plan.loads]
    every: list[Path] = [path for item in both for path in item.paths]
    return {path.cookie: path.id for path in every}


def _value(name: str, value: int | str) -> str:
    """EtherTypes are read in hexadecimal."""
    if name in ("eth_type", "push_mpls", "pop_mpls"):
        return f"0x{value:04x}"
    return str(value)


def _or_none(value: int | None) -> str:
    return "-" if value is None else str(value)
