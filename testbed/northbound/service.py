"""Slices as resources: one change at a time, written down before and after.

    service.create(document)      201: a further slice; or 200: what would come of it (test-only)
    service.replace(id, document) 201, 204: the slice is as ordered
    service.remove(id)            204
    service.read(id)              the order, and what became of it
    service.everything()          of all slices

A change takes a condition: it is asked in the change's own turn, so that of two clients
who have read the same version one wins.

A change that fails half-way is undone; if even that fails, switches being away, it is
undone before the next one. Until then the slice is as it was before, or not at all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from testbed.errors import TestbedError
from testbed.net.deltas.install import Install, Step
from testbed.net.paths import Placed
from testbed.net.restoration import restored
from testbed.net.state import Pair, State
from testbed.net.ways import Ways
from testbed.northbound.conditions import Version
from testbed.northbound.journal import Journal, Record
from testbed.northbound.problem import Fault, ProblemError
from testbed.plan.admission import Admission
from testbed.plan.refusal import Refusal
from testbed.scenario.model import Slice
from testbed.scenario.orders.ietf import from_ietf
from testbed.scenario.orders.schema import LIST, ROOT, TESTBED
from testbed.scenario.orders.write import to_ietf
from testbed.scenario.orders.yang import OrderError, quoted

_log = logging.getLogger(__name__)

TEST_ONLY = "test-only"
"""Of a slice: what would come of it is told, and nothing is reserved."""
_POLICY, _NONE = "service-slo-sle-policy/", "a bound of 0 is unbounded"
"""What is written below the one promises, but for the other."""
MOST_SLICES = 1000
"""Orders that may be installed at once."""
_PATIENCE_S = 60.0

Measuring = Callable[[Placed, int], dict[str, Any]]
"""What was measured of a slice since a moment (CLOCK_REALTIME): members of its state."""


Told = Callable[[Install, int, int], None]
"""Of a change that is made, and when it began and was complete (CLOCK_MONOTONIC)."""


class Carry(Protocol):
    """Puts a step on the switches. Raises TestbedError."""

    def __call__(self, step: Step, /) -> None: ...


Down = Callable[[], Set[Pair]]
"""The links that have no carrier now, each by its two nodes."""
Condition = Callable[[Version | None], None]
"""Of a change; is told the version there is, or None. Raises ProblemError."""
Content = Literal["all", "config", "nonconfig"]


class Done(NamedTuple):
    """A change that is made."""

    id: str
    new: bool
    """The slice was not there before."""
    version: Version
    notes: tuple[str, ...] = ()
    """What of the order is not carried."""
    would: Any = None
    """What would come of an order that was only to be tested: nothing is made."""


def always(_version: Version | None) -> None:
    """No condition."""


class Service:
    """The slices of one network."""

    def __init__(
        self,
        admission: Admission,
        journal: Journal,
        carry: Carry,
        measured: Measuring = lambda _placed, _since_ns: {},
        most: int = MOST_SLICES,
        told: Told = lambda _delta, _began_ns, _actual_ns: None,
        down: Down = frozenset,
    ) -> None:
        """Undoes what an earlier process left half done, as soon as switches take it."""
        self._admission, self._journal, self._carry = admission, journal, carry
        self._measured, self._most, self._told_of = measured, most, told
        self._down = down
        self._planned = {slice_.id: slice_ for slice_ in admission.first.slices}
        record = journal.read()
        self._state = admission.at_once(record.book)
        self._record = msgspec.structs.replace(record, born_ns=record.born_ns or time.time_ns())
        self._turn = threading.Lock()
        with suppress(ProblemError):  # tried again before the next change
            self._recover()

    @property
    def state(self) -> State:
        """The network with what is installed, on the links that have a carrier."""
        cut = tuple(sorted((min(link), max(link)) for link in self._down()))
        if cut == self._state.condition.cut:
            return self._state
        condition = msgspec.structs.replace(self._state.condition, cut=cut)
        return restored(msgspec.structs.replace(self._state, condition=condition))

    # Reading

    def everything(self, content: Content = "all") -> tuple[list[Any], Version]:
        """All slices at one moment."""
        record = self._record
        ids = [*self._planned, *(one.slice.id for one in record.book.placed)]
        state = self.state
        return [self._told(record, state, id_, content) for id_ in ids], _version(record)

    def read(self, id_: str, content: Content = "all") -> tuple[Any, Version]:
        """A slice as it was ordered and as it is. Raises ProblemError."""
        record = self._record
        return self._told(record, self.state, id_, content), _version(record, id_)

    def _told(self, record: Record, state: State, id_: str, content: Content) -> Any:
        placed = record.book.find(id_)
        if placed is None and id_ not in self._planned:
            raise ProblemError(404, Fault("invalid-value", f"there is no slice {id_!r}", at(id_)))
        planned = self._planned.get(id_)
        found: dict[str, Any] = {"id": id_}
        if content != "nonconfig":
            found |= record.documents[id_] if placed else _written(planned)
        if content != "config":
            found["status"] = {"oper-status": {"status": _oper(state, id_)}}
            if placed is not None:
                since_ns = record.since_ns[id_]
                found[f"{TESTBED}:state"] = _state(placed) | self._measured(placed, since_ns)
        return found

    # Changing

    def create(self, document: Any, condition: Condition = always) -> Done:
        """Install a further slice, if all slices have a version. Raises ProblemError."""
        order, written, notes = _order(document)
        with self._changing():
            if self._there(order.id):
                raise ProblemError(
                    409, Fault("data-exists", f"slice {order.id!r} is there", at(order.id))
                )
            condition(_version(self._record))
            if TEST_ONLY in written:
                return Done(order.id, True, _version(self._record), notes, self._would(order))
            self._install(order, written)
            return Done(order.id, True, _version(self._record, order.id), notes)

    def replace(self, id_: str, document: Any, condition: Condition = always) -> Done:
        """Install a slice, or have it otherwise. Raises ProblemError."""
        order, written, notes = _order(document)
        if order.id != id_:
            message = f"the body is about slice {order.id!r}, the request about {id_!r}"
            raise ProblemError(400, Fault("invalid-value", message, f"{at(order.id)}/id"))
        with self._changing():
            there = self._there(id_)
            condition(_version(self._record, id_) if there else None)
            if TEST_ONLY in written:
                now = _version(self._record, id_) if there else _version(self._record)
                return Done(id_, not there, now, notes, self._would(order))
            self._install(order, written)
            return Done(id_, not there, _version(self._record, id_), notes)

    def remove(self, id_: str, condition: Condition = always) -> None:
        """Raises ProblemError."""
        with self._changing():
            delta = self._admission.withdraw(self._state, id_)
            if isinstance(delta, Refusal):
                status = 404 if delta.tag == "data-missing" else 409
                raise ProblemError(status, _fault(id_, delta))
            condition(_version(self._record, id_))
            self._go(delta)

    def _there(self, id_: str) -> bool:
        return id_ in self._planned or self._state.book.find(id_) is not None

    def _would(self, order: Slice) -> Any:
        """The slice as it would be. Raises ProblemError."""
        delta = self._decided(order)
        assert delta.placed is not None
        bounds = self._admission.bounds(self.state + delta)
        return {LIST: [{"id": order.id, f"{TESTBED}:state": _state(delta.placed, bounds)}]}

    def _install(self, order: Slice, written: Any) -> None:
        self._go(self._decided(order), written)

    def _decided(self, order: Slice) -> Install:
        """What an order makes of the network, once it is decided. Raises ProblemError."""
        began_ns = time.monotonic_ns()
        try:
            return self._decide(order)
        finally:
            late_ns = began_ns + self._admission.first.recovery.decision_ns - time.monotonic_ns()
            time.sleep(max(0, late_ns) / 1e9)

    def _decide(self, order: Slice) -> Install:
        book = self._state.book
        there = book.find(order.id) is not None
        if not there and len(book.placed) >= self._most:
            message = f"{len(book.placed)} slices are installed; expected at most {self._most}"
            raise ProblemError(409, Fault("resource-denied", message, at(order.id)))
        delta = self._admission.admit(self.state, order)
        if isinstance(delta, Refusal):
            status = 400 if delta.tag in ("invalid-value", "missing-element") else 409
            raise ProblemError(status, _fault(order.id, delta))
        return delta

    def _go(self, delta: Install, document: Any = None) -> None:
        """Carry a delta out, or nothing of it; the document is the slice's."""
        before, id_, after = self._record, delta.id, self._state + delta
        began_ns = time.monotonic_ns()
        self._write(msgspec.structs.replace(before, begun=after.book))
        try:
            for step in delta.steps:
                self._carry(step)
        except TestbedError as problem:
            self._recover()
            raise ProblemError(500, Fault("operation-failed", f"undone: {_line(problem)}")) from (
                problem
            )
        done_ns = time.monotonic_ns()
        revision, now_ns = before.revision + 1, time.time_ns()
        documents = {known: doc for known, doc in before.documents.items() if known != id_}
        since = {known: at_ns for known, at_ns in before.since_ns.items() if known != id_}
        revisions = {known: made for known, made in before.revisions.items() if known != id_}
        if document is not None:
            documents[id_], since[id_], revisions[id_] = document, now_ns, revision
        self._write(
            Record(
                book=after.book,
                rules=self._admission.rules(after.book.placed),
                documents=documents,
                since_ns=since,
                born_ns=before.born_ns,
                revision=revision,
                modified_ns=now_ns,
                revisions=revisions,
            )
        )
        self._state = after
        done = msgspec.structs.replace(delta, at_ns=began_ns, why="asked over HTTP")
        try:
            self._told_of(done, began_ns, done_ns)
        except OSError as error:  # the slice is there all the same
            _log.error("the timeline cannot be written: %s", error.strerror)

    def _recover(self) -> None:
        """Undo a change that is not complete. Raises ProblemError if switches do not take it."""
        record = self._record
        if record.begun is None:
            return
        try:
            for step in self._admission.steps(record.begun, record.book):
                self._carry(step)
        except TestbedError as problem:
            message = f"a change is half done and will be undone: {_line(problem)}"
            raise ProblemError(503, Fault("operation-failed", message)) from problem
        self._write(msgspec.structs.replace(record, begun=None))

    def _write(self, record: Record) -> None:
        try:
            self._journal.write(record)
        except OSError as error:
            message = f"the journal cannot be written: {error.strerror}"
            raise ProblemError(500, Fault("operation-failed", message)) from error
        self._record = record

    @contextmanager
    def _changing(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_PATIENCE_S):
            raise ProblemError(503, Fault("in-use", "another change takes its time"))
        try:
            self._recover()
            yield
        finally:
            self._turn.release()


