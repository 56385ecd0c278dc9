"""How far from the plan each lab's delays are, on an idle host and on a busy one.

    python -m benchmarks.fidelity [--seconds VIRTUAL] [--labs virtual,wall,native]

One network through the real planner: terminals with one-way delays of 0.1, 0.5, 1, 5 and
20 ms on one switch, and a line of 6 switches with 10 Gbit/s fibre. Every session sends
100 small packets a second, none at the moment of another. An error is the difference of
a packet's one-way delay, or round trip, to what was planned for it: lost packets and
those of the first second are left out, and the losses are counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.line import HOPS, Errors, Line, busy, errors, nanoseconds, prepared, probe, ran
from testbed.lab.base import Lab
from testbed.lab.choice import LABS
from testbed.plan.model import Session
from testbed.prepare import Prepared
from testbed.results.folder import RunFolder

DELAYS_US = (100, 500, 1000, 5000, 20_000)
INTERVAL_NS = 10_000_000
APART_NS = 1_700_000
"""Between one session's packets and the next one's."""
BURNERS = 4
GOAL_P999_NS, GOAL_MAX_NS = 100, 1000

Row = tuple[Session, int, Errors, Errors]
"""A session, packets lost, error one-way (both ways together), error of the round trip."""


def delays(seconds: int) -> Prepared:
    """The plan of the table."""
    ends = [(f"u{n}", "edge") for n in range(1, len(DELAYS_US) + 1)] + [("near", "far")]
    return prepared(
        Line(delays_us=DELAYS_US),
        [
            probe(
                f"p{number}",
                *pair,
                interval_ns=INTERVAL_NS,
                duration_ns=seconds * 10**9,
                phase_ns=number * APART_NS,
            )
            for number, pair in enumerate(ends)
        ],
    )


def rows(run: RunFolder) -> list[Row]:
    """Every session of a run against its plan."""
    found = []
    samples = run.samples[run.samples.intended_ns >= run.scenario.warmup_ns]
    for session in run.plan.sessions:
        mine = samples[samples.session == session.id]
        good = mine[mine.received]
        there = session.legs[0].budget.total_ns
        back = session.legs[1].budget.total_ns
        off = np.concatenate([good.forward_ns - there, good.reverse_ns - back])
        lost = len(mine) - len(good)
        found.append((session, lost, errors(off), errors((good.rtt_ns - there - back).to_numpy())))
    return found


def name(session: Session) -> str:
    planned = nanoseconds(session.legs[0].budget.total_ns)
    return planned if session.reflector == "edge" else f"{planned} ({HOPS} switches)"


def table(found: dict[tuple[str, int], list[Row]]) -> Table:
    """All labs under each other; the last column divides by virtual's p99.9, 0 taken as 1 ns."""
    out = Table(title="error of delays against the plan")
    for heading in ("lab", "host", "planned one-way", "packets", "lost"):
        out.add_column(heading, justify="right", no_wrap=True)
    for heading in ("mean", "p99.9", "max", "rtt p99.9", "rtt max", "to virtual"):
        out.add_column(heading, justify="right", no_wrap=True)
    for (lab, burners), sessions in found.items():
        for number, (session, lost, way, rtt) in enumerate(sessions):
            exact = found.get(("virtual", burners), sessions)[number][2].p999
            out.add_row(
                lab,
                f"{burners} burners" if burners else "idle",
                name(session),
                str(rtt.packets),
                str(lost),
                *map(nanoseconds, (way.mean, way.p999, way.largest, rtt.p999, rtt.largest)),
                f"x {way.p999 / max(exact, 1):,.0f}" if lab != "virtual" else "",
            )
        out.add_section()
    return out


def met(found: dict[tuple[str, int], list[Row]]) -> bool:
    """Whether the virtual lab kept its goal."""
    return all(
        error.p999 < GOAL_P999_NS and error.largest < GOAL_MAX_NS
        for (lab, _), sessions in found.items()
        if lab == "virtual"
        for _, _, *both in sessions
        for error in both
    )


def present(names: Sequence[str], console: Console) -> list[Lab]:
    """The labs that can start; of the others it is said why they cannot."""
    labs = []
    for lab in (LABS[each] for each in names):
        lacks = lab.missing()
        if lacks:
            console.print(f"lab {lab.name} left out: it lacks {lacks[0].what}")
        else:
            labs.append(lab)
    return labs


def many(console: Console) -> bool:
    """20,000 probes at 1 kHz over the line: whether a tenth of their time is enough."""
    what = prepared(
        Line(), [probe("p", "near", "far", interval_ns=1_000_000, duration_ns=20 * 10**9)]
    )
    with ran(what, LABS["virtual"]) as (run, watch):
        (row,) = rows(run)
        console.print(
            f"20,000 probes at 1 kHz over {HOPS} switches: {watch.wall_s:.1f} s wall for "
            f"{watch.lab_s:.1f} s virtual ({watch.wall_s / watch.lab_s:.2f}); "
            f"error p99.9 {nanoseconds(row[2].p999)}, max {nanoseconds(row[2].largest)}, "
            f"{row[1]} lost"
        )
        return watch.wall_s < watch.lab_s / 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Delays of each lab against the plan.")
    parser.add_argument("--seconds", type=int, default=20, help="of traffic in each run")
    parser.add_argument("--labs", default=",".join(LABS))
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    what = delays(asked.seconds)
    found = {}
    for lab in present(asked.labs.split(","), console):
        for burners in (0, BURNERS):
            with busy(burners), ran(what, lab) as (run, _):
                found[lab.name, burners] = rows(run)
    console.print(table(found))
    good = met(found)
    console.print(
        f"goal of virtual, p99.9 under {GOAL_P999_NS} ns and max under {GOAL_MAX_NS} ns: "
        + ("met" if good else "NOT met")
    )
    if "virtual" in asked.labs:
        in_time = many(console)
        console.print(f"goal of a tenth of the virtual time: {'met' if in_time else 'NOT met'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
