"""Stock Mininet loads, shapes and pings every topology, in the default lab.

Small parameters: stock Mininet forks some ten times for each link, up to 50 ms each here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.lab import choose
from testbed.lab.base import CONSOLE
from tests.topology.test_topologies import FILES

pytestmark = [pytest.mark.lab, pytest.mark.exact, pytest.mark.slow]

OVS = """
while [ "$(cut -d. -f1 /proc/uptime)" -lt 12 ]; do sleep 0.2; done  # else OVS has no handlers
/usr/share/openvswitch/scripts/ovs-ctl start --system-id=random >/dev/null || exit 90
"""
SMALL = {
    "metro_ring": "sites=3,span=25km",
    "metro_mesh": "core=6,horseshoes=1,nodes=2",
    "access_5g": "gnbs=1,ues=1",
    "city": "core=6,horseshoes=1,nodes=2,gnbs=1,ues=1,homes=0",
    "zoo": "name=topozoo/Cynet,centres=1",
}


def mn(job: Path, name: str, params: str, options: str) -> str:
    """The output of `mn` on a topology. It must have found nothing to complain of."""
    path = f"topologies/{FILES[name].name}"
    script = (
        f"{OVS} mn --custom {path} --topo {name},{params} --link tc --controller none {options}"
    )
    lab = choose().lab.start(job, ["sh", "-c", script])
    try:
        code = lab.wait(timeout=400)
    finally:
        lab.kill()
    console = (job / CONSOLE).read_text()
    assert code == 0, console
    assert "*** Done" in console
    # newer kernels tell Mininet that its HTB quantum is coarse, which changes no delay
    said = re.sub(r"Error: Warning: sch_htb: quantum .*", "", console)
    assert not re.search(r"Error|Traceback|ignoring|Bad loss|Illegal", said), console
    return console


@pytest.mark.parametrize("name", sorted(set(FILES) - {"access_5g", "metro_ring"}))
def test_loads(name: str, tmp_path: Path) -> None:
    console = mn(tmp_path, name, SMALL[name], "--test none")
    assert "delay)" in console


def test_tree_is_pinged_with_the_delay_of_both_directions(tmp_path: Path) -> None:
    (tmp_path / "look").write_text(
        "ue1 ping -c 20 -i 0.2 cloud\nue1 tc qdisc show dev ue1-eth0\n"
        "sh tc qdisc show dev gnb1-eth2\n"
    )
    console = mn(
        tmp_path,
        "access_5g",
        SMALL["access_5g"],
        "--switch ovsbr --mac --arp --test pingall --post /results/look",
    )
    assert "0% dropped (12/12 received)" in console
    # up 13.671 ms + down 12.731 ms; a lab on the wall clock adds its own time
    least_ms = float(re.search(r"rtt min/avg/max/mdev = ([\d.]+)/", console)[1])  # type: ignore[index]
    assert 26.39 <= least_ms < 36
    assert re.search(r"netem .*limit 1240 delay 2.45ms", console)
    assert re.search(r"netem .*delay 1.51ms", console)


def test_ring_is_pinged_behind_a_spanning_tree(tmp_path: Path) -> None:
    console = mn(
        tmp_path, "metro_ring", SMALL["metro_ring"], "--wait --switch ovsbr,stp=1 --test pingall"
    )
    assert "0% dropped (6/6 received)" in console