def _oper(state: State, id_: str) -> str:
    """Whether packets of all its paths get where they should, as far as is known."""
    ways = Ways(state)
    paths = (one.path for one in state.carried() if one.path.slice == id_)
    return f"ietf-vpn-common:op-{'up' if all(ways.whole(path) for path in paths) else 'down'}"


def _version(record: Record, id_: str | None = None) -> Version:
    """Of one slice, or of all."""
    if id_ is None:
        revision, modified_ns = record.revision, record.modified_ns
    else:
        revision, modified_ns = record.revisions.get(id_, 0), record.since_ns.get(id_, 0)
    return Version(f"{record.born_ns:x}-{revision}", modified_ns or record.born_ns)


def at(id_: str) -> str:
    """The instance identifier of a slice."""
    return f"/{ROOT}/slice-service[id={quoted(id_)}]"


def _order(document: Any) -> tuple[Slice, Any, tuple[str, ...]]:
    """The one slice of a request's body, as it is and as it was written, and what of it is not
    carried. Raises ProblemError with the path of each fault, and of each promise that nothing
    here keeps."""
    given = document.get(LIST) if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(given, list) or len(given) != 1:
        message = (
            f"expected an object with one member {LIST}, an array of one slice; a request "
            "carries no templates, so that its terms are in service-slo-sle-policy"
        )
        raise ProblemError(400, Fault("malformed-message", message, f"/{ROOT}"))
    try:
        (order,), notes = from_ietf({ROOT: {"slice-service": given}})
    except OrderError as error:
        raise ProblemError(
            400,
            *(
                Fault(_tag(one.what), f"{one.what}" + _expected(one.expected), one.path)
                for one in error.faults
            ),
        ) from error
    unkept = [note.partition(": ") for note in notes if _POLICY in note and _NONE not in note]
    if unkept:
        faults = (
            Fault("operation-not-supported", f"is not kept here{colon}{why}", path)
            for path, colon, why in unkept
        )
        raise ProblemError(409, *faults)
    return order, given[0], tuple(note for note in notes if not note.endswith(TEST_ONLY))


