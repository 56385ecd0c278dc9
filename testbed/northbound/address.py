"""Where slices are, for servers and clients."""

from __future__ import annotations

from urllib.parse import quote

from testbed.scenario.orders.schema import ROOT

PORT = 8080
MEDIA = "application/yang-data+json"
BASE = f"/restconf/data/{ROOT}"
ENTRY = f"{BASE}/slice-service="


def entry(id_: str) -> str:
    """The resource of one slice (RFC 8040 section 3.5.3)."""
    return ENTRY + quote(id_, safe="")
