"""Figures of what was measured: CCDF, delay budget, time series. Delays in ms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from testbed.analysis.independence import Delays
from testbed.analysis.percentiles import Estimate
from testbed.analysis.summary import SummaryRow, measured, series
from testbed.plan.model import Plan, Session
from testbed.report import style, wording
from testbed.report.naming import called

WIDTH = 10.5
"""Inches."""
COLUMNS = 3
"""Panels beside each other."""
_MS = 1e6
_POINTS = 400
"""Of one curve, at most: enough for the eye, and the page stays small."""
_NAMED = 6
"""Curves that a legend has room for."""
_SHOWN = 24
"""Panels over time, at most."""
_FAR = 1e9
"""Beyond any axis, ms."""
_BAD = style.VERDICTS["missed"]
_LINES: list[Any] = ["-", (0, (4, 1.6)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5))]
"""Of the curves of one panel, in turn."""

Groups = Mapping[str, pd.DataFrame]


def grouped(samples: pd.DataFrame) -> Groups:
    """Session -> its packets."""
    return {str(name): part for name, part in samples.groupby("session", observed=True)}


def _delays(row: SummaryRow, session: Session, packets: Groups) -> Delays:
    """The judged delays of a row, ms; +inf where lost."""
    if row.session not in packets:
        return np.empty(0)
    kept = measured(session, packets[row.session])
    return series(row.judged, kept).delay_ns / _MS


def panels(titles: Sequence[str], height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a small panel for each title, so many inches high."""
    columns = max(1, min(COLUMNS, len(titles)))
    lines = max(1, math.ceil(len(titles) / columns))
    figure = Figure(figsize=(WIDTH, height * lines), layout="constrained")
    axes: list[Axes] = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    for spare in axes[len(titles) :]:
        spare.set_axis_off()
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title)
    return figure, axes


def ccdf(
    plan: Plan, rows: Sequence[SummaryRow], packets: Groups, colours: Mapping[str, str]
) -> Figure:
    """One panel per class: the share of messages later than a delay, with the deadline.

    A lost message is later than any delay, so a curve with losses runs off to the right.
    """
    sessions = {s.id: s for s in plan.sessions}
    apps = list(dict.fromkeys(row.app for row in rows))
    with style.themed():
        figure, axes = panels(apps, 2.6)
        for i, (ax, app) in enumerate(zip(axes, apps, strict=False)):
            mine = [row for row in rows if row.app == app]
            found = [_delays(row, sessions[row.session], packets) for row in mine]
            bottom = 0.5 / max(2, *(row.messages for row in mine))
            ax.set(xscale="log", yscale="log", ylim=(bottom, 1.5))
            ax.set_xlim(*_reach(mine[0], np.concatenate(found)))
            few = len(mine) <= _NAMED
            for row, delays, line in zip(mine, found, cycle(_LINES if few else _LINES[:1])):
                _curve(ax, delays, colours[row.slice], line)
            _forbid(ax, mine[0], bottom)
            _plain_log(ax)
            ax.set_xlabel("round trip, ms" if mine[0].judged == "rtt" else "one-way delay, ms")
            if i % COLUMNS == 0:
                ax.set_ylabel("share of messages later")
            _name_curves(ax, mine, colours)
    return figure


def _reach(row: SummaryRow, delays: Delays) -> tuple[float, float]:
    seen = [*delays[np.isfinite(delays)].tolist(), (row.deadline_ns or row.budget_ns) / _MS]
    low, high = max(min(seen), 1e-3), max(seen)
    room = max(high / low, 2.0)
    return low / room**0.06, high * room**0.16


