"""Runs inside a lab: networks built, looked at, disturbed and removed.

    python3 -m tests.emulation.lab_checks FOLDER

Writes what each check found to FOLDER/found.json; `test_emulation_lab` judges it.
"""

from __future__ import annotations

import io
import json
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from testbed.emulation import qdisc
from testbed.emulation.netlink import Netlink
from testbed.emulation.netns import entered
from testbed.emulation.network import LabNet
from testbed.emulation.ovs import running_ovs
from testbed.errors import TestbedError
from testbed.plan.model import Plan
from testbed.port.pipeline import Port
from testbed.port.policers import Policer
from testbed.scenario.events.link import LinkEvent
from testbed.scenario.model import Capture
from tests.emulation.plans import MS, linear, plan, two_queues
from tests.ports import changed

from mininet.cli import CLI  # isort: skip - after nodes, which spares it distutils
from mininet.log import lg  # isort: skip

CHECKS: dict[str, Callable[[Path], Any]] = {}


def check(function: Callable[[Path], Any]) -> Callable[[Path], Any]:
    CHECKS[function.__name__] = function
    return function


@contextmanager
def started(of: Plan) -> Iterator[LabNet]:
    net = LabNet(of)
    net.start()
    try:
        for switch in net.switches:
            rule(switch.name, "actions=normal")
        yield net
    finally:
        net.stop()


def rule(switch: str, text: str) -> None:
    subprocess.run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", switch, text], check=True)


def shell(command: str) -> str:
    return subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True).stdout


def everything() -> dict[str, list[str]]:
    """Everything a network could leave behind."""
    return {
        "links": re.findall(r"^\d+: ([^:@]+)", shell("ip link"), re.MULTILINE),
        "namespaces": shell("readlink /proc/[0-9]*/ns/net | sort -u").split(),
        "processes": sorted(  # kernel threads, children of 2, come and go
            set(shell("ps --ppid 2 -p 2 -N -o comm=").split()) - {"ps", "sh"}
        ),
        "datapaths": shell("ovs-dpctl dump-dps 2>/dev/null").split(),
        "files": shell("ls /tmp").split(),
        "modprobe": shell("cat /proc/sys/kernel/modprobe").split(),
    }


def rtts_ms(said: str) -> list[float]:
    return [float(text) for text in re.findall(r"time=([\d.]+) ms", said)]


@check
def delays(_: Path) -> Any:
    with started(linear(3, delay_ns=5 * MS)) as net:
        h1 = net.get("h1")
        h1.cmd("ping -c1 10.0.0.3")
        return {"rtts_ms": rtts_ms(h1.cmd("ping -c10 -i0.1 10.0.0.3"))}


@check
def rate(_: Path) -> Any:
    with started(linear(2, rate_bps=20_000_000)) as net:
        h1, h2 = net.get("h1", "h2")
        server = h2.popen("iperf3 -s -1")
        time.sleep(1)
        said = h1.popen("iperf3 -c 10.0.0.2 -t 3 -J").communicate()[0]
        server.communicate()
        return {"bps": json.loads(said)["end"]["sum_received"]["bits_per_second"]}


@check
def isolation(_: Path) -> Any:
    """Ping through either queue of a port that is flooded at twice its rate."""
    found: dict[str, Any] = {}
    queues = two_queues(5_000_000, 1_250_000, buffer_packets=125)
    with started(linear(2, rate_bps=5_000_000, queues=queues)) as net:
        h1, h2 = net.get("h1", "h2")
        # only s1 -> s2 is congested, so h1 may send faster than the link between
        shell("tc qdisc replace dev s2-eth1 root netem delay 1ms limit 1000")
        h1.cmd("tc qdisc replace dev h1-eth0 root netem delay 1ms rate 100mbit limit 1000")
        server = h2.popen("iperf3 -s -1")
        time.sleep(1)
        flood = h1.popen("iperf3 -c 10.0.0.2 -u -b 10M -l 1448 -t 12")
        time.sleep(2)
        for queue in (1, 0):
            rule("s1", f"priority=40000,icmp,in_port=1,actions=set_queue:{queue},output:2")
            h1.cmd("ping -c1 -W2 10.0.0.2")
            found[f"queue {queue} ms"] = rtts_ms(h1.cmd("ping -c10 -i0.1 -W2 10.0.0.2"))
        found["flood"] = b"".join(flood.communicate()).decode()
        server.kill()
        found["counters"] = next(
            msgspec.to_builtins(c) for c in net.statistics() if c.name == "s1-eth2"
        )
    return found


