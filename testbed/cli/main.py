"""The verbs of `testbed`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.text import Text

from testbed import __version__, units
from testbed.cli import cost, listing, parts, runs
from testbed.cli.console import (
    Seconds,
    Verbs,
    err,
    json_option,
    out,
    settings,
    show_error,
    show_note,
)
from testbed.cli.orders import orders
from testbed.cli.reproduce import reproduce, to_repeat
from testbed.errors import InputError, ResultError
from testbed.scenario import discovery

LABS = ("virtual", "wall", "native")

lab_option = click.option(
    "--lab",
    metavar="|".join(LABS),
    help="Where to run: virtual (exact time), wall (User-Mode Linux, real time) or native "
    "(this kernel, root). Default: the first that is available.",
)
set_option = click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of build(); repeat it for others, or with other values for a sweep.",
)
seed_option = click.option(
    "--seed",
    "seeds",
    type=click.IntRange(0, runs.LAST_SEED),
    multiple=True,
    default=(1,),
    show_default="1",
    help="Seed of everything random; repeat it for others.",
)
memory_option = click.option(
    "--memory",
    metavar="SIZE",
    help='The lab\'s own memory, as in --memory "4 GiB". Default: what the plan needs, and at '
    "least 2 GiB in the virtual lab; taken from this machine as it is used.",
)
hops_option = click.option(
    "--hops",
    is_flag=True,
    help="Also take down when probes leave each port of their ways, and say by hop and queue "
    "where their delay was spent.",
)
sample_option = click.option(
    "--sample-ports",
    metavar="MS",
    type=click.IntRange(1, 60_000),
    help="Also take down each port's depth and counts, every so many ms of traffic.",
)
pcap_option = click.option(
    "--pcap",
    "captures",
    multiple=True,
    metavar="NODE:PORT",
    help="Capture a port, named by its interface or its neighbour. Repeatable.",
)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="testbed")
def main() -> None:
    """Network slicing and edge-access testbed: real packets over emulated metro and
    5G access networks, with a verdict on every application's deadline.

    \b
    testbed list                     what there is to run
    testbed check metro_slices       parse and plan it, without a lab
    testbed run metro_slices         run it and print the verdicts
    testbed report                   the last run as an HTML page
    testbed shell city               a Mininet prompt on a topology
    """


@main.command()
@click.argument("name")
@set_option
@lab_option
@seed_option
@pcap_option
@hops_option
@sample_option
@memory_option
@click.option(
    "--repeat",
    type=click.IntRange(min=2),
    metavar="N",
    help="Run it N times, with seeds from --seed on, and say what the runs show together.",
)
@click.option("--timeout", type=Seconds(), help="Wall seconds until given up.")
@json_option
def run(
    name: str,
    pairs: tuple[str, ...],
    lab: str | None,
    seeds: tuple[int, ...],
    repeat: int | None,
    captures: tuple[str, ...],
    hops: bool,
    sample_ports: int | None,
    memory: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Run an experiment and print a verdict for each application.

    NAME: an experiment; or a run, by its folder, its id or "last", which is repeated with
    its plan and seed in its lab.

    \b
    testbed run metro_slices
    testbed run metro_slices --set flood=1.5 --set policy=shortest_path
    testbed run metro_slices --set flood=0.5 --set flood=1.2     (a sweep)
    testbed run metro_slices --repeat 10                         (ten seeds)
    testbed run metro_slices --pcap park:eth0 --json
    testbed run metro_slices --hops                              (delay by hop)
    """
    from testbed.keep import recover
    from testbed.memory import fitted
    from testbed.prepare import prepare

    memory_bytes = _memory(memory)
    if (stored := to_repeat(name)) is not None:
        wanted = [stored.asked]
        lab = lab or stored.lab
        if memory_bytes is None and lab == stored.lab:
            memory_bytes = stored.memory_bytes
    else:
        points, numbers = runs.points(settings(pairs)), runs.seeds(seeds, repeat)
        every_ns = None if sample_ports is None else sample_ports * 1_000_000
        planned = partial(prepare, name, captures=captures, hops=hops, sample_ports_ns=every_ns)
        first = [planned(point, seed=numbers[0]) for point in points]
        plans = [each.plan for each in first]
        if told := cost.told(plans, len(numbers), discovery.home() / "results"):
            show_note(err, told)
        wanted = [
            asked
            for prepared, point in zip(first, points, strict=True)
            for asked in runs.series(prepared, point, numbers, planned)
        ]
    chosen, notes = _lab(lab)
    listing.show_recovered(recover(discovery.home() / "results"), err)
    error = runs.carry_out(
        wanted,
        lambda plan: fitted(chosen, plan, memory_bytes),
        notes=notes,
        options=runs.shared_options(
            lab, captures, memory, timeout, hops=hops, sample_ports=sample_ports
        ),
        timeout_s=timeout,
        as_json=as_json,
    )
    if error is not None:
        sys.exit(error.exit_code)


