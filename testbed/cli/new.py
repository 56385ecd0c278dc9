"""Commented templates for `testbed new`: each passes `testbed check` as it is written."""

from __future__ import annotations

import keyword
from pathlib import Path

from testbed.errors import InputError
from testbed.files import write_whole
from testbed.scenario import discovery

EXPERIMENT = '''"""{title}: one question, asked with real packets."""

from testbed.scenario.experiment import Experiment


class {cls}(Experiment):
    """Does a headset's pose reach its renderer in 10 ms while a flood fills a fibre?"""

    # The typed parameters of build() are options, and several values make a sweep:
    # testbed run {name} --set policy=lowest_delay --set policy=shortest_path
    def build(self, flood: float = 1.2, policy: str = "lowest_delay") -> None:
        # The network: any file of topologies/, with parameters of its build().
        self.topology("metro_ring")

        # How paths and queues are chosen: any file of controllers/policies/.
        self.policy(policy)

        # Slices: S-NSSAI (sst, sd), scheduling priority (1 first), rate kept for it.
        self.slice("headset", sst=1, priority=21, guaranteed="5 Mbit/s")
        self.slice("video", sst=1, sd="000001", priority=60)

        # Who is served first: "fifo", "htb" (default), "strict_priority", "time_aware".
        # self.scheduler("strict_priority")
        # self.policing()  # drop what slices send beyond their maximum="10 Mbit/s"

        # Probes: an application class (testbed list) between a terminal and a server.
        self.probe("ar_vr_pose", "h2", "dc1", slice="headset", duration="5 s")

        # Load: a flood of video in two halves, which meet on the 100 Mbit/s fibre from
        # x2 to x1. At 1 it is full; beyond, a queue grows there.
        rate = f"{{flood * 100 / 2:g}} Mbit/s"
        for host in ("h2", "h3"):
            name = f"{{host}}-video"
            self.flow(name, host, "dc1", slice="video", kind="flood", rate=rate, duration="5 s")

        # Events: from testbed.scenario.events import cut_fibre, mend_fibre
        # self.at("2 s", cut_fibre("x1", "x2"))
'''

TOPOLOGY = '''"""{title}: two sites joined by one fibre.

h1 --- s1 ======= km ======= s2 --- h2
       88.1 us each way at 18 km (4.897 us/km)
"""

from testbed.topology.topo import MetroTopo
from testbed.units import length_km


class {cls}(MetroTopo):
    """Two switches, one fibre. Sizes and rates are parameters of build()."""

    # Parameters need a type and a default: testbed shell {name} --set span="25 km"
    def build(self, span: str = "18 km", rate: str = "100 Mbit/s") -> None:
        self.switch("s1", kind="switch", site="west", x=0, y=0)
        self.switch("s2", kind="switch", site="east", x=18, y=0)
        self.host("h1", kind="ue", site="west", x=-2, y=0)
        self.host("h2", kind="compute", site="east", x=20, y=0)

        # fibre(): the delay comes from the length; lan(): a short cable.
        self.fibre("s1", "s2", km=length_km(span, "span"), rate=rate)
        self.lan("h1", "s1", rate=rate)
        self.lan("h2", "s2", rate=rate)


# For stock Mininet: mn --custom THIS_FILE --topo {name}
topos = {{"{name}": {cls}}}
'''

POLICY = '''"""{title}: how slices get their paths and queues."""

from collections.abc import Sequence

import networkx as nx

from testbed.slices.paths import least_cost_path
from testbed.slices.policy import Demand, Policy


class {cls}(Policy):
    """Shortest fibre: the path with the fewest kilometres, one shared queue."""

    # Edges of `graph` have delay_ns (one-way), rate_bps and km; hosts carry no transit.
    def path(self, graph: nx.DiGraph, demand: Demand) -> Sequence[str]:
        return least_cost_path(graph, demand.src, demand.dst, weight="km")
'''

CLASS = """# {title}: an application class. Every quantity has its unit.
description = "Control loop of a packaging robot"
direction = "UL+DL"        # UL, DL, UL+DL, U2U (between terminals), DC (between centres)
size = "64 B"              # application bytes of one message
interval = "10 ms"         # time between messages
arrivals = "periodic"      # or poisson
deadline = "8 ms"
deadline_kind = "OW"       # OW one-way, RTT round trip
judged = "one-way"         # or rtt: what the network is held against
reliability = 0.999        # share of messages within the deadline
sst = 2                    # slice/service type
dscp = 46
source = "own requirement"
evidence = "D"             # S read in a public source, M recalled, D design choice
"""

TEMPLATES = {"experiment": EXPERIMENT, "topology": TOPOLOGY, "policy": POLICY, "class": CLASS}


def write_template(kind: str, name: str) -> Path:
    """Write the template of a kind under a name; the file's path.

    Raises InputError: a name that is none, or one that is taken.
    """
    a = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    if keyword.iskeyword(name):
        raise InputError(
            f"{name!r} cannot be the name of {a}: it is a keyword of Python",
            where="testbed new",
            expected="another name",
            remedy=f"testbed new {kind} {name}_1",
        )
    if not name.isidentifier() or not name.islower():
        raise InputError(
            f"{name!r} cannot be the name of {a}",
            where="testbed new",
            expected="lower-case letters, digits and _, starting with a letter",
        )
    folder = discovery.home() / discovery.FOLDERS[kind]
    path = folder / f"{name}{'.toml' if kind == 'class' else '.py'}"
    taken = _taken(kind)
    if name in taken or path.exists():
        raise InputError(
            f"there is {a} {name!r} already",
            where=str(path),
            expected="a name that is free",
            remedy=f"another name, such as {name + '_2'!r}",
        )
    folder.mkdir(parents=True, exist_ok=True)
    title = name.replace("_", " ").capitalize()
    cls = "".join(part.capitalize() for part in name.split("_"))
    write_whole(path, TEMPLATES[kind].format(name=name, cls=cls, title=title).encode())
    return path


def _taken(kind: str) -> set[str]:
    if kind != "class":
        return set(discovery.files(kind))
    from testbed.prepare import classes

    return set(classes())
