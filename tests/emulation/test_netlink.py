"""Netlink messages as bytes, and on this machine's kernel where it needs no rights."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulation import links
from testbed.emulation import netlink as nl
from testbed.errors import EmulationError
from tests.emulation.plans import linear


@given(st.dictionaries(st.integers(1, 100), st.binary(max_size=40)))
def test_attributes_are_read_as_written(values: dict[int, bytes]) -> None:
    data = b"".join(nl.attr(kind, value) for kind, value in values.items())
    assert len(data) % 4 == 0
    assert nl.attrs(data) == values


def test_loopback_is_listed() -> None:
    with nl.Netlink() as link:
        found = [nl.attrs(data[16:]).get(3) for data in link.dump(nl.RTM_GETLINK, bytes(16))]
    assert b"lo\0" in found


def test_each_refused_request_is_named() -> None:
    """Without rights the kernel refuses each; the last one as well as the others."""
    requests = [links.state(10**9 + n, True, f"port {n}") for n in range(5)]
    with nl.Netlink() as link:
        refused = link.refusals(requests)
        assert [one.about for one in refused] == [f"port {n}" for n in range(5)]
        with pytest.raises(EmulationError, match="the kernel refused port 0: "):
            link.do(requests)


def test_long_batches_are_split() -> None:
    requests = [links.state(10**9 + n, True, f"port {n}") for n in range(9000)]
    with nl.Netlink() as link:
        assert len(link.refusals(requests)) == 9000


def test_links_have_two_ends() -> None:
    plan = linear(3)
    ends = links.pairs(plan.ports)
    assert [(a.name, b.name) for a, b in ends] == [
        *[(f"h{n}-eth0", f"s{n}-eth1") for n in (1, 2, 3)],
        ("s1-eth2", "s2-eth2"),
        ("s2-eth3", "s3-eth2"),
    ]
    with pytest.raises(EmulationError, match="no other end"):
        links.pairs(plan.ports[1:])


def test_neighbours_are_all_hosts_but_oneself() -> None:
    plan = linear(4)
    sent: list[bytes] = []

    class Kernel:
        def blob(self, data: bytes, stride: int, about: str) -> None:
            assert about == "the neighbours of h2"
            sent.extend(data[at : at + stride] for at in range(0, len(data), stride))

    links.Neighbours(plan.hosts).set(Kernel(), "h2", 1234)  # type: ignore[arg-type]
    assert len(sent) == 3
    for message, host in zip(sent, (h for h in plan.hosts if h.name != "h2"), strict=True):
        length, kind, _, _, _ = nl.HEADER.unpack_from(message)
        family, index, state = struct.unpack_from("=B3xiH", message, 16)
        assert (length, kind, family, index) == (48, nl.RTM_NEWNEIGH, socket.AF_INET, 1234)
        assert state == 0x80  # permanent
        found = nl.attrs(message[28:])
        assert socket.inet_ntoa(found[1]) == host.ip
        assert found[2] == links.mac_bytes(host.mac)


def test_links_without_a_carrier_are_told_from_those_that_have_one() -> None:
    """Of this machine's interfaces, whatever they are."""
    some = linear(3).ports[::2]  # one end of each link
    found = {name: index for index, name in socket.if_nameindex()}
    known = {name: Path("/sys/class/net") / name / "carrier" for name in found}
    ports = {
        name: msgspec.structs.replace(port, ifindex=found[name])
        for name, port in zip(known, some, strict=False)
        if known[name].exists()
    }
    with nl.Netlink() as link:
        down = links.without_carrier(link, ports.values())
    for name, port in ports.items():
        assert (frozenset((port.node, port.peer_node)) in down) == (not _carrier(known[name]))


def _carrier(path: Path) -> bool:
    try:
        return path.read_text().strip() == "1"
    except OSError:  # the interface is not up
        return False
