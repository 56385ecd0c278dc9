"""Colours, the same in every figure: slices, parts of a delay, verdicts.

Slices take the palette of Okabe and Ito (2008), which the colour-blind can tell
apart. Ink, grid and paper are marker colours: in the page they are replaced by
CSS variables, so that a figure follows the reader's light or dark setting.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from testbed.files import whole, write_whole
from testbed.plan.model import Plan

INK, SOFT, GRID, PAPER = "#1f2933", "#66727f", "#d8dee5", "#fefefe"

_SLICES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31")

PARTS = {
    "propagation": "#35608d",
    "devices": "#6f9bc4",
    "serialisation": "#b3cde3",
    "radio": "#f0b670",
    "compute": "#b99bc9",
}
"""Part of a delay budget -> colour."""

VERDICTS = {
    "met": "#117a4a",
    "not shown": "#9a6700",
    "missed": "#b42318",
    "not valid": "#9a6700",
    "no deadline": SOFT,
}

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "testbed",
}


class Picture(NamedTuple):
    """A figure in the page."""

    name: str
    title: str
    alt: str
    """What a reader who cannot see it should know."""
    svg: str


def themed() -> AbstractContextManager[None]:
    """Inside it, figures are drawn and saved in this style."""
    return mpl.rc_context(_RC)


def slice_colours(plan: Plan) -> dict[str, str]:
    """Slice -> colour, in the order in which the plan's sessions and loads name them."""
    used = [s.slice for s in plan.sessions] + [load.slice for load in plan.loads]
    return {name: _SLICES[i % len(_SLICES)] for i, name in enumerate(dict.fromkeys(used))}


def save(figure: Figure, folder: Path | None, name: str, title: str, alt: str) -> Picture:
    """The picture for the page; `name`.svg and `name`.png are written into the folder."""
    with themed():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not for each format
        if folder is not None:
            with whole(folder / f"{name}.png") as file:
                figure.savefig(file, format="png", dpi=160)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Title": title})
    if folder is not None:
        write_whole(folder / f"{name}.svg", text.getvalue().encode())
    return Picture(name, title, alt, inline(text.getvalue(), name, alt))


_VARIABLES = (
    (INK, "ink"),
    (SOFT, "soft"),
    (GRID, "grid"),
    (PAPER, "paper"),
    (VERDICTS["missed"], "missed"),
)


def inline(svg: str, name: str, alt: str) -> str:
    """An SVG file's text as an element of a page, in the page's colours."""
    body = svg[svg.index("<svg") :]
    head, rest = body.split(">", 1)
    size = re.search(r'viewBox="([^"]+)"', head)
    assert size is not None
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.S)
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = rest.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    for colour, variable in _VARIABLES:
        rest = re.sub(f"{colour}\\b", f"var(--{variable})", rest, flags=re.I)
    rest = rest.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, system-ui")
    opening = f'<svg viewBox="{size[1]}" role="img" aria-label="{_escape(alt)}"'
    return f'{opening} xmlns:xlink="http://www.w3.org/1999/xlink">{rest}'


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def thin(indices: int, most: int) -> Sequence[int]:
    """At most about `most` of so many indices, evenly spread, the last included."""
    step = max(1, indices // most)
    return sorted({*range(0, indices, step), indices - 1}) if indices else ()
