"""Stored runs, carried out again: what `testbed run RUN` repeats, and the verb `reproduce`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec
from rich.table import Table
from rich.text import Text

from testbed.cli.console import Seconds, Terminal, err, json_option, out, progress, show_note
from testbed.cli.runs import Asked, command
from testbed.errors import InputError
from testbed.scenario import discovery
from testbed.text import visible

if TYPE_CHECKING:
    from testbed.analysis.reproduction import Compared
    from testbed.results.folder import RunFolder

_FIXED = ("pairs", "seeds", "repeat", "captures", "hops", "sample_ports")
"""Parameters of `run` that a stored run has already."""


class Stored(NamedTuple):
    """A stored run that is asked for again."""

    run: RunFolder
    asked: Asked
    lab: str
    """The one it ran in."""
    memory_bytes: int | None
    """Which that lab had, and which its kernel sized its buffers by."""


def to_repeat(name: str) -> Stored | None:
    """The stored run that `name` means in `testbed run NAME`; None if it is an experiment.

    Raises InputError where other options ask for another run than that.
    """
    from testbed.repeat import stored

    run = stored(name, discovery.home() / "results")
    if run is None:
        return None
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in _FIXED and source is not click.core.ParameterSource.DEFAULT:
            raise InputError(
                f"{parameter.opts[0]} with a stored run",
                where=str(run.path),
                expected="a run as it was, with its own parameters, seed and captures",
                remedy=f"testbed run {run.scenario.experiment} with the options you want; "
                f"that one was: {' '.join(run.provenance.command)}",
            )
    return Stored(run, _asked(run), run.provenance.lab["lab"], _memory(run))


def _asked(run: RunFolder) -> Asked:
    from testbed.repeat import again

    prepared = again(run)
    scenario = run.scenario
    return Asked(scenario.experiment, {}, scenario.seed, lambda: prepared, run.path)


def _memory(run: RunFolder) -> int | None:
    told = run.provenance.lab.get("memory_bytes")
    return int(told) if told else None


@click.command()
@click.argument("run", default="last")
@click.option("--timeout", type=Seconds(), help="Wall seconds until given up.")
@json_option
def reproduce(run: str, timeout: float | None, as_json: bool) -> None:
    """Repeat a run of the virtual lab, and say whether every sample has the same bytes.

    RUN: a folder, its id, or "last". Where a value differs, the first one of each session is
    shown, and the exit code is 1. What has changed since, in files, plan and versions, is
    told before it runs; the repetition is kept as a run of its own.
    """
    from testbed.analysis.reproduction import compare
    from testbed.lab import choose
    from testbed.memory import fitted
    from testbed.repeat import changed
    from testbed.results.folder import RunFolder, find_run
    from testbed.run import execute

    root = discovery.home() / "results"
    before = RunFolder(find_run(run, root))
    ran_in = before.provenance.lab["lab"]
    if ran_in != "virtual":
        raise InputError(
            f"this run was measured in the lab {ran_in}, whose clock is real time",
            where=str(before.path),
            expected="a run of the virtual lab: no two others have the same bytes",
            remedy=f"testbed run {before.path} repeats it",
        )
    asked = _asked(before)
    prepared = asked.prepare()
    chosen, _ = choose(ran_in)
    lab = fitted(chosen, prepared.plan, _memory(before))
    since = list(changed(before, lab.describe()))
    for note in since:
        show_note(err, note)
    with progress(quiet=as_json) as show:
        folder = execute(
            prepared,
            lab,
            root=root,
            notes=(),
            command=command(asked, ()),
            show=show,
            timeout_s=timeout,
        )
    found = compare(before, RunFolder(folder))
    same = all(each.same for each in found)
    if as_json:
        told = {"run": str(before.path), "again": str(folder), "same": same}
        rows = msgspec.to_builtins(found)
        click.echo(msgspec.json.encode({**told, "changed": since, "sessions": rows}).decode())
    else:
        show_compared(found, out)
        out.print(f"\nrun folder  {folder}")
    if not same:
        sys.exit(1)


def show_compared(found: Sequence[Compared], console: Terminal) -> None:
    """Print whether each session was reproduced, and where first it was not."""
    wrong = [each for each in found if not each.same]
    messages = sum(each.messages for each in found)
    if not wrong:
        what = f"Reproduced: all {messages:,} messages of {len(found)} sessions have the same bytes"
        console.print(Text(what, "bold green"))
        return
    console.print(Text(f"Not reproduced: {len(wrong)} of {len(found)} sessions differ", "bold red"))
    console.print(_table(wrong))


def _table(wrong: Iterable[Compared]) -> Table:
    table = Table(box=None, padding=(0, 1))
    for name in ("session", "compared", "only in one", "first at message", "column", "was", "is"):
        table.add_column(name)
    for each in wrong:
        first = each.difference
        at = ["", "", "", ""]
        if first is not None:
            values = ["unknown" if v is None else f"{v:,}" for v in (first.before, first.now)]
            at = [f"{first.message:,}", first.column, *values]
        table.add_row(Text(visible(each.session)), f"{each.messages:,}", f"{each.unmatched:,}", *at)
    return table
