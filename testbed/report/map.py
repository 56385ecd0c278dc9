"""The network with its slice paths, drawn from the plan alone.

The canvas is in points, so that offsets and label sizes are what they say. Paths of
several slices over one link run side by side, each in its slice's colour.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.links.kinds import KINDS
from testbed.links.link import Link
from testbed.plan.model import Load, Plan, Session
from testbed.report import style
from testbed.scenario.events.link import LinkEvent

WIDTH = 760.0
"""Of the canvas, points."""
_HEIGHTS = (230.0, 520.0)
"""Least and most; between them the shape of the network decides."""
_MARGIN = 46.0
_LEGEND = 34.0
_APART = 15.0
"""Nodes nearer than this are pushed apart, points."""
_ASIDE = 12.0
"""Least distance of a node from a link of others."""
_ROUNDS = 8
"""Of moving nodes from one another and off links, each of which may undo the other."""
_LANE = 3.6
"""Between neighbouring paths on one link, points."""
_CHAR, _LINE = 4.9, 9.5
"""Size of a label's character, points."""
_BETWEEN = 4.0
"""Between two labels in a line, points."""

_MARKERS = {"ue": "D", "compute": "s", "host": "D", "gnb": "^"}
_NAMES = {"ue": "terminal or host", "host": "terminal or host", "compute": "compute", "gnb": "gNB"}

Point = tuple[float, float]
Box = tuple[float, float, float, float]


def draw_map(plan: Plan, colours: Mapping[str, str]) -> Figure:
    """The map of a plan."""
    with style.themed():
        at, height = place(plan)
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(0, height))
        axes.set_axis_off()
        _links(axes, plan, at)
        _paths(axes, plan, at, colours)
        _nodes(axes, plan, at)
        _labels(axes, plan, at)
        _cuts(axes, plan, at)
        _legend(axes, plan, colours)
    return figure


def links(plan: Plan) -> set[tuple[str, str]]:
    """Every link of a plan once, its ends in alphabetical order."""
    return {edge(p.node, p.peer_node) for p in plan.ports}


def edge(a: str, b: str) -> tuple[str, str]:
    """A link whichever way it is named."""
    return (a, b) if a < b else (b, a)


def place(plan: Plan) -> tuple[dict[str, Point], float]:
    """Node -> position on the canvas, and its height: the plan's positions, fitted, and
    nodes pushed apart.
    """
    graph = nx.Graph(sorted(links(plan)))
    known = {n: p for n, p in plan.positions.items() if n in graph}
    if len(set(known.values())) < 2:
        found = nx.kamada_kawai_layout(graph)
        known = {n: (float(x), float(y)) for n, (x, y) in found.items()}
    for _ in range(len(graph)):  # hosts without a position sit at their switch
        for node in sorted(set(graph) - set(known)):
            near = [known[m] for m in sorted(graph[node]) if m in known]
            if near:
                known[node] = near[0]
    names = sorted(known)
    points = np.array([known[n] for n in names], dtype=float)
    span = np.ptp(points, axis=0)
    wide, around = WIDTH - 2 * _MARGIN, 2 * _MARGIN + _LEGEND
    height = float(np.clip(around + wide * span[1] / (span[0] or 1.0), *_HEIGHTS))
    room = np.array([wide, height - around])
    scale = min(room[i] / span[i] for i in (0, 1) if span[i] > 0)
    points = (points - points.min(axis=0) - span / 2) * scale + room / 2 + _MARGIN
    points[:, 1] += _LEGEND
    lines = [(names.index(a), names.index(b)) for a, b in sorted(graph.edges)]
    for _ in range(_ROUNDS):
        _push_apart(points)
        _off_lines(points, lines)
    _push_apart(points)  # last: nodes that hide one another tell less than one on a link
    found = {name: (float(x), float(y)) for name, (x, y) in zip(names, points, strict=True)}
    return found, height


def _push_apart(points: np.ndarray) -> None:
    for round_ in range(80):
        moved = False
        for i, j in combinations(range(len(points)), 2):
            gap = points[j] - points[i]
            distance = math.hypot(*gap)
            if distance >= _APART:
                continue
            if distance < 1e-6:
                angle = 2.4 * (i + j + round_)  # any fixed direction, different for each pair
                gap, distance = np.array([math.cos(angle), math.sin(angle)]), 1.0
            push = gap / distance * (_APART - min(distance, _APART)) / 2
            points[i] -= push
            points[j] += push
            moved = True
        if not moved:
            return


