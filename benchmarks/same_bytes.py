"""Whether two versions of the testbed measure the same, to the byte.

    python -m benchmarks.same_bytes --write before.json            in one checkout
    python -m benchmarks.same_bytes --against before.json          in the other
    python -m benchmarks.same_bytes --only fibre_cut --seeds 5     some of it

Every shipped experiment runs in the virtual lab with two seeds, `fibre_cut` with every
protection, `slice_isolation` with every scheduler. Of each run the SHA-256 of every column of
its samples and of its summary is kept; a column that only one of the two has is told, and is
no difference. Exits with 1 where a column differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from rich.console import Console

from testbed.results.folder import NULL_PATH, SAMPLES, SUMMARY, list_runs
from testbed.scenario.discovery import files
from testbed.scenario.model import Protection, Scheduler

VARIED = {
    "fibre_cut": ("protection", get_args(Protection)),
    "slice_isolation": ("scheduler", get_args(Scheduler)),
}
"""Experiment -> parameter, and all values that it is run with."""

Digests = dict[str, dict[str, str]]
"""Command -> "file column" -> SHA-256."""


def commands(seeds: list[int], only: str) -> Iterator[list[str]]:
    """What to run, as words after `testbed run`."""
    for name in sorted(files("experiment")):
        parameter, values = VARIED.get(name, ("", ("",)))
        for value in values:
            for seed in seeds:
                words = [name, *(["--set", f"{parameter}={value}"] if value else [])]
                if only in " ".join(words):
                    yield [*words, "--seed", str(seed)]


def digests(words: list[str]) -> dict[str, str]:
    """Run it; the digest of each column. Raises CalledProcessError where the run fails."""
    with tempfile.TemporaryDirectory(prefix="same-bytes-") as home:
        subprocess.run(
            [sys.executable, "-m", "testbed.cli", "run", *words, "--lab", "virtual"],
            env=os.environ | {"TESTBED_HOME": home},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (run,) = list_runs(Path(home) / "results")
        tables = {
            SAMPLES: pd.read_parquet(run / SAMPLES),
            NULL_PATH: pd.read_parquet(run / NULL_PATH),
            SUMMARY: pd.read_csv(run / SUMMARY),
        }
    return {
        f"{file} {column}": hashlib.sha256(table[column].to_csv(index=False).encode()).hexdigest()
        for file, table in tables.items()
        for column in table
    }


def differences(before: dict[str, str], now: dict[str, str]) -> tuple[list[str], list[str]]:
    """Columns that both have and that differ, and those that only one has."""
    differ = sorted(name for name in before.keys() & now.keys() if before[name] != now[name])
    return differ, sorted(before.keys() ^ now.keys())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--write", type=Path, help="file for the digests")
    parser.add_argument("--against", type=Path, help="digests to compare with")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 42])
    parser.add_argument("--only", default="", help="part of a command, such as fibre_cut")
    given = parser.parse_args()
    console = Console(soft_wrap=True)
    known: dict[str, Any] = json.loads(given.against.read_text()) if given.against else {}
    found: Digests = {}
    wrong = 0
    for words in commands(given.seeds, given.only):
        name = " ".join(words)
        found[name] = digests(words)
        if given.write:
            given.write.write_text(json.dumps(found, indent=1) + "\n")
        if name not in known:
            console.print(f"{name}: {len(found[name])} columns", highlight=False)
            continue
        differ, alone = differences(known[name], found[name])
        wrong += bool(differ)
        told = f"differs in {', '.join(differ)}" if differ else "same bytes"
        more = f"; only one has {', '.join(alone)}" if alone else ""
        console.print(f"{name}: {told}{more}", highlight=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
