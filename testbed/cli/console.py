"""How the command line speaks: errors without a traceback, progress on stderr."""

from __future__ import annotations

import errno
import io
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

from testbed.errors import InputError, ResultError, Stopped, TestbedError, unknown
from testbed.text import visible

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What an output answers that takes no more."""
_WIDE = 110
_AGAIN_S = 0.01
"""After so long an end that was dropped is raised again."""
"""Columns of tables that go to a file or a pipe."""


class Terminal(Console):
    """Prints what it is given as text: no markup, no emoji codes, control characters as
    escapes. What is to have a style is a rich Text, in a table of visible().
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **kwargs)

    def on_broken_pipe(self) -> None:
        """Whoever reads has gone: Verbs ends the command."""
        raise  # noqa: PLE0704 - of what writes, which calls this

    def render_str(self, text: str, **kwargs: Any) -> Text:
        """A string as it will be seen, so that columns are as wide as that."""
        return super().render_str(visible(text), **kwargs)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments of a renderable; those of a Text made elsewhere are as safe."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


out = Terminal(width=None if sys.stdout.isatty() else _WIDE)
err = Terminal(stderr=True, soft_wrap=True)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")

TITLES = {
    "boot": "Booting the lab",
    "build": "Building the network",
    "switches": "Starting the switches",
    "shape": "Shaping the links",
    "install": "Installing the paths",
    "prove": "Proving the paths",
    "measure": "Opening the probes",
    "traffic": "Traffic",
    "collect": "Collecting",
}


class Seconds(click.FloatRange):
    """Wall seconds: one or more, and not without end."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Fails for what is no such number."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is not in the range x>=1.", param, ctx)
        return found


class Verbs(click.Group):
    """A group that answers a misspelt verb with the nearest one, and errors in four parts."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command named first. Raises InputError with the nearest name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("verb", args[0], self.list_commands(ctx), where=ctx.command_path)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        with _reader():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out what was read."""
        with _reader():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order they are used, not of the alphabet."""
        return list(self.commands)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; errors of the testbed are printed and become the exit code."""
        kwargs["standalone_mode"] = False
        try:
            with _ending():
                code = super().main(*args, **kwargs)
            with _reader():
                sys.stdout.flush()  # what cannot be written is told below, not by the interpreter
            sys.exit(code if isinstance(code, int) else 0)
        except TestbedError as error:
            with suppress(OSError):  # there may be nowhere to say it
                show_error(error)
            _forget_output()
            sys.exit(error.exit_code)
        except (click.exceptions.Abort, KeyboardInterrupt):
            _stopped(Stopped(signal.SIGINT))
        except Stopped as end:
            _stopped(end)
        except click.exceptions.Exit as done:
            sys.exit(done.exit_code)
        except click.ClickException as error:
            said = io.StringIO()
            error.show(said)
            click.echo(visible(said.getvalue()), nl=False, err=True)
            sys.exit(error.exit_code)
        except _ReaderGoneError:
            _forget_output()
            sys.exit(128 + signal.SIGPIPE)  # as what a shell says of a tool that it ended
        except OSError as error:
            if error.filename is not None or error.errno not in _FULL:
                raise
            _forget_output()
            with suppress(OSError):
                show_error(_no_output(error))
            sys.exit(ResultError.exit_code)


class _ReaderGoneError(Exception):
    """Whoever read the output has gone; click would end with status 1 on BrokenPipeError."""


@contextmanager
def _reader() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderGoneError from error


def _forget_output() -> None:
    """What could not be written is dropped: at its end, the interpreter would try again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _no_output(error: OSError) -> ResultError:
    return ResultError(
        f"cannot write what was asked for: {error.strerror}",
        where="standard output",
        expected="a terminal, a pipe or a file with space left",
    )


@contextmanager
def _ending() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the block, as Ctrl-C does, unless they are ignored.

    Also where one comes while Python runs what may not fail, as at a fork: there the
    exception is reported and dropped, so it is raised again a moment later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    report, alarm = sys.unraisablehook, signal.getsignal(signal.SIGALRM)

    def dropped(what: sys.UnraisableHookArgs) -> None:
        end = what.exc_value
        if not isinstance(end, Stopped | KeyboardInterrupt):
            report(what)
            return

        def again(_number: int, _frame: object) -> None:
            raise end

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)

    def end(number: int, _frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # the way down is taken once
        raise Stopped(number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = report
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(end: Stopped) -> NoReturn:
    parts: list[str | Text] = [Text("stopped", "yellow"), "nothing is left running"]
    if end.kept is not None:
        parts.append(f"what was measured is in {end.kept}")
    if end.left is not None:
        parts.append(f"`testbed collect {shlex.quote(str(end.left))}` keeps what was measured")
    with suppress(OSError):  # the terminal may be gone
        err.print(*parts, sep="; ")
    sys.exit(128 + end.number)


def show_error(error: TestbedError) -> None:
    """Print an error's four parts to stderr."""
    err.print(Text("error", "bold red"), error.what)
    for label, text in (
        ("where", error.where),
        ("expected", error.expected),
        ("remedy", error.remedy),
    ):
        if text:
            err.print(Text(f"  {label:<9}", "dim"), text, sep="")


@contextmanager
def progress(quiet: bool) -> Iterator[Any]:
    """Shows the guest's progress records: one line a stage, a bar while traffic flows."""
    if quiet:
        yield lambda _row: None
        return
    if not err.is_terminal:
        yield _lines()
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", style="dim", markup=False),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    with bar:
        task = bar.add_task(TITLES["boot"], total=None, text="")

        def show(row: dict[str, Any]) -> None:
            bar.update(
                task,
                description=TITLES.get(row["stage"], visible(row["stage"])),
                completed=row["done"],
                total=row["of"] or None,
                text=visible(row["text"]),
            )

        yield show


def _lines() -> Any:
    """Progress where there is no terminal: one line for each stage."""
    seen: set[str] = set()

    def show(row: dict[str, Any]) -> None:
        if row["stage"] not in seen:
            seen.add(row["stage"])
            title = TITLES.get(row["stage"], row["stage"])
            err.print(f"{title}: {row['text']}")

    return show


def show_note(console: Terminal, note: str, kind: str = "note") -> None:
    """Print a line that has to be known, behind its kind."""
    console.print(Text(kind, "yellow"), note)


def settings(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """--set key=value, given any number of times; several values of a key make a sweep.

    Raises InputError.
    """
    found: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise InputError(
                f"{pair!r} is no setting", where="--set", expected='key=value, as in span="25 km"'
            )
        found.setdefault(key.strip(), []).append(value.strip())
    return found
