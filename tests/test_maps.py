"""The docstring of every package is a map of its files, complete and with nothing that is gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGES = sorted(
    path.parent
    for top in ("testbed", "controllers")
    for path in (PROJECT / top).rglob("__init__.py")
    if path.parent.name != "policies"  # plugins: a file more is all it takes
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_package_names_its_files(package: Path) -> None:
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    files = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    files |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    lines = [line.split()[0] for line in text.splitlines() if line.strip()]
    named = {word.rstrip(",") for word in lines if re.fullmatch(r"\w+(\.py|/),?", word)}
    assert not files - named, f"{package.name}/__init__.py leaves out {sorted(files - named)}"
    assert not named - files, f"{package.name}/__init__.py names {sorted(named - files)}"
