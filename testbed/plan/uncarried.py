"""Terms that orders at run time are not carried with. Pure."""

from __future__ import annotations

from testbed.frames import LABELLED_FRAME_BYTES
from testbed.plan.refusal import RefusedError, term_path
from testbed.scenario.model import Slice
from testbed.scenario.terms import asked
from testbed.units import show_bytes


def uncarried(order: Slice) -> None:
    """Raises RefusedError for the first term that nothing here keeps."""
    for contract in order.contracts():
        for term, value in asked(order, contract.slo):
            path = term_path(order, contract, term.yang)
            if term.yang.startswith("testbed-slice:"):
                path = f"/{term.yang}"
            if not term.ordered:
                raise RefusedError(
                    f"{term.name} {value} is not kept for a slice that is ordered at run time",
                    path=path,
                    tag="operation-not-supported",
                    expected=f"no {term.name}",
                    remedy="plan the slice in an experiment"
                    if term.planned
                    else "leave it out: a run tells how much there was",
                )
            if term.name == "MTU" and value > LABELLED_FRAME_BYTES:
                raise RefusedError(
                    f"MTU {show_bytes(value)} is more than links carry",
                    path=path,
                    expected=f"at most {LABELLED_FRAME_BYTES} bytes, a label included",
                    remedy=f"order an MTU of {LABELLED_FRAME_BYTES} bytes or less",
                )
