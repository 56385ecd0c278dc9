"""All stages of a run, in their order: each rests on those before it."""

from __future__ import annotations

from testbed.stages.captures import Captures
from testbed.stages.events import Events
from testbed.stages.loads import FlowLoads
from testbed.stages.northbound import Orders
from testbed.stages.port_samples import PortSamples
from testbed.stages.ports import Ports
from testbed.stages.probes import Probes
from testbed.stages.processes import Processes
from testbed.stages.rules import Rules
from testbed.stages.seconds import Seconds
from testbed.stages.stage import RunStage

STAGES: tuple[type[RunStage], ...] = (
    Processes,
    Rules,
    Ports,
    Captures,
    FlowLoads,
    Orders,
    Events,
    Seconds,
    PortSamples,
    Probes,
)
