"""STAMP packets, unauthenticated mode: RFC 8762 with the extensions of RFC 8972.

    Session-Sender              Session-Reflector
     0  sequence number          0  sequence number
     4  timestamp                4  timestamp (transmit)
    12  error estimate          12  error estimate
    14  SSID                    14  SSID
    16  zero (28 octets)        16  receive timestamp
                                24  sender's sequence number, timestamp, error estimate
                                38  zero
                                40  sender's TTL, zero
    44  TLVs                    44  TLVs

Times are Unix time in ns. A PTP timestamp carries the system clock's seconds: no
TAI offset is added (an arbitrary timescale in the sense of IEEE 1588), since both
ends of a session are meant to be configured alike (RFC 8762 clause 4.2.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

PORT = 862
"""Default UDP port of a Session-Reflector (RFC 8762 clause 4.1)."""
BASE_BYTES = 44
"""UDP payload of a packet without TLVs, either direction (RFC 8762 clause 4.2)."""
TWAMP_REQUEST_BYTES = 14
"""Shortest TWAMP-Test request: sequence number, timestamp, error estimate (RFC 5357)."""
TWAMP_REPLY_BYTES = 41
"""Shortest TWAMP-Test reply: it ends with the sender's TTL (RFC 5357 clause 4.2.1)."""

TLV_HEADER_BYTES = 4
UNRECOGNISED, MALFORMED = 0x80, 0x40
"""STAMP TLV flags U and M (RFC 8972 clause 4)."""
EXTRA_PADDING = 1
"""TLV type (RFC 8972 clause 4.1)."""
_UNDERSTOOD = frozenset({EXTRA_PADDING})

_NTP_EPOCH_S = 2_208_988_800
"""1970-01-01 in seconds since 1900-01-01 (RFC 5905)."""
_NS = 1_000_000_000

_SENDER = Struct("!IQHH28x")
_REFLECTOR = Struct("!IQHHQIQH2xB3x")
_REPLY_HEAD = Struct("!IQHHQ")
_TLV = Struct("!BBH")


