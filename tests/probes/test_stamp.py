"""STAMP packets against scapy's implementation, and against themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.stamp import (
    ErrorEstimate as ScapyErrorEstimate,
)
from scapy.contrib.stamp import (
    STAMPSessionReflectorTestUnauthenticated as ScapyReply,
)
from scapy.contrib.stamp import (
    STAMPSessionSenderTestUnauthenticated as ScapyRequest,
)
from scapy.contrib.stamp import (
    STAMPTestTLV,
)

from testbed.probes import stamp
from testbed.probes.stamp import (
    BASE_BYTES,
    EXTRA_PADDING,
    MALFORMED,
    UNRECOGNISED,
    ErrorEstimate,
    ReflectorPacket,
    SenderPacket,
    Tlv,
)

T1, T2, T3 = 1_700_000_000_123_456_789, 1_700_000_000_123_999_999, 1_700_000_000_124_000_001
u32 = st.integers(0, 2**32 - 1)
times = st.integers(0, 2_100_000_000 * 10**9)
errors = st.builds(
    ErrorEstimate, st.booleans(), st.booleans(), st.integers(0, 63), st.integers(1, 255)
)
tlv_lists = st.lists(
    st.builds(Tlv, st.integers(0, 255), st.binary(max_size=60), st.integers(0, 255)), max_size=4
).map(tuple)


def reflect(data: bytes, seq: int | None = None, **kw: Any) -> bytes:
    return bytes(stamp.reply(data, seq=seq, received_ns=T2, sent_ns=T3, ttl=61, **kw))


@given(times)
def test_timestamps_round_trip_to_the_nanosecond(unix_ns: int) -> None:
    assert stamp.ns_from_ntp(stamp.ntp_from_ns(unix_ns)) == unix_ns
    assert stamp.ns_from_ptp(stamp.ptp_from_ns(unix_ns)) == unix_ns


def test_ntp_epochs() -> None:
    assert stamp.ntp_from_ns(0) == 2_208_988_800 << 32
    assert stamp.ntp_from_ns(500_000_000) & 0xFFFF_FFFF == 1 << 31
    after_2036 = 2_085_978_496 * 10**9  # 2036-02-07T06:28:16Z, era 1
    assert stamp.ntp_from_ns(after_2036) == 0
    assert stamp.ns_from_ntp(0) == after_2036


@given(errors)
def test_error_estimate_round_trips(error: ErrorEstimate) -> None:
    assert ErrorEstimate.unpack(error.pack()) == error


@given(u32, times, st.integers(0, 65535), errors, tlv_lists)
def test_sender_packet_round_trips(
    seq: int, sent_ns: int, ssid: int, error: ErrorEstimate, tlvs: tuple[Tlv, ...]
) -> None:
    packet = SenderPacket(seq, sent_ns, ssid, error, tlvs)
    assert SenderPacket.unpack(packet.pack()) == packet


@given(u32, times, st.integers(0, 65535), errors, tlv_lists)
def test_scapy_reads_our_request(
    seq: int, sent_ns: int, ssid: int, error: ErrorEstimate, tlvs: tuple[Tlv, ...]
) -> None:
    data = SenderPacket(seq, sent_ns, ssid, error, tlvs).pack()
    read = ScapyRequest(data)
    assert (read.seq, read.ssid, read.mbz) == (seq, ssid, 0)
    estimate = read.err_estimate
    assert (
        ErrorEstimate(bool(estimate.S), bool(estimate.Z), estimate.scale, estimate.multiplier)
        == error
    )
    assert [(t.flags.value, t.type, t.value) for t in read.tlv_objects] == [
        (t.flags, t.type, t.value) for t in tlvs
    ]
    assert bytes(read) == data


def test_we_read_scapys_request_and_scapy_our_reply() -> None:
    error = ScapyErrorEstimate(S=0, Z=0, scale=3, multiplier=7)
    request = bytes(
        ScapyRequest(
            seq=77,
            ts=2_208_988_800 + 1_700_000_000,
            err_estimate=error,
            ssid=0xBEEF,
            tlv_objects=[STAMPTestTLV(flags=0x80, type=EXTRA_PADDING, len=3, value=b"abc")],
        )
    )
    packet = SenderPacket.unpack(request)
    assert (packet.seq, packet.ssid) == (77, 0xBEEF)
    assert packet.sent_ns == 1_700_000_000 * 10**9
    read = ScapyReply(reflect(request, seq=5))
    assert (read.seq, read.seq_sender, read.ssid, read.ttl_sender) == (5, 77, 0xBEEF, 61)
    assert (read.err_estimate_sender.scale, read.err_estimate_sender.multiplier) == (3, 7)
    assert (read.mbz1, read.mbz2) == (0, 0)
    assert [(t.flags.value, t.type, t.value) for t in read.tlv_objects] == [
        (0, EXTRA_PADDING, b"abc")
    ]


@given(u32, errors, errors, st.one_of(st.none(), u32))
def test_reply_holds_what_was_sent(
    seq: int, theirs: ErrorEstimate, ours: ErrorEstimate, own_seq: int | None
) -> None:
    request = SenderPacket(seq, T1, 9, theirs).pack()
    answer = ReflectorPacket.unpack(reflect(request, own_seq, error=ours))
    assert answer == ReflectorPacket(
        seq if own_seq is None else own_seq, T3, T2, seq, T1, 61, 9, ours, theirs
    )


@given(st.binary(min_size=stamp.TWAMP_REQUEST_BYTES, max_size=1472))
def test_every_request_gets_a_reply_of_its_size(data: bytes) -> None:
    """Whatever follows the first 14 octets, as TWAMP-Light padding may be anything."""
    answer = reflect(data)
    assert len(answer) == max(len(data), stamp.TWAMP_REPLY_BYTES)
    assert answer[:4] == data[:4]
    assert answer[24:38] == data[:14]
    assert answer[40] == 61
    assert len(answer[44:]) == len(data[44:])


@pytest.mark.parametrize("size", [0, 4, 13])
def test_too_short_is_no_request(size: int) -> None:
    with pytest.raises(ValueError, match="at least 14"):
        reflect(bytes(size))
    with pytest.raises(ValueError, match="at least 44"):
        SenderPacket.unpack(bytes(size))


def test_short_twamp_request_has_no_ssid() -> None:
    answer = reflect(b"\0\0\0\5" + b"\xff" * 26)
    assert len(answer) == 41
    assert answer[14:16] == b"\0\0"


def test_tlv_flags_of_a_reply() -> None:
    """U is cleared for what is understood and set for what is not (RFC 8972 clause 4)."""
    sent = (Tlv(EXTRA_PADDING, b"pad"), Tlv(99, b"what"), Tlv(EXTRA_PADDING, b"", flags=0))
    answer = ReflectorPacket.unpack(reflect(SenderPacket(1, T1, tlvs=sent).pack()))
    assert answer.tlvs == (
        Tlv(EXTRA_PADDING, b"pad", 0),
        Tlv(99, b"what", UNRECOGNISED),
        Tlv(EXTRA_PADDING, b"", 0),
    )


def test_tlv_longer_than_the_packet_is_malformed() -> None:
    request = SenderPacket(1, T1).pack() + b"\x80\x01\x00\x09short"
    answer = reflect(request)
    assert answer[BASE_BYTES:] == bytes([MALFORMED]) + b"\x01\x00\x09short"


@given(st.integers(BASE_BYTES, 1472))
def test_request_of_any_size(size: int) -> None:
    packet = stamp.request_of_size(size, ssid=3)
    stamp.stamp_request(packet, 12, T1)
    assert len(packet) == size
    read = SenderPacket.unpack(bytes(packet))
    assert (read.seq, read.sent_ns, read.ssid) == (12, T1, 3)
    if size >= 48:
        assert read.tlvs == (Tlv(EXTRA_PADDING, bytes(size - 48)),)
    assert len(reflect(bytes(packet))) == size


def test_request_below_the_base_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 44"):
        stamp.request_of_size(43)
