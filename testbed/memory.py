"""A lab's memory: how much a plan is given, and what is said when it was not enough."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import LabError
from testbed.heard import found
from testbed.lab import host
from testbed.lab.base import CONSOLE, Lab
from testbed.plan.memory import needed_bytes, wanted_bytes
from testbed.plan.model import Plan

MIB = 1 << 20


def fitted(lab: Lab, plan: Plan, memory_bytes: int | None = None) -> Lab:
    """The lab with the memory that was asked for, or else with as much as the plan wants.

    Never less than the lab has by itself, so that small plans all get the same. Raises
    InputError for memory that cannot be had, LabError when the host has too little of it.
    """
    if memory_bytes is not None:
        return lab.sized(memory_bytes)
    if lab.memory_bytes is None:
        return lab
    needed, available = needed_bytes(plan), host.available_memory_bytes()
    if needed > available:
        raise LabError(
            f"the plan takes about {needed // MIB} MiB of memory, and {available // MIB} MiB "
            "are available on this machine",
            where=f"lab {lab.name}, {len(plan.switches)} switches, {len(plan.rules)} rules",
            expected="memory for the whole lab, which cannot be swapped",
            remedy="a smaller network, end other programs, or try with --memory SIZE",
        )
    wanted = min(wanted_bytes(plan), host.memory_bytes())
    return lab.sized(wanted) if wanted > lab.memory_bytes else lab


def lack(job: Path, lab: Lab, plan: Plan | None) -> LabError | None:
    """That a lab, or the host for it, ran out of memory, if it did; with how much would do."""
    console = job / CONSOLE
    had = lab.memory_bytes or 0
    killed = found(console, rb"^Out of memory: Killed process \d+ \((.+?)\) ")
    if killed:
        would_do = max(wanted_bytes(plan) if plan else 0, 2 * had) // MIB
        return LabError(
            "the lab ran out of memory: its kernel ended " + ", ".join(killed),
            where=f"lab {lab.name} with {had // MIB} MiB",
            expected=_expected(plan),
            remedy=f'--memory "{would_do} MiB", a smaller network, or fewer programs at once',
        )
    if found(console, rb"^Bus error - the host /dev/shm"):
        return LabError(
            "the host had no memory left for the lab",
            where=f"lab {lab.name} with {had // MIB} MiB, "
            f"{host.available_memory_bytes() // MIB} MiB available now",
            expected=_expected(plan),
            remedy="a smaller network, or end other programs on this machine",
        )
    return None


def _expected(plan: Plan | None) -> str:
    if plan is None:
        return "programs that fit into the lab's memory"
    return f"about {needed_bytes(plan) // MIB} MiB for this plan, beside the user's own programs"
