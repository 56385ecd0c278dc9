"""Hosts and switches."""

from __future__ import annotations

from testbed.scenario.model import Frozen


class Host(Frozen, frozen=True, kw_only=True):
    name: str
    kind: str
    """ue, compute, or host."""
    site: str
    ip: str
    prefix: int
    mac: str


class Switch(Frozen, frozen=True, kw_only=True):
    name: str
    kind: str
    """oxc, roadm, otn, router, switch, gnb, ..."""
    site: str
    dpid: int
