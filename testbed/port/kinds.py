"""Every kind of stage, in the order of their attributes."""

from __future__ import annotations

from testbed.port.background import Background
from testbed.port.channel import Channel
from testbed.port.gates import Gates
from testbed.port.policers import Policers
from testbed.port.queues import Queues
from testbed.port.stage import Stage
from testbed.port.transmitter import Transmitter

AnyStage = Background | Policers | Queues | Gates | Transmitter | Channel
KINDS: tuple[type[Stage], ...] = AnyStage.__args__