def _off_lines(points: np.ndarray, lines: Sequence[tuple[int, int]]) -> None:
    """Move nodes aside that lie on a link of others, which would seem to end there."""
    for a, b in lines:
        along = points[b] - points[a]
        length = math.hypot(*along)
        if length < 1e-6:
            continue
        across = np.array([-along[1], along[0]]) / length
        for node in set(range(len(points))) - {a, b}:
            from_a = points[node] - points[a]
            off = float(from_a @ across)
            if 0 < from_a @ along < length**2 and abs(off) < _ASIDE:
                points[node] += across * (math.copysign(_ASIDE, off) - off)


def _links(axes: Axes, plan: Plan, at: Mapping[str, Point]) -> None:
    drawn = {edge(p.node, p.peer_node): _line(p.link_kind) for p in plan.ports}
    for a, b in sorted(links(plan)):
        (xa, ya), (xb, yb) = at[a], at[b]
        line = drawn[a, b]
        axes.plot([xa, xb], [ya, yb], line, color=style.GRID, linewidth=2.2, zorder=1)


def _line(kind: str) -> Literal["-", "--", "-.", ":"]:
    return KINDS[kind].LINE if kind in KINDS else Link.LINE


def lanes(plan: Plan) -> dict[tuple[str, str], list[str]]:
    """Link -> slices whose packets cross it, in either direction, in a fixed order."""
    order = list(style.slice_colours(plan))
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    traffics: list[Session | Load] = [*plan.sessions, *plan.loads]
    for traffic in traffics:
        for path in traffic.paths:
            for a, b in pairwise(path.nodes):
                found[edge(a, b)].add(traffic.slice)
    return {link: sorted(names, key=order.index) for link, names in found.items()}


def spares(plan: Plan) -> dict[tuple[str, str], list[str]]:
    """Link -> slices that have only backups there: those of the links cut, if any is."""
    order, used = list(style.slice_colours(plan)), lanes(plan)
    cut = {edge(event.a, event.b) for event in _cut(plan)}
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for session in plan.sessions:
        for path in session.paths:
            for backup in path.backups:
                if cut and backup.failed and edge(*backup.failed) not in cut:
                    continue
                for a, b in pairwise(backup.nodes):
                    if session.slice not in used.get(edge(a, b), ()):
                        found[edge(a, b)].add(session.slice)
    return {link: sorted(names, key=order.index) for link, names in found.items()}


def _paths(axes: Axes, plan: Plan, at: Mapping[str, Point], colours: Mapping[str, str]) -> None:
    paths, backups = lanes(plan), spares(plan)
    for a, b in sorted(paths.keys() | backups.keys()):
        # left to right, so that a slice keeps its side from link to link
        (xa, ya), (xb, yb) = sorted((at[a], at[b]))
        length = math.hypot(xb - xa, yb - ya) or 1.0
        across = (-(yb - ya) / length, (xb - xa) / length)
        own = paths.get((a, b), [])
        names = [*own, *backups.get((a, b), ())]
        for i, name in enumerate(names):
            off = (i - (len(names) - 1) / 2) * _LANE
            axes.plot(
                [xa + off * across[0], xb + off * across[0]],
                [ya + off * across[1], yb + off * across[1]],
                color=colours[name],
                linewidth=2.6 if i < len(own) else 1.6,
                linestyle="solid" if i < len(own) else (0, (3, 2)),
                solid_capstyle="round",
                zorder=2,
            )


def _kinds(plan: Plan) -> dict[str, str]:
    return {h.name: h.kind for h in plan.hosts} | {s.name: s.kind for s in plan.switches}


def on_paths(plan: Plan) -> list[str]:
    """Nodes that sessions and loads touch, sessions' ends first."""
    ends = [n for s in plan.sessions for n in (s.sender, s.reflector)]
    ends += [n for load in plan.loads for n in (load.src, load.dst)]
    both: list[Session | Load] = [*plan.sessions, *plan.loads]
    others = [n for s in both for p in s.paths for n in p.nodes]
    return list(dict.fromkeys([*ends, *others]))


def _nodes(axes: Axes, plan: Plan, at: Mapping[str, Point]) -> None:
    touched = set(on_paths(plan))
    for name, kind in _kinds(plan).items():
        if name not in at:
            continue
        used = name in touched
        axes.plot(
            *at[name],
            marker=_MARKERS.get(kind, "o"),
            markersize=9 if used else 5,
            markerfacecolor=style.INK if kind == "compute" else style.PAPER,
            markeredgecolor=style.INK if used else style.SOFT,
            markeredgewidth=1.6 if used else 1.0,
            linestyle="none",
            zorder=4,
        )


