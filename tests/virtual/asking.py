"""Runs inside a lab: asks the host through the door.

    python3 -m tests.virtual.asking FOLDER WORD...

Each word is asked in turn, `NAME=TIMES` several times. FOLDER/found.json has of each word
what came of it, and how many ns of CLOCK_MONOTONIC it all took.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from testbed.door import Door
from testbed.errors import LabError, TestbedError
from testbed.files import write_json

LONG = "0123456789abcdef" * (1 << 16)
"""1 MiB."""


def asked(host: Door, word: str, times: int) -> dict[str, Any]:
    """What came of asking."""
    question = {"word": word, "text": LONG if word == "long" else ""}
    said: Any = None
    problem: TestbedError | None = None
    time.sleep(1e-3)  # what was charged before counts no more
    begin_ns = time.monotonic_ns()
    try:
        for _ in range(times):
            said = host.ask(question, dict[str, str])
    except TestbedError as error:
        problem = error
    ns = time.monotonic_ns() - begin_ns
    whole = said == {"text": LONG} if word == "long" else None
    return {"ns": ns, "said": None if word == "long" else said, "whole": whole} | (
        {"error": problem.told()} if problem else {}
    )


def main(folder: Path, words: list[str]) -> None:
    found: dict[str, Any] = {}
    try:
        with Door() as host:
            for word in words:
                name, _, times = word.partition("=")
                found[word] = asked(host, name, int(times or 1))
                write_json(folder / "found.json", found)
    except LabError as error:
        found["opening"] = error.told()
    write_json(folder / "found.json", found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