def _curve(ax: Axes, delays: Delays, colour: str, line: Any) -> None:
    arrived = np.sort(delays[np.isfinite(delays)])
    if not len(arrived):
        return
    later = 1 - np.arange(1, len(arrived) + 1) / len(delays)
    even = np.linspace(0, len(arrived) - 1, _POINTS // 2)
    tail = len(arrived) - np.geomspace(1, len(arrived), _POINTS // 2)
    keep = np.unique(np.concatenate([even, tail]).astype(int))
    x = np.concatenate(([arrived[0]], arrived[keep], [_FAR]))
    y = np.concatenate(([1.0], later[keep], [later[-1]]))
    y[y < 1e-12] = 1e-12  # below the axis: nothing was later
    ax.plot(x, y, color=colour, linewidth=1.6, linestyle=line, drawstyle="steps-post")


def _forbid(ax: Axes, row: SummaryRow, bottom: float) -> None:
    """The deadline, and the corner a curve must stay out of to meet it."""
    if row.deadline_ns is None:
        return
    at = row.deadline_ns / _MS
    allowed = max(1 - (1.0 if row.reliability is None else row.reliability), bottom)
    ax.fill_between([at, _FAR], allowed, 2, color=_BAD, alpha=0.13, linewidth=0, zorder=0.5)
    ax.plot([at, at, _FAR], [2, allowed, allowed], color=_BAD, linewidth=1.2)
    ax.annotate(
        f"deadline {wording.nominal(row.deadline_ns)}",
        (at, 1.2),
        xytext=(2.5, 0),
        textcoords="offset points",
        rotation=90,
        va="top",
        fontsize=7.5,
        color=_BAD,
    )


def _plain_log(ax: Axes) -> None:
    """Ticks at 1, 2 and 5 of x and at powers of ten of y, written as plain numbers."""
    low, high = ax.get_xlim()
    wide = high / low > 500
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=12))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _name_curves(ax: Axes, rows: Sequence[SummaryRow], colours: Mapping[str, str]) -> None:
    if len(rows) == 1:
        return
    if len(rows) > _NAMED:
        ax.text(0.03, 0.04, f"{len(rows)} curves", transform=ax.transAxes, fontsize=7.5)
        return
    unclear = len({row.direction for row in rows}) < len(rows)
    handles = [
        Line2D(
            [],
            [],
            color=colours[row.slice],
            linestyle=line,
            label=f"{row.session} {row.direction}" if unclear else row.direction,
        )
        for row, line in zip(rows, cycle(_LINES))
    ]
    ax.legend(handles=handles, loc="center", fontsize=7, handlelength=2.2)


def budget(rows: Sequence[SummaryRow]) -> Figure:
    """Stacked budget of every row, with the measured minimum, p50 and p99 on it.

    Rows of one magnitude share an axis, so that no bar is too short to read.
    """
    groups = magnitudes(rows)
    with style.themed():
        figure = Figure(
            figsize=(WIDTH, 0.7 + 0.45 * len(groups) + 0.36 * len(rows)), layout="constrained"
        )
        heights = [len(group) + 0.2 for group in groups]
        axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights).ravel()
        for ax, group in zip(axes, groups, strict=True):
            _bars(ax, group)
        axes[-1].set_xlabel("delay, ms (one-way; of a row marked rtt, round trip)")
        figure.align_ylabels(axes.tolist())
        figure.legend(handles=_budget_legend(rows), loc="outside upper left", ncols=9, fontsize=8)
    return figure


def magnitudes(rows: Sequence[SummaryRow]) -> list[list[SummaryRow]]:
    """Rows in groups whose largest budget is at most four times the smallest."""
    floors: list[int] = []
    for size in sorted(row.budget_ns for row in rows):
        if not floors or size > 4 * floors[-1]:
            floors.append(size)
    groups: list[list[SummaryRow]] = [[] for _ in floors]
    for row in rows:
        groups[max(i for i, floor in enumerate(floors) if floor <= row.budget_ns)].append(row)
    return groups


def _bars(ax: Axes, rows: Sequence[SummaryRow]) -> None:
    right = _budget_reach(rows)
    for y, row in enumerate(rows):
        _bar(ax, y, row)
        for x, marker in _marks(row):
            _mark(ax, x, y, marker, right)
        _budget_deadline(ax, row, y, right)
    ax.set(xlim=(0, right), ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), [called(row) for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)


def _part(row: SummaryRow, name: str) -> float:
    field = {"devices": "device"}.get(name, name)
    return float(getattr(row, f"budget_{field}_ns")) / _MS


def _bar(ax: Axes, y: int, row: SummaryRow) -> None:
    left = 0.0
    for name, colour in style.PARTS.items():
        width = _part(row, name)
        ax.barh(
            y, width, left=left, height=0.62, color=colour, edgecolor=style.PAPER, linewidth=0.4
        )
        left += width


def _marks(row: SummaryRow) -> list[tuple[float, str]]:
    found = [] if row.min_ns is None else [(row.min_ns / _MS, "|")]
    for estimate, marker in ((row.p50, "o"), (row.p99, "D")):
        if isinstance(estimate, Estimate):
            found.append((estimate.value / _MS, marker))
    return found


def _budget_reach(rows: Sequence[SummaryRow]) -> float:
    """As far as the largest budget and p50 need; a wild tail does not squeeze the rest."""
    largest = max((row.budget_ns / _MS for row in rows), default=1.0)
    seen = [x for row in rows for x, _ in _marks(row) if math.isfinite(x)]
    return 1.12 * max(largest, min(max(seen, default=largest), 2.5 * largest))