def _tag(what: str) -> str:
    tags = {"is unknown": "unknown-element", "is missing": "missing-element"}
    return next((tag for words, tag in tags.items() if what.startswith(words)), "invalid-value")


def _expected(text: str) -> str:
    return f"; expected {text}" if text else ""


def _fault(id_: str, refused: Refusal) -> Fault:
    parts = (refused.what + _expected(refused.expected), refused.where, refused.remedy)
    return Fault(refused.tag, "; ".join(filter(None, parts)), at(id_) + refused.path)


def _line(problem: TestbedError) -> str:
    return f"{problem.what} ({problem.where})" if problem.where else problem.what


def _written(planned: Slice | None) -> dict[str, Any]:
    """A slice of the experiment, as far as the module can say it."""
    assert planned is not None
    try:
        document, _ = to_ietf([planned])
    except TestbedError:  # it connects no SDPs of its own
        return {f"{TESTBED}:s-nssai": {"sst": planned.sst, "sd": planned.sd}}
    service: dict[str, Any] = document[ROOT]["slice-service"][0]
    return service


def _state(placed: Placed, bounds: Mapping[str, int] | None = None) -> dict[str, Any]:
    known = bounds or {}
    return {
        "queue": placed.queue,
        "path": [
            {"id": one.path.id, "node": list(one.path.nodes), "label": one.path.label}
            | ({"one-way-delay-bound-ns": known[one.path.id]} if one.path.id in known else {})
            for one in placed.carried
        ],
    }
