"""Where slices are, for servers and clients."""

from __future__ import annotations

from urllib.parse import quote

from testbed.scenario.orders.schema import MODULE, ROOT

PORT = 8080
MEDIA = "application/yang-data+json"
BASE = f"/restconf/data/{ROOT}"
ENTRY = f"{BASE}/slice-service="
LIST = f"{MODULE}:slice-service"
"""The member of a body that holds slices."""


def entry(id_: str) -> str:
    """The resource of one slice (RFC 8040 section 3.5.3)."""
    return ENTRY + quote(id_, safe="")
