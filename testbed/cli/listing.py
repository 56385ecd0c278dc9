"""Tables of list, plan, doctor and run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from testbed.cli.console import Terminal, show_error, show_note
from testbed.errors import InputError
from testbed.plan.model import Plan
from testbed.scenario import discovery
from testbed.text import visible
from testbed.units import show_ns

if TYPE_CHECKING:
    from testbed.analysis.over_runs import OverRuns
    from testbed.analysis.summary import SummaryRow
    from testbed.keep import Recovered
    from testbed.prepare import Prepared
    from testbed.results.folder import RunFolder

Row = dict[str, Any]


def everything(broken: list[InputError]) -> dict[str, list[Row]]:
    """What there is: kind -> rows of name, summary and file. Nothing is executed.

    Class files that are wrong go to `broken`.
    """
    from testbed.prepare import classes

    rows: dict[str, list[Row]] = {}
    for kind in ("experiment", "topology", "policy"):
        rows[kind] = [
            {"name": name, "summary": _summary(path), "file": str(path)}
            for name, path in discovery.files(kind).items()
        ]
    rows["class"] = [
        {
            "name": c.name,
            "summary": c.description,
            "direction": c.direction,
            "size_bytes": c.size_bytes,
            "interval_ns": c.interval_ns,
            "deadline_ns": c.deadline_ns,
            "judged": c.judged,
            "dscp": c.dscp,
            "source": c.source,
        }
        for c in classes(broken).values()
    ]
    return rows


def _summary(path: Path) -> str:
    """First docstring line of the last class of a file, read without running it."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"cannot be read: {error}"
    kinds = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    text = (ast.get_docstring(kinds[-1]) if kinds else None) or ast.get_docstring(tree) or ""
    return text.strip().splitlines()[0] if text.strip() else ""


def show_everything(rows: dict[str, list[Row]], console: Terminal) -> None:
    """Print everything() as tables."""
    for kind, title in (
        ("experiment", "Experiments (testbed run NAME)"),
        ("topology", "Topologies (testbed shell NAME)"),
        ("policy", "Policies"),
    ):
        table = Table(
            title=title, title_justify="left", box=None, show_header=False, padding=(0, 2)
        )
        table.add_column(style="bold cyan", no_wrap=True)
        table.add_column()
        for row in rows[kind]:
            table.add_row(row["name"], row["summary"])
        console.print(table, "")
    table = _table("Application classes")
    for name in ("class", "direction", "message", "every", "deadline", "DSCP", "source"):
        table.add_column(name, no_wrap=name != "source")
    for row in rows["class"]:
        deadline = (
            "none"
            if row["deadline_ns"] is None
            else f"{show_ns(row['deadline_ns'])} {row['judged']}"
        )
        table.add_row(
            Text(visible(row["name"]), "bold cyan"),
            row["direction"],
            f"{row['size_bytes']} B",
            show_ns(row["interval_ns"]),
            deadline,
            str(row["dscp"]),
            row["source"],
        )
    console.print(table)


def _table(title: str, padding: int = 1) -> Table:
    return Table(title=title or None, title_justify="left", box=None, padding=(0, padding))


def show_plan(plan: Plan, console: Terminal, *, rules: bool) -> None:
    """Print a plan's paths, delay budgets, loads, ports and, if asked, its rules."""
    from testbed.plan import show

    for part in show.tables(plan):
        if not part.rows or (part.title.startswith("Rules") and not rules):
            continue
        table = _table(part.title)
        for name in part.headers:
            table.add_column(name)
        for row in part.rows:
            table.add_row(*row)
        console.print(table, "")


def show_beforehand(prepared: Prepared, console: Terminal) -> None:
    """Print which deadlines are settled without a run, and which promises are broken so."""
    from testbed.report.beforehand import beforehand, broken

    if told := beforehand(prepared.plan):
        console.print(told)
    show_notes(broken(prepared.plan, prepared.scenario.slices), console)


def show_notes(notes: Iterable[str], console: Terminal) -> None:
    """Print what has to be known of a plan."""
    for note in notes:
        show_note(console, note)


def show_findings(findings: Any, console: Terminal) -> None:
    """Print what packets on the wire had, beside what was planned."""
    table = _table("Captured packets against the plan")
    for name in ("", "capture", "session", "check", "planned", "found (packets)"):
        table.add_column(name)
    for file, found in findings:
        table.add_row(
            Text("ok", "green") if found.good else Text("BAD", "red"),
            file.stem,
            f"{found.session} {found.direction}".strip() or "others",
            found.check,
            found.planned,
            found.found,
        )
    console.print(table)


