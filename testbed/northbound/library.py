"""What the service says of itself: its modules (RFC 7895) and what it can (RFC 8040 section 9)."""

from __future__ import annotations

import hashlib
from typing import Any

from testbed.scenario.orders.schema import MODULE, REVISION, TESTBED, VPN

YANG_LIBRARY = "2016-06-21"
"""Revision of ietf-yang-library (RFC 8040 section 3.3.3)."""
MODULES_STATE = "ietf-yang-library:modules-state"
RESTCONF_STATE = "ietf-restconf-monitoring:restconf-state"

_IETF = "urn:ietf:params:xml:ns:yang:"
_MODULES = (
    (MODULE, REVISION, _IETF + MODULE, "implement"),
    (TESTBED, "2026-11-22", "urn:slicing-testbed:testbed-slice", "implement"),
    ("ietf-yang-library", YANG_LIBRARY, _IETF + "ietf-yang-library", "implement"),
    ("ietf-restconf-monitoring", "2017-01-26", _IETF + "ietf-restconf-monitoring", "implement"),
    (VPN, "2022-02-11", _IETF + VPN, "import"),
)
_CAPABILITIES = ("urn:ietf:params:restconf:capability:defaults:1.0?basic-mode=explicit",)


def described() -> dict[str, Any]:
    """Name of each data resource of the service itself, and what is in it."""
    modules = [
        {"name": name, "revision": revision, "namespace": space, "conformance-type": kind}
        for name, revision, space, kind in _MODULES
    ]
    id_ = hashlib.sha256(repr(_MODULES).encode()).hexdigest()[:16]
    return {
        MODULES_STATE: {"module-set-id": id_, "module": modules},
        RESTCONF_STATE: {"capabilities": {"capability": list(_CAPABILITIES)}},
    }
