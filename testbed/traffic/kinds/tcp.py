"""iperf3's TCP, which paces itself to a rate in bursts of its own."""

from __future__ import annotations

from testbed.traffic.kinds.flood import FLOOD_DEBT_NS
from testbed.traffic.kinds.kind import Kind

KIND = Kind(protocol="tcp", debt_ns=FLOOD_DEBT_NS)