@main.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List experiments, topologies, policies and application classes."""
    broken: list[InputError] = []
    rows = listing.everything(broken)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        listing.show_everything(rows, out)
    for error in broken:
        show_error(error)
    if broken:
        sys.exit(broken[0].exit_code)


@main.command()
@click.argument("name")
@set_option
@seed_option
@pcap_option
def check(
    name: str, pairs: tuple[str, ...], seeds: tuple[int, ...], captures: tuple[str, ...]
) -> None:
    """Parse and plan an experiment and walk its tables; needs no lab and no root.

    NAME may be "all".
    """
    from testbed.prepare import prepare

    names = list(discovery.files("experiment")) if name == "all" else [name]
    for each in names:
        for point, seed in product(runs.points(settings(pairs)), runs.seeds(seeds, None)):
            prepared = prepare(each, point, seed=seed, captures=captures)
            plan = prepared.plan
            out.print(
                Text("ok", "green"),
                f"{each}: {len(plan.hosts)} hosts, {len(plan.switches)} switches, "
                f"{_of(plan.sessions, 'session')}, {_of(plan.loads, 'load')}, "
                f"{len(plan.rules)} rules; every packet reaches its host on its planned path",
            )
            listing.show_beforehand(prepared, out)
            listing.show_notes(prepared.notes, out)


@main.command()
@click.argument("name")
@set_option
@seed_option
@click.option("--rules", "show_rules", is_flag=True, help="Also print every OpenFlow rule.")
@json_option
def plan(
    name: str, pairs: tuple[str, ...], seeds: tuple[int, ...], show_rules: bool, as_json: bool
) -> None:
    """Print what a run would install: paths, queues, delay budget, rules."""
    from testbed.prepare import prepare

    for point, seed in product(runs.points(settings(pairs)), runs.seeds(seeds, None)):
        prepared = prepare(name, point, seed=seed)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(prepared.plan), indent=1))
        else:
            listing.show_plan(prepared.plan, out, rules=show_rules)
            listing.show_beforehand(prepared, out)
            listing.show_notes(prepared.notes, out)


@main.command()
@click.argument("run", default="last")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the page to this file, and nothing into the run's folder.",
)
@json_option
def report(run: str, output: Path | None, as_json: bool) -> None:
    """Write a run's HTML report (RUN: a folder, its id, or "last")."""
    from testbed.keep import left
    from testbed.report.html import write_report
    from testbed.results.folder import find_run

    listing.show_left(left(discovery.home() / "results"), err)
    path = write_report(find_run(run, discovery.home() / "results"), output)
    if as_json:
        click.echo(json.dumps({"report": str(path)}))
    else:
        out.print(str(path), soft_wrap=True)


@main.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def collect(folder: Path | None) -> None:
    """Keep what killed runs measured, as unfinished runs.

    FOLDER: the one that a killed run left; without it, all of this project. The next
    `testbed run` does the same.
    """
    from testbed.keep import recover, recover_one

    if folder is not None:
        found = [recover_one(folder.resolve())]
    else:
        found = list(recover(discovery.home() / "results"))
    kept = listing.show_recovered(found, out)
    if not found:
        out.print("no killed run is waiting")
    elif not kept:
        sys.exit(ResultError.exit_code)


@main.command()
@click.argument("run", default="last")
def captures(run: str) -> None:
    """Hold a run's packet captures against its plan: STAMP layout, size, DSCP, label.

    Captures come from --pcap NODE:PORT or from Experiment.capture().
    """
    from testbed.probes.capture_read import verify_capture
    from testbed.results.folder import CAPTURES, RunFolder, find_run
    from testbed.scenario.model import HEADS

    folder = RunFolder(find_run(run, discovery.home() / "results"))
    found = sorted((folder.path / CAPTURES).glob("*.pcap"))
    files = [file for file in found if not file.name.endswith(HEADS)]
    if not files:
        raise InputError(
            "this run has no captures",
            where=str(folder.path),
            expected="a run with --pcap NODE:PORT",
            remedy=f"testbed run {folder.scenario.experiment} --pcap NODE:PORT",
        )
    findings = [(file, found) for file in files for found in verify_capture(file, folder.plan)]
    listing.show_findings(findings, out)
    if not all(found.good for _, found in findings):
        sys.exit(5)