def _mark(ax: Axes, x: float, y: int, marker: str, right: float) -> None:
    if x > right * 0.985:  # beyond the axis: an arrow at the edge
        text = "lost" if math.isinf(x) else f"{x:.3g}"
        kind = {"o": "p50", "D": "p99", "|": "min"}[marker]
        shift = {"|": -0.27, "o": 0.0, "D": 0.27}[marker]
        ax.annotate(
            f"{kind} {text} \N{RIGHTWARDS ARROW}",
            (right, y + shift),
            ha="right",
            va="center",
            fontsize=7,
            zorder=4,
        )
        return
    size = {"|": 13, "o": 6, "D": 5.5}[marker]
    ax.plot(
        x,
        y,
        marker=marker,
        markersize=size,
        color=style.INK,
        markerfacecolor=style.PAPER if marker == "o" else style.INK,
        markeredgewidth=1.4,
        linestyle="none",
        zorder=3,
    )


def _budget_deadline(ax: Axes, row: SummaryRow, y: int, right: float) -> None:
    if row.deadline_ns is None:
        return
    at = row.deadline_ns / _MS
    if at < right:
        ax.plot([at, at], [y - 0.42, y + 0.42], color=_BAD, linewidth=2, zorder=3.5)
    else:
        text = f"{wording.nominal(row.deadline_ns)} \N{RIGHTWARDS ARROW}"
        ax.text(right, y, text, color=_BAD, fontsize=7.5, ha="right", va="center", zorder=3.5)


def _budget_legend(rows: Sequence[SummaryRow]) -> list[Patch | Line2D]:
    used = [name for name in style.PARTS if any(_part(row, name) for row in rows)]
    handles: list[Patch | Line2D] = [Patch(color=style.PARTS[n], label=n) for n in used]
    for marker, label in (("|", "min"), ("o", "p50"), ("D", "p99")):
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=marker,
                color=style.INK,
                markerfacecolor=style.PAPER if marker == "o" else style.INK,
                markersize=9 if marker == "|" else 6,
                label=label,
            )
        )
    handles.append(
        Line2D([], [], linestyle="none", marker="|", color=_BAD, markersize=11,
               markeredgewidth=2, label="deadline")
    )  # fmt: skip
    return handles


def longest_tails(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    """The rows for which there is room over time, in their order: those whose largest
    delay is furthest over the budget.
    """
    tails = sorted((row.max_ns or 0) - row.budget_ns for row in rows)
    least = tails[-_SHOWN] if len(rows) > _SHOWN else -math.inf
    return [row for row in rows if (row.max_ns or 0) - row.budget_ns >= least][:_SHOWN]


def over_time(
    plan: Plan, rows: Sequence[SummaryRow], packets: Groups, colours: Mapping[str, str]
) -> Figure:
    """One small panel per row: the slowest packet of every moment, losses, cuts, warm-up."""
    sessions = {s.id: s for s in plan.sessions}
    with style.themed():
        figure, axes = panels([called(row) for row in rows], 1.65)
        for i, (ax, row) in enumerate(zip(axes, rows, strict=False)):
            session = sessions[row.session]
            if row.session in packets:
                found = series(row.judged, packets[row.session])
                _moments(ax, found.intended_ns / 1e9, found.delay_ns / _MS, colours[row.slice])
            ax.axvspan(0, session.warmup_ns / 1e9, color=style.GRID, alpha=0.6, linewidth=0)
            for event in plan.events:
                ax.axvline(event.at_ns / 1e9, color=style.INK, linestyle=":", linewidth=1)
            ax.set_xlim(0, max(plan.duration_ns / 1e9, 1e-3))
            if i % COLUMNS == 0:
                ax.set_ylabel("ms")
            if i + COLUMNS >= len(rows):
                ax.set_xlabel("time, s")
    return figure


def _moments(ax: Axes, at: Delays, delays: Delays, colour: str) -> None:
    """Median line and the range up to the largest delay, over equal bins of time."""
    bins = min(_POINTS // 2, max(1, len(at)))
    table = pd.DataFrame({"at": at, "delay": np.where(np.isfinite(delays), delays, np.nan)})
    table["bin"] = pd.cut(table["at"], bins, labels=False) if len(at) > 1 else 0
    groups = table.groupby("bin")
    middle = groups["at"].mean()
    ax.fill_between(
        middle, groups["delay"].min(), groups["delay"].max(), color=colour, alpha=0.35, linewidth=0
    )
    ax.plot(middle, groups["delay"].median(), color=colour, linewidth=1.1)
    top = np.nanmax(table["delay"]) if table["delay"].notna().any() else 1.0
    ax.set_ylim(0, 1.25 * top)
    lost = at[~np.isfinite(delays)]
    if len(lost):
        lost = lost[list(style.thin(len(lost), _POINTS // 2))]
        ax.plot(lost, np.full(len(lost), 1.17 * top), "|", color=_BAD, markersize=5)
