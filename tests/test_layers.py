"""Every module has its place among the layers that import contracts keep."""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_every_module_is_in_a_layer() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    layers = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    outside = []
    for path in sorted((PROJECT / "testbed").rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        if not above & layers and parts[-1] != "__init__":
            outside.append(".".join(parts))
    assert not outside, f"no layer of pyproject.toml has {outside}"