def ntp_from_ns(unix_ns: int) -> int:
    """Unix time in ns as a 64-bit NTP timestamp (RFC 5905), to the nearest 2^-32 s."""
    seconds, rest = divmod(unix_ns, _NS)
    return ((seconds + _NTP_EPOCH_S << 32) + ((rest << 32) + _NS // 2) // _NS) & (1 << 64) - 1


def ns_from_ntp(stamp: int) -> int:
    """Unix time in ns of a 64-bit NTP timestamp, taken as between 1968 and 2104."""
    seconds, fraction = stamp >> 32, stamp & 0xFFFF_FFFF
    if seconds < 1 << 31:  # era 1 starts in 2036
        seconds += 1 << 32
    return (seconds - _NTP_EPOCH_S) * _NS + (fraction * _NS + (1 << 31) >> 32)


def ptp_from_ns(unix_ns: int) -> int:
    """Unix time in ns as a truncated PTPv2 timestamp: 32 bit seconds, 32 bit ns (RFC 8186)."""
    seconds, rest = divmod(unix_ns, _NS)
    return (seconds & 0xFFFF_FFFF) << 32 | rest


def ns_from_ptp(stamp: int) -> int:
    """Unix time in ns of a truncated PTPv2 timestamp, taken as before 2106."""
    return (stamp >> 32) * _NS + (stamp & 0xFFFF_FFFF)


class ErrorEstimate(NamedTuple):
    """How far a clock may be off: multiplier * 2^(scale - 32) s (RFC 4656 clause 4.1.2)."""

    synchronised: bool = False
    """S: synchronised to UTC by an external source."""
    ptp: bool = False
    """Z: timestamps are truncated PTPv2, else NTP (RFC 8186 clause 2.3)."""
    scale: int = 0
    multiplier: int = 1
    """Never 0 on the wire: RFC 4656 has such packets discarded."""

    def pack(self) -> int:
        return self.synchronised << 15 | self.ptp << 14 | self.scale << 8 | self.multiplier

    @classmethod
    def unpack(cls, bits: int) -> ErrorEstimate:
        return cls(bool(bits >> 15 & 1), bool(bits >> 14 & 1), bits >> 8 & 0x3F, bits & 0xFF)

    def timestamp(self, unix_ns: int) -> int:
        """The time in this estimate's format."""
        return ptp_from_ns(unix_ns) if self.ptp else ntp_from_ns(unix_ns)

    def unix_ns(self, stamp: int) -> int:
        return ns_from_ptp(stamp) if self.ptp else ns_from_ntp(stamp)


UNSYNCHRONISED = ErrorEstimate()


class Tlv(NamedTuple):
    """One extension (RFC 8972 clause 4). A sender sets U, and neither M nor I."""

    type: int
    value: bytes
    flags: int = UNRECOGNISED

    def pack(self) -> bytes:
        return _TLV.pack(self.flags, self.type, len(self.value)) + self.value


class SenderPacket(NamedTuple):
    """What a Session-Sender sends (RFC 8762 clause 4.2.1, RFC 8972 clause 3)."""

    seq: int
    sent_ns: int
    ssid: int = 0
    error: ErrorEstimate = UNSYNCHRONISED
    tlvs: tuple[Tlv, ...] = ()

    def pack(self) -> bytes:
        base = _SENDER.pack(
            self.seq, self.error.timestamp(self.sent_ns), self.error.pack(), self.ssid
        )
        return base + b"".join(tlv.pack() for tlv in self.tlvs)

    @classmethod
    def unpack(cls, data: bytes) -> SenderPacket:
        """Raises ValueError for fewer than 44 octets."""
        _need(data, BASE_BYTES)
        seq, stamp, bits, ssid = _SENDER.unpack_from(data)
        error = ErrorEstimate.unpack(bits)
        return cls(seq, error.unix_ns(stamp), ssid, error, tuple(tlvs(data)))


class ReflectorPacket(NamedTuple):
    """What a Session-Reflector answers (RFC 8762 clause 4.3.1, RFC 8972 clause 3)."""

    seq: int
    sent_ns: int
    """Transmit time of the reply, T3."""
    received_ns: int
    """Receive time of the request, T2."""
    sender_seq: int
    sender_sent_ns: int
    """T1."""
    sender_ttl: int
    ssid: int = 0
    error: ErrorEstimate = UNSYNCHRONISED
    sender_error: ErrorEstimate = UNSYNCHRONISED
    tlvs: tuple[Tlv, ...] = ()

    @classmethod
    def unpack(cls, data: bytes) -> ReflectorPacket:
        """Raises ValueError for fewer than 44 octets."""
        _need(data, BASE_BYTES)
        (seq, sent, bits, ssid, received, sender_seq, sender_sent, sender_bits, ttl) = (
            _REFLECTOR.unpack_from(data)
        )
        error, sender_error = ErrorEstimate.unpack(bits), ErrorEstimate.unpack(sender_bits)
        return cls(
            seq,
            error.unix_ns(sent),
            error.unix_ns(received),
            sender_seq,
            sender_error.unix_ns(sender_sent),
            ttl,
            ssid,
            error,
            sender_error,
            tuple(tlvs(data)),
        )


def request_of_size(size_bytes: int, ssid: int = 0) -> bytearray:
    """A Session-Sender packet of so many octets, sequence number and time still 0.

    Filled up by an Extra Padding TLV of zeros; the 1 to 3 octets that hold no TLV
    header are plain zeros. Raises ValueError for fewer than 44 octets.
    """
    if size_bytes < BASE_BYTES:
        raise ValueError(f"a STAMP packet has at least {BASE_BYTES} octets, not {size_bytes}")
    room = size_bytes - BASE_BYTES
    padding = (Tlv(EXTRA_PADDING, bytes(room - TLV_HEADER_BYTES)),) if room >= 4 else ()
    packet = bytearray(SenderPacket(0, 0, ssid, tlvs=padding).pack())
    return packet.ljust(size_bytes, b"\0")


def stamp_request(packet: bytearray, seq: int, unix_ns: int) -> None:
    """Put sequence number and NTP time into a packet of `request_of_size`."""
    packet[: _SEQ_TIME.size] = request_head(seq, unix_ns)


def request_head(seq: int, unix_ns: int) -> bytes:
    """Sequence number and NTP time, with which a Session-Sender packet begins."""
    return _SEQ_TIME.pack(seq & 0xFFFF_FFFF, ntp_from_ns(unix_ns))


_SEQ_TIME = Struct("!IQ")


def reply(
    request: bytes,
    *,
    seq: int | None,
    received_ns: int,
    sent_ns: int,
    ttl: int,
    error: ErrorEstimate = UNSYNCHRONISED,
) -> bytearray:
    """The reflected packet, of the request's size (RFC 8762 clause 4.3).

    A TWAMP-Light request may be shorter than STAMP's 44 octets: its reply is cut to
    the same size, but not below the 41 octets of a TWAMP reply (RFC 8762 clause 4.6).

    Args:
        seq: the reflector's own counter (stateful), or None to copy the sender's.
        ttl: TTL that the request arrived with.

    Raises ValueError for fewer than the 14 octets every request starts with.
    """
    _need(request, TWAMP_REQUEST_BYTES)
    size = len(request)
    answer = bytearray(max(size, BASE_BYTES))
    if size > BASE_BYTES:
        answer[BASE_BYTES:] = request[BASE_BYTES:]
        _mark_tlvs(answer)
    if seq is None:
        seq = int.from_bytes(request[:4], "big")
    ssid = int.from_bytes(request[14:16], "big") if size >= BASE_BYTES else 0
    _REPLY_HEAD.pack_into(
        answer,
        0,
        seq & 0xFFFF_FFFF,
        error.timestamp(sent_ns),
        error.pack(),
        ssid,
        error.timestamp(received_ns),
    )
    answer[24:38] = request[:14]
    answer[40] = ttl
    if size < BASE_BYTES:
        del answer[max(size, TWAMP_REPLY_BYTES) :]
    return answer


def tlvs(packet: bytes | bytearray) -> Iterator[Tlv]:
    """The TLVs of a packet; what no longer is one comes last, with flag M and type 0."""
    for start, end, sound in _tlv_spans(packet):
        if sound:
            flags, kind, _ = _TLV.unpack_from(packet, start)
            yield Tlv(kind, bytes(packet[start + TLV_HEADER_BYTES : end]), flags)
        else:
            yield Tlv(0, bytes(packet[start:end]), MALFORMED)


def _tlv_spans(packet: bytes | bytearray) -> Iterable[tuple[int, int, bool]]:
    start = BASE_BYTES
    while start < len(packet):
        end = start + TLV_HEADER_BYTES
        if end <= len(packet):
            end += _TLV.unpack_from(packet, start)[2]
        if end > len(packet):
            yield start, len(packet), False
            return
        yield start, end, True
        start = end


def _mark_tlvs(packet: bytearray) -> None:
    """Set a reflector's flags: U not understood, M malformed (RFC 8972 clause 4)."""
    for start, _end, sound in _tlv_spans(packet):
        if not sound:  # the rest goes back as it came
            packet[start] = MALFORMED
        else:
            packet[start] = 0 if packet[start + 1] in _UNDERSTOOD else UNRECOGNISED


def _need(data: bytes, size: int) -> None:
    if len(data) < size:
        raise ValueError(f"{len(data)} octets are no STAMP packet: it has at least {size}")
