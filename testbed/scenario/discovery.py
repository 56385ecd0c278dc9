"""Finds topologies, policies and experiments: one class per file, by folder.

A plugin is loaded by its path, never by an import name, so a file that is dropped
into a folder is there at once. Folders searched, in this order: the ones shipped
beside this package, then those of the user's project (`$TESTBED_HOME`, or the
nearest folder above the current one that holds `experiments` or `topologies`).

    topologies/NAME.py            a mininet.topo.Topo subclass
    controllers/policies/NAME.py  a testbed.slices.policy.Policy subclass
    experiments/NAME.py           a testbed.scenario.experiment.Experiment subclass
    classes/NAME.toml             an application class (see testbed.traffic.classes)
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from testbed.errors import InputError, unknown

PACKAGE_ROOT = Path(__file__).resolve().parents[2]

FOLDERS = {
    "topology": "topologies",
    "policy": "controllers/policies",
    "experiment": "experiments",
    "class": "classes",
}


def home() -> Path:
    """The user's project: where `new` writes and `results/` is made.

    Raises InputError if $TESTBED_HOME is set but is no folder, or the current one is gone.
    """
    named = os.environ.get("TESTBED_HOME")
    if named:
        path = Path(named)
        if not path.is_dir():
            raise InputError(
                f"TESTBED_HOME names no folder: {named!r}",
                where="environment",
                expected="a folder, or unset",
            )
        return path.resolve()
    try:
        here = Path.cwd().resolve()
    except FileNotFoundError as error:
        raise InputError("the current folder is gone", remedy="cd to another") from error
    for folder in (here, *here.parents):
        if any(_is_folder(folder / name) for name in ("experiments", "topologies")):
            return folder
    return PACKAGE_ROOT if os.access(PACKAGE_ROOT, os.W_OK) else here


def folders(kind: str) -> list[Path]:
    """The folders that hold plugins of this kind, shipped ones first."""
    roots = dict.fromkeys((PACKAGE_ROOT, home()))
    return [folder for root in roots if _is_folder(folder := root / FOLDERS[kind])]


def _is_folder(path: Path) -> bool:
    """Whether it is one; False where it may not be looked at, for which Path raises."""
    return os.path.isdir(path)  # noqa: PTH112 - as it says


def files(kind: str) -> dict[str, Path]:
    """Name -> file of every plugin of a kind. Raises InputError on a duplicate name."""
    found: dict[str, Path] = {}
    for folder in folders(kind):
        for path in sorted(folder.glob("*.py")):
            if path.stem.startswith("_"):
                continue
            if path.stem in found:
                raise InputError(
                    f"two files define the {kind} {path.stem!r}",
                    where=f"{found[path.stem]} and {path}",
                    expected="each name once",
                    remedy="rename one of them",
                )
            found[path.stem] = path
    return found


@cache
def _load(path: Path, mtime_ns: int) -> dict[str, object]:
    name = f"_testbed_plugin_{path.stem}_{mtime_ns}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f"{path}:{frames[-1].lineno if frames else getattr(error, 'lineno', 1)}"
        raise InputError(
            f"{path.name} cannot be loaded: {type(error).__name__}: {error}", where=line
        ) from error
    return vars(module)


def _classes(path: Path, base: type) -> Iterator[type]:
    try:
        members = _load(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror}", where=str(path)
        ) from error
    module = members["__name__"]
    for member in members.values():
        if inspect.isclass(member) and issubclass(member, base) and member.__module__ == module:
            yield member


def load(kind: str, name: str, base: type) -> type:
    """The class of the plugin `name`: the last subclass of `base` its file defines.

    Raises InputError: unknown name (with the nearest), a file that does not load,
    a file without such a class.
    """
    known = files(kind)
    if name not in known:
        raise unknown(kind, name, known, where=FOLDERS[kind] + "/")
    path = known[name]
    found = list(_classes(path, base))
    if not found:
        raise InputError(
            f"{path.name} defines no {kind}",
            where=str(path),
            expected=f"a subclass of {base.__module__}.{base.__qualname__}",
        )
    return found[-1]
