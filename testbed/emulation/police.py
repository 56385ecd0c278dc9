"""act_police on a class of a stock port: a prio qdisc whose one filter drops the excess.

    class 1:N - prio 200N: - matchall, police - band 1 - netem

It hangs below the root qdisc, where Open vSwitch leaves it alone; an ingress or clsact
qdisc would be removed whenever a link changes. Wire format: linux/pkt_cls.h,
linux/tc_act/tc_police (struct tc_police).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from testbed.emulation import netlink as nl
from testbed.emulation import tc
from testbed.emulation.netlink import Request
from testbed.emulation.readback import TICK_NS
from testbed.port.policers import Policer

_PRIO = struct.pack("=i16B", 2, *bytes(16))
"""Two bands are the fewest; all packets go to the first."""
_FIRST_BAND = 1
_ALL_PROTOCOLS = 0x0300
"""ETH_P_ALL in network order; with priority 1 in the upper half, tcm_info of a filter."""
_CLASSID, _ACTIONS = 1, 2
_ACTION_KIND, _ACTION_OPTIONS = 1, 2
_PARMS, _RATE_TABLE, _CONFORMING, _RATE64 = 1, 2, 5, 8
_POLICE = struct.Struct("=Ii3I BBHhHI BBHhHI iiI")
_PASS, _DROP = 0, 2
_NO_TABLE = bytes(1024)
"""The kernel wants one and works rates out for itself."""
_CELL_LOG, _ETHERNET = 3, 1
_MAX_U32 = 2**32 - 1


def handle(minor: int) -> int:
    """The prio's handle, below class 1:minor."""
    return (0x2000 + minor) << 16


def band(minor: int) -> int:
    """The parent of what comes after the policer."""
    return handle(minor) | _FIRST_BAND


def stored(policer: Policer) -> Policer:
    """What the kernel keeps: whole bytes per second, bursts in ticks of 64 ns at that rate."""
    rate = policer.rate_bps // 8
    return _decoded(policer.queue, rate, _ticks(policer))


def requests(
    index: int, minor: int, policer: Policer, overhead_bytes: int, about: str
) -> Iterator[Request]:
    """What to ask of the kernel for class 1:minor of interface `index`."""
    yield tc.qdisc(index, tc.HANDLE | minor, handle(minor), "prio", _PRIO, about)
    rate = policer.rate_bps // 8
    parms = _POLICE.pack(
        *(0, _DROP, 0, _ticks(policer), _MAX_U32),
        *(_CELL_LOG, _ETHERNET, overhead_bytes, 0, 0, min(rate, _MAX_U32)),
        *(0, 0, 0, 0, 0, 0),
        *(0, 0, 0),
    )
    options = nl.attr(_PARMS, parms) + nl.attr(_RATE_TABLE, _NO_TABLE) + nl.u32(_CONFORMING, _PASS)
    if rate > _MAX_U32:
        options += nl.attr(_RATE64, struct.pack("=Q", rate))
    action = nl.text(_ACTION_KIND, "police") + nl.attr(_ACTION_OPTIONS, options)
    body = (
        tc.TCMSG.pack(0, 0, index, 0, handle(minor), 1 << 16 | _ALL_PROTOCOLS)
        + nl.text(tc.KIND, "matchall")
        + nl.attr(tc.OPTIONS, nl.u32(_CLASSID, band(minor)) + nl.attr(_ACTIONS, nl.attr(1, action)))
    )
    yield Request(nl.RTM_NEWTFILTER, nl.CREATE | nl.EXCL, body, f"{about} (police)")


def decode(id_: int, options: bytes) -> Policer:
    """The policer of queue `id_`, from its filter's TCA_OPTIONS."""
    actions = nl.attrs(nl.attrs(options)[_ACTIONS])
    found = nl.attrs(nl.attrs(actions[1])[_ACTION_OPTIONS])
    parms = _POLICE.unpack_from(found[_PARMS])
    ticks, rate = parms[3], parms[10]
    if _RATE64 in found:
        rate = struct.unpack("=Q", found[_RATE64])[0]
    return _decoded(id_, rate, ticks)


def _ticks(policer: Policer) -> int:
    return min(_MAX_U32, -(-policer.burst_bytes * 8 * 10**9 // (policer.rate_bps * TICK_NS)))


def _decoded(id_: int, rate: int, ticks: int) -> Policer:
    burst = ticks * TICK_NS * rate // 10**9
    return Policer(queue=id_, rate_bps=rate * 8, burst_bytes=burst)
