"""Orders of any format, from a file or a request's body."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from testbed.errors import InputError, unknown
from testbed.scenario.model import Slice
from testbed.scenario.orders.document import MAX_BYTES, parse_document, read_document
from testbed.scenario.orders.gpp import from_3gpp
from testbed.scenario.orders.gst import from_gst
from testbed.scenario.orders.ietf import Orders, from_ietf
from testbed.scenario.orders.profile import Ends
from testbed.scenario.orders.schema import LIST, MODULE, ROOT
from testbed.scenario.orders.yang import MAX_FAULTS, Fault, OrderError, quoted

Format = Literal["ietf", "3gpp", "gst"]
FORMATS: tuple[Format, ...] = ("ietf", "3gpp", "gst")


def read_orders(
    path: Path,
    format: Format | None = None,
    ends: Ends | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Orders:
    """The slices a file orders; without `format` it is told from the document.

    Raises InputError; OrderError has every fault.
    """
    return _orders(read_document(path, max_bytes), str(path), format, ends)


def parse_orders(
    body: bytes,
    where: str,
    format: Format | None = None,
    ends: Ends | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Orders:
    """The slices a body orders, as read_orders() reads them from a file."""
    return _orders(parse_document(body, where, max_bytes), where, format, ends)


_MARKS: dict[Format, tuple[str, ...]] = {
    "3gpp": ("serviceProfileId", "serviceProfileList", "plmnInfoList"),
    "gst": ("attributes", "s-nssai"),
}
"""Members that only documents of a format have."""
_SHAPES = (
    f"an object with {ROOT} (ietf), serviceProfileId or serviceProfileList (3gpp), "
    "or attributes (gst)"
)


def format_of(document: Any) -> Format | None:
    """The format of a document by its first members; None: of no format that is known."""
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):
        return None
    if any(name.startswith(f"{MODULE}:") for name in first):
        return "ietf"
    return next((name for name, marks in _MARKS.items() if first.keys() & set(marks)), None)


def _orders(document: Any, where: str, format: str | None, ends: Ends | None) -> Orders:
    seen = format_of(document)
    if format is None and seen is None:
        raise InputError(
            "is no slice order of a format that is known",
            where=where,
            expected=_SHAPES,
            remedy="name its format to see what is missing, such as --from ietf",
        )
    if format in FORMATS and seen is not None and seen != format:
        raise InputError(
            f"is no {format} order, but looks like {seen}",
            where=where,
            expected=_SHAPES,
            remedy=f"--from {seen}, or no format at all",
        )
    asked = format or seen
    if asked == "ietf":
        if isinstance(document, dict) and document.keys() == {LIST}:  # as a request has it
            document = {ROOT: {"slice-service": document[LIST]}}
        return from_ietf(document, where)
    if asked == "3gpp":
        return from_3gpp(document, where, ends)
    if asked == "gst":
        return from_gst(document, where, ends)
    raise unknown("format", str(asked), FORMATS, where=where)


def check_nodes(slices: Sequence[Slice], nodes: Collection[str], where: str) -> None:
    """Raises OrderError for every SDP whose node the topology does not have."""
    known = sorted(nodes)
    faults: list[Fault] = []
    nearest: dict[str, str] = {}
    for slice_ in slices:
        for sdp in slice_.sdps:
            if sdp.node is None or sdp.node in nodes:
                continue
            path = f"/{ROOT}/slice-service[id={quoted(slice_.id)}]/sdps/sdp[id={quoted(sdp.id)}]"
            what = f"refers to node {sdp.node!r}, which the topology does not have"
            faults.append(Fault(f"{path}/node-id", what))
            for name in difflib.get_close_matches(sdp.node, known, n=1, cutoff=0.5):
                nearest[sdp.node] = f"did you mean {name!r} instead of {sdp.node!r}?"
    if faults:
        raise OrderError(
            faults[:MAX_FAULTS],
            where=where,
            expected="one of " + ", ".join(known),
            remedy=" ".join(nearest.values()) or "a topology that has these nodes",
        )
