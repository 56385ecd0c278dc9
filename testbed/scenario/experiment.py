"""Experiment: the one class users subclass. build() asks, the testbed answers.

    class Reach(Experiment):
        \"\"\"Does the surgeon's console reach the park within 5 ms?\"\"\"

        def build(self, span: str = "18 km") -> None:
            self.topology("city", span=span)
            self.slice("surgery", sst=2, guaranteed="5 Mbit/s", delay="5 ms", priority=21)
            self.probe("telesurgery_haptic", "ue1", "park", slice="surgery", duration="10 s")

The typed parameters of build() are the experiment's options on the command line:
`testbed run reach --set span="25 km"`.
"""

from __future__ import annotations

import inspect
import math
import re
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import msgspec

from testbed.errors import InputError, TestbedError, unknown
from testbed.scenario import events
from testbed.scenario.discovery import home
from testbed.scenario.events import Event
from testbed.scenario.events.order import OrderEvent
from testbed.scenario.model import (
    Background,
    Capture,
    Flow,
    Param,
    Probe,
    Recovery,
    Scheduler,
    Slice,
    TopologyRef,
)
from testbed.scenario.orders.profile import Ends
from testbed.scenario.orders.read import check_nodes, read_orders
from testbed.scenario.params import bind
from testbed.scenario.scenario import Headline, Scenario
from testbed.scenario.written import written_slice
from testbed.traffic.kinds import KINDS
from testbed.units import rate_bps, size_bytes, time_ns, whole_ms_ns

if TYPE_CHECKING:
    from testbed.topology.model import Network


_MS = 1_000_000


