"""What happens to the link between two nodes."""

from __future__ import annotations

from typing import Literal

from testbed.scenario.delta import Delta


class LinkEvent(Delta, frozen=True, kw_only=True, tag="link"):
    """What happens to the link between two nodes at a moment.

    cut      both ends lose their carrier
    silence  the carrier stays, and nothing gets through
    mend     as it was at first
    """

    action: Literal["cut", "silence", "mend"]
    a: str
    b: str

    @property
    def text(self) -> str:
        return f"{self.action} {self.a}-{self.b}"


def cut_fibre(a: str, b: str) -> LinkEvent:
    """The link between a and b goes down at both ends; packets on it are lost."""
    return LinkEvent(action="cut", a=a, b=b)


def silence_fibre(a: str, b: str) -> LinkEvent:
    """The link between a and b loses every packet, and neither end sees a failure."""
    return LinkEvent(action="silence", a=a, b=b)


def mend_fibre(a: str, b: str) -> LinkEvent:
    """The link between a and b is as it was, whatever had happened to it."""
    return LinkEvent(action="mend", a=a, b=b)
