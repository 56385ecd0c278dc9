"""Which orders are in a network, what they leave of its links, and where one more fits.

    ledger = Ledger(graph)
    placed = ledger.place(order)      or Refused: what binds, and by how much
    ledger.offers(order)              what would fit instead

An order is a slice's demands: all of them are carried, or none is. On every link of its
paths, backups included, it keeps its rate. A switch port keeps 5 % for best effort and has
so many queues.

A promised delay holds for the worst case: propagation, devices and transmission, and the
network-calculus bound of what waits behind everyone admitted (promises.py). One order more
may break another's promise, and is then refused. Backups are held against the delay of a
packet alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import networkx as nx

from testbed.errors import PlanError
from testbed.frames import LABEL_BYTES, LABELLED_FRAME_BYTES
from testbed.port.queues import MAX_QUEUES
from testbed.slices.costs import sender
from testbed.slices.disjoint import disjoint_pair
from testbed.slices.order import Diversity, Offer, Order, Placed, Refused, with_delays
from testbed.slices.paths import constrained_path, least_cost_path, path_sum
from testbed.slices.policy import BEST_EFFORT_SHARE, Demand, Route
from testbed.slices.promises import Link, Passing, Promises
from testbed.units import least_ns, show_bps, show_ns

ALONE = "alone_ns"
"""Edge attribute: delay and transmission of a packet that meets no other."""


class _UnfitError(Exception):
    """A demand that does not fit."""

    def __init__(self, demand: str, what: str, where: str, instead: str = "") -> None:
        super().__init__(what)
        self.demand, self.what, self.where, self.instead = demand, what, where, instead


class Ledger:
    """Orders in a network."""

    def __init__(self, graph: nx.DiGraph, beside: Sequence[Passing] | None = None) -> None:
        """`graph` and `beside` are those of Promises."""
        self.graph, self._beside = nx.freeze(graph), beside
        self.placed: dict[str, Placed] = {}
        self.room: dict[Link, int] = {}
        """Rate that is left on each link with one."""
        self.queues: dict[Link, int] = defaultdict(int)
        """Orders on each link."""
        self._sized: dict[int, nx.DiGraph] = {}
        self._promises: Promises | None = None
        self._tried: tuple[Placed, Promises] | None = None
        """The last order that was tried, and what is promised with it."""
        for link, rate in graph.edges.items():
            if rate["rate_bps"] is not None:
                switch = graph.nodes[link[0]]["role"] == "switch"
                bps = rate["rate_bps"]
                self.room[link] = bps - bps // BEST_EFFORT_SHARE if switch else bps

    def place(self, order: Order, *, calculus: bool = True) -> Placed | Refused:
        """The order with its routes, which is in the ledger from now on; or why not.

        Args:
            calculus: promised delays hold beside all others; else with the order alone.
        """
        try:
            placed = self._fit(order, calculus)
        except _UnfitError as unfit:
            return Refused(order.id, unfit.demand, unfit.what, unfit.where, instead=unfit.instead)
        self.add(placed)
        return placed

    def copy(self) -> Ledger:
        """The same orders, for a trial."""
        other = Ledger(self.graph, self._beside)
        for placed in self.placed.values():
            other.add(placed)
        return other

    def promising(self) -> bool:
        """Whether any delay is promised."""
        return any(d.delay_ns is not None for p in self.placed.values() for d in p.order.demands)

    def add(self, placed: Placed) -> None:
        """Enter an order whose routes are known."""
        self.placed[placed.order.id] = placed
        self._count(placed, 1)
        if self._tried is not None and self._tried[0] is placed:
            self._promises = self._tried[1]
        self._tried = None

    def remove(self, id_: str) -> Placed:
        """Take an order out."""
        placed = self.placed.pop(id_)
        self._count(placed, -1)
        self._promises = None
        return placed

    def _count(self, placed: Placed, sign: int) -> None:
        for link, rate in placed.keeps().items():
            self.queues[link] += sign
            if link in self.room:
                self.room[link] -= sign * rate

    def promises(self) -> Promises:
        """The worst delay of every demand in the ledger."""
        if self._promises is None:
            self._promises = Promises(self.graph, self._beside)
        late = [p for id_, p in self.placed.items() if id_ not in self._promises.orders]
        if late:
            self._promises.enter(placed.entry() for placed in late)
        return self._promises

    def broken(self, promises: Promises, also: Placed | None = None) -> list[Demand]:
        """The demands whose promised delay is less than their worst; those of `also` first."""
        every = [*([also] if also else []), *self.placed.values()]
        return [
            demand for placed in every for demand in placed.order.demands if promises.broken(demand)
        ]

    def sized(self, demand: Demand) -> nx.DiGraph:
        """The network with what the demand's packets take on each link."""
        size = (
            demand.traffic.largest_bytes + LABEL_BYTES if demand.traffic else LABELLED_FRAME_BYTES
        )
        if size not in self._sized:
            graph = self.graph.copy()
            for edge in graph.edges.values():
                edge[ALONE] = edge["delay_ns"] + sender(edge).sent_ns(size)
            self._sized[size] = nx.freeze(graph)
        return self._sized[size]

    # Where an order fits

    def _fit(self, order: Order, calculus: bool) -> Placed:
        """Routes of fewest links that keep all promises, or else the fastest ones."""
        placed = self._routed(order, None)
        silent = all(demand.delay_ns is None for demand in order.demands)
        if silent and not (calculus and self.promising()):
            return placed
        keep = self._keep if calculus else self._keep_alone
        try:
            keep(placed)
        except _UnfitError:
            placed = self._routed(order, ALONE)
            keep(placed)
        return placed

    def _keep(self, placed: Placed) -> None:
        """Raises _UnfitError where a promise would be broken."""
        promises = self._with(placed)
        self._hold(placed, self.broken(promises, placed), promises.worst)

    def _keep_alone(self, placed: Placed) -> None:
        alone = self.alone(placed)
        broken = [demand for demand in placed.order.demands if alone.broken(demand)]
        self._hold(placed, broken, alone.worst)

    def alone(self, placed: Placed) -> Promises:
        """The worst delays of an order's demands if no other order were there."""
        promises = Promises(self.graph, self._beside)
        self._enter(promises, placed)
        return promises

    def late(self, placed: Placed, demand: Demand) -> bool:
        """Whether a demand is, if its order were alone."""
        try:
            return self.alone(placed).broken(demand)
        except _UnfitError:
            return True

    def _hold(
        self, placed: Placed, broken: Sequence[Demand], worst: Mapping[str, int | None]
    ) -> None:
        for demand in broken:
            found, asked = worst[demand.id], demand.delay_ns or 0
            mine = demand in placed.order.demands
            whose = "" if mine else f", which slice {demand.slice.id} was promised"
            if found is None:
                what = "no delay can be promised: nothing holds its packets, or those before them"
                raise _UnfitError(demand.id, what + whose, "")
            raise _UnfitError(
                demand.id,
                f"packets may take {show_ns(found)}, {show_ns(found - asked)} more than "
                f"{show_ns(asked)}{whose}",
                "worst case by network calculus",
                "" if mine else _instead(broken, worst),
            )

    def _with(self, placed: Placed) -> Promises:
        promises = self.promises().fork()
        self._enter(promises, placed)
        self._tried = placed, promises
        return promises

    def _enter(self, promises: Promises, placed: Placed) -> None:
        """Raises _UnfitError where ports cannot have the queues, as where cycles are short."""
        try:
            promises.enter([placed.entry()])
        except PlanError as error:
            first = placed.order.demands[0].id
            raise _UnfitError(first, error.what, error.where, error.remedy) from None

    def _routed(self, order: Order, weight: str | None) -> Placed:
        routes: list[Route] = []
        for demand, rate in zip(order.demands, order.rates_bps, strict=True):
            own = Placed(order, tuple(routes)).keeps()
            full = {link for link in self.room if self._lacks(link, order, rate, own)}
            graph = self.sized(demand)
            some = graph
            if full:
                some = graph.copy()
                some.remove_edges_from(full)
            try:
                routes.append(route(some, demand, order.diversity, weight))
            except PlanError as error:
                raise self._unfit(order, demand, rate, full, error) from None
        return Placed(order, tuple(routes))

    def _lacks(self, link: Link, order: Order, rate: int, own: Mapping[Link, int]) -> bool:
        mine = own.get(link, 0)
        wanted = max(rate, mine) if order.together else rate + mine
        return self.room[link] < wanted or (link not in own and self._crowded(link))

    def _crowded(self, link: Link) -> bool:
        return self.queues[link] >= MAX_QUEUES - 1

    def _unfit(
        self, order: Order, demand: Demand, rate: int, full: Collection[Link], error: PlanError
    ) -> _UnfitError:
        """What binds: the scarcest link of the route that there would be if all had room."""
        try:
            free = route(self.sized(demand), demand, order.diversity, None)
        except PlanError as alone:
            what = alone.what + (f"; {alone.expected}" if "or less" in alone.what else "")
            return _UnfitError(demand.id, what, alone.where)
        crossed = {*pairwise(free.nodes), *pairwise(free.backup)}
        short = sorted(crossed & set(full), key=lambda link: (self.room[link], link))
        if not short:
            return _UnfitError(demand.id, error.what, error.where)
        link = short[0]
        where = f"link {link[0]} -> {link[1]}"
        left = max(0, self.room[link])
        if left >= rate and self._crowded(link):
            return _UnfitError(demand.id, f"the port has {MAX_QUEUES} queues already", where)
        lack = rate - left
        what = f"{show_bps(left)} are left of {show_bps(rate)} asked, {show_bps(lack)} too little"
        if lack <= 0:  # for one of its demands, not for all of them
            what = f"{show_bps(left)} are left, for all its demands together"
        return _UnfitError(demand.id, what, where)

    # What would fit instead

    def offers(self, order: Order) -> Iterator[Offer]:
        """For one that does not fit, of each kind the nearest that does, if any."""
        for offer in (self._most_rate(order), self._least_delay(order)):
            if offer is not None and self._fits(offer.of(order)):
                yield offer
        if order.diversity != "none":
            offer = Offer(diversity="none")
            if self._fits(offer.of(order)):
                yield offer

    def _fits(self, order: Order) -> Placed | None:
        try:
            return self._fit(order, calculus=True)
        except _UnfitError:
            return None

    def _has_room(self, order: Order) -> Placed | None:
        try:
            return self._routed(order, None)
        except _UnfitError:
            return None

    def _most_rate(self, order: Order) -> Offer | None:
        """The largest rate that has room, where the one that is asked has not."""
        low, high = 0, max(order.rates_bps, default=0)
        if self._has_room(order):
            return None
        while low + 1 < high:
            middle = (low + high) // 2
            if self._has_room(Offer(rate_bps=middle).of(order)):
                low = middle
            else:
                high = middle
        return Offer(rate_bps=low) if low else None

    def _least_delay(self, order: Order) -> Offer | None:
        """The least delay that can be promised on routes with room."""
        try:
            placed: Placed | None = self._routed(with_delays(order, None), ALONE)
        except _UnfitError:
            return None
        least = None
        while placed is not None:
            try:
                worst = self._worst(placed, order)
            except _UnfitError:
                break
            if worst is None or (least is not None and worst >= least):
                break
            least = worst  # the fastest alone need not be the least crowded
            placed = self._fits(with_delays(order, least - 1))
        return None if least is None else Offer(delay_ns=least)

    def _worst(self, placed: Placed, asked: Order) -> int | None:
        """The longest delay of those demands whose delay is longer than asked."""
        promised = self._with(placed).worst
        found = []
        for demand, route in zip(asked.demands, placed.routes, strict=True):
            if demand.delay_ns is None:
                continue
            most = promised[demand.id]
            if most is None:
                return None
            ways = [nodes for nodes in (route.nodes, route.backup) if nodes]
            found.append(max(most, *(path_sum(self.sized(demand), way, ALONE) for way in ways)))
            if found[-1] <= demand.delay_ns:
                found.pop()
        return max(found, default=None)


def _instead(broken: Iterable[Demand], worst: Mapping[str, int | None]) -> str:
    """What could be promised to the one slice whose promise would be broken."""
    found = [(demand.slice.id, worst[demand.id]) for demand in broken]
    least = [most for _, most in found if most is not None]
    if len({id_ for id_, _ in found}) > 1 or len(least) < len(found):
        return ""
    return f"promise slice {found[0][0]} a delay of {least_ns(max(least))} or more"


def route(graph: nx.DiGraph, demand: Demand, diversity: Diversity, weight: str | None) -> Route:
    """The best route of a demand within its delay, alone: one path, or two disjoint ones.

    `graph` is Ledger.sized(); `weight` None counts links. Raises PlanError.
    """
    src, dst, most = demand.src, demand.dst, demand.delay_ns
    if diversity != "none" and set(graph.pred[dst]) != set(graph[src]):
        pair = disjoint_pair(
            graph, src, dst, avoid=diversity, weight=weight, bound_ns=most, delay=ALONE
        )
        return Route(nodes=pair.primary, backup=pair.backup)
    if most is None:
        return Route(nodes=least_cost_path(graph, src, dst, weight))
    return Route(nodes=constrained_path(graph, src, dst, most, cost=weight, delay=ALONE))
