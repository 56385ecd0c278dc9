"""Plans for probe tests: sessions between two hosts, nothing else unless asked."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from typing import Any

from testbed.net.legs import Budget
from testbed.net.paths import Path
from testbed.plan.matches import carried
from testbed.plan.model import Plan, Session
from testbed.port.pipeline import Port
from tests.legs import there_and_back

MS = 1_000_000
# Two loopback addresses of this process alone (a pid has at most 22 bits), so that tests that
# run side by side never ask for one another's sockets; ports below those the kernel hands out.
A_IP, B_IP = (str(IPv4Address("127.0.0.0") + 4 * os.getpid() + host) for host in (1, 2))


def path(src: str, dst: str, nodes: tuple[str, ...], label: int | None = None) -> Path:
    return Path(
        id=f"{src}-{dst}",
        cookie=1,
        slice="s",
        src=src,
        dst=dst,
        nodes=nodes,
        label=label,
        queue=0,
        policy="p",
    )


def session(name: str, **given: Any) -> Session:
    budget = Budget(propagation_ns=MS, device_ns=0, serialisation_ns=0)
    fields: dict[str, Any] = {
        "id": name,
        "app": "app",
        "slice": "s",
        "sender": "a",
        "reflector": "b",
        "sender_ip": A_IP,
        "reflector_ip": B_IP,
        "sender_port": 20_001,
        "reflector_port": 20_862,
        "dscp": 46,
        "size_bytes": 100,
        "start_ns": 0,
        "interval_ns": 2 * MS,
        "count": 50,
        "warmup_ns": 0,
        "deadline_ns": 10 * MS,
        "judged": ("forward",),
        "reliability": None,
        "legs": there_and_back(
            path("a", "b", ("a", "s1", "s2", "b"), 17),
            path("b", "a", ("b", "s2", "s1", "a"), 18),
            budget,
        ),
    }
    return Session(**(fields | given))


def port(node: str, peer: str) -> Port:
    return Port(
        node=node,
        name=f"{node}-{peer}",
        number=1,
        ifindex=1,
        mac="02:00:00:00:00:01",
        peer_node=peer,
        peer_name=f"{peer}-{node}",
    )


def plan(*sessions: Session, **given: Any) -> Plan:
    fields: dict[str, Any] = {
        "experiment": "e",
        "seed": 1,
        "policy": "p",
        "hosts": (),
        "switches": (),
        "ports": (port("a", "s1"), port("s1", "s2"), port("s2", "b")),
        "rules": (),
    }
    paths = carried(sessions, given.get("loads", ()))
    return Plan(sessions=sessions, paths=paths, **(fields | given))
