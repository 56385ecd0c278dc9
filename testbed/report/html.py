"""One self-contained page about a run: no other file, no network, light or dark, printable."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from testbed.analysis.hops import spent
from testbed.analysis.outage import outages
from testbed.analysis.promises import promises_of
from testbed.analysis.summary import SummaryRow, summarise_run
from testbed.errors import ResultError
from testbed.files import write_whole
from testbed.plan.model import Plan
from testbed.report import figures, hops, style, wording
from testbed.report.depth import MOST_PORTS, depth, fullest
from testbed.report.headline import headline
from testbed.report.lifecycle import requests
from testbed.report.map import draw_map
from testbed.report.naming import called
from testbed.report.remedies import remedies
from testbed.report.style import Picture
from testbed.results.folder import FIGURES, LOADS, REPORT, RunFolder
from testbed.results.staging import FULL
from testbed.text import visible
from testbed.units import show_bps


def write_report(run: Path, output: Path | None = None) -> Path:
    """Write 9-report.html and figures/ into a run folder, or the page alone to `output`.

    Returns the page. Raises ResultError: run unreadable, or page not writable.
    """
    folder = RunFolder(run)
    rows, known = summarise_run(folder)
    costs, by_hop = outages(folder.plan, folder.samples), spent(folder)
    target = output or run / REPORT
    beside = None if output else run / FIGURES
    try:
        if beside is not None:
            beside.mkdir(exist_ok=True)
        pictures = {p.name: p for p in draw(folder, rows, beside)}
        page = _template().render(
            provenance=folder.provenance,
            scenario=folder.scenario,
            plan=folder.plan,
            rows=rows,
            known=known,
            pictures=pictures,
            colours=style.slice_colours(folder.plan),
            verdicts=style.VERDICTS,
            say=wording,
            command=shlex.join(folder.provenance.command),
            loads=load_rows(folder),
            answer=headline(folder, rows),
            remedies=remedies(folder.scenario, rows, costs),
            packets=[*wording.overdue(rows), *wording.packets(rows)],
            events=wording.events(folder.scenario.headline, costs),
            promises=promises_of(folder),
            requests=requests(folder),
            hops=[(hops.title(one), hops.lines(one)) for one in by_hop],
            hops_untold=hops.untold(folder, by_hop),
            hop_columns=hops.COLUMNS,
            hop_reading=hops.READING,
        )
        write_whole(target, page.encode())
    except OSError as error:
        raise _unwritable(target, run, error) from error
    return target


def _unwritable(target: Path, run: Path, error: OSError) -> ResultError:
    elsewhere = f"testbed report {shlex.quote(str(run))} --output FILE writes it elsewhere"
    return ResultError(
        f"cannot write the report: {error.strerror or error}",
        where=str(target),
        expected="a file this user may write, in a folder that is there, and space for it",
        remedy=f"free some space, or {elsewhere}" if error.errno in FULL else elsewhere,
    )


def draw(folder: RunFolder, rows: Sequence[SummaryRow], target: Path | None) -> list[Picture]:
    """Draw all figures of a run, as SVG and PNG into a folder if one is given."""
    plan, colours = folder.plan, style.slice_colours(folder.plan)
    pictures = [
        style.save(
            draw_map(plan, colours), target, "map", "Map of the network and its slice paths",
            _map_alt(plan),
        )
    ]  # fmt: skip
    if not rows:
        return pictures
    pictures += _depth(folder, target)
    packets = figures.grouped(folder.samples)
    shown = figures.longest_tails(rows)
    told = "; ".join(f"{called(r)}: {r.verdict}" for r in rows)
    return [
        *pictures,
        style.save(
            figures.ccdf(plan, rows, packets, colours), target, "ccdf", "Delay by class",
            f"Share of messages later than a delay, a panel for each class, its deadline. {told}.",
        ),
        style.save(
            figures.budget(rows), target, "budget", "Delay budget against measured",
            "Predicted delay of each session, stacked by cause, with measured min, p50 and p99. "
            + "; ".join(
                f"{called(r)}: budget {wording.delay(r.budget_ns)}, "
                f"p50 {wording.percentile(r, 'p50')}"
                for r in rows
            ),
        ),
        style.save(
            figures.over_time(plan, shown, packets, colours), target, "time",
            "Delay over time" if len(shown) == len(rows)
            else f"Delay over time: the {len(shown)} longest tails of {len(rows)}",
            "Delay of each session against the time of sending, with losses and events.",
        ),
    ]  # fmt: skip


def _depth(folder: RunFolder, target: Path | None) -> list[Picture]:
    """Of the ports that told theirs."""
    told = folder.port_samples
    if told is None or not (ports := fullest(told)):
        return []
    drawn = min(len(ports), MOST_PORTS)
    title = "Ports over time" if drawn == len(ports) else f"Ports over time: the {drawn} fullest"
    alt = f"Bytes that wait in each queue of {', '.join(ports[:drawn])}, with drops and events."
    return [style.save(depth(folder.plan, told), target, "ports", title, alt)]


def _map_alt(plan: Plan) -> str:
    paths = {f"{s.slice}: {'>'.join(s.paths[0].nodes)}" for s in plan.sessions}
    return f"{len(plan.switches)} switches and {len(plan.hosts)} hosts. Slice paths: " + "; ".join(
        sorted(paths)
    )


def load_rows(folder: RunFolder) -> list[tuple[str, ...]]:
    """Background flows: id, slice, kind, from, to, rate asked, rate sent, packets lost."""
    carried = {row["id"]: row for row in folder.record(LOADS) or []}
    rows: list[tuple[str, ...]] = []
    for load in folder.plan.loads:
        row = carried.get(load.id, {})
        sent, lost = row.get("sent_bps"), row.get("lost_packets")
        rows.append(
            (
                *(load.id, load.slice, load.kind, load.src, load.dst, show_bps(load.rate_bps)),
                wording.NONE if sent is None else show_bps(sent),
                wording.NONE if lost is None else f"{lost:,}",
            )
        )
    return rows


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("testbed", "report"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _shown(value: object) -> object:
    """What a page prints of a value; Markup, which is a figure, as it is."""
    return visible(value) if type(value) is str else value
