"""How full ports were, over time, from what they told each so many ms (`--sample-ports`)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from testbed.plan.model import Plan
from testbed.report import style
from testbed.report.figures import COLUMNS, panels

MOST_PORTS = 12
_KB = 1e3
_HEADROOM = 1.15
"""Above a full queue, for the marks of what it drops."""


def fullest(samples: pd.DataFrame) -> list[str]:
    """The ports in which anything ever waited or was dropped, the fullest first."""
    port = samples.groupby(["port", "at_ns"], sort=False)["backlog_bytes"].sum()
    deepest = port.groupby("port").max()
    drops = samples.groupby(["port", "queue"])["drops"].max().groupby("port").sum()
    found = pd.DataFrame({"deepest": deepest, "drops": drops})
    found = found[(found["deepest"] > 0) | (found["drops"] > 0)]
    order = found.sort_values(["deepest", "drops"], ascending=False, kind="stable")
    return [str(name) for name in order.index]


def depth(plan: Plan, samples: pd.DataFrame) -> Figure:
    """A panel for each of the fullest ports: what waited in each queue, drops, events."""
    ports = fullest(samples)[:MOST_PORTS]
    names = {p.name: {q.id: q.name for q in p.queues} for p in plan.ports}
    of_port = {str(name): part for name, part in samples.groupby("port")}
    with style.themed():
        figure, axes = panels(ports, 1.65)
        for i, (ax, port) in enumerate(zip(axes, ports, strict=False)):
            for number, queue in of_port[port].groupby("queue"):
                _queue(ax, queue, names[port].get(int(str(number)), "best effort"))
            for event in plan.events:
                ax.axvline(event.at_ns / 1e9, color=style.INK, linestyle=":", linewidth=1)
            ax.set_xlim(0, max(plan.duration_ns / 1e9, 1e-3))
            deepest = float(of_port[port]["backlog_bytes"].max()) / _KB
            ax.set_ylim(0, _HEADROOM * deepest or 1)
            ax.legend(fontsize="x-small", loc="center right")
            if i % COLUMNS == 0:
                ax.set_ylabel("kB waiting")
            if i + COLUMNS >= len(ports):
                ax.set_xlabel("time, s")
    return figure


def _queue(ax: Any, queue: pd.DataFrame, name: str) -> None:
    at_s = queue["at_ns"] / 1e9
    ax.plot(at_s, queue["backlog_bytes"] / _KB, linewidth=1.0, label=name)
    dropping = queue["drops"].diff().fillna(queue["drops"]) > 0
    if dropping.any():
        ticks = at_s[dropping]
        ax.plot(ticks, [0.97] * len(ticks), "|", color=style.VERDICTS["missed"], markersize=5,
                transform=ax.get_xaxis_transform())  # fmt: skip
