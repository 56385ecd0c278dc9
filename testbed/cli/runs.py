"""What `testbed run` carries out: one run, or each point of a sweep with each seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from testbed.cli import listing
from testbed.cli.console import out, progress, show_error
from testbed.errors import InputError, Stopped, TestbedError
from testbed.scenario import discovery

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.lab.base import Lab
    from testbed.plan.model import Plan
    from testbed.prepare import Prepared
    from testbed.results.folder import RunFolder

LAST_SEED = 2**32 - 1


class Asked(NamedTuple):
    """One run."""

    experiment: str
    point: Mapping[str, str]
    """Parameter -> value, of those that were set."""
    seed: int
    prepare: Callable[[], Prepared]
    """Its plan: made when its turn comes, or known already. Raises InputError and PlanError."""
    again: Path | None = None
    """The run folder that it repeats."""


class Kept(NamedTuple):
    """A run that was carried out."""

    asked: Asked
    run: RunFolder


def points(given: dict[str, list[str]]) -> list[dict[str, str]]:
    """The product of all values given for each parameter."""
    return [dict(zip(given, values, strict=True)) for values in itertools.product(*given.values())]


def seeds(given: Sequence[int], repeat: int | None) -> Sequence[int]:
    """The seeds named, or so many from the only one on.

    >>> seeds((7,), 3), seeds((1, 5), None)
    (range(7, 10), (1, 5))
    """
    if repeat is not None and len(given) > 1:
        raise InputError(
            "several seeds, and a number of repetitions",
            where="--seed, --repeat",
            expected="one --seed to count on from, or each seed by its own --seed",
        )
    found = given if repeat is None else range(given[0], given[0] + repeat)
    if twice := [seed for n, seed in enumerate(given) if seed in given[:n]]:
        raise InputError(
            f"seed {twice[0]} is there twice",
            where="--seed",
            expected="other seeds: the same one is the same run again",
        )
    if found[-1] > LAST_SEED:
        raise InputError(
            f"seed {found[-1]} is too large", where="--repeat", expected=f"at most {LAST_SEED}"
        )
    return found


def series(
    first: Prepared,
    point: Mapping[str, str],
    numbers: Sequence[int],
    planned: Callable[..., Prepared],
) -> Iterator[Asked]:
    """A point's runs, one for each seed, of which the first has its plan already: what is wrong
    with one is wrong with all.

    Args:
        planned: the plan of a point, `seed=` a seed.
    """
    name = first.scenario.experiment

    def later(seed: int) -> Prepared:
        prepared = planned(point, seed=seed)
        _unchanged(first, prepared)
        return prepared

    yield Asked(name, point, numbers[0], lambda: first)
    for seed in numbers[1:]:
        yield Asked(name, point, seed, partial(later, seed))


def _unchanged(first: Prepared, later: Prepared) -> None:
    """Runs that are held together are of the same files. Raises InputError."""
    places = sorted(first.sources.keys() | later.sources.keys())
    others = [at for at in places if first.sources.get(at) != later.sources.get(at)]
    if others:
        raise InputError(
            f"{others[0]} has changed since the first run",
            where=f"seed {later.scenario.seed}",
            expected="the files of the first run: runs of others say nothing together with it",
            remedy="begin anew, and leave them as they are until all have run",
        )


def carry_out(
    wanted: Sequence[Asked],
    lab: Callable[[Plan], Lab],
    *,
    notes: Sequence[str],
    options: Sequence[str],
    timeout_s: float | None,
    as_json: bool,
) -> TestbedError | None:
    """Carry out all runs and print them; the first error of those that failed.

    When the first run of all fails, so would the others, and none follows: its error is raised.
    Of later ones the others are kept.

    Args:
        lab: the lab for a plan.
        options: those of the command line that all runs share.
    """
    from testbed.results.folder import SUMMARY, RunFolder
    from testbed.run import execute

    kept: list[Kept] = []
    failed: list[tuple[Asked, TestbedError]] = []
    repeated = len({asked.seed for asked in wanted}) > 1
    for asked in wanted:
        try:
            prepared = asked.prepare()
            if not as_json and asked.seed == wanted[0].seed:
                listing.show_beforehand(prepared, out)
            with progress(quiet=as_json) as show:
                folder = execute(
                    prepared,
                    lab(prepared.plan),
                    root=discovery.home() / "results",
                    notes=notes,
                    command=command(asked, options),
                    show=show,
                    timeout_s=timeout_s,
                )
        except (TestbedError, Stopped) as error:
            if error.kept is not None and (error.kept / SUMMARY).exists():
                told = asked.point if as_json else _told(asked, repeated)
                listing.verdicts(RunFolder(error.kept), told, as_json=as_json, console=out)
            if isinstance(error, Stopped) or (not kept and not failed):
                raise
            show_error(error)
            failed.append((asked, error))
            continue
        kept.append(Kept(asked, RunFolder(folder)))
        given = asked.point if as_json else _told(asked, repeated)
        listing.verdicts(kept[-1].run, given, as_json=as_json, brief=repeated, console=out)
    _together(kept, as_json=as_json)
    if not failed:
        return None
    if not as_json:
        names = "; ".join(listing.settings_text(_told(asked, repeated)) for asked, _ in failed)
        out.print(f"{len(failed)} of {len(wanted)} runs failed, the others are kept: {names}")
    return failed[0][1]


def command(asked: Asked, options: Sequence[str]) -> tuple[str, ...]:
    """The command that carries out this one run again."""
    pairs = [word for key, value in asked.point.items() for word in ("--set", f"{key}={value}")]
    if asked.again is not None:
        return ("testbed", "run", str(asked.again), *options)
    return ("testbed", "run", asked.experiment, *pairs, "--seed", str(asked.seed), *options)


def _told(asked: Asked, repeated: bool) -> dict[str, str]:
    return dict(asked.point) | ({"seed": str(asked.seed)} if repeated else {})


def _together(kept: Sequence[Kept], *, as_json: bool) -> None:
    """Print what the runs of each point say together, and the points side by side."""
    from testbed.analysis.over_runs import over_runs

    by_point: dict[tuple[tuple[str, str], ...], list[Kept]] = {}
    for each in kept:
        by_point.setdefault(tuple(each.asked.point.items()), []).append(each)
    rows: list[tuple[Mapping[str, str], Sequence[Any]]] = []
    for of in by_point.values():
        point = of[0].asked.point
        if len(of) < 2:
            rows.append((point, listing.rows_of(of[0].run)))
            continue
        found = over_runs([each.run for each in of])
        rows.append((point, found))
        ran = [each.asked.seed for each in of]
        if as_json:
            told = {"settings": point, "seeds": ran, "over_runs": found}
            click.echo(msgspec.json.encode(told).decode())
        else:
            listing.show_over_runs(point, ran, of[0].run.scenario.question, found, out)
    if len(rows) > 1 and not as_json:
        listing.show_sweep([point for point, _ in rows], [found for _, found in rows], out)


def shared_options(
    lab: str | None,
    captures: Sequence[str],
    memory: str | None,
    timeout: float | None,
    *,
    hops: bool = False,
    sample_ports: int | None = None,
) -> list[str]:
    """The options of a command line that all its runs share."""
    words = ["--lab", lab] if lab is not None else []
    words += [word for text in captures for word in ("--pcap", text)]
    words += ["--hops"] if hops else []
    words += ["--sample-ports", str(sample_ports)] if sample_ports is not None else []
    words += ["--memory", memory] if memory is not None else []
    return words + (["--timeout", f"{timeout:g}"] if timeout is not None else [])
