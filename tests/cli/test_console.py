"""What users and files wrote is shown as it is written: never as markup, never as control."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from testbed.cli import console, listing
from testbed.cli.console import Terminal
from testbed.cli.main import main
from testbed.errors import InputError
from testbed.scenario import discovery
from tests.results import synthetic

NASTY = "[/24] [a] [bold]b[/] :smile: \x1b[31mred\x1b]0;title\x07 \u202eback"
SEEN = r"[/24] [a] [bold]b[/] :smile: \x1b[31mred\x1b]0;title\x07 \u202eback"


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(file=io.StringIO(), width=400)


def said(terminal: Terminal) -> str:
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose experiment, class, slice and file names are as bad as can be."""
    for folder in ("experiments", "classes"):
        (tmp_path / folder).mkdir()
    (tmp_path / "experiments" / "nasty.py").write_text(
        "from testbed.scenario.experiment import Experiment\n"
        "class Nasty(Experiment):\n"
        f"    {NASTY!r}\n"
        "    def build(self, says: str = '') -> None:\n"
        "        self.topology('metro_ring')\n"
        f"        self.slice('s', sst=1, description={NASTY!r} + says)\n"
        "        self.probe('nasty', 'h2', 'dc1', slice='s', duration='2 s')\n"
    )
    (tmp_path / "experiments" / "[red]no\x1b[7m.py").write_text("raise SystemExit('[/x]')")
    (tmp_path / "experiments" / "gone.py").symlink_to("nowhere")
    shipped = discovery.PACKAGE_ROOT / "testbed/traffic/classes/hft_order.toml"
    (tmp_path / "classes" / "nasty.toml").write_text(
        shipped.read_text().replace('source = "', r'source = "[/24] [a] \u001b[31m')
    )
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path))
    for name, stderr in (("out", False), ("err", True)):
        shown = Terminal(soft_wrap=True, stderr=stderr)
        for module in ("console", "main", "orders"):
            monkeypatch.setattr(f"testbed.cli.{module}.{name}", shown)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_list_shows_the_texts_of_files_as_they_are(terminal: Terminal) -> None:
    listing.show_everything(listing.everything([]), terminal)
    shown = said(terminal)
    assert SEEN in shown
    assert r"[/24] [a] \x1b[31m" in shown
    assert r"[red]no\x1b[7m" in shown
    assert "\x1b" not in shown


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("check", "nasty"), 0, "ok nasty: "),
        (("check", "nasty", "--set", "says=\udcff"), 2, r"no file can hold: '\udcff'"),
        (("check", "[red]no\x1b[7m"), 2, "SystemExit: [/x]"),
        (("check", "gone"), 2, "cannot be read: No such file"),
        (("check", NASTY), 2, f"unknown experiment '{SEEN}'"),
        ((NASTY,), 2, f"unknown verb '{SEEN}'"),
        (("orders", "check", "/no/\x1b[2J"), 2, r"/no/\x1b[2J"),
        (("run", "nasty", NASTY), 2, "([/24] [a] [bold]b[/] :smile: "),
    ],
)
def test_what_is_typed_is_shown_as_typed(words: tuple[str, ...], code: int, says: str) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.exc_info
    assert says in done.output
    assert "\x1b" not in done.output


def test_plans_checks_notes_and_tables_are_text(terminal: Terminal) -> None:
    listing.show_plan(synthetic.plan(), terminal, rules=True)
    listing.show_notes([NASTY], terminal)
    check = SimpleNamespace(ok=False, name=NASTY, detail=NASTY, remedy=NASTY)
    listing.show_checks([check], terminal)
    table = Table(title=NASTY, caption=NASTY)
    table.add_column(NASTY)
    table.add_row(Text(NASTY, "bold"))
    terminal.print(table)
    assert said(terminal).count(SEEN) == 7
    assert "\x1b" not in said(terminal)


def test_progress_shows_what_the_lab_says(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    monkeypatch.setattr(console, "err", shown)
    with console.progress(quiet=False) as show:
        show({"stage": "[/s]", "done": 0, "of": 1, "text": "[/t] \x1b]0;title\x07"})
    assert r"[/t] \x1b]0;title\x07" in said(shown)
    assert "[/s]" in said(shown)


@given(st.text(max_size=40))
def test_nothing_printed_steers_a_terminal(text: str) -> None:
    terminal = Terminal(file=io.StringIO(), width=400)
    error = InputError(text, where=text)
    error.where = text
    terminal.print(text, Text(text), error.what)
    terminal.file.write(str(error))
    said(terminal).encode()  # raises for a surrogate
    assert all(c.isprintable() or c.isspace() for c in said(terminal))
    assert not set(said(terminal)) & {"\r", "\v", "\f", "\x1c", "\x85", "\u2028"}


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_error(closed: str) -> None:
    command = f'"$0" -m testbed.cli --version {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_where_python_drops_exceptions_still_ends(number: signal.Signals) -> None:
    program = f"""
import os, signal, time
from testbed.cli import console

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

class Late:
    def __del__(self):
        signal.raise_signal({int(number)})

try:
    with console._ending():
        late = Late()
        del late
        print("dropped", flush=True)
        time.sleep(30)
except BaseException as error:
    print(type(error).__name__)
print(signal.getsignal(signal.SIGALRM) is signal.SIG_DFL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    ends = "KeyboardInterrupt" if number == signal.SIGINT else "Stopped"
    assert done.stdout.split() == ["dropped", ends, "True"]
    assert done.stderr == ""
