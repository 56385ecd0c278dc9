"""Captures written by scapy, as planned and not, held against a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import wrpcap

from testbed.errors import ResultError
from testbed.plan.model import Session
from testbed.probes.capture_read import Finding, verify_capture
from testbed.probes.messages import leading_packet
from testbed.probes.stamp import reply, request_of_size, stamp_request
from tests.probes.plans import plan, session

S = session("up", sender_ip="10.0.0.1", reflector_ip="10.0.0.2", sender_port=5000)
T = 1_700_000_000 * 10**9


def request() -> bytes:
    packet = request_of_size(S.size_bytes, ssid=1)
    stamp_request(packet, 0, T)
    return bytes(packet)


def answer() -> bytes:
    return bytes(reply(request(), seq=0, received_ns=T + 1000, sent_ns=T + 2000, ttl=255))


def forward(payload: bytes, *, tos: int = S.dscp << 2) -> Any:
    ends = UDP(sport=S.sender_port, dport=S.reflector_port)
    return IP(src=S.sender_ip, dst=S.reflector_ip, tos=tos) / ends / payload


def back(payload: bytes) -> Any:
    ends = UDP(sport=S.reflector_port, dport=S.sender_port)
    return IP(src=S.reflector_ip, dst=S.sender_ip, tos=S.dscp << 2) / ends / payload


def wire(packet: Any, label: int | None = None, tc: int = S.dscp >> 3) -> Any:
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    return ether / packet if label is None else ether / MPLS(label=label, cos=tc, s=1) / packet


def verify(tmp_path: Path, link: str, *packets: Any, of: Session = S) -> list[Finding]:
    pcap = tmp_path / f"{link}.pcap"
    wrpcap(str(pcap), list(packets))
    return verify_capture(pcap, plan(of))


def bad(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.direction, finding.check) for finding in findings if not finding.good}


def test_labelled_in_the_core(tmp_path: Path) -> None:
    packets = [wire(forward(request()), 17), wire(back(answer()), 18)]
    findings = verify(tmp_path, "s1-s2", *packets)
    assert len(findings) == 10
    assert bad(findings) == set()
    assert "17 (1 packets)" in {f.found for f in findings if f.check == "label"}


def test_plain_at_the_host(tmp_path: Path) -> None:
    assert bad(verify(tmp_path, "a-s1", wire(forward(request())), wire(back(answer())))) == set()


@pytest.mark.parametrize(
    ("packet", "check"),
    [
        (wire(forward(request()), 99), "label"),
        (wire(forward(request()), 17, tc=0), "tc"),
        (wire(forward(request(), tos=0), 17), "dscp"),
        (wire(forward(request()[:-1]), 17), "size"),
        (wire(forward(request()[:20] + b"\1" + request()[21:]), 17), "layout"),
        (wire(forward(request()[:44] + b"\x80\x07" + request()[46:]), 17), "layout"),
    ],
)
def test_one_wrong_packet_is_found(tmp_path: Path, packet: Any, check: str) -> None:
    packets = [wire(forward(request()), 17), wire(back(answer()), 18), packet]
    assert ("forward", check) in bad(verify(tmp_path, "s1-s2", *packets))


def test_no_packet_is_not_as_planned(tmp_path: Path) -> None:
    findings = verify(tmp_path, "s1-s2", wire(forward(request()), 17))
    assert {direction for direction, _ in bad(findings)} == {"reverse"}


def test_unplanned_packets_are_named(tmp_path: Path) -> None:
    packets = [wire(forward(request())), wire(back(answer())), Ether() / ARP(pdst="10.0.0.9")]
    findings = verify(tmp_path, "a-s1", *packets)
    assert bad(findings) == {("", "unplanned")}
    assert "10.0.0.9" in findings[-1].found


def test_unknown_link_and_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no link"):
        verify_capture(tmp_path / "x-y.pcap", plan(S))
    (tmp_path / "a-s1.pcap").write_bytes(b"no capture at all, and long enough")
    with pytest.raises(ResultError, match="cannot be read"):
        verify_capture(tmp_path / "a-s1.pcap", plan(S))


def test_the_other_packets_of_a_message_are_held_against_the_plan_too(tmp_path: Path) -> None:
    several = msgspec.structs.replace(S, fragments=2, fragment_bytes=100)

    def leading(payload: bytes) -> Any:
        ends = UDP(sport=S.sender_port, dport=9)
        packet = IP(src=S.sender_ip, dst=S.reflector_ip, tos=S.dscp << 2) / ends / payload
        return wire(packet, 17)

    rest = [wire(forward(request()), 17), wire(back(answer()), 18)]
    whole = leading_packet(7, 0, 100)

    def wrong(*packets: Any) -> set[tuple[str, str]]:
        return bad(verify(tmp_path, "s1-s2", *rest, *packets, of=several))

    assert not wrong(leading(whole))
    assert wrong(leading(whole[:99])) == {("leading", "size")}
    assert wrong(leading(whole[:-1] + b"x")) == {("leading", "layout")}
    assert ("leading", "layout") in wrong()
