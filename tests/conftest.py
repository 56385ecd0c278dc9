"""For all tests.

An example may take as long as a loaded machine makes it, and Ctrl-C ends what tests start,
also where a shell began the tests in the background and had it ignored.

A lab test that is skipped has tested nothing: it fails, unless `--allow-skipped-labs` is given
or its reason says that what it lacks is optional. So does a whole module that is skipped, which
may hold lab tests.

A random search draws a tenth of its examples, and more only with `--hypothesis-profile=thorough`.
"""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.searching import PROFILES

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

for name, count in PROFILES.items():
    settings.register_profile(name, deadline=None, max_examples=count)
settings.load_profile("quick")

OPTIONAL = "optional: "
"""What the reason begins with where a lab test may be skipped."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """One more option."""
    parser.addoption(
        "--allow-skipped-labs",
        action="store_true",
        help="a lab test that finds no lab is skipped, not failed",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a lab test's skip into a failure."""
    report = yield
    if report.skipped and item.get_closest_marker("lab") is not None:
        _judge(report, item.config, "a lab test")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module's skip into a failure."""
    report = yield
    if report.skipped:
        _judge(report, collector.config, "a module, which may have lab tests,")
    return report


def _judge(
    report: pytest.TestReport | pytest.CollectReport, config: pytest.Config, what: str
) -> None:
    """A skip is a failure, where it is not allowed."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if config.getoption("--allow-skipped-labs") or OPTIONAL in reason:
        return
    report.outcome = "failed"
    report.longrepr = f"{what} was skipped ({reason}); --allow-skipped-labs lets it be"
