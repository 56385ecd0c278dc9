"""The delay budget against sums done by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.links.fibre import Fibre
from testbed.links.link import Way
from testbed.links.radio import Radio
from testbed.net.legs import Budget
from testbed.net.paths import Path
from testbed.plan.budget import path_budget
from testbed.plan.wiring import wire
from testbed.topology.model import Network, Node
from tests.plan.networks import MBIT


def chain(
    rates_bps: list[int | None], label: int | None = None, payloads: tuple[int, ...] = (59,)
) -> Budget:
    """h1 - s1 - ... - h2 with these rates, 10 km of fibre, a transponder, 2 us forwarding.

    A payload of 59 bytes, 42 of headers and 24 on the wire are 1000 bits.
    """
    switches = [f"s{n}" for n in range(1, len(rates_bps))]
    names = ["h1", *switches, "h2"]
    network = Network(
        name="chain",
        nodes=(
            Node(name="h1", role="host", kind="host"),
            *(Node(name=s, role="switch", kind="switch", forwarding_ns=2000) for s in switches),
            Node(name="h2", role="host", kind="host"),
        ),
        links=tuple(
            Fibre(
                a=a,
                b=b,
                length_km=10,
                transponders=1,
                ab=Way(rate_bps=rate),
                ba=Way(rate_bps=1_000_000),
            )
            for a, b, rate in zip(names[:-1], names[1:], rates_bps, strict=True)
        ),
    )
    path = Path(
        id="p",
        cookie=1,
        slice="gold",
        src="h1",
        dst="h2",
        nodes=tuple(names),
        label=label,
        queue=0,
        policy="any",
    )
    return path_budget(wire(network), path, payloads)


def test_one_packet() -> None:
    budget = chain([10 * MBIT, None, 100 * MBIT])
    assert budget.propagation_ns == 3 * 48_970
    assert budget.device_ns == 3 * 15_000 + 2 * 2000
    assert budget.serialisation_ns == 100_000 + 0 + 10_000
    assert budget.total_ns == 3 * 48_970 + 49_000 + 110_000


def test_label_weighs_four_bytes_between_switches_only() -> None:
    plain = chain([10 * MBIT] * 4)
    labelled = chain([10 * MBIT] * 4, label=16)
    assert labelled.serialisation_ns - plain.serialisation_ns == 2 * 4 * 8 * 100


@given(
    rates=st.lists(st.sampled_from([1, 2, 5, 10]), min_size=2, max_size=6),
    packets=st.integers(1, 30),
)
def test_equal_packets_wait_at_the_slowest_port(rates: list[int], packets: int) -> None:
    budget = chain([rate * MBIT for rate in rates], payloads=(59,) * packets)
    each = [1_000_000 // rate for rate in rates]
    assert budget.serialisation_ns == sum(each) + (packets - 1) * max(each)


def test_a_short_last_packet_waits_behind_long_ones() -> None:
    budget = chain([10 * MBIT, 10 * MBIT], payloads=(1184, 59))
    # the long one leaves the first port at 1 ms, the second at 2 ms; the short one follows
    assert budget.serialisation_ns == 2_000_000 + 100_000


def test_radio_access_is_a_part_of_its_own() -> None:
    network = Network(
        name="cell",
        nodes=(
            Node(name="ue1", role="host", kind="ue"),
            Node(name="gnb1", role="switch", kind="gnb", forwarding_ns=7),
        ),
        links=(Radio(a="ue1", b="gnb1", uplink_ns=2_450_000, downlink_ns=1_510_000),),
    )
    up, down = wire(network).ports
    assert (up.channel.radio_ns, up.channel.device_ns, up.delay_ns) == (2_450_000, 0, 2_450_000)
    assert (down.channel.radio_ns, down.channel.device_ns, down.delay_ns) == (
        1_510_000,
        7,
        1_510_007,
    )
