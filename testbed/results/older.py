"""Plans and timelines as older versions wrote them, read as those of now."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.net.timeline import Entry
from testbed.plan.matches import carried
from testbed.plan.model import SCHEMA, Plan
from testbed.port.background import Source
from testbed.port.channel import Channel
from testbed.port.gates import Gate
from testbed.port.pipeline import Pipeline, stages
from testbed.port.policers import Policer
from testbed.port.queues import Queue
from testbed.scenario.scenario import Scenario

_NOTED = {"began_ns", "actual_ns", "answer", "before"}
"""Of a row about an event, what is not the event's own."""


def plan_of(raw: dict[str, Any], scenario: Scenario) -> Plan | None:
    """A plan of an older schema; None: of none that is known.

    Raises msgspec.ValidationError, KeyError and TypeError for what is damaged.
    """
    if raw["schema"] == 1:
        return plan_of_schema_1(raw, scenario)
    return plan_of_schema_3(raw) if raw["schema"] == 3 else None


def plan_of_schema_3(raw: dict[str, Any]) -> Plan:
    """A plan whose sessions and loads had one way forward and one in reverse, and whose links
    were names, of which nothing was read: what they do is told by their ports.

    Raises msgspec.ValidationError.
    """
    now = {
        "schema": SCHEMA,
        "links": (),
        "sessions": [_session(session) for session in raw.get("sessions", ())],
        "loads": [_load(load) for load in raw.get("loads", ())],
    }
    return msgspec.convert(raw | now, Plan)


def plan_of_schema_1(raw: dict[str, Any], scenario: Scenario) -> Plan:
    """A plan that held neither its slices nor its scheduler, which are the scenario's.

    Raises msgspec.ValidationError.
    """
    known = {_key(rule): rule for rule in raw["rules"]}
    repairs = [
        repair | {"switch_back": [known[_key(rule)] for rule in repair["switch_over"]]}
        for repair in raw.get("repairs", ())
    ]
    now = {
        "scheduler": scenario.scheduler,
        "repairs": repairs,
        "ports": [_port(port) for port in raw["ports"]],
    }
    plan = plan_of_schema_3(raw | now)
    return msgspec.structs.replace(
        plan, slices=scenario.slices, paths=carried(plan.sessions, plan.loads)
    )


def entries_of_schema_1(control: Any) -> tuple[Entry, ...]:
    """The events that 4-control.json told of; none of a run that was cut short."""
    rows = (control or {}).get("events", ())
    return tuple(
        msgspec.convert(
            {
                "delta": {k: v for k, v in row.items() if k not in _NOTED},
                "began_ns": row.get("began_ns", row["actual_ns"]),
                "actual_ns": row["actual_ns"],
                "event": number,
                "told": {k: row[k] for k in ("answer", "before") if k in row},
            },
            Entry,
        )
        for number, row in enumerate(rows)
    )


_WAYS = (("forward", {"kind": "reflector"}), ("reverse", {"kind": "home"}))
"""Where a session's packets went, and what ended each way."""
_OF_A_WAY = ("", "_budget", "_bound")


def _session(raw: dict[str, Any]) -> dict[str, Any]:
    legs = [
        {
            "name": name,
            "called": raw.get("directions", {}).get(name, name),
            "path": raw[name],
            "budget": raw[f"{name}_budget"],
            "bound": raw.get(f"{name}_bound"),
            "end": end,
        }
        for name, end in _WAYS
    ]
    gone = {"directions", *(f"{name}{what}" for name, _ in _WAYS for what in _OF_A_WAY)}
    return {k: v for k, v in raw.items() if k not in gone} | {"legs": legs}


def _load(raw: dict[str, Any]) -> dict[str, Any]:
    ways = [name for name, _ in _WAYS]
    return {k: v for k, v in raw.items() if k not in ways} | {"paths": [raw[n] for n in ways]}


def _port(raw: dict[str, Any]) -> dict[str, Any]:
    """A port as a tuple of stages; its wire had no overhead."""
    ends = ("node", "name", "number", "ifindex", "mac", "peer_node", "peer_name")
    lane = ("propagation_ns", "device_ns", "radio_ns", "km", "loss", "seed")
    rate_bps = raw["rate_bps"]
    made = stages(
        rate_bps,
        queues=[_queue(queue, rate_bps) for queue in raw.get("queues", ())],
        gates=msgspec.convert(raw.get("gates", ()), list[Gate]),
        gate_base_ns=raw.get("gate_base_ns", 0),
        policers=msgspec.convert(raw.get("policers", ()), list[Policer]),
        sources=msgspec.convert(raw.get("sources", ()), list[Source]),
    )
    port = Pipeline(stages=made)
    room = msgspec.structs.replace(port.queueing, buffer_packets=raw["buffer_packets"])
    port = port.having(room, Channel(**{name: raw[name] for name in lane if name in raw}))
    found: dict[str, Any] = msgspec.to_builtins(port)
    return {name: raw[name] for name in ends} | found


def _queue(raw: dict[str, Any], rate_bps: int) -> Queue:
    return Queue(
        id=raw["id"],
        name=raw["name"],
        level=raw["priority"],
        promised_bps=raw["rate_bps"],
        peak_bps=0 if raw["ceil_bps"] == rate_bps else raw["ceil_bps"],
        limit_packets=raw["buffer_packets"],
    )


def _key(rule: dict[str, Any]) -> tuple[Any, ...]:
    """As testbed.net.tables has it."""
    match = frozenset(rule["match"].items())
    return (rule["switch"], rule.get("table", 0), rule["priority"], match)
