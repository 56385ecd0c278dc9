"""What all queueing disciplines share: their netlink messages, and what a dump says.

Wire format: linux/rtnetlink.h (struct tcmsg), linux/gen_stats.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.emulation import netlink as nl
from testbed.emulation.netlink import Request

ROOT = 0xFFFFFFFF
HANDLE = 0x10000
"""Handle 1: of every root qdisc. OpenFlow `set_queue: N` gives a packet priority 1:(N+1)."""

TCMSG = struct.Struct("=BxHiIII")
KIND, OPTIONS, STATS2 = 1, 2, 7
_BASIC, _QUEUE, _PACKETS_64 = 1, 3, 8


def qdisc(index: int, parent: int, handle: int, kind: str, options: bytes, about: str) -> Request:
    """Sets the qdisc of interface `index` at `parent`, in place of what is there."""
    body = (
        TCMSG.pack(0, 0, index, handle, parent, 0) + nl.text(KIND, kind) + nl.attr(OPTIONS, options)
    )
    return Request(nl.RTM_NEWQDISC, nl.CREATE | nl.REPLACE, body, f"{about} ({kind})")


def no_qdisc(index: int, about: str) -> Request:
    """Takes the root qdisc of interface `index` away."""
    return Request(nl.RTM_DELQDISC, 0, TCMSG.pack(0, 0, index, HANDLE, ROOT, 0), about)


@dataclass
class Seen:
    """What a dump says of one interface: by parent, classes by minor number, filters by
    the handle of their qdisc."""

    kinds: dict[int, str] = field(default_factory=dict)
    options: dict[int, bytes] = field(default_factory=dict)
    stats: dict[int, bytes] = field(default_factory=dict)
    classes: dict[int, bytes] = field(default_factory=dict)
    filters: dict[int, bytes] = field(default_factory=dict)


def dump(link: nl.Netlink, indexes: Iterable[int]) -> dict[int, Seen]:
    """The qdiscs and classes of interfaces of the socket's namespace."""
    seen = {index: Seen() for index in indexes}
    filtered: list[tuple[int, int]] = []
    for data in link.dump(nl.RTM_GETQDISC, TCMSG.pack(0, 0, 0, 0, 0, 0)):
        _, _, index, handle, parent, _ = TCMSG.unpack_from(data)
        if index in seen:
            found = nl.attrs(data[TCMSG.size :])
            seen[index].kinds[parent] = found[KIND].rstrip(b"\0").decode()
            seen[index].options[parent] = found.get(OPTIONS, b"")
            seen[index].stats[parent] = found.get(STATS2, b"")
            if seen[index].kinds[parent] == "prio":
                filtered.append((index, handle))
    for index, one in seen.items():
        if one.kinds.get(ROOT) == "htb":
            for data in link.dump(nl.RTM_GETTCLASS, TCMSG.pack(0, 0, index, 0, 0, 0)):
                handle = TCMSG.unpack_from(data)[3]
                found = nl.attrs(data[TCMSG.size :])
                if found[KIND] == b"htb\0":
                    one.classes[handle & 0xFFFF] = found[OPTIONS]
    for index, handle in filtered:
        for data in link.dump(nl.RTM_GETTFILTER, TCMSG.pack(0, 0, index, 0, handle, 0)):
            found = nl.attrs(data[TCMSG.size :])
            if OPTIONS in found:  # the filter, not the chain it is in
                seen[index].filters[handle] = found[OPTIONS]
    return seen


def counted(stats2: bytes) -> dict[str, int]:
    """Packets, bytes, drops, overlimits and backlog that every qdisc counts."""
    found = nl.attrs(stats2)
    sent_bytes, packets = struct.unpack_from("=QI", found[_BASIC])
    if _PACKETS_64 in found:
        packets = struct.unpack("=Q", found[_PACKETS_64])[0]
    qlen, backlog, drops, _, overlimits = struct.unpack_from("=5I", found[_QUEUE])
    return {
        "packets": packets,
        "sent_bytes": sent_bytes,
        "drops": drops,
        "overlimits": overlimits,
        "backlog_packets": qlen,
        "backlog_bytes": backlog,
    }
