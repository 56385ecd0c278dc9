"""Why an order is not carried: what binds, and what would be carried."""

from __future__ import annotations

from testbed.errors import PlanError
from testbed.scenario.model import Contract, Frozen, Slice


class Refusal(Frozen, frozen=True, kw_only=True):
    """Why an order is not carried: what binds, and what would be."""

    what: str
    path: str = ""
    """Of what cannot be, below the slice in the YANG tree."""
    tag: str = "resource-denied"
    """error-tag of RFC 8040 section 7."""
    where: str = ""
    expected: str = ""
    remedy: str = ""


class RefusedError(PlanError):
    """An order that cannot be met."""

    def __init__(
        self, what: str, *, path: str = "", tag: str = "resource-denied", **said: str
    ) -> None:
        super().__init__(what, **said)
        self.refusal = Refusal(what=what, path=path, tag=tag, **said)


def parts(order: Slice, contract: Contract) -> tuple[str, str, str, str]:
    """Group, construct, sender and receiver of a contract."""
    for group in order.groups:
        for construct in group.constructs:
            for sender in construct.senders:
                for receiver in construct.receivers:
                    if f"{group.id}/{construct.id}/{sender}>{receiver}" == contract.id:
                        return group.id, construct.id, sender, receiver
    raise PlanError(f"contract {contract.id} is not of slice {order.id}")


def construct_path(order: Slice, contract: Contract) -> str:
    """Of a contract's construct, below the slice in the YANG tree."""
    group, construct, _, _ = parts(order, contract)
    return (
        f"/connection-groups/connection-group[id='{group}']"
        f"/connectivity-construct[id='{construct}']"
    )


def term_path(order: Slice, contract: Contract, term: str) -> str:
    """Of a term below the slice: where its construct has terms of its own, there."""
    group, name, _, _ = parts(order, contract)
    own = any(
        construct.slo is not None
        for one in order.groups
        for construct in one.constructs
        if (one.id, construct.id) == (group, name)
    )
    return (construct_path(order, contract) if own else "") + f"/service-slo-sle-policy/{term}"
