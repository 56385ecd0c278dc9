"""From one book of orders to another while packets flow: make before break. Pure.

    queues wider, rules of new labels     nothing uses them yet
    rules of first switches               each replaced in one step, or added
    first switches' rules that are over   deleted
    rules of old labels, queues narrower  once the last packets have passed

A barrier follows each step. A step may be repeated, and a change begun is undone by the
change back, wherever it stopped: adding replaces and what is gone cannot be deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from testbed.frames import FCS_BYTES, LABELLED_FRAME_BYTES
from testbed.plan.intake import Book, Intake
from testbed.plan.model import Placed, Plan, Rule
from testbed.plan.openflow import key
from testbed.plan.rules import order_rules
from testbed.port.pipeline import Port
from testbed.scenario.model import Frozen

MOST_DRAIN_NS = 1_000_000_000
"""Longer than this no old path is kept for packets that wait on it."""
FRAME_BITS = 8 * (LABELLED_FRAME_BYTES + FCS_BYTES)


class Step(Frozen, frozen=True, kw_only=True):
    """What happens between two barriers; queues before rules."""

    wait_ns: int = 0
    """First, until packets on their way have passed."""
    ports: tuple[Port, ...] = ()
    """Ports whose queues become these."""
    add: tuple[Rule, ...] = ()
    delete: tuple[Rule, ...] = ()


def change(intake: Intake, before: Book, after: Book) -> tuple[Step, ...]:
    """The steps from one book to the other; none if nothing changes."""
    old = [placed for placed in before.placed if after.find(placed.slice.id) != placed]
    new = [placed for placed in after.placed if before.find(placed.slice.id) != placed]
    ways = [one.path.nodes for placed in (*old, *new) for one in placed.carried]
    links = [link for nodes in ways for link in pairwise(nodes)]
    had = intake.ports(before, links)
    between = intake.ports(after, links, leaving=old)
    final = intake.ports(after, links)
    gone, come = rules_of(intake, old), rules_of(intake, new)
    there = {key(rule): rule for rule in gone}
    stays = {key(rule) for rule in come}
    add = [rule for rule in come if there.get(key(rule)) != rule]
    delete = [rule for rule in gone if key(rule) not in stays]
    steps = (
        Step(ports=_changed(had, between), add=tuple(rule for rule in add if not _entrance(rule))),
        Step(add=tuple(rule for rule in add if _entrance(rule))),
        Step(delete=tuple(rule for rule in delete if _entrance(rule))),
        Step(
            wait_ns=_drain_ns(intake, ways),
            ports=_changed(between, final),
            delete=tuple(rule for rule in delete if not _entrance(rule)),
        ),
    )
    return tuple(step for step in steps if step.ports or step.add or step.delete)


def installed(intake: Intake, book: Book) -> Plan:
    """The plan as switches have it under the book."""
    every = [(port.node, port.peer_node) for port in intake.plan.ports]
    queued = {port.name: port for port in intake.ports(book, every)}
    return msgspec.structs.replace(
        intake.plan,
        ports=tuple(queued.get(port.name, port) for port in intake.plan.ports),
        rules=(*intake.plan.rules, *rules_of(intake, book.placed)),
    )


def rules_of(intake: Intake, placed: Iterable[Placed]) -> tuple[Rule, ...]:
    """All rules of these orders."""
    return tuple(
        rule
        for one in placed
        for carried in one.carried
        for rule in order_rules(intake.wiring, carried)
    )


def _changed(before: Sequence[Port], after: Sequence[Port]) -> tuple[Port, ...]:
    return tuple(port for old, port in zip(before, after, strict=True) if port != old)


def _entrance(rule: Rule) -> bool:
    return "mpls_label" not in rule.match


def _drain_ns(intake: Intake, ways: Iterable[Sequence[str]]) -> int:
    """Until packets on these paths have passed, full buffers in front of them."""
    return min(MOST_DRAIN_NS, max((_passage_ns(intake, nodes) for nodes in ways), default=0))


def _passage_ns(intake: Intake, nodes: Sequence[str]) -> int:
    return sum(
        port.delay_ns + (port.buffer_packets * FRAME_BITS * 10**9 // (port.rate_bps or 10**12))
        for port in intake.wiring.along(nodes)
    )
