"""The prompt survives every mistyped command; a switch that starts again has its rules.

testbed shell metro_ring <script        no terminal
testbed shell metro_ring                on a pseudo-terminal
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from testbed.lab.base import PROJECT

pytestmark = [pytest.mark.lab, pytest.mark.exact]

SHELL = (sys.executable, "-m", "testbed.cli", "shell", "metro_ring", "--lab", "virtual")

MISTYPED = {
    "nosuch": "unknown command or node 'nosuch'",
    "pingal": "did you mean 'pingall'",
    "h2": "no command for h2",
    "link x1 nosuch down": "unknown node 'nosuch'",
    "link r1 r22 down": "did you mean 'r2'?",
    "link h2 dc1 down": "there is no link between h2 and dc1",
    "link r1 x1 sideways": "unknown link status 'sideways'",
    "link r1": "link does not take 1 word",
    "source nofile": "nofile cannot be read: No such file or directory",
    "source /project": "Is a directory",
    "source": "source does not take 0 words",
    "source /results/again": "is read by a file that it reads",
    "switch": "switch does not take 0 words",
    "switch nosuch start": "unknown switch 'nosuch'",
    "switch r1": "switch does not take 1 word",
    "switch r1 begin": "unknown action 'begin'",
    "switch r1 start": "r1 runs already",
    "iperf h2": "iperf does not take 1 word",
    "iperf h2 nosuch": "unknown host 'nosuch'",
    "iperf h2 r1": "unknown host 'r1'",
    "iperfudp 1M h2": "iperfudp does not take 2 words",
    "iperfudp many h2 h3": "many",
    "dpctl": "dpctl takes a command",
    "dpctl nosuch": "unknown command 'nosuch'",
    "py 1/0": "division by zero",
    "py": "invalid syntax",
    "px import nosuch": "No module named 'nosuch'",
    "x h2": "no screen",
    "xterm nosuch": "no screen",
    "gterm": "no screen",
    "noecho nosuch": "unknown command or node 'nosuch'",
    "time nosuch": "unknown command or node 'nosuch'",
    "sh nosuch-program": "nosuch-program: not found",
    "h2 nosuch-program": "nosuch-program: command not found",
    "h2 ping -c1 nosuch": "name resolution",
    "h2 exit": "",
    "h2 echo again": "again",
    "!ls": "unknown command or node '!ls'",
    "help nosuch": "No help on nosuch",
}
REST = ("# a comment", "", "?", "net", "links", "ports", "nodes", "intfs", "dump", "pingall x")
RESTART = (
    "dpctl dump-flows",
    "switch r1 stop",
    "switch r1 stop",
    "pingall",
    "switch r1 start",
    "dpctl dump-flows",
    "pingall",
    "py len(net.verify().ports) == len(net.plan.ports)",
)


def test_no_mistyped_command_ends_the_lab() -> None:
    script = ["sh echo source /results/again >/results/again"]
    for number, line in enumerate(MISTYPED):
        script += [f"py 'at {number}'", line]
    script += ["py 'mistyped'", *REST, "py 'rest'", *RESTART, "py 'end'"]
    done = subprocess.run(
        SHELL, input="\n".join(script), capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    mistyped, rest = done.stdout.split("mistyped\n")
    answers = re.split(r"^at \d+\n", mistyped, flags=re.MULTILINE)[1:]
    for (line, words), answer in zip(MISTYPED.items(), answers, strict=True):
        assert words in answer, (line, answer)
    _, restart = rest.split("rest\n")
    before, stopped, _ = re.split(r"^\*\*\* Ping: .*\n", restart, flags=re.MULTILINE)
    assert "r1 is stopped already" in before
    assert re.search(r"(?!0%)\d+% dropped", stopped)
    assert "0% dropped" in restart.split("*** Results: ")[-1]
    assert "True\nend\n" in restart
    flows = [_flows(text) for text in (before, stopped)]
    assert flows[0] == flows[1]
    assert len(flows[0]) >= 5


def _flows(text: str) -> list[str]:
    """The flow entries of r1 in a dump of all, without what they count."""
    of_r1 = re.split(r"^\*\*\* r1 -+\n", text, flags=re.MULTILINE)[1].split("***")[0]
    counted = re.compile(r"(duration|n_packets|n_bytes|cookie)=\S+ ?")
    return sorted(counted.sub("", row).strip() for row in of_r1.splitlines() if "actions=" in row)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both sides of a pseudo-terminal: ours, and that of the shell."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_keys_and_signals_leave_prompt_and_terminal_in_order(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        ["setsid", "--ctty", *SHELL], stdin=theirs, stdout=theirs, stderr=theirs, cwd=PROJECT
    )
    try:
        _read(ours, "mininet> ")
        os.write(ours, b"\x03")
        _read(ours, "Interrupt")
        _read(ours, "mininet> ")
        os.write(ours, b"\x1c\x1a py 'still ' + 'here'\n")
        _read(ours, "still here")
        _read(ours, "mininet> ")
        os.write(ours, b"h2 ping dc1\n")
        _read(ours, "icmp_seq=2 ")
        os.write(ours, b"\x03")
        _read(ours, "packets transmitted")
        _read(ours, "mininet> ")
        assert termios.tcgetattr(theirs) != before  # else the test proves nothing
        process.send_signal(signal.SIGTERM)
        _read(ours, "nothing is left running")
        assert process.wait(20) == 128 + signal.SIGTERM
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()


def _read(terminal: int, words: str, seconds: float = 60) -> None:
    """Read until something is there."""
    os.set_blocking(terminal, False)
    seen, end = b"", time.monotonic() + seconds
    while words.encode() not in seen:
        assert time.monotonic() < end, seen.decode(errors="replace")[-2000:]
        try:
            seen += os.read(terminal, 1)  # no more: the next words are the next one's
        except BlockingIOError:
            time.sleep(0.02)
