"""Orders while packets flow: what becomes of a state, make before break. Pure.

    admission = Admission(plan, policy)           the plan that the network begins with
    delta = admission.admit(state, order)         Install, or a Refusal with an offer
    delta = admission.withdraw(state, "surgery")
    state = state + delta

An order is admitted as a slice is planned: by the policy's paths over links with room for its
rate, in the queues that the ports' scheduler then has, if by network calculus on the state
that comes of it all that is promised holds: to the order, to other orders, to planned slices.

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
from testbed.plan.holding import Holding, Lack, proved
from testbed.plan.model import Plan
from testbed.plan.offers import offers
from testbed.plan.placing import Placing
from testbed.plan.refusal import Refusal, RefusedError, term_path
from testbed.plan.rules import order_rules
from testbed.plan.served import Serving
from testbed.plan.uncarried import uncarried
from testbed.port.pipeline import Port
from testbed.scenario.model import Slice
from testbed.scenario.terms import TERM_OF
from testbed.slices.policy import Policy

MOST_DRAIN_NS = 1_000_000_000
"""Longer than this no old path is kept for packets that wait on it."""


class Admission:
    """Decides about orders for one network."""

    def __init__(self, first: Plan, policy: Policy, *, requeues: bool = True) -> None:
        """`first` has no orders, and was planned with the policy; `requeues` is whether the
        lab's kernel can change queues that packets wait in."""
        self.first, self._requeues = first, requeues
        self._placing = Placing(first, policy)
        self._serving = Serving(first, self._placing.names)
        self._holding = Holding(first)

    def admit(self, state: State, order: Slice) -> Install | Refusal:
        """A further slice, or one that was ordered before as it is ordered now."""
        try:
            self._sound(order)
            try:
                after = self._fit(state, order)
            except _UnfitError as unfit:
                return self._offered(state, order, unfit)
            return self._install(state, order.id, after)
        except RefusedError as refused:
            return refused.refusal

    def withdraw(self, state: State, id_: str) -> Install | Refusal:
        """An order ends."""
        if id_ in self._placing.slices:
            return Refusal(
                what=f"slice {id_!r} belongs to the experiment",
                tag="operation-not-supported",
                expected="a slice that was ordered at run time",
            )
        if state.book.find(id_) is None:
            return Refusal(what=f"there is no slice {id_!r}", tag="data-missing")
        left = tuple(one for one in state.book.placed if one.slice.id != id_)
        return self._install(state, id_, Book(placed=left, serial=state.book.serial))

    def bounds(self, state: State) -> dict[str, int]:
        """Path id -> the longest one-way delay of an order's packets, ns, if it has any."""
        return self._holding.bounds(state)

    # Deciding

    def _sound(self, order: Slice) -> None:
        """Raises RefusedError for what no state of this network carries."""
        if order.id in self._placing.slices:
            raise RefusedError(
                f"slice {order.id!r} is there already", tag="data-exists", path="/id"
            )
        if self.first.scheduler == "time_aware":
            raise RefusedError(
                "the cycles of time-aware ports are planned before traffic",
                tag="operation-not-supported",
                expected="scheduler htb, strict_priority or fifo",
            )
        self._placing.check(order)
        uncarried(order)

    def _fit(self, state: State, order: Slice) -> Book:
        """The book with the order in it, if all promises hold. Raises RefusedError."""
        old = state.book.find(order.id)
        others = tuple(one for one in state.book.placed if one is not old)
        alone = self._placing.alone(others, order)
        self._queued(order)
        room = self._serving.room(Book(placed=others))
        down = frozenset((a, b) for link in state.broken() for a in link for b in link if a != b)
        held = alone and all(one.rate_bps >= 8 for one in order.contracts())
        if self.first.scheduler == "htb":  # what is not used is lent, unless a proof needs it not
            mine = any(proved(one.slo) for one in order.contracts())
            held = held and (mine or self._holding.promising(state))
        unfit: _UnfitError | None = None
        for ways in self._placing.ways(order, room, down):
            kept = held and self._serving.tells(ways)
            book = self._placing.placed(state.book, order, ways, old, held=kept)
            self._serving.check(book, _in(book, order.id))
            lacks = self._holding.lacks(state, self._having(state, old, book), order.id)
            if not lacks:
                return book
            unfit = _UnfitError(order, lacks)
        assert unfit is not None
        raise unfit

    def _queued(self, order: Slice) -> None:
        """Raises RefusedError for a rate where nothing keeps one, and for a queue where none can
        be made."""
        kept = self.first.scheduler != "fifo" and self._placing.policy.queue_of(order) is not None
        rated = [one for one in order.contracts() if one.slo.guaranteed_bps]
        if rated and not kept:
            raise RefusedError(
                "a rate cannot be guaranteed: packets of all slices share one queue",
                path=term_path(order, rated[0], TERM_OF["guaranteed_bps"].yang),
                where=f"policy {self.first.policy}, scheduler {self.first.scheduler}",
                expected="a policy and a scheduler that give the slice a queue",
                remedy="order it without a rate; or begin with --policy admitted"
                + ("" if self._requeues else " --lab virtual"),
            )
        if kept and not self._requeues:
            raise RefusedError(
                "the slice needs a queue, and this lab's kernel cannot change queues that packets "
                "wait in",
                tag="operation-not-supported",
                where=f"policy {self.first.policy}, scheduler {self.first.scheduler}",
                expected="a lab whose kernel can, or a policy without queues",
                remedy="begin with --lab virtual; or with --policy shortest_path, for slices "
                "without a rate",
            )

    def _having(self, state: State, old: Placed | None, book: Book) -> State:
        """A state with another book: ports as they are then."""
        made = [one for one in (old, book.placed[-1]) if one is not None]
        changed = [one for one in book.placed if one not in state.book.placed]
        ways = [one.path.nodes for placed in (*made, *changed) for one in placed.carried]
        links = [link for nodes in ways for link in pairwise(nodes)]
        queued = {port.name: port for port in self._serving.ports(book, links)}
        ports = tuple(queued.get(port.name, port) for port in state.ports)
        return msgspec.structs.replace(state, ports=ports, book=book)

    def _offered(self, state: State, order: Slice, unfit: _UnfitError) -> Refusal:
        """The refusal with the nearest orders that would fit."""

        def fits(other: Slice) -> bool:
            try:
                self._fit(state, other)
            except RefusedError:
                return False
            return True

        found = list(offers(order, fits, None, unfit.delay_ns))
        remedy = "order " + ", or ".join(found) if found else ""
        return msgspec.structs.replace(unfit.refusal, remedy=remedy)

    def at_once(self, book: Book) -> State:
        """The first state with all orders of a book, as if they had been planned together."""
        first = self.first
        every = [(port.node, port.peer_node) for port in first.ports]
        queued = {port.name: port for port in self._serving.ports(book, every)}
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
            for rule in order_rules(self._serving.wiring, carried)
        )

    def steps(self, before: Book, after: Book) -> tuple[Step, ...]:
        """From one book to another; none if nothing changes."""
        serving = self._serving
        old = [placed for placed in before.placed if after.find(placed.slice.id) != placed]
        new = [placed for placed in after.placed if before.find(placed.slice.id) != placed]
        ways = [one.path.nodes for placed in (*old, *new) for one in placed.carried]
        links = [link for nodes in ways for link in pairwise(nodes)]
        had = serving.ports(before, links)
        between = serving.ports(after, links, leaving=old)
        final = serving.ports(after, links)
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
        along = self._serving.wiring.along
        return min(MOST_DRAIN_NS, max((passage_ns(along(nodes)) for nodes in ways), default=0))


