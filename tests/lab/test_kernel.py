"""The lab kernel's recipe, without building it."""

from __future__ import annotations

from testbed.lab import kernel


def test_charges_are_read_from_the_source() -> None:
    charges = kernel.charges()
    free = {name for name in charges if name.startswith("free_")}
    assert free == {"free_asks", "free_times", "free_readings"}
    for name in ("ask_ns", "time_ns", "calls_ns", "spin_ns", "reading_ns"):
        assert charges[name] > 0, name
