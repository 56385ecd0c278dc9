"""A hand-made plan: two hosts at the ends of a chain of switches, one labelled session.

h1 --- s1 --- s2 --- ... --- sN --- h2      h1's session to h2, queue 2 on every link
"""

from __future__ import annotations

from testbed.net.nodes import Host, Switch
from testbed.net.paths import Path
from testbed.net.tables import Rule
from testbed.plan.matches import carried
from testbed.plan.model import Plan, Session
from testbed.port.pipeline import Port, stages
from testbed.port.queues import Queue
from tests.legs import there_and_back

UP, DOWN = 17, 18
"""Labels of the two directions, and their cookies."""
RATE_BPS = 100_000_000
QUEUES = tuple(
    Queue(
        id=number,
        name=name,
        promised_bps=RATE_BPS // 4,
        level=2 - number,
    )
    for number, name in enumerate(("best-effort", "silver", "gold"))
)


def chain(length: int = 3) -> Plan:
    """The plan for `length` switches. h1's traffic is UDP 40000 to 862, DSCP 46."""
    names = ["h1", *(f"s{n}" for n in range(1, length + 1)), "h2"]
    up, down = _path("up", UP, names), _path("down", DOWN, names[::-1])
    session = Session(
        id="probe",
        app="test",
        slice="gold",
        sender="h1",
        reflector="h2",
        sender_ip="10.0.0.1",
        reflector_ip="10.0.0.2",
        sender_port=40000,
        dscp=46,
        size_bytes=100,
        start_ns=0,
        interval_ns=10_000_000,
        count=20,
        warmup_ns=0,
        deadline_ns=None,
        judged=("rtt",),
        reliability=None,
        legs=there_and_back(up, down),
    )
    ports = _ports(names)
    sent: dict[str, int | str] = {
        "ipv4_src": "10.0.0.1",
        "ipv4_dst": "10.0.0.2",
        "udp_src": 40000,
        "udp_dst": 862,
    }
    back: dict[str, int | str] = {
        "ipv4_src": "10.0.0.2",
        "ipv4_dst": "10.0.0.1",
        "udp_src": 862,
        "udp_dst": 40000,
    }
    return Plan(
        experiment="chain",
        seed=1,
        policy="by hand",
        hosts=(_host("h1", 1), _host("h2", 2)),
        switches=tuple(
            Switch(name=f"s{n}", kind="switch", site="", dpid=n) for n in range(1, length + 1)
        ),
        ports=tuple(ports.values()),
        rules=(*_rules(up, UP, sent, ports), *_rules(down, DOWN, back, ports)),
        sessions=(session,),
        paths=carried((session,), ()),
    )


def _rules(
    path: Path, label: int, flow: dict[str, int | str], ports: dict[tuple[str, str], Port]
) -> list[Rule]:
    rules = []
    for before, here, after in zip(path.nodes, path.nodes[1:], path.nodes[2:], strict=False):
        first, last = here == path.nodes[1], here == path.nodes[-2]
        out: tuple[dict[str, int], ...] = (
            {"set_queue": path.queue},
            {"output": ports[here, after].number},
        )
        match: dict[str, int | str] = {"in_port": ports[here, before].number}
        if first:
            match |= {"eth_type": 0x0800, "ip_proto": 17, **flow}
        else:
            match |= {"eth_type": 0x8847, "mpls_label": label}
        if first and not last:
            out = (
                {"push_mpls": 0x8847},
                {"set_mpls_label": label},
                {"set_mpls_tc": 5},
                *out,
            )
        elif last and not first:
            out = ({"pop_mpls": 0x0800}, *out)
        rules.append(Rule(switch=here, priority=100, match=match, actions=out, cookie=path.cookie))
    return rules


def _path(name: str, label: int, nodes: list[str]) -> Path:
    return Path(
        id=name,
        cookie=label,
        slice="gold",
        src=nodes[0],
        dst=nodes[-1],
        nodes=tuple(nodes),
        label=label if len(nodes) > 3 else None,
        queue=2,
        policy="by hand",
    )


def _host(name: str, number: int) -> Host:
    return Host(
        name=name,
        kind="host",
        site="",
        ip=f"10.0.0.{number}",
        prefix=24,
        mac=host_mac(name),
    )


def host_mac(name: str) -> str:
    return f"02:00:00:00:00:{int(name[1:]):02x}"


def _ports(names: list[str]) -> dict[tuple[str, str], Port]:
    """Port 1 of a switch looks towards h1, port 2 towards h2."""
    ports = {}
    for at, name in enumerate(names):
        for side, peer_at in ((1, at - 1), (2, at + 1)):
            if 0 <= peer_at < len(names):
                host = name.startswith("h")
                peer = names[peer_at]
                ports[name, peer] = Port(
                    node=name,
                    name=f"{name}-eth{0 if host else side}",
                    number=0 if host else side,
                    ifindex=100 + 2 * at + side,
                    mac=host_mac(name) if host else f"02:00:00:00:{side:02x}:{at:02x}",
                    peer_node=peer,
                    peer_name=f"{peer}-eth{0 if peer.startswith('h') else 3 - side}",
                    stages=stages(RATE_BPS, queues=() if host else QUEUES),
                )
    return ports
