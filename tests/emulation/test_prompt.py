"""The prompt waits for a node without asking on where nothing more is typed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from testbed.emulation.prompt import Prompt


class _Node:
    """Waits until its command has said all it says."""

    def __init__(self) -> None:
        self.shell = subprocess.Popen(["sh", "-c", "sleep 0.05; echo done"], stdout=subprocess.PIPE)
        self.stdout = self.shell.stdout
        self.waiting = True
        self.looked = 0

    def monitor(self) -> str:
        assert self.stdout is not None
        self.waiting = False
        return os.read(self.stdout.fileno(), 100).decode()

    def write(self, typed: str) -> None:
        self.looked += 1


def test_the_end_of_input_is_read_once() -> None:
    node: Any = _Node()
    prompt = Prompt.__new__(Prompt)
    with Path(os.devnull).open() as prompt.stdin:
        prompt.waitForNode(node)
    assert node.looked == 0
    node.shell.communicate()
