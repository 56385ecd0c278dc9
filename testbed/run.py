"""Runs a plan in a lab, from the host's side: job folder, lab, progress, results.

The job folder is a staging folder inside the results root. It becomes the run
folder by one rename, or vanishes.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from testbed import keep
from testbed.errors import LabError, ResultError, Stopped, TestbedError
from testbed.heard import DONE, PROGRESS, Follower, last_words, outcome
from testbed.lab.base import CONSOLE, Lab
from testbed.lab.process import lacking
from testbed.lab.unprivileged import take_back
from testbed.memory import lack
from testbed.plan import background
from testbed.plan.model import Plan
from testbed.prepare import Prepared
from testbed.process import ENDING_S, ended
from testbed.results.janitor import measured
from testbed.results.provenance import Provenance, measure_host
from testbed.results.staging import scratch, staging, unwritable
from testbed.terminal import Pauses, finishing, kept

GUEST = ("python3", "-m", "testbed.guest", "/results")
SETUP_SECONDS = 300
"""What a lab may take besides the traffic itself before it is given up."""
PACKET_S = 0.3e-3
"""What a real packet may take over many hops, at most."""
BACKGROUND_PACKET_S = 1e-6
"""What a modelled packet may take at one port, at most."""

_LOOK_S = 2.0
"""How often it is noted how the machine is."""
_LEAST_FREE_BYTES = 64 << 10
"""With less, a disk is full."""

Stage = Callable[[dict[str, Any]], None]


class Limits(NamedTuple):
    """Wall seconds after which a lab is ended."""

    whole_s: float
    silent_s: float
    """From one second of traffic to the next."""


def limits(plan: Plan) -> Limits:
    """Generous ones: what a slow and loaded machine may take.

    >>> empty = Plan(experiment="", seed=1, policy="", hosts=(), switches=(), ports=(), rules=())
    >>> limits(empty)
    Limits(whole_s=300.0, silent_s=300.0)
    """
    probes = sum(2 * session.count * session.fragments for session in plan.sessions)
    loads = sum(
        load.rate_bps * load.duration_ns / 1e9 / (8 * load.packet_bytes) for load in plan.loads
    )
    packets_s = PACKET_S * (probes + loads) + BACKGROUND_PACKET_S * background.packets(plan)
    silent_s = SETUP_SECONDS + packets_s
    return Limits(silent_s + 3 * plan.duration_ns / 1e9, silent_s)


def execute(
    prepared: Prepared,
    lab: Lab,
    *,
    root: Path,
    notes: Sequence[str],
    command: Sequence[str],
    show: Stage,
    timeout_s: float | None = None,
) -> Path:
    """Run a plan and return its run folder.

    Args:
        root: the results folder.
        notes: what the user should know about this run, such as a fallback.
        command: the command line that asked for it.
        show: is given every progress record of the guest.
        timeout_s: wall seconds until the lab is ended; else what limits() says.

    Raises LabError, EmulationError, ResultError, and Stopped when a signal asks this process
    to end. What was measured until then is kept, as a run of status "unfinished" if its
    traffic was cut short, else "failed"; the error names its folder. So is a run whose
    packets took longer than the plan's bounds.
    """
    limit = Limits(timeout_s, timeout_s) if timeout_s else limits(prepared.plan)
    with staging(root) as job:
        provenance = Provenance.of(
            scenario=prepared.scenario,
            lab=lab.describe(),
            notes=(*notes, *prepared.notes),
            command=tuple(command),
            host=measure_host(),
        )
        problem: TestbedError | Stopped | None
        try:
            keep.begin(job, prepared, provenance)
            problem = _guest(prepared, lab, job, show, limit)
        except KeyboardInterrupt:
            problem = Stopped(signal.SIGINT)
        except Stopped as end:
            problem = end
        except OSError as error:
            problem = unwritable(root, error)
        if isinstance(problem, TestbedError) and _full(root):
            problem = unwritable(root, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with finishing() as asked:
            folder = _conclude(job, root, problem)
        if asked and problem is None:
            problem = Stopped(asked[0])
            problem.kept = folder
        if problem is None:
            assert folder is not None
            return folder
        raise problem


def _conclude(job: Path, root: Path, problem: TestbedError | Stopped | None) -> Path | None:
    """The run folder of what was measured, of which the problem is told as well.

    Raises Stopped if a signal comes, and ResultError if the folder cannot be made.
    """
    said = None if problem is None else str(getattr(problem, "what", problem))
    try:
        with suppress(OSError):
            keep.look(job)
        folder = keep.conclude(job, root, said)
    except (KeyboardInterrupt, Stopped) as end:
        stop = end if isinstance(end, Stopped) else Stopped(signal.SIGINT)
        stop.left = job if measured(job) else None
        raise stop from None
    except ResultError:
        if isinstance(problem, Stopped):  # how the process ends is the signal's to say
            problem.left = job
            raise problem from None
        raise
    if folder is None or problem is None:
        return folder
    if isinstance(problem, Stopped):
        problem.kept = folder
    else:
        problem.kept_in(folder)
    return folder


def _full(root: Path) -> bool:
    """Whether there is no room left where results go."""
    try:
        return shutil.disk_usage(root).free < _LEAST_FREE_BYTES
    except OSError:
        return False


def _guest(
    prepared: Prepared, lab: Lab, job: Path, show: Stage, limit: Limits
) -> TestbedError | None:
    """Run the guest program to its end; what went wrong, if anything."""
    problem = _watched(prepared, lab, job, show, limit)
    return problem and (_damage(lab, job) or problem)


def _damage(lab: Lab, job: Path) -> LabError | None:
    """What of the lab itself is damaged, which tells more than what came of it."""
    lacks = lab.missing("listed" if (job / DONE).exists() else "whole")
    damaged = [lack for lack in lacks if lack.damaged]
    return lacking(lab, damaged) if damaged else None


def _watched(
    prepared: Prepared, lab: Lab, job: Path, show: Stage, limit: Limits
) -> TestbedError | None:
    seed = prepared.scenario.seed
    with _started(lab, job, GUEST, seed=seed) as process, Pauses(lab, process) as pauses:

        def clock_s() -> float:
            return time.monotonic() - pauses.total_s

        progress = Follower(job / PROGRESS, show, clock_s)
        look = clock_s()
        end = look + limit.whole_s
        while process.poll() is None:
            progress.poll()
            now = clock_s()
            if now >= look:
                look = now + _LOOK_S
                with suppress(OSError):  # a full disk: the run will tell
                    keep.look(job)
            if now > end:
                return _stuck(f"the lab was ended after {limit.whole_s:.0f} s", lab, progress)
            if progress.stage == "traffic" and now > progress.heard_s + limit.silent_s:
                what = f"the lab was ended after {limit.silent_s:.0f} s without a sign of life"
                return _stuck(what, lab, progress)
            time.sleep(0.05)
        progress.poll()
    return _verdict(job, process.returncode, lab, prepared.plan)


def _stuck(what: str, lab: Lab, progress: Follower) -> LabError:
    memory = ""
    if progress.available_bytes is not None:
        memory = f", {progress.available_bytes >> 20} MiB of memory available when last heard of"
    return LabError(
        what,
        where=f"lab {lab.name}, stage {progress.stage!r}{memory}",
        expected="a run of that length at most",
        remedy="--timeout SECONDS for large networks or slow machines",
    )


def _verdict(job: Path, code: int, lab: Lab, plan: Plan | None) -> TestbedError | None:
    short = lack(job, lab, plan)
    if short is not None:
        return short
    try:
        return outcome(job)
    except FileNotFoundError:
        words = last_words(job / "guest.log") or last_words(job / CONSOLE)
        return LabError(
            f"the lab ended with code {code} before the guest program was done",
            where=f"lab {lab.name}",
            expected=f"{DONE} in the job folder",
            remedy=f"last lines of its log: {words}" if words else "testbed doctor",
        )


@contextmanager
def _started(
    lab: Lab, job: Path, argv: Sequence[str], *, interactive: bool = False, seed: int = 1
) -> Iterator[subprocess.Popen[bytes]]:
    """A lab that is gone when the block ends, however it ends, and its job folder ours."""
    process = lab.start(job, argv, interactive=interactive, seed=seed)
    try:
        yield process
    finally:
        with finishing() as asked:
            if process.poll() is None:
                process.kill()  # a lab takes everything with it
                process.wait()
            _regain(job)
        if asked:
            signal.raise_signal(asked[0])


def _regain(job: Path) -> None:
    """Make the job folder of a lab that was ended ours. Raises LabError: it still runs."""
    if ended(job):
        take_back(job)
        return
    then = f"; then `testbed collect {shlex.quote(str(job))}` keeps what was measured"
    raise LabError(
        f"processes of the lab are still there {ENDING_S:.0f} s after it was killed",
        where=str(job),
        expected="none that writes there while its results are read",
        remedy="end them (ps -ef, kill -9)" + (then if measured(job) else ""),
    )


def converse(lab: Lab, verb: str, order: dict[str, Any], prepared: Prepared | None) -> int:
    """Run `shell` or `exec` on the user's terminal; the exit code of what ran.

    A shell without a terminal takes its commands from standard input.
    """
    with staging(scratch(), keep=False) as job:
        if prepared is not None:
            (job / "plan.json").write_bytes(msgspec.json.encode(prepared.plan))
            (job / "scenario.json").write_bytes(msgspec.json.encode(prepared.scenario))
        (job / "job.json").write_text(json.dumps({"verb": verb, **order}))
        if verb == "shell" and not sys.stdin.isatty():
            (job / "script").write_bytes(sys.stdin.buffer.read())
        with kept(), _started(lab, job, GUEST, interactive=True) as process:
            code = process.wait()
        problem = _verdict(job, code, lab, prepared.plan if prepared else None)
        if problem is not None:
            raise _damage(lab, job) or problem
        return code
