"""A tuple of stages that packets pass, and a port of the network.

arrivals --> policers --> queues --> transmitter --> channel --> deliveries
             drop what    finite     one packet at   delay,
             is too much  buffers    a time          loss
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Self, TypeVar

import msgspec

from testbed.port.background import Background, Source
from testbed.port.channel import Channel
from testbed.port.gates import Gate, Gates, Window, windows
from testbed.port.kinds import AnyStage
from testbed.port.policers import Policer, Policers
from testbed.port.queues import Queue, Queues
from testbed.port.stage import Parts, Stage
from testbed.port.transmitter import Transmitter
from testbed.scenario.model import Frozen

Kind = TypeVar("Kind")


def stages(
    rate_bps: int | None,
    *,
    delay_ns: int = 0,
    overhead_bytes: int = 0,
    loss: float = 0.0,
    seed: int = 0,
    queues: Sequence[Queue] = (),
    default: int = 0,
    gates: Sequence[Gate] = (),
    gate_base_ns: int = 0,
    policers: Sequence[Policer] = (),
    sources: Sequence[Source] = (),
) -> tuple[AnyStage, ...]:
    """The stages of a port that sends at a rate and has a fibre of this delay."""
    return (
        *([Background(sources=tuple(sources))] if sources else []),
        *([Policers(policers=tuple(policers))] if policers else []),
        Queues(queues=tuple(queues), default=default),
        *([Gates(gates=tuple(gates), base_ns=gate_base_ns)] if gates else []),
        Transmitter(rate_bps=rate_bps, overhead_bytes=overhead_bytes),
        Channel(propagation_ns=delay_ns, loss=loss, seed=seed),
    )


class Pipeline(Frozen, frozen=True, kw_only=True, dict=True):
    """Stages by the order of their attributes, each kind at most once.

    Kinds that are left away do nothing: an empty tuple forwards at once.
    """

    stages: tuple[AnyStage, ...] = ()

    def get(self, kind: type[Kind]) -> Kind | None:
        """The stage of this kind."""
        for stage in self.stages:
            if isinstance(stage, kind):
                return stage
        return None

    def having(self, *stages: AnyStage) -> Self:
        """With these stages in place of those of their kinds."""
        kinds = {type(stage) for stage in stages}
        kept = [stage for stage in self.stages if type(stage) not in kinds]
        ordered = sorted([*kept, *stages], key=lambda stage: stage.ATTRIBUTE)
        return msgspec.structs.replace(self, stages=tuple(ordered))

    @cached_property
    def channel(self) -> Channel:
        return self.get(Channel) or Channel()

    @cached_property
    def transmitter(self) -> Transmitter:
        return self.get(Transmitter) or Transmitter(rate_bps=None)

    @cached_property
    def queueing(self) -> Queues:
        return self.get(Queues) or Queues()

    @cached_property
    def rate_bps(self) -> int | None:
        """None: not shaped."""
        return self.transmitter.rate_bps

    @cached_property
    def parts(self) -> Parts:
        """The least delay besides waiting and transmission, by cause."""
        each = [stage.parts() for stage in self.stages]
        return Parts(*map(sum, zip(*each, strict=True))) if each else Parts()

    @cached_property
    def delay_ns(self) -> int:
        """What the port adds besides rate and queues, at least: one-way."""
        return sum(self.parts)

    @cached_property
    def spread_ns(self) -> int:
        """How much later than that packets may be, waiting aside."""
        return sum(stage.spread_ns() for stage in self.stages)

    @cached_property
    def queues(self) -> tuple[Queue, ...]:
        """Empty: one FIFO."""
        return self.queueing.queues

    @cached_property
    def served(self) -> tuple[Queue, ...]:
        """The queues; of a FIFO its one, queue 0."""
        return self.queueing.served

    @property
    def buffer_packets(self) -> int:
        """Room of each queue for packets that wait."""
        return self.queueing.buffer_packets

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """One cycle; empty: all queues are always open."""
        found = self.get(Gates)
        return found.gates if found else ()

    @cached_property
    def cycle_ns(self) -> int:
        """Of the gates; 0: there are none."""
        return sum(gate.interval_ns for gate in self.gates)

    def windows(self, queue: int) -> tuple[Window, ...] | None:
        """When the queue's gate is open in a cycle; None: always."""
        return windows(self.gates, queue) if self.gates else None

    @cached_property
    def policers(self) -> tuple[Policer, ...]:
        found = self.get(Policers)
        return found.policers if found else ()

    def policer(self, queue: int) -> Policer | None:
        """That of packets that name this queue."""
        return next((one for one in self.policers if one.queue == queue), None)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Modelled background, in labs that have it."""
        found = self.get(Background)
        return found.sources if found else ()

    @property
    def loss(self) -> float:
        """Probability of loss per packet, 0 to 1."""
        return self.channel.loss

    @property
    def km(self) -> float:
        return self.channel.km

    @cached_property
    def selects(self) -> bool:
        """Whether it matters here which queue a packet names."""
        return bool(self.queues or self.policers)

    def may_drop(self, queue: int) -> bool:
        """Whether a packet that names this queue may be lost here, full buffers aside."""
        return any(stage.may_drop(queue) for stage in self.stages)

    @property
    def timed(self) -> bool:
        """Whether anything depends on when traffic starts."""
        return any(stage.timed for stage in self.stages)

    def silent(self) -> Self:
        """As it is before traffic starts."""
        return self._each(lambda stage: stage.silent()) if self.timed else self

    def begun(self, start_ns: int) -> Self:
        """As it is when traffic starts at `start_ns` of the lab's clock (CLOCK_MONOTONIC)."""
        return self._each(lambda stage: stage.begun(start_ns))

    def stored(self) -> Pipeline:
        """What a kernel keeps of it."""
        whole = Pipeline(stages=self.stages)
        whole = whole.having(self.queueing, self.transmitter, self.channel)
        return whole._each(lambda stage: stage.stored())

    def _each(self, change: Callable[[Stage], Stage | None]) -> Self:
        changed = [change(stage) for stage in self.stages]
        stages = tuple(stage for stage in changed if stage is not None)
        return msgspec.structs.replace(self, stages=stages)

    @property
    def shaped(self) -> bool:
        """Whether packets do anything else here than leave at once."""
        plain = Queues, Transmitter, Channel
        return bool(self.rate_bps or self.delay_ns or self.loss) or any(
            not isinstance(stage, plain) for stage in self.stages
        )

    def wrong(self) -> Iterator[tuple[str, str]]:
        """What no port can do, and what is expected instead."""
        for stage in self.stages:
            yield from stage.wrong(self)


class Port(Pipeline, frozen=True, kw_only=True, dict=True):
    """One end of a link, and how packets leave by it."""

    node: str
    name: str
    """Interface name, at most 15 characters."""
    number: int
    """OpenFlow port number, from 1; 0 on hosts."""
    ifindex: int
    """Chosen by the plan, unique over the whole network."""
    mac: str
    peer_node: str
    peer_name: str
    link_kind: str = msgspec.field(default="", name="link")
    """Kind of the link (testbed/links)."""