def show_checks(checks: Any, console: Terminal) -> None:
    """Print doctor's findings with their remedies."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for check in checks:
        mark = Text("ok", "green") if check.ok else Text("missing", "red")
        table.add_row(mark, check.name, check.detail)
        if not check.ok:
            table.add_row("", "", Text(visible(f"remedy: {check.remedy}"), "dim"))
    console.print(table)


def usable(checks: Any) -> bool:
    """Whether any lab can run."""
    from testbed.lab import LABS

    return any(check.ok for check in checks if check.name in {f"lab {name}" for name in LABS})


def show_recovered(found: Iterable[Recovered], console: Terminal) -> bool:
    """Print a line for each folder that a killed run left; whether all could be kept."""
    from testbed.report.wording import outcome
    from testbed.results.folder import RunFolder

    good = True
    for each in found:
        if each.error is not None:
            good = False
            show_error(each.error)
        elif each.kept is None:
            console.print(f"removed {each.job}: no message of it had been sent")
        else:
            told = outcome(RunFolder(each.kept).provenance) or "It had all been measured."
            console.print(f"kept what a killed run measured in {each.kept}. {told}")
    return good


def show_left(folders: Sequence[Path], console: Terminal) -> None:
    """Say that there are folders of killed runs, which no name of a run means."""
    if folders:
        count = (
            f"{len(folders)} run that was"
            if len(folders) == 1
            else f"{len(folders)} runs that were"
        )
        console.print(
            f"{count} killed, or goes on, is no run folder yet: `testbed collect` makes it one"
        )


def verdicts(
    run: RunFolder,
    given: Mapping[str, str],
    *,
    as_json: bool,
    brief: bool = False,
    console: Terminal,
) -> None:
    """Print a run's verdict table below what was set for it, or its answer alone if `brief`, or
    one JSON object."""
    from testbed.analysis.hops import spent
    from testbed.report.headline import headline
    from testbed.report.hops import hops_table, untold
    from testbed.report.lifecycle import lifecycle_table
    from testbed.report.table import verdict_table

    if as_json:
        made = run.provenance
        row = {
            "run": str(run.path),
            "status": made.status,
            "error": made.error,
            "asked": made.asked,
            "actual": made.actual,
            "settings": given,
            "seed": run.scenario.seed,
            "summary": run.summary_rows(),
        }
        click.echo(msgspec.json.encode(row).decode())
        return
    if given:
        console.print(settings_text(given), style="bold cyan")
    if brief:
        console.print(headline(run, rows_of(run)))
        console.print(f"run folder  {run.path}\n")
        return
    console.print(verdict_table(run))
    if (orders := lifecycle_table(run)) is not None:
        console.print(orders)
    found = spent(run)
    if (by_hop := hops_table(found, console.width) or untold(run, found)) is not None:
        console.print(by_hop)
    console.print(f"\nrun folder  {run.path}\nreport      testbed report {run.path.name}")


def rows_of(run: RunFolder) -> list[SummaryRow]:
    """A run's summary. Raises ResultError."""
    from testbed.analysis.summary import summarise_run

    return summarise_run(run)[0]


def show_over_runs(
    given: Mapping[str, str],
    seeds: Sequence[int],
    question: str,
    rows: Sequence[OverRuns],
    console: Terminal,
) -> None:
    """Print what runs with these seeds show together."""
    from testbed.report.over_runs import over_runs_table

    if given:
        console.print(settings_text(given), style="bold cyan")
    console.print(over_runs_table(rows, seeds, question))


def show_sweep(
    points: Sequence[Mapping[str, str]],
    found: Sequence[Sequence[SummaryRow | OverRuns]],
    console: Terminal,
) -> None:
    """Print the points of a sweep side by side: a row for each, p99 or else max, and verdict."""
    from testbed.analysis.percentiles import Estimate
    from testbed.report import wording

    cells: list[dict[str, str]] = []
    for rows in found:
        cells.append(
            {
                f"{row.session} {row.direction}": f"{wording.delay(row.p99.value)} "
                f"{wording.SIGNS[row.verdict]}"
                if isinstance(row.p99, Estimate)
                else f"max {wording.delay(row.max_ns)} {wording.SIGNS[row.verdict]}"
                for row in rows
            }
        )
    varied = [key for key in points[0] if len({point[key] for point in points}) > 1]
    sessions = list(dict.fromkeys(name for row in cells for name in row))
    table = _table("")
    for name in (*varied, *sessions):
        table.add_column(name, overflow="fold")
    for point, row in zip(points, cells, strict=True):
        table.add_row(*(point[key] for key in varied), *(row.get(name, "") for name in sessions))
    what = "p99 of each session, or max where the sample is too small"
    console.print(f"\nThe sweep: {what}", style="bold")
    console.print(table)


def settings_text(given: Mapping[str, str]) -> str:
    """What was set, for people."""
    return "  ".join(f"{key}={value}" for key, value in given.items())
