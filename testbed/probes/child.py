"""How the engine and its processes talk.

The engine writes one line of JSON (the job) to a child's standard input; the child
answers `ready`; the engine writes `start NANOSECONDS` to those that wait for it.
Sockets are inherited. A child ends on SIGTERM, and when its parent is gone.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def read_job() -> dict[str, Any]:
    job: dict[str, Any] = json.loads(sys.stdin.readline() or "{}")
    return job


def say_ready() -> None:
    print("ready", flush=True)


def read_start() -> int | None:
    """CLOCK_MONOTONIC start of traffic in ns; None if the parent gave up."""
    words = sys.stdin.readline().split()
    return int(words[1]) if words else None
