"""Links cut at the prompt are answered as in a planned run, and told with how long it took."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from testbed.lab.base import PROJECT
from testbed.lab.virtual import VirtualLab

pytestmark = [pytest.mark.lab, pytest.mark.exact]

PING = "h2 ping -c 1 -W 1 dc1\n"
CUT = f"""\
link x1 x2 down
{PING}h3 ping -c 1 -W 1 dc1
h5 ping -c 1 -W 1 dc1
link x1 x2 up
{PING}timeline
"""
ROUND = 12
"""Paths of the ring whose way has the link between x1 and x2, both directions."""


def shell(script: str, *options: str) -> str:
    """What the prompt of the metro ring says to a script."""
    if missing := VirtualLab().missing():
        pytest.skip("; ".join(one.what for one in missing))
    command = [sys.executable, "-m", "testbed.cli", "shell", "metro_ring", "--lab", "virtual"]
    done = subprocess.run(
        [*command, *options],
        input=script,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=300,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout
    return done.stdout


def answered(said: str) -> int:
    return said.count(" 0% packet loss")


def test_without_protection_a_cut_is_not_gone_round() -> None:
    said = shell(CUT)
    assert answered(said) == 2, "h5, and h2 when the link is back"
    assert "***" not in said


def test_the_controller_goes_round_a_cut_and_back() -> None:
    said = shell(CUT, "--protection", "reactive")
    assert answered(said) == 4
    away = re.search(
        r"\*\*\* the controller has put (\d+) of \1 paths on other ways after (.*)", said
    )
    back = re.search(r"\*\*\* the controller has put (\d+) of \1 paths back .* after (.*),", said)
    assert away
    assert back
    assert int(away[1]) == int(back[1]) == ROUND
    # 5 ms there, 1 ms, the new way 10 ms, and 10 ms for the switch that sends packets there
    assert 25 <= ms(away[2]) <= 35
    assert 1_025 <= ms(back[2]) <= 1_035, "and a second that the link has to be up"
    rows = said[said.rindex("packet loss") :].splitlines()
    by = [row.split("  ")[-2 if "says that" in row else -1].split(":")[0].strip() for row in rows]
    assert by.count("controller") == 2 * ROUND
    assert by.count("prompt") == 2


def test_switches_go_round_a_cut_and_back_by_themselves() -> None:
    said = shell("event kill_controller\n" + CUT, "--protection", "fast_failover")
    assert answered(said) == 4
    told = re.findall(
        r"\*\*\* the switches send (\d+) of (\d+) paths by other ways within (.*)", said
    )
    assert [(done, of) for done, of, _ in told] == [(str(ROUND), str(ROUND))] * 2
    assert all(ms(took) < 20 for *_, took in told)


def test_silence_is_seen_by_bfd_alone() -> None:
    silence = f"event silence_fibre x1 x2\n{PING}"
    assert answered(shell(silence, "--protection", "fast_failover")) == 0
    said = shell(silence, "--protection", "fast_failover", "--bfd", "10 ms")
    assert answered(said) == 1
    (took,) = re.findall(r"by other ways within (.*)", said)
    assert 20 <= ms(took) <= 60, "three intervals"


def test_what_nothing_goes_round_is_told() -> None:
    said = shell("event drop_node dc1\n", "--protection", "reactive")
    assert "no way is left for dc1-h2" in said


def ms(text: str) -> float:
    number, unit = text.split()[:2]
    return float(number) * {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}[unit]