class Experiment:
    """One question, asked with real packets. Subclass it and write build().

    Attributes:
        headline: what answers the question: `verdicts`, `outages`, `orders`, `isolation`,
            `bounds`, `gain` or `reach` (testbed/report/headline.py). Without, it is `orders` or
            `outages` where there are such events, else `verdicts`.
    """

    headline: Headline | None = None

    def __init__(self, network: Callable[[TopologyRef], Network]) -> None:
        self._network = network
        self._topology: TopologyRef | None = None
        self._built: Network | None = None
        self._policy = "lowest_delay"
        self._warmup = "1 s"
        self._scheduler: Scheduler = "htb"
        self._cycle = "1 ms"
        self._clock_drift_ppb = 0
        self._policing: str | None = None
        self._slices: list[Slice] = []
        self._flows: list[Flow] = []
        self._backgrounds: list[Background] = []
        self._probes: list[Probe] = []
        self._events: list[Event] = []
        self._recovery = Recovery()
        self._captures: list[Capture] = []

    def build(self, *args: Any, **kwargs: Any) -> None:
        """Say what the network is, what runs on it, and what is measured."""
        raise NotImplementedError(f"{type(self).__name__} has no build()")

    # What build() calls

    def topology(self, name: str, /, **params: Param) -> Network:
        """The network: a file of topologies/ by name, and parameters of its build().

        Returns it, so that build() can ask for its nodes and delays.
        """
        if self._topology is not None:
            raise InputError("topology() is called twice", where=type(self).__name__)
        self._topology = TopologyRef(name=name, params=params)
        self._built = self._network(self._topology)
        return self._built

    def policy(self, name: str, /) -> None:
        """How paths and queues are chosen: a file of controllers/policies/ by name."""
        self._policy = name

    def scheduler(self, kind: str, /, *, cycle: str = "1 ms") -> None:
        """How ports choose the next packet among slices that have a queue.

        `fifo` does not; `htb` keeps guaranteed rates and lends what is not used (default);
        `strict_priority` serves whoever comes first by priority; `time_aware` opens each
        guaranteed slice's gate once a `cycle`, for its rate (IEEE 802.1Qbv).
        """
        if kind not in get_args(Scheduler):
            raise unknown("scheduler", kind, get_args(Scheduler), where=type(self).__name__)
        self._scheduler, self._cycle = cast(Scheduler, kind), cycle

    def policing(self, burst: str = "16 kB", /) -> None:
        """Drop, where they enter the network, what slices send beyond their maximum rates.

        `burst` is what a slice may send at once, a message's packets together.
        """
        self._policing = burst

    def warmup(self, time: str, /) -> None:
        """Packets of the first `time` are kept but not judged (default 1 s)."""
        self._warmup = time

    def clocks(self, *, drift_ppm: float) -> None:
        """Let each host's clock be slow or fast by its own part of up to `drift_ppm` millionths.

        What the host sends at intervals drifts with it (real clocks: 1 to 100). The lab's own
        clock, by which delays are measured, does not.
        """
        self._clock_drift_ppb = _ppb(drift_ppm, "clocks")
        if self._clock_drift_ppb < 0:
            raise InputError(f"drift_ppm = {drift_ppm:g}", where="clocks", expected="0 or more")

    def slice(
        self,
        id: str,
        /,
        *,
        sst: int,
        sd: str = "FFFFFF",
        priority: int = 80,
        guaranteed: str | None = None,
        maximum: str | None = None,
        delay: str | None = None,
        delay_percentile: tuple[float, str] | None = None,
        variation: str | None = None,
        variation_percentile: tuple[float, str] | None = None,
        loss: float | None = None,
        availability: float | None = None,
        mtu: str | None = None,
        diversity: str = "none",
        protection: str = "none",
        isolation: str = "shared",
        ends: Sequence[tuple[str, str]] = (),
        burst: str | None = None,
        description: str = "",
    ) -> str:
        """A slice: S-NSSAI (sst, sd), scheduling priority (1 first), and what it promises.

        Returns its id, for probe() and flow().

        Args:
            guaranteed, maximum: rate kept on every link, rate never exceeded; of what frames
                take on the wire, which for Ethernet is 24 bytes each besides their own.
            delay, variation: one-way maxima, such as "5 ms".
            delay_percentile, variation_percentile: such as (99.9, "2 ms").
            loss, availability: ratios, such as 1e-5 and 0.99999.
            mtu: largest layer 2 packet, such as "1500 B".
            diversity: what a backup path may not share with its path: none, link, node.
            protection: what keeps it going when a link fails: none, reactive,
                fast_failover or frer.
            isolation: shared, or dedicated-queue: no other slice's packet in its queues.
            ends: pairs of nodes the promise connects, both ways; without, it holds for
                the sessions and loads that name the slice.
            burst: what an end may send at once.
        """
        self._unique(id, [s.id for s in self._slices], "slice")
        self._slices.append(
            written_slice(
                id,
                sst=sst,
                sd=sd,
                priority=priority,
                guaranteed=guaranteed,
                maximum=maximum,
                delay=delay,
                delay_percentile=delay_percentile,
                variation=variation,
                variation_percentile=variation_percentile,
                loss=loss,
                availability=availability,
                mtu=mtu,
                diversity=diversity,
                protection=protection,
                isolation=isolation,
                ends=ends,
                burst=burst,
                description=description,
            )
        )
        return id

    def orders(
        self,
        file: str,
        /,
        *,
        format: Literal["ietf", "3gpp", "gst"] | None = None,
        terminal: str | None = None,
        server: str | None = None,
    ) -> tuple[str, ...]:
        """The slices an order file asks for; their ids. See testbed.scenario.orders.

        They are the same objects that slice() makes.

        Args:
            file: relative to the folder of the experiment's own file, such as
                "orders/city_ietf.json", or to the project.
            format: without, told from the document.
            terminal, server: nodes a 3GPP or GST profile connects, which it does not say.
        """
        path = self._order_file(file)
        slices = read_orders(path, format, Ends(terminal, server)).slices
        if self._built is not None:
            check_nodes(slices, [node.name for node in self._built.nodes], str(path))
        taken = {each.id for each in self._slices}
        for each in slices:
            self._unique(each.id, taken, "slice")
        self._slices += slices
        return tuple(each.id for each in slices)

    def probe(
        self,
        app: str,
        terminal: str,
        server: str,
        /,
        *,
        slice: str,
        duration: str,
        start: str = "0 s",
        phase: str | None = None,
        drift_ppm: float | None = None,
        interval: str | None = None,
        size: str | None = None,
        deadline: str | None = None,
        id: str | None = None,
    ) -> str:
        """Measure an application class between a terminal and its compute.

        Size, interval, DSCP, direction and deadline are the class's unless given.
        Returns the probe's id (`app`, or `app-2` for its second probe ...).

        Args:
            start: the earliest moment. A class that sends at intervals begins anywhere in
                the first one, by the seed ...
            phase: ... or so long after `start`.
            drift_ppm: intervals are longer by so many millionths (see clocks()).
        """
        where = f"probe {id or app}"
        taken = [p.id for p in self._probes]
        if id is None:
            id = app
            while id in taken:
                id = f"{app}-{int(id.removeprefix(app + '-')) + 1 if id != app else 2}"
        self._unique(id, taken, "probe")
        self._probes.append(
            Probe(
                id=id,
                app=app,
                terminal=terminal,
                server=server,
                slice=slice,
                start_ns=time_ns(start, f"{where}, start"),
                phase_ns=time_ns(phase, f"{where}, phase") if phase is not None else None,
                drift_ppb=_ppb(drift_ppm, where) if drift_ppm is not None else None,
                duration_ns=_positive(time_ns(duration, f"{where}, duration"), where, "duration"),
                interval_ns=_positive(time_ns(interval, f"{where}, interval"), where, "interval")
                if interval is not None
                else None,
                size_bytes=size_bytes(size, f"{where}, size") if size is not None else None,
                deadline_ns=_positive(time_ns(deadline, f"{where}, deadline"), where, "deadline")
                if deadline is not None
                else None,
            )
        )
        return id

    def flow(
        self,
        id: str,
        src: str,
        dst: str,
        /,
        *,
        slice: str,
        rate: str,
        duration: str,
        kind: str = "udp",
        start: str = "0 s",
        phase: str | None = None,
        drift_ppm: float | None = None,
        packet: str = "1448 B",
        dscp: int = 0,
    ) -> str:
        """Load from src to dst: constant-rate `udp`, a cheaper `flood` in bursts of a
        millisecond, or iperf3's `tcp`.

        `start`, `phase` and `drift_ppm` are as probe()'s; TCP has no phase.
        """
        where = f"flow {id}"
        if kind not in KINDS:
            raise unknown("kind of load", kind, KINDS, where=where)
        if isinstance(dscp, bool) or not isinstance(dscp, int) or not 0 <= dscp <= 63:
            raise InputError(f"dscp = {dscp!r}", where=where, expected="0 to 63 (RFC 2474)")
        packet_bytes = size_bytes(packet, f"{where}, packet")
        if not 16 <= packet_bytes <= 1448:
            raise InputError(
                f"packet = {packet!r}", where=where, expected="16 B to 1448 B of UDP payload"
            )
        self._unique(id, [f.id for f in self._flows], "flow")
        self._flows.append(
            Flow(
                id=id,
                src=src,
                dst=dst,
                slice=slice,
                kind=kind,
                rate_bps=rate_bps(rate, f"{where}, rate"),
                packet_bytes=packet_bytes,
                dscp=dscp,
                start_ns=time_ns(start, f"{where}, start"),
                phase_ns=time_ns(phase, f"{where}, phase") if phase is not None else None,
                drift_ppb=_ppb(drift_ppm, where) if drift_ppm is not None else None,
                duration_ns=_positive(time_ns(duration, f"{where}, duration"), where, "duration"),
            )
        )
        return id

    def background(
        self,
        id: str,
        src: str,
        dst: str,
        /,
        *,
        slice: str,
        rate: str,
        duration: str,
        packet: str | Mapping[str, int] = "1518 B",
        arrivals: Literal["poisson", "periodic"] = "poisson",
        burst: int = 1,
        start: str = "0 s",
    ) -> str:
        """Modelled load from src to dst, which costs no packets: only the virtual lab has it.

        Each port of its path counts seeded arrivals in the slice's queue, as many at
        every port: what one port delays or drops is not missing at the next.

        Args:
            packet: size in the ports, "1518 B" being a full frame with its label, or
                sizes and their weights, such as {"64 B": 7, "594 B": 4, "1518 B": 1}.
            burst: packets that arrive together.
        """
        where = f"background {id}"
        if arrivals not in ("poisson", "periodic"):
            raise InputError(
                f"arrivals = {arrivals!r}", where=where, expected="poisson or periodic"
            )
        mix = {packet: 1} if isinstance(packet, str) else dict(packet)
        whole = {"burst": burst, **{f"weight of {size}": w for size, w in mix.items()}}
        for name, value in whole.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise InputError(f"{name} = {value!r}", where=where, expected="a whole number")
        self._unique(id, [b.id for b in self._backgrounds], "background")
        self._backgrounds.append(
            Background(
                id=id,
                src=src,
                dst=dst,
                slice=slice,
                rate_bps=rate_bps(rate, f"{where}, rate"),
                sizes=tuple((size_bytes(s, f"{where}, packet"), w) for s, w in mix.items()),
                arrivals=arrivals,
                burst=burst,
                start_ns=time_ns(start, f"{where}, start"),
                duration_ns=_positive(time_ns(duration, f"{where}, duration"), where, "duration"),
            )
        )
        return id

    def at(self, time: str, event: Event, /) -> None:
        """Something happens `time` after traffic starts, such as cut_fibre("c1", "c2")."""
        if not isinstance(event, Event):
            raise InputError(
                f"at() was given {event!r}",
                where=type(self).__name__,
                expected="an event of testbed.scenario.events, such as cut_fibre(a, b)",
            )
        at_ns = time_ns(time, f"at {event.text}")
        self._events.append(msgspec.structs.replace(event, at_ns=at_ns))

    def recovery(
        self,
        *,
        control_delay: str = "5 ms",
        decision: str = "1 ms",
        wait_to_restore: str = "1 s",
        bfd: str | None = None,
    ) -> None:
        """How fast failures are seen and answered (see Recovery).

        Args:
            control_delay: one-way, between each switch and the controller.
            decision: what the controller takes to answer.
            wait_to_restore: how long a link is up before the controller uses it again.
            bfd: interval of BFD between switches, whole milliseconds; without it a fibre
                that falls silent is no failure to anybody.
        """
        where = "recovery"
        self._recovery = Recovery(
            control_delay_ns=time_ns(control_delay, f"{where}, control_delay"),
            decision_ns=time_ns(decision, f"{where}, decision"),
            wait_to_restore_ns=time_ns(wait_to_restore, f"{where}, wait_to_restore"),
            bfd_ns=None if bfd is None else whole_ms_ns(bfd, f"{where}, bfd"),
        )

    def capture(self, node: str, peer: str, /) -> None:
        """Write the packets of node's port towards peer to captures/NODE-PEER.pcap."""
        capture = Capture(node=node, peer=peer)
        if capture not in self._captures:
            self._captures.append(capture)

    def _order_file(self, file: str) -> Path:
        """Where an order file is. Raises InputError with the places that were looked at."""
        places = dict.fromkeys((Path(inspect.getfile(type(self))).parent / file, home() / file))
        for path in places:
            if path.is_file():
                return path
        raise InputError(
            f"there is no order file {file!r}",
            where=f"{type(self).__name__}, orders()",
            expected=" or ".join(map(str, places)),
            remedy="a path relative to the experiment's own file, or to the project",
        )

    def _unique(self, id: str, taken: Collection[str], kind: str) -> None:
        allowed = id and all(c.isascii() and (c.isalnum() or c in "_-.") for c in id)
        if not allowed or len(id) > 64:
            raise InputError(
                f"{kind} id {id!r}",
                where=type(self).__name__,
                expected="1 to 64 letters, digits, '-', '_' or '.'",
            )
        if id in taken:
            raise InputError(
                f"two {kind}s are called {id!r}",
                where=type(self).__name__,
                expected="each id once",
                remedy=f"give the second one its own id, such as {id + '-2'!r}",
            )


