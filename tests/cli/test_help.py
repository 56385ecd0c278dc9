"""Every example that --help shows names what is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from testbed.cli.main import main
from testbed.prepare import bare, prepare
from testbed.scenario import discovery

PROJECT = Path(__file__).parents[2]


def _lines(command: click.Command = main) -> Iterator[str]:
    """The lines of examples, of a command and those below it."""
    for line in (command.help or "").splitlines():
        if line.strip().startswith(("testbed ", "mininet> ")):
            yield line.strip()
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _lines(below)


EXAMPLES = [re.split(r"\s{2,}", line)[0] for line in _lines()]


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.startswith("testbed ")])
def test_files_and_plugins_of_an_example_are_there(example: str) -> None:
    verb, *words = shlex.split(example)[1:]
    assert verb in main.commands
    for word in words:
        if "/" in word:
            assert list(PROJECT.glob(word)), word
    if verb in ("run", "check", "plan"):
        assert words[0] in discovery.files("experiment")
        pairs = [words[n + 1].partition("=") for n, word in enumerate(words) if word == "--set"]
        captures = tuple(words[n + 1] for n, word in enumerate(words) if word == "--pcap")
        prepare(words[0], {key: value for key, _, value in pairs}, captures=captures)


def test_hosts_of_the_prompt_are_on_its_topology() -> None:
    (shown,) = (e for e in EXAMPLES if e.startswith("testbed shell metro_ring"))
    hosts = {host.name for host in bare(shlex.split(shown)[2], {}, "shortest_path").plan.hosts}
    at_prompt = [e.split()[1:] for e in EXAMPLES if e.startswith("mininet> ")]
    named = {word for words in at_prompt for word in words if re.fullmatch(r"(h|dc)\d+", word)}
    assert named
    assert named <= hosts