def _labels(axes: Axes, plan: Plan, at: Mapping[str, Point]) -> None:
    """Name the nodes of the paths where there is room, ends first."""
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in at.values()]
    lines = [(at[a], at[b]) for a, b in links(plan)]
    top = axes.get_ylim()[1]
    for name in on_paths(plan):
        box = _room(name, at[name], taken, lines, top)
        if box is None:
            continue
        taken.append((box[0] - _BETWEEN, box[1], box[2] + _BETWEEN, box[3]))
        axes.text(
            (box[0] + box[2]) / 2,
            (box[1] + box[3]) / 2,
            name,
            ha="center",
            va="center_baseline",
            fontsize=8,
            zorder=6,
            bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.75},
        )


def _room(
    name: str, at: Point, taken: Iterable[Box], lines: list[tuple[Point, Point]], top: float
) -> Box | None:
    wide, high = len(name) * _CHAR + 2, _LINE
    best: tuple[int, int, Box] | None = None
    for i, (dx, dy) in enumerate(_AROUND):
        x = at[0] + dx * (9 + wide / 2)
        y = at[1] + dy * (9 + high / 2)
        box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
        if box[0] < 2 or box[2] > WIDTH - 2 or box[1] < _LEGEND or box[3] > top - 2:
            continue
        if any(_overlap(box, other) for other in taken):
            continue
        wide_box = (box[0] - 4, box[1] - 4, box[2] + 4, box[3] + 4)  # a bundle of lanes is wide
        crossed = sum(_crosses(wide_box, a, b) for a, b in lines)
        if best is None or (crossed, i) < best[:2]:
            best = (crossed, i, box)
    return best[2] if best else None


_AROUND = ((0, -1), (0, 1), (1, 0), (-1, 0), (0.9, 1.2), (-0.9, 1.2), (0.9, -1.2), (-0.9, -1.2))


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _crosses(box: Box, a: Point, b: Point) -> bool:
    """Whether a segment enters a box; sampled, which is enough for placing labels."""
    for i in range(33):
        x, y = a[0] + (b[0] - a[0]) * i / 32, a[1] + (b[1] - a[1]) * i / 32
        if box[0] < x < box[2] and box[1] < y < box[3]:
            return True
    return False


def _cuts(axes: Axes, plan: Plan, at: Mapping[str, Point]) -> None:
    for event in _cut(plan):
        if event.a not in at or event.b not in at:
            continue
        (xa, ya), (xb, yb) = at[event.a], at[event.b]
        axes.plot(
            (xa + xb) / 2,
            (ya + yb) / 2,
            marker="X",
            markersize=11,
            markerfacecolor=style.VERDICTS["missed"],
            markeredgecolor=style.PAPER,
            zorder=5,
        )


def _cut(plan: Plan) -> list[LinkEvent]:
    links = [event for event in plan.events if isinstance(event, LinkEvent)]
    return [event for event in links if event.action != "mend"]


def _legend(axes: Axes, plan: Plan, colours: Mapping[str, str]) -> None:
    crossed = {name for names in lanes(plan).values() for name in names}
    handles = [
        Line2D([], [], color=colour, linewidth=3, label=f"slice {name}")
        for name, colour in colours.items()
        if name in crossed
    ]
    kinds = _kinds(plan)
    some = {_NAMES[k]: k for k in ("host", "ue", "gnb", "compute") if k in kinds.values()}
    shown = list(some.values())
    for kind in [*shown, "switch"]:
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=_MARKERS.get(kind, "o"),
                markersize=7,
                markerfacecolor=style.INK if kind == "compute" else style.PAPER,
                markeredgecolor=style.INK if kind != "switch" else style.SOFT,
                label=_NAMES.get(kind, "switch or optical node"),
            )
        )
    for link in sorted({p.link_kind for p in plan.ports}):
        if _line(link) != Link.LINE:
            handles.append(
                Line2D([], [], color=style.SOFT, linestyle=_line(link), label=KINDS[link].WORDS)
            )
    if spares(plan):
        dashed = Line2D([], [], color=style.SOFT, linewidth=1.6, linestyle=(0, (3, 2)))
        dashed.set_label("backup")
        handles.append(dashed)
    if _cut(plan):
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="X",
                markersize=8,
                color=style.VERDICTS["missed"],
                label="cut",
            )
        )
    axes.legend(
        handles=handles,
        loc="lower center",
        ncols=min(len(handles), 6),
        fontsize=8,
        bbox_to_anchor=(0.5, 0.0),
        columnspacing=1.4,
        handletextpad=0.5,
    )