def _positive(value: int, where: str, name: str) -> int:
    if value <= 0:
        raise InputError(f"{name} is zero", where=where, expected=f"a {name} > 0")
    return value


def _ppb(ppm: float, where: str) -> int:
    """Millionths as whole parts per billion."""
    if isinstance(ppm, bool) or not isinstance(ppm, int | float) or not math.isfinite(ppm):
        raise InputError(f"drift_ppm = {ppm!r}", where=where, expected="a number, such as 50")
    return round(ppm * 1000)


def scenario_of(
    name: str,
    kind: type[Experiment],
    given: Mapping[str, object],
    *,
    seed: int,
    network: Callable[[TopologyRef], Network],
) -> Scenario:
    """The frozen scenario that an experiment's build() describes.

    `network` builds a topology by reference. Raises InputError for whatever build()
    got wrong.
    """
    where = f"experiment {name}"
    params = bind(kind.build, given, where)
    experiment = kind(network)
    try:
        experiment.build(**params)
    except TestbedError:
        raise
    except Exception as error:  # whatever a user's own code may raise
        file = inspect.getfile(kind)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        line = f"{file}:{frames[-1].lineno}" if frames else where
        raise _misspelt(error, experiment, line) or InputError(
            f"build() failed: {type(error).__name__}: {error}", where=line
        ) from error
    if experiment._topology is None:
        raise InputError("build() names no topology", where=where, expected="self.topology(NAME)")
    if kind.headline not in (None, *get_args(Headline)):
        raise unknown("headline", str(kind.headline), get_args(Headline), where=where)
    if not experiment._slices:
        raise InputError("build() defines no slice", where=where, expected="self.slice(ID, sst=..)")
    scenario = Scenario(
        experiment=name,
        question=_question(kind),
        headline=kind.headline or _headline(experiment._events),
        params=params,
        seed=seed,
        policy=experiment._policy,
        topology=experiment._topology,
        slices=tuple(experiment._slices),
        flows=tuple(experiment._flows),
        backgrounds=tuple(experiment._backgrounds),
        probes=tuple(experiment._probes),
        events=tuple(sorted(experiment._events, key=lambda e: e.at_ns)),
        recovery=experiment._recovery,
        captures=tuple(experiment._captures),
        warmup_ns=time_ns(experiment._warmup, f"{where}, warmup"),
        scheduler=experiment._scheduler,
        cycle_ns=time_ns(experiment._cycle, f"{where}, cycle"),
        clock_drift_ppb=experiment._clock_drift_ppb,
        policing_burst_bytes=size_bytes(experiment._policing, f"{where}, policing")
        if experiment._policing is not None
        else None,
    )
    try:
        msgspec.json.encode(scenario)
    except UnicodeEncodeError as error:
        what = f"a text has a character that no file can hold: {error.object[error.start]!r}"
        raise InputError(what, where=where, expected="Unicode without surrogates") from error
    return scenario


def _misspelt(error: Exception, experiment: Experiment, where: str) -> InputError | None:
    """The nearest name for what build() calls or passes and Experiment does not have."""
    if isinstance(error, AttributeError) and error.obj is experiment:
        known = [name for name in dir(Experiment) if not name.startswith("_") and name != "build"]
        return unknown("method of Experiment", str(error.name), known, where=where)
    wrong = re.search(r"(\w+)\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if isinstance(error, TypeError) and wrong is not None:
        call, keyword = wrong.groups()
        function = getattr(Experiment, call, None) or getattr(events, call, None)
        if function is not None:
            known = [
                each.name
                for each in inspect.signature(function).parameters.values()
                if each.kind is each.KEYWORD_ONLY
            ]
            return unknown(f"argument of {call}()", keyword, known, where=where)
    return None


def _headline(happens: Sequence[Event]) -> Headline:
    if any(isinstance(event, OrderEvent) for event in happens):
        return "orders"
    return "outages" if happens else "verdicts"


def _question(kind: type[Any]) -> str:
    return next(iter((kind.__doc__ or "").strip().splitlines()), "")