@check
def policing(_: Path) -> Any:
    """Fifty packets at once through a policer that has tokens for ten."""
    base = linear(2, rate_bps=5_000_000, queues=two_queues(5_000_000, 1_250_000))
    bucket = Policer(queue=1, name="protected", rate_bps=1_000_000, burst_bytes=15_140)
    ports = tuple(
        changed(p, policers=(bucket,)) if (p.node, p.peer_node) == ("s1", "s2") else p
        for p in base.ports
    )
    with started(msgspec.structs.replace(base, ports=ports)) as net:
        rule("s1", "priority=40000,udp,in_port=1,actions=set_queue:1,output:2")
        with entered(net.netns("h1")), socket.socket(type=socket.SOCK_DGRAM) as sender:
            for _n in range(50):
                sender.sendto(bytes(1472), ("10.0.0.2", 9))
        time.sleep(1)
        port = next(c for c in net.statistics() if c.name == "s1-eth2")
        return msgspec.to_builtins(port.queues[1])


@check
def readback(_: Path) -> Any:
    """What the kernel has, and what is said when somebody changes it."""
    found: dict[str, Any] = {"tampered": {}}
    queues = two_queues(5_000_000_000, 1_000_000_000)
    with started(linear(2, rate_bps=5_000_000_000, delay_ns=1_234_567, queues=queues)) as net:
        found["ports"] = msgspec.to_builtins(net.readback())["ports"]
        plain, inner = (port for port in net.plan.ports if port.node == "s1")
        best, protected = queues
        more = msgspec.structs.replace(protected, promised_bps=2_000_000_000)
        tampered: dict[str, str | Port] = {
            "limit": changed(plain, buffer_packets=999),
            "delay": changed(plain, delay_ns=1_300_000),
            "rate": changed(inner, queues=(best, more)),
            "none": "tc qdisc del dev s1-eth1 root",
            "other": "tc qdisc replace dev s1-eth1 root tbf rate 1mbit burst 2k limit 9k",
        }
        for what, change in tampered.items():
            if isinstance(change, str):
                subprocess.run(change.split(), check=True)
            else:
                put(net, change)
            found["tampered"][what] = refusal(net.verify)
            for port in (plain, inner):
                put(net, port)
        net.verify()
    return found


def put(net: LabNet, port: Port) -> None:
    """Set a port of a switch anew."""
    assert net.arrangement is not None
    shell(f"tc qdisc del dev {port.name} root")
    with Netlink() as link:
        link.do(qdisc.requests(port, net.arrangement))


def refusal(act: Callable[[], Any]) -> str:
    try:
        act()
    except TestbedError as error:
        return str(error)
    return "not refused"


@check
def leftovers(_: Path) -> Any:
    before = everything()
    with started(linear(3)) as net:
        net.get("h1").cmd("sleep 100 &")
        net.get("h2").popen("sleep 100")
        net.start_captures([Capture(node="h1", peer="s1")], Path("/tmp"))
        during = everything()
    Path("/tmp/h1-s1.pcap").unlink()
    time.sleep(0.5)  # the kernel frees namespaces in its own time
    return {"before": before, "during": during, "after": everything()}


@check
def failures(_: Path) -> Any:
    """Plans that cannot be carried out, and what they leave."""
    before = everything()
    good = linear(2)
    twice = msgspec.structs.replace(good.ports[-1], ifindex=good.ports[0].ifindex + 1)
    lonely = good.ports[:-1]
    slow = changed(good.ports[0], rate_bps=7)
    number = msgspec.structs.replace(good.ports[1], number=70_000)
    return {
        "texts": {
            name: refusal(LabNet(msgspec.structs.replace(good, ports=tuple(ports))).start)
            for name, ports in {
                "index": [*good.ports[:-1], twice],
                "peer": lonely,
                "rate": [slow, *good.ports[1:]],
                "port number": [good.ports[0], number, *good.ports[2:]],
            }.items()
        },
        "before": before,
        "after": everything(),
    }


