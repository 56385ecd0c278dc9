"""Orders while packets flow: what becomes of a state, make before break. Pure.

    admission = Admission(first, policy)          the state that the plan begins with
    delta = admission.admit(state, order)         Install, or a Refusal with an offer
    delta = admission.withdraw(state, "surgery")
    state = state + delta

An Install is carried out step by step:

    queues wider, rules of new labels     nothing uses them yet
    rules of first switches               each replaced in one step, or added
    first switches' rules that are over   deleted
    rules of old labels, queues narrower  once the last packets have passed

A barrier follows each step. A step may be repeated, and a change begun is undone by the
steps back, wherever it stopped: adding replaces and what is gone cannot be deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from testbed.net.deltas.install import Install, Step
from testbed.net.passage import passage_ns
from testbed.net.paths import Book, Placed
from testbed.net.state import State
from testbed.net.tables import Rule, key
from testbed.plan.intake import Intake, Refusal, RefusedError
from testbed.plan.rules import order_rules
from testbed.port.pipeline import Port
from testbed.scenario.model import Slice
from testbed.slices.policy import Policy

MOST_DRAIN_NS = 1_000_000_000
"""Longer than this no old path is kept for packets that wait on it."""


class Admission:
    """Decides about orders for one network."""

    def __init__(self, first: State, policy: Policy) -> None:
        """`first` has no orders, and was planned with the policy."""
        self.first = first
        self._intake = Intake(first, policy)

    def admit(self, state: State, order: Slice) -> Install | Refusal:
        """A further slice, or one that was ordered before as it is ordered now."""
        there = state.book.find(order.id) is not None
        decide = self._intake.replace if there else self._intake.place
        try:
            return self._install(state, order.id, decide(state.book, order))
        except RefusedError as refused:
            return refused.refusal

    def withdraw(self, state: State, id_: str) -> Install | Refusal:
        """An order ends."""
        try:
            return self._install(state, id_, self._intake.remove(state.book, id_))
        except RefusedError as refused:
            return refused.refusal

    def at_once(self, book: Book) -> State:
        """The first state with all orders of a book, as if they had been planned together."""
        first = self.first
        every = [(port.node, port.peer_node) for port in first.ports]
        queued = {port.name: port for port in self._intake.ports(book, every)}
        return msgspec.structs.replace(
            first,
            ports=tuple(queued.get(port.name, port) for port in first.ports),
            rules=(*first.rules, *self.rules(book.placed)),
            book=book,
        )

    def rules(self, placed: Iterable[Placed]) -> tuple[Rule, ...]:
        """All rules of these orders."""
        return tuple(
            rule
            for one in placed
            for carried in one.carried
            for rule in order_rules(self._intake.wiring, carried)
        )

    def steps(self, before: Book, after: Book) -> tuple[Step, ...]:
        """From one book to another; none if nothing changes."""
        intake = self._intake
        old = [placed for placed in before.placed if after.find(placed.slice.id) != placed]
        new = [placed for placed in after.placed if before.find(placed.slice.id) != placed]
        ways = [one.path.nodes for placed in (*old, *new) for one in placed.carried]
        links = [link for nodes in ways for link in pairwise(nodes)]
        had = intake.ports(before, links)
        between = intake.ports(after, links, leaving=old)
        final = intake.ports(after, links)
        gone, come = self.rules(old), self.rules(new)
        there = {key(rule): rule for rule in gone}
        stays = {key(rule) for rule in come}
        add = [rule for rule in come if there.get(key(rule)) != rule]
        delete = [rule for rule in gone if key(rule) not in stays]
        steps = (
            Step(
                ports=_changed(had, between), add=tuple(rule for rule in add if not _entrance(rule))
            ),
            Step(add=tuple(rule for rule in add if _entrance(rule))),
            Step(delete=tuple(rule for rule in delete if _entrance(rule))),
            Step(
                wait_ns=self._drain_ns(ways),
                ports=_changed(between, final),
                delete=tuple(rule for rule in delete if not _entrance(rule)),
            ),
        )
        return tuple(step for step in steps if step.ports or step.add or step.delete)

    def _install(self, state: State, id_: str, after: Book) -> Install:
        return Install(
            by="northbound",
            id=id_,
            placed=after.find(id_),
            serial=after.serial,
            steps=self.steps(state.book, after),
        )

    def _drain_ns(self, ways: Iterable[Sequence[str]]) -> int:
        """Until packets on these paths have passed, full buffers in front of them."""
        along = self._intake.wiring.along
        return min(MOST_DRAIN_NS, max((passage_ns(along(nodes)) for nodes in ways), default=0))


def _changed(before: Sequence[Port], after: Sequence[Port]) -> tuple[Port, ...]:
    return tuple(port for old, port in zip(before, after, strict=True) if port != old)


def _entrance(rule: Rule) -> bool:
    return "mpls_label" not in rule.match
