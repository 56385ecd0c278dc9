"""Who measured what, where and with what: enough to judge a run and to repeat it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from testbed import __version__
from testbed.scenario.model import Frozen, Param
from testbed.scenario.scenario import Scenario

SCHEMA = 1

Status = Literal["ok", "failed", "unfinished"]
"""`unfinished`: the traffic was cut short. `failed`: it was not, but something was wrong."""

_LIBRARIES = ("mininet", "os-ken", "msgspec", "numpy", "pandas", "pyarrow", "scipy")


class HostState(Frozen, frozen=True, kw_only=True):
    """The machine around the lab at one moment."""

    utc: str
    monotonic_s: float
    kernel: str
    cpu: str
    cores: int
    """Processors this process may use."""
    load_1min: float
    cpu_pressure_10s: float | None
    """Percent of the last 10 s in which a task waited for a processor; None if unknown."""
    memory_free_bytes: int | None
    processor_s: float | None = None
    """Time of all processors since boot, idle or not; None if unknown."""
    busy_s: float | None = None
    """Of it, not idle."""
    steal_s: float | None = None
    """Of it, taken by the hypervisor for other machines."""


class Provenance(Frozen, frozen=True, kw_only=True):
    """Kept with every run as 0-provenance.json."""

    schema: int = SCHEMA
    id: str = ""
    """Given when the run folder is made."""
    status: Status = "ok"
    error: str | None = None
    """What kept the run from its end, or was wrong with it."""
    experiment: str
    started_utc: str
    wall_s: float
    """From the start of the lab to its end."""
    seed: int
    command: tuple[str, ...]
    lab: dict[str, str]
    notes: tuple[str, ...] = ()
    """Why this lab, and what else the user was told."""
    params: dict[str, Param] = msgspec.field(default_factory=dict)
    versions: dict[str, str]
    host_before: HostState
    host_after: HostState
    asked: dict[str, int] = msgspec.field(default_factory=dict)
    """Packets, and ns of traffic."""
    actual: dict[str, int] = msgspec.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        scenario: Scenario,
        lab: Mapping[str, str],
        notes: tuple[str, ...],
        command: tuple[str, ...],
        host: HostState,
    ) -> Provenance:
        """The provenance of a run that is about to begin."""
        return cls(
            experiment=scenario.experiment,
            started_utc=host.utc,
            wall_s=0.0,
            seed=scenario.seed,
            command=command,
            lab=dict(lab),
            notes=notes,
            params=scenario.params,
            versions=versions(),
            host_before=host,
            host_after=host,
        )

    def until(self, host: HostState) -> Provenance:
        """With the end of the run, when the machine was in that state."""
        wall_s = round(host.monotonic_s - self.host_before.monotonic_s, 3)
        return msgspec.structs.replace(self, wall_s=wall_s, host_after=host)


def measure_host() -> HostState:
    """The state of this machine."""
    processor = _processor()
    return HostState(
        utc=datetime.now(UTC).isoformat(timespec="seconds"),
        monotonic_s=round(time.monotonic(), 3),
        kernel=platform.release(),
        cpu=_after_colon("/proc/cpuinfo", "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        load_1min=round(os.getloadavg()[0], 2),
        cpu_pressure_10s=_pressure(),
        memory_free_bytes=_memory(),
        processor_s=processor[0],
        busy_s=processor[1],
        steal_s=processor[2],
    )


def versions() -> dict[str, str]:
    """Versions of this project, Python and the libraries that touch a number."""
    found = {"testbed": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    commit = _commit()
    if commit:
        found["commit"] = commit
    return found


def _commit() -> str:
    """The commit of this project, `-dirty` where files differ from it or are not part of it,
    or where that is not known; empty: none."""
    project = Path(__file__).resolve().parents[2]
    if not (project / ".git").exists():
        return ""
    named = _git(project, "describe", "--always", "--abbrev=12")
    return (
        f"{named}-dirty" if named and _git(project, "status", "--porcelain") != "" else named or ""
    )


def _git(project: Path, *words: str) -> str | None:
    """What git says, changing nothing; None if it does not."""
    try:
        answer = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(project), *words],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _after_colon(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _memory() -> int | None:
    text = _after_colon("/proc/meminfo", "MemAvailable")
    return int(text.split()[0]) * 1024 if text else None


def _processor() -> tuple[float, float, float] | tuple[None, None, None]:
    """Total, busy and stolen seconds of all processors (proc(5), /proc/stat)."""
    try:
        words = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    except OSError:
        return None, None, None
    second = os.sysconf("SC_CLK_TCK")
    spent = [int(word) / second for word in words]  # guest time is part of user time
    idle, steal = spent[3] + spent[4], spent[7]
    return round(sum(spent), 2), round(sum(spent) - idle, 2), round(steal, 2)


def _pressure() -> float | None:
    try:
        text = Path("/proc/pressure/cpu").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = dict(part.split("=") for part in text.split()[1:5])
    return float(fields["avg10"]) if "avg10" in fields else None
