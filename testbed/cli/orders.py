"""testbed orders: slice orders checked, shown and converted, without a lab."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec
from rich.table import Table

from testbed.cli.console import Verbs, err, out, show_error, show_note
from testbed.errors import InputError
from testbed.scenario.model import Slice, Slo
from testbed.scenario.orders.ietf import Orders
from testbed.scenario.orders.profile import Ends
from testbed.scenario.orders.read import FORMATS, Format, check_nodes, read_orders
from testbed.units import show_bps, show_ns

format_option = click.option(
    "--from", "format_", type=click.Choice(FORMATS),
    help="ietf: ietf-network-slice-service; 3gpp: ServiceProfile; gst: NG.116 attributes. "
    "Default: told from each file.",
)  # fmt: skip
terminal_option = click.option("--terminal", help="Node of a 3gpp or gst order's terminals.")
server_option = click.option("--server", help="Node of a 3gpp or gst order's server.")


@click.group(cls=Verbs)
def orders() -> None:
    """Slice orders: check files, show what they ask, convert them."""


@orders.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
@terminal_option
@server_option
@click.option("--topology", help="Also check that every node is in this topology.")
@click.option("--json", "as_json", is_flag=True, help="The slices as JSON.")
def check(
    files: tuple[Path, ...],
    format_: Format | None,
    terminal: str | None,
    server: str | None,
    topology: str | None,
    as_json: bool,
) -> None:
    """Hold order files against their format and print what each order asks.

    \b
    testbed orders check experiments/orders/*
    testbed orders check experiments/orders/city_ietf.json --topology city
    """
    nodes = None
    if topology is not None:
        from testbed.prepare import network
        from testbed.scenario.model import TopologyRef

        nodes = [node.name for node in network(TopologyRef(name=topology))[0].nodes]
    slices: list[Slice] = []
    worst = 0
    for file in files:
        try:
            found = read_orders(file, format_, Ends(terminal, server))
            if nodes is not None:
                check_nodes(found.slices, nodes, str(file))
        except InputError as error:  # the other files are checked too
            show_error(error)
            worst = error.exit_code
            continue
        slices += found.slices
        if not as_json:
            out.print(table(found, str(file)))
            _notes(found.notes)
    if as_json and not worst:
        click.echo(msgspec.json.format(msgspec.json.encode(slices), indent=1))
    sys.exit(worst)


@orders.command()
@click.argument("file", type=click.Path(path_type=Path))
@format_option
@click.option("--to", type=click.Choice(["ietf"]), default="ietf", show_default=True)
@terminal_option
@server_option
def convert(
    file: Path, format_: Format | None, to: str, terminal: str | None, server: str | None
) -> None:
    """Write an order file in another format to stdout; what is not carried to stderr.

    \b
    testbed orders convert --terminal ue1 --server park experiments/orders/remote_driving_3gpp.json
    """
    from testbed.scenario.orders.write import to_ietf

    found = read_orders(file, format_, Ends(terminal, server))
    document, rounded = to_ietf(found.slices)
    click.echo(json.dumps(document, indent=1))
    _notes((*found.notes, *rounded))


def table(found: Orders, title: str) -> Table:
    """What the orders of a file ask: a row for each slice, and for what differs inside."""
    rows = Table(title=title, title_justify="left", header_style="bold", box=None)
    columns = ("slice", "S-NSSAI", "between", "rate", "delay", "variation", "loss", "available")
    for name in (*columns, "queue, backup"):
        rows.add_column(name, overflow="fold")
    for slice_ in found.slices:
        rows.add_row(
            slice_.id,
            f"{slice_.sst}-{slice_.sd}",
            _between(slice_),
            *promise(slice_),
            f"{'own' if slice_.isolation == 'dedicated-queue' else 'shared'}, {_backup(slice_)}",
        )
        for contract in slice_.groups:
            for construct in contract.constructs:
                if construct.slo is not None:
                    ends = f"{', '.join(construct.senders)} > {', '.join(construct.receivers)}"
                    rows.add_row("", "", ends, *promise(construct.slo), "")
    return rows


def promise(slo: Slo) -> tuple[str, str, str, str, str]:
    """Rate, delay, variation, loss and availability for people; '-' is no promise."""
    rate = show_bps(slo.guaranteed_bps) if slo.guaranteed_bps else "-"
    if slo.maximum_bps is not None:
        rate += f" to {show_bps(slo.maximum_bps)}"
    return (
        rate,
        _bounds(slo.delay_ns, slo.delay_percentile, slo.delay_percentile_ns),
        _bounds(slo.variation_ns, slo.variation_percentile, slo.variation_percentile_ns),
        "-" if slo.loss is None else f"{slo.loss:g}",
        "-" if slo.availability is None else f"{100 * slo.availability:.8g} %",
    )


def _bounds(maximum: int | None, percentile: float | None, bound: int | None) -> str:
    found = [] if maximum is None else [f"max {show_ns(maximum)}"]
    if percentile is not None and bound is not None:
        found.append(f"p{percentile:g} {show_ns(bound)}")
    return "\n".join(found) or "-"


def _backup(slice_: Slice) -> str:
    """How a failure is met, and what the backup avoids."""
    words: list[str] = [] if slice_.protection == "none" else [slice_.protection]
    if slice_.diversity != "none":
        words.append(f"{slice_.diversity}-disjoint")
    return " ".join(words) or "none"


def _between(slice_: Slice) -> str:
    """The pairs with a contract, or the SDPs where a node is missing."""
    pairs = [f"{c.src} > {c.dst}" for c in slice_.contracts()]
    pairs = pairs or [sdp.node or f"{sdp.id} (no node)" for sdp in slice_.sdps]
    shown = pairs if len(pairs) <= 4 else [*pairs[:3], f"... {len(pairs)} in all"]
    return "\n".join(shown)


def _notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        show_note(err, note, "not carried")
