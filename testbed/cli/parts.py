"""The verbs `kernel` and `image`: what labs boot, built into the user's cache."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from testbed.cli.console import Verbs, err, json_option, out

force_option = click.option("--force", is_flag=True, help="Build it even if it is there.")


@click.group(cls=Verbs)
def kernel() -> None:
    """The lab kernel of virtual time: build it, or say whether it is there."""


@kernel.command("build")
@force_option
def build_kernel(force: bool) -> None:
    """Build the lab kernel into the user's cache: once, five minutes on two cores.

    One that is there is checked, and built again if it is damaged.
    """
    from testbed.lab import kernel as part

    built = part.build(lambda text: err.print(f"kernel: {text}"), force=force)
    out.print(f"lab kernel {built.release}, {built.source}, id {built.id}")


@kernel.command("status")
@json_option
def kernel_status(as_json: bool) -> None:
    """Say which lab kernel is there and whether it is whole, and what it was built from."""
    from testbed.lab import kernel as part

    built = part.existing("whole")
    size = built.program.stat().st_size
    facts = {"release": built.release, "source": built.source, "id": built.id}
    path: dict[str, str | int] = {"path": str(built.program), "bytes": size}
    _show(facts, path, f"program  {built.program} ({size / 1e6:.1f} MB)", as_json)


@click.group(cls=Verbs)
def image() -> None:
    """The lab image, the root folder labs boot: build it, or say whether it is there."""


@image.command("build")
@force_option
def build_image(force: bool) -> None:
    """Build the lab image into the user's cache: once, half a minute on two cores.

    One that is there is checked, and built again if it is damaged.
    """
    from testbed.lab import image as part

    built = part.build(lambda text: err.print(f"image: {text}"), force=force)
    out.print(f"lab image, Debian {part.SUITE}, id {built.id}")


@image.command("status")
@json_option
def image_status(as_json: bool) -> None:
    """Say which lab image is there, and whether it is whole."""
    from testbed.lab import image as part

    built = part.existing("whole")
    facts = {"suite": part.SUITE, "id": built.id}
    _show(facts, {"path": str(built.root)}, f"folder   {built.root}", as_json)


def _show(
    facts: Mapping[str, str], path: Mapping[str, str | int], place: str, as_json: bool
) -> None:
    if as_json:
        click.echo(json.dumps({**facts, **path}))
        return
    out.print("\n".join(f"{name:<8} {value}" for name, value in facts.items()))
    out.print(place, soft_wrap=True)
