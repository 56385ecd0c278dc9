"""Probes become sessions, flows become loads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.policies.lowest_delay import LowestDelay
from testbed.plan.model import Session
from testbed.plan.pacing import derived_seed
from testbed.plan.traffic import MAX_PAYLOAD_BYTES, STAMP_BYTES, packets
from tests.plan.networks import MS, S, app, compiled, flow, probe, scenario


def _sessions(seed: int = 1, **given: Any) -> tuple[Session, ...]:
    """Of one probe between terminal h1 and server h2."""
    return compiled(LowestDelay(), scenario(seed=seed), app=app(**given)).sessions


@pytest.mark.parametrize(
    ("direction", "sender", "judged", "forward"),
    [
        ("UL", "h1", ("forward",), "UL"),
        ("DL", "h2", ("forward",), "DL"),
        ("UL+DL", "h1", ("forward", "reverse"), "UL"),
        ("U2U", "h1", ("forward", "reverse"), "U2U out"),
        ("DC", "h1", ("forward",), "DC out"),
    ],
)
def test_direction_says_who_sends_and_what_is_judged(
    direction: str, sender: str, judged: tuple[str, ...], forward: str
) -> None:
    (session,) = _sessions(direction=direction)
    assert (session.sender, session.judged) == (sender, judged)
    assert session.reflector == {"h1": "h2", "h2": "h1"}[sender]
    assert session.called("forward") == forward
    assert session.paths[0].nodes[0] == session.paths[1].nodes[-1] == sender
    (session,) = _sessions(direction=direction, judged="rtt", size_bytes=5000)
    assert (session.sender, session.judged, session.deadline_kind) == (sender, ("rtt",), "rtt")


@pytest.mark.parametrize(("direction", "ids"), [("UL+DL", "ul dl"), ("U2U", "out back")])
def test_long_messages_both_ways_are_two_sessions(direction: str, ids: str) -> None:
    there, back = _sessions(direction=direction, size_bytes=2000)
    assert [there.id, back.id] == [f"p.{suffix}" for suffix in ids.split()]
    assert (there.sender, back.sender) == ("h1", "h2")
    assert there.judged == back.judged == ("forward",)
    assert there.sender_port != back.sender_port
    assert there.called("forward") == back.called("reverse")
    assert there.seed != back.seed


@given(size=st.integers(1, 3_000_000))
def test_fragments_carry_the_message(size: int) -> None:
    sizes = packets(size)
    assert set(sizes[:-1]) <= {MAX_PAYLOAD_BYTES}
    assert STAMP_BYTES <= sizes[-1] <= MAX_PAYLOAD_BYTES
    assert size <= sum(sizes) < size + STAMP_BYTES
    assert len(sizes) == -(-size // MAX_PAYLOAD_BYTES)


def test_sizes_of_a_session() -> None:
    (one,) = _sessions(size_bytes=24)
    assert (one.size_bytes, one.fragments, one.fragment_bytes) == (44, 1, 0)
    (three,) = _sessions(size_bytes=1448 * 2 + 100)
    assert (three.size_bytes, three.fragments, three.fragment_bytes) == (100, 3, 1448)
    assert three.legs[0].budget.serialisation_ns > 2 * three.legs[1].budget.serialisation_ns


def test_a_probe_overrides_its_class() -> None:
    asked = scenario(
        probes=(
            probe("class"),
            probe("own", interval_ns=3 * MS, size_bytes=500, deadline_ns=7 * MS, start_ns=S),
        )
    )
    by_class, own = compiled(LowestDelay(), asked).sessions
    assert (by_class.interval_ns, by_class.size_bytes, by_class.deadline_ns) == (
        10 * MS,
        100,
        5 * MS,
    )
    assert by_class.count == 1000
    assert 0 <= by_class.start_ns < 10 * MS
    assert (own.interval_ns, own.size_bytes, own.deadline_ns) == (3 * MS, 500, 7 * MS)
    last_ns = own.start_ns + (own.count - 1) * own.interval_ns
    assert S <= own.start_ns < S + 3 * MS
    assert 11 * S - 3 * MS <= last_ns < 11 * S
    assert [by_class.sender_port, own.sender_port] == [50000, 50001]
    assert own.warmup_ns == S


def test_a_class_without_a_deadline_has_none() -> None:
    (session,) = _sessions(deadline_ns=None, reliability=None, survival_ns=3 * MS)
    assert (session.deadline_ns, session.reliability) == (None, None)
    assert session.survival_ns == 3 * MS


def test_seeds_differ_by_session_and_scenario_and_last() -> None:
    seeds = {derived_seed(seed, id_) for seed in (1, 2) for id_ in ("a", "b")}
    assert len(seeds) == 4
    assert max(seeds) < 2**48
    assert (
        _sessions(seed=1)[0].seed == derived_seed(1, "p") == 0x905DE7A4C816
    )  # printf 1:p | b2sum -l 48
    assert _sessions(seed=2)[0].seed != _sessions(seed=1)[0].seed


def test_loads_have_ports_of_their_own() -> None:
    asked = scenario(flows=(flow("a"), flow("b", "h2", "h1", kind="flood", packet_bytes=200)))
    first, second = compiled(LowestDelay(), asked).loads
    assert (first.port, second.port) == (5201, 5202)
    assert (second.kind, second.packet_bytes, second.src_ip) == ("flood", 200, "10.0.0.2")
    assert first.paths[0].nodes == first.paths[1].nodes[::-1]
