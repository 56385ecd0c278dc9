"""For all tests.

An example may take as long as a loaded machine makes it, and Ctrl-C ends what tests start,
also where a shell began the tests in the background and had it ignored.

A lab test that is skipped has tested nothing: it fails, unless `--allow-skipped-labs` is given
or its reason says that what it lacks is optional.
"""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("testbed", deadline=None)
settings.load_profile("testbed")

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
    if not report.skipped or item.get_closest_marker("lab") is None:
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if item.config.getoption("--allow-skipped-labs") or OPTIONAL in reason:
        return report
    report.outcome = "failed"
    report.longrepr = f"a lab test was skipped ({reason}); --allow-skipped-labs lets it be"
    return report
