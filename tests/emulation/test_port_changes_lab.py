"""The lab kernel's port: what it refuses, how much it takes, and changes while packets wait."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.lab.base import CONSOLE, GUEST_JOB
from testbed.lab.virtual import VirtualLab
from testbed.port.queues import MAX_QUEUES
from tests.emulation.port_changes import STRANGE

pytestmark = [pytest.mark.lab, pytest.mark.exact]

LAB = VirtualLab()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if LAB.missing():
        pytest.skip("; ".join(missing.what for missing in LAB.missing()))
    job = tmp_path_factory.mktemp("job")
    with LAB.start(job, ["python3", "-m", "tests.emulation.port_changes", GUEST_JOB]) as process:
        code = process.wait(timeout=120)
    assert code == 0, (job / CONSOLE).read_text()
    return msgspec.json.decode((job / "changes.json").read_bytes(), type=dict[str, Any])


def test_values_that_would_overflow_are_refused_in_words(found: dict[str, Any]) -> None:
    assert found["refusals"].keys() == STRANGE.keys()
    for what, said in found["refusals"].items():
        assert "range" in said or "does not exist" in said, what
    assert found["unharmed"]


def test_the_fullest_port_is_read_back(found: dict[str, Any]) -> None:
    assert found["full"]
    assert found["full statistics"] == MAX_QUEUES


@pytest.mark.parametrize(
    ("change", "waiting", "sent", "drops"),
    [
        # of ten packets in each queue five have left and one is in transmission
        ("same", {"0": 4, "1": 10}, {"0": 10, "1": 10}, {"0": 0, "1": 0}),
        ("faster", {"0": 4, "1": 10}, {"0": 10, "1": 10}, {"0": 0, "1": 0}),
        ("nearer", {"0": 4, "1": 10}, {"0": 10, "1": 10}, {"0": 0, "1": 0}),
        (
            "one more",
            {"0": 4, "1": 10, "2": 0},
            {"0": 10, "1": 10, "2": 0},
            {"0": 0, "1": 0, "2": 0},
        ),
        ("one less", {"0": 4}, {"0": 10}, {"0": 0}),
        ("smaller", {"0": 2, "1": 10}, {"0": 8, "1": 10}, {"0": 2, "1": 0}),
        ("default moves", {"1": 10, "2": 0}, {"1": 10, "2": 0}, {"1": 0, "2": 0}),
        ("narrow", {"0": 0, "1": 10}, {"0": 6, "1": 10}, {"0": 4, "1": 0}),
    ],
)
def test_a_change_keeps_the_packets_that_still_fit(
    found: dict[str, Any],
    change: str,
    waiting: dict[str, int],
    sent: dict[str, int],
    drops: dict[str, int],
) -> None:
    seen = found["changes"][change]
    assert (seen["waiting"], seen["sent"], seen["drops"]) == (waiting, sent, drops)
    on_the_fibre = 0 if "0" in waiting else 6
    assert seen["received"] == sum(sent.values()) + on_the_fibre
    assert seen["left"]["backlog_packets"] == 0


def test_background_goes_on_and_stops_when_told(found: dict[str, Any]) -> None:
    assert found["background"] == {
        "once": 100,  # of 10 ms each, in a second
        "again": 100,
        "twice": 200,
        "ended": 200,
        "stopped": 0,
    }
