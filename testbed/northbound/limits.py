"""Who may ask, how much and how often."""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from testbed.northbound.problem import Fault, ProblemError
from testbed.northbound.wire import Head
from testbed.scenario.model import Frozen

_CLIENTS = 1024
"""Whose rates are remembered."""


class Limits(Frozen, frozen=True, kw_only=True):
    """What one server takes. Times are of the clock it runs by, which may be a lab's."""

    head_bytes: int = 16_384
    body_bytes: int = 256_000
    requests_per_s: float = 200.0
    """Of one client address, on average."""
    burst: int = 1000
    """Requests at once beyond that."""
    connections: int = 512
    """Beyond, the one that keeps the server waiting longest makes room."""
    request_s: float = 10.0
    """From a request's first byte to its last, and from an answer's first to its last."""
    patience_s: float = 10.0
    """How long a client may leave a connection idle."""


class Bucket:
    """Tokens that come at a rate, up to a burst."""

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = float(burst), clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """One token, if there is one."""
        with self._lock:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Doorkeeper:
    """Refuses what is not even read."""

    def __init__(self, limits: Limits, token: str | None, names: Collection[str]) -> None:
        self._limits, self._token = limits, token
        self._names = {"localhost", *(name.lower() for name in names)}
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def admit(self, head: Head, client: str, own: str) -> None:
        """Raises ProblemError.

        Args:
            client: its address.
            own: the address it is connected to.
        """
        if not self._bucket(client).take():
            message = f"more than {self._limits.requests_per_s:g} requests a second"
            raise ProblemError(429, Fault("resource-denied", message), fields={"Retry-After": "1"})
        if not self._known(head):
            raise ProblemError(
                401,
                Fault("access-denied", "expected Authorization: Bearer TOKEN"),
                fields={"WWW-Authenticate": "Bearer"},
            )
        if head.host is not None and not self._ours(head.host, own):
            message = f"Host: {head.host} is not this server; expected localhost, {own}"
            raise ProblemError(421, Fault("invalid-value", message))

    def _bucket(self, client: str) -> Bucket:
        found = self._buckets.setdefault(
            client, Bucket(self._limits.requests_per_s, self._limits.burst)
        )
        self._buckets.move_to_end(client)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return found

    def _known(self, head: Head) -> bool:
        if self._token is None:
            return True
        scheme, _, given = head.fields.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self._token.encode())
        return right and scheme.lower() == "bearer"

    def _ours(self, host: str, own: str) -> bool:
        """Others' names that lead here are an attack by a page in a browser (DNS rebinding)."""
        return host in self._names or host == own or loopback(host)


def loopback(address: str) -> bool:
    """Whether only this machine can mean an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