class _UnfitError(RefusedError):
    """An order beside which something promised would not hold."""

    def __init__(self, order: Slice, lacks: Sequence[Lack]) -> None:
        first = next((one for one in lacks if one.slice == order.id), lacks[0])
        term = TERM_OF[first.field]
        whose = "" if first.slice == order.id else f", which slice {first.slice} was promised"
        contracts = {f"{order.id}/{one.id}": one for one in order.contracts()}
        mine = contracts.get(first.path)
        super().__init__(
            first.what + whose,
            path=term_path(order, mine, term.yang) if mine else "",
            where=f"{first.path}, worst case by network calculus",
            expected=f"{term.name} kept by every packet that may be sent",
        )
        found = [one.worst_ns for one in lacks if one.field in ("delay_ns", "delay_percentile_ns")]
        known = [ns for ns in found if ns is not None]
        own = all(one.slice == order.id for one in lacks) and len(known) == len(lacks)
        self.delay_ns = max(known) if own else None
        """What would have to be promised in place of its delays, if that is all it takes."""


def _in(book: Book, id_: str) -> Placed:
    placed = book.find(id_)
    assert placed is not None
    return placed


def _changed(before: Sequence[Port], after: Sequence[Port]) -> tuple[Port, ...]:
    return tuple(port for old, port in zip(before, after, strict=True) if port != old)


def _entrance(rule: Rule) -> bool:
    return "mpls_label" not in rule.match