@main.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say which labs are available, what is missing, and the remedy."""
    from testbed.lab.doctor import diagnose

    checks = diagnose()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(checks), indent=1))
    else:
        listing.show_checks(checks, out)
    if not listing.usable(checks):
        sys.exit(4)


@main.command()
@click.argument("topology")
@set_option
@click.option(
    "--policy",
    help="How paths are chosen. Default: shortest_path; with --northbound admitted, which keeps "
    "what it accepts.",
)
@click.option(
    "--lab",
    metavar="|".join(LABS),
    help="As for run. Default: wall, or else native, whose clocks run as yours does; then virtual.",
)
@memory_option
@click.option(
    "--protection",
    type=click.Choice(["none", "fast_failover", "reactive"]),
    default="none",
    show_default=True,
    help="How packets between hosts go round a cut: by their switches, or by the controller.",
)
@click.option(
    "--bfd",
    metavar="TIME",
    help='See links that fall silent, by BFD each so often, as in "10 ms"; with --protection.',
)
@click.option(
    "--northbound",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Take slice orders over HTTP at this port of the lab's 127.0.0.1.",
)
def shell(
    topology: str,
    pairs: tuple[str, ...],
    policy: str | None,
    lab: str | None,
    memory: str | None,
    protection: Any,
    bfd: str | None,
    northbound: int | None,
) -> None:
    """Open a Mininet prompt on a topology, all hosts connected.

    \b
    testbed shell metro_ring
    mininet> pingall
    mininet> h2 ping -c 3 dc1
    mininet> link r1 r2 down

    The lab sees this project's files, as /project, and none beside it.
    """
    from testbed.memory import fitted
    from testbed.prepare import bare
    from testbed.run import converse

    given = {key: values[-1] for key, values in settings(pairs).items()}
    bfd_ns = None if bfd is None else units.whole_ms_ns(bfd, "--bfd")
    if bfd_ns is not None and protection == "none":
        raise InputError(
            "nothing is protected that BFD would watch links for",
            where="--bfd",
            expected="a protection that goes round what it sees",
            remedy="--protection fast_failover or reactive",
        )
    policy = policy or ("admitted" if northbound else "shortest_path")
    prepared = bare(topology, given, policy, protection, bfd_ns)
    plan, memory_bytes = prepared.plan, _memory(memory)
    chosen, _ = _lab(lab or _interactive())
    chosen = fitted(chosen, plan, memory_bytes)
    seconds = 5 if chosen.name == "virtual" else 15
    err.print(
        f"{topology} in the {chosen.name} lab: {len(plan.hosts)} hosts, "
        f"{len(plan.switches)} switches. The prompt comes in about {seconds} s; 'exit' leaves "
        "it, and nothing stays."
    )
    sys.exit(converse(chosen, "shell", {"northbound": northbound}, prepared))


@main.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@lab_option
@memory_option
@click.option("--ovs/--no-ovs", default=True, show_default=True, help="Start Open vSwitch first.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(lab: str | None, memory: str | None, ovs: bool, command: tuple[str, ...]) -> None:
    """Run a command inside the lab; its exit code is returned.

    \b
    testbed exec -- mn --custom topologies/metro_ring.py --topo metro_ring --test none
    testbed exec --no-ovs -- ip link
    """
    from testbed.run import converse

    memory_bytes = _memory(memory)
    chosen, _ = _lab(lab)
    if memory_bytes is not None:
        chosen = chosen.sized(memory_bytes)
    sys.exit(converse(chosen, "exec", {"argv": list(command), "ovs": ovs}, None))


main.add_command(reproduce)
main.add_command(orders)
main.add_command(parts.kernel)
main.add_command(parts.image)


@main.command()
@click.argument("kind", type=click.Choice(["experiment", "topology", "policy", "class"]))
@click.argument("name")
def new(kind: str, name: str) -> None:
    """Write a commented template that passes `check`: experiment, topology, policy, class."""
    from testbed.cli.new import write_template

    path = write_template(kind, name)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    out.print(f"wrote {shown}")


def _of(items: Sequence[object], one: str) -> str:
    return f"{len(items)} {one}{'s' * (len(items) != 1)}"


def _lab(name: str | None) -> tuple[Any, tuple[str, ...]]:
    """The lab to use, and what the user should know about the choice; said on stderr."""
    from testbed.lab import choose

    lab, notes = choose(name)
    for note in notes:
        show_note(err, note)
    return lab, tuple(notes)


def _memory(text: str | None) -> int | None:
    """A size of memory. Raises InputError."""
    return None if text is None else units.memory_bytes(text, "--memory")


def _interactive() -> str | None:
    """The lab for a person at a prompt: one whose clock runs as theirs does."""
    from testbed.lab import LABS as KNOWN

    return next((name for name in ("wall", "native") if not KNOWN[name].missing()), None)
