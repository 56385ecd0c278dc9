"""A stored run, ready to be carried out again, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from testbed.errors import InputError, ResultError, TestbedError
from testbed.plan.model import SCHEMA
from testbed.prepare import Prepared, plan_of, sources
from testbed.results.folder import RunFolder, find_run
from testbed.results.provenance import versions
from testbed.scenario import discovery


def stored(name: str, root: Path) -> RunFolder | None:
    """The run that `name` means where an experiment is asked for: by its folder, its id or
    `last`. None: it is an experiment's name, or nothing."""
    if name in discovery.files("experiment"):
        return None
    try:
        path = find_run(name, root)
    except InputError:
        if "/" in name:
            raise
        return None
    return RunFolder(path) if path.parent.name != name else None


def again(run: RunFolder) -> Prepared:
    """Its question with the plan that was made for it, so that nothing is decided anew.

    A plan of another schema is made again from the question. Raises InputError, PlanError and
    ResultError.
    """
    try:
        plan = run.planned
    except ResultError:
        plan = plan_of(run.scenario).plan
    return Prepared(scenario=run.scenario, plan=plan, sources=run.sources)


def changed(run: RunFolder, lab: Mapping[str, str]) -> Iterator[str]:
    """What is other today, in sentences: files, the plan, versions, the lab."""
    now = sources(run.scenario)
    for place, content in run.sources.items():
        if place not in now:
            yield f"{place} is gone; the run has it in 1-sources"
        elif now[place] != content:
            yield f"{place} has changed since"
    try:
        differs = _first_difference(
            msgspec.to_builtins(run.planned),
            msgspec.to_builtins(plan_of(run.scenario).plan),
            untold=run.plan_schema != SCHEMA,
        )
    except TestbedError as error:
        yield f"its question cannot be planned today: {error.what}"
    else:
        if differs:
            yield f"today's plan would differ, first at {differs}"
    then, today = run.provenance.versions | run.provenance.lab, versions() | dict(lab)
    others = [
        f"{name} {was} -> {today.get(name, 'none')}"
        for name, was in then.items()
        if today.get(name) != was and name != "memory_bytes"
    ]
    if others:
        yield f"other versions: {', '.join(others)}"


def _first_difference(
    before: object, now: object, at: str = "plan", *, untold: bool = False
) -> str:
    """Where two JSON values first differ, and how; empty: nowhere.

    With `untold`, what is empty before was not told by then, and is no difference.

    >>> _first_difference({"ports": [1, 2]}, {"ports": [1, 3]})
    'plan.ports[1]: 2 -> 3'
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            was = before.get(key)
            if untold and was in (None, "", [], (), {}):
                continue
            if found := _first_difference(was, now.get(key), f"{at}.{key}", untold=untold):
                return found
        return ""
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        for number, (old, new) in enumerate(zip(before, now, strict=False)):
            if found := _first_difference(old, new, f"{at}[{number}]", untold=untold):
                return found
        return f"{at}: {len(before)} -> {len(now)} of them" if len(before) != len(now) else ""
    return f"{at}: {before} -> {now}" if before != now else ""