@check
def cuts(_: Path) -> Any:
    found: dict[str, Any] = {}
    with started(linear(2)) as net:
        h1 = net.get("h1")

        def look(when: str) -> None:
            said = h1.cmd("ping -c2 -i0.2 -W1 10.0.0.2")
            found[when] = {
                "answers": len(rtts_ms(said)),
                "state": re.findall(
                    r"(\d+)\(.*?state:\s+(\w+)",
                    shell("ovs-ofctl -O OpenFlow13 show s1"),
                    re.DOTALL,
                ),
            }

        look("whole")
        for a, b in (("s1", "s2"), ("h1", "s1")):
            net.apply(LinkEvent(at_ns=0, action="cut", a=a, b=b))
            look(f"cut {a} {b}")
            net.apply(LinkEvent(at_ns=0, action="mend", a=a, b=b))
            look(f"mended {a} {b}")
        net.configLinkStatus("s1", "s2", "down")
        look("down")
        net.configLinkStatus("s1", "s2", "up")
        net.verify()
        found["no link"] = refusal(
            lambda: net.apply(LinkEvent(at_ns=0, action="cut", a="h1", b="h2"))
        )
    return found


@check
def captures(folder: Path) -> Any:
    wanted = [Capture(node="h1", peer="s1"), Capture(node="s1", peer="s2")]
    with started(linear(2)) as net:
        files = net.start_captures(wanted, folder / "captures")
        net.get("h1").cmd("ping -c3 -i0.1 10.0.0.2")
        net.stop_captures()
        found = {}
        for file in files:
            data = file.read_bytes()
            at, packets = 24, 0
            while at < len(data):
                at += 16 + struct.unpack_from("=I", data, at + 8)[0]
                packets += 1
            found[file.name] = {"magic": data[:4].hex(), "packets": packets}
        return found


@check
def mininet_face(folder: Path) -> Any:
    """The prompt, pingall, popen, and names."""
    script = folder / "script"
    script.write_text(
        "nodes\nnet\nh1 ping -c1 h2\nlinks\ndpctl dump-flows\n"
        "iperf h1 h2\niperfudp 5M h2 h1\nlink s1 s2 down\n"
    )
    said = io.StringIO()
    with started(linear(2)) as net:
        lost = net.pingAll()
        h1, s1 = net.get("h1", "s1")
        lg.handlers[0].stream = said
        CLI(net, script=str(script))
        return {
            "lost": lost,
            "names": [list(net), len(net.links), "h1" in net],
            "said": said.getvalue(),
            "connections": [[str(a), str(b)] for a, b in s1.connectionsTo(net["s2"])],
            "addresses": [h1.IP(), h1.MAC(), h1.intf().name],
            "popen": h1.popen("hostname", "-I").communicate()[0].decode().split(),
            "pexec": h1.pexec("echo there")[0].strip(),
            "status": str(net.links[0].status()),
            "offloads": h1.cmd("ethtool -k h1-eth0"),
            "neighbours": h1.cmd("ip neigh"),
            "address": h1.cmd("ip -6 address"),
        }


@check
def routes(_: Path) -> Any:
    """Hosts of different prefixes reach each other directly."""
    base = plan(["h1", "h2"], ["s1"], [("h1", "s1"), ("h2", "s1")])
    other = msgspec.structs.replace(base.hosts[1], ip="192.168.7.1", prefix=24)
    with started(msgspec.structs.replace(base, hosts=(base.hosts[0], other))) as net:
        return {"answers": len(rtts_ms(net.get("h1").cmd("ping -c2 -i0.2 192.168.7.1")))}


@check
def death(_: Path) -> Any:
    """The testbed is killed while its network is up."""
    program = (
        "from testbed.emulation.network import LabNet; from tests.emulation.plans import linear\n"
        "net = LabNet(linear(2)); net.start(wait=False); print('up', flush=True); input()"
    )
    before = everything()
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=None,
    )
    assert child.stdout is not None
    child.stdout.readline()
    during = everything()
    child.kill()
    child.wait()
    time.sleep(1)
    after = everything()
    # in a lab the kernel ends too; here it goes on, so the datapath has to go
    shell("ovs-dpctl del-dp ovs-system; ip link del group 0x7e57bed")
    return {"before": before, "during": during, "after": after}


def main(folder: Path, *names: str) -> None:
    found: dict[str, Any] = {}
    assert running_ovs() is None, "these checks start their own"
    for name in names or CHECKS:
        begun = time.monotonic()
        try:
            found[name] = CHECKS[name](folder)
        except Exception as error:
            found[name] = {"failed": f"{type(error).__name__}: {error}"}
        print(f"{name}: {time.monotonic() - begun:.1f} s", flush=True)
        (folder / "found.json").write_text(json.dumps(found, indent=1, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
