"""Packets at a constant rate, each at its moment."""

from __future__ import annotations

from testbed.traffic.kinds.kind import Kind

KIND = Kind(protocol="udp", timed=True)
