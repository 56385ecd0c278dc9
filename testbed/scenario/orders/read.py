"""Orders of any format, from a file or a request's body."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from testbed.errors import unknown
from testbed.scenario.model import Slice
from testbed.scenario.orders.document import MAX_BYTES, parse_document, read_document
from testbed.scenario.orders.gpp import from_3gpp
from testbed.scenario.orders.gst import from_gst
from testbed.scenario.orders.ietf import Orders, from_ietf
from testbed.scenario.orders.profile import Ends
from testbed.scenario.orders.schema import ROOT
from testbed.scenario.orders.yang import MAX_FAULTS, Fault, OrderError, near, quoted

Format = Literal["ietf", "3gpp", "gst"]
FORMATS: tuple[Format, ...] = ("ietf", "3gpp", "gst")


def read_orders(
    path: Path,
    format: Format = "ietf",
    ends: Ends | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Orders:
    """The slices a file orders. Raises InputError; OrderError has every fault."""
    return _orders(read_document(path, max_bytes), str(path), format, ends)


def parse_orders(
    body: bytes,
    where: str,
    format: Format = "ietf",
    ends: Ends | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Orders:
    """The slices a body orders. Raises InputError; OrderError has every fault."""
    return _orders(parse_document(body, where, max_bytes), where, format, ends)


def _orders(document: Any, where: str, format: str, ends: Ends | None) -> Orders:
    if format == "ietf":
        return from_ietf(document, where)
    if format == "3gpp":
        return from_3gpp(document, where, ends)
    if format == "gst":
        return from_gst(document, where, ends)
    raise unknown("format", format, FORMATS, where=where)


def check_nodes(slices: Sequence[Slice], nodes: Collection[str], where: str) -> None:
    """Raises OrderError for every SDP whose node the topology does not have."""
    known = set(nodes)
    faults = [
        Fault(
            f"/{ROOT}/slice-service[id={quoted(slice_.id)}]/sdps/sdp[id={quoted(sdp.id)}]/node-id",
            f"refers to node {sdp.node!r}, which the topology does not have"
            + near(sdp.node, known),
        )
        for slice_ in slices
        for sdp in slice_.sdps
        if sdp.node is not None and sdp.node not in known
    ]
    if faults:
        raise OrderError(faults[:MAX_FAULTS], where=where)
