"""Why a request is not carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Fault(NamedTuple):
    """One entry of ietf-restconf:errors (RFC 8040 section 7.1)."""

    tag: str
    message: str
    path: str = ""


class ProblemError(Exception):
    """Why a request is not carried out, as HTTP says it.

    Args:
        fields: header fields of the answer.
    """

    def __init__(
        self, status: int, *faults: Fault, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.status, self.faults, self.fields = status, faults, dict(fields or {})
