"""A slice that is ordered while the network runs goes by the way on which its packets are there
first, not by the shorter fibre of a slow link."""

from __future__ import annotations

from testbed.net.deltas.install import Install
from testbed.topology.model import Network, Node
from tests.plan.networks import MBIT, MS, link
from tests.plan.ordered import admission, order


def slow_and_short() -> Network:
    """h1 - s1 - s2 - h2 with 10 Mbit/s and 50 us between, or over s3 in 60 us at 1 Gbit/s."""
    switches = [Node(name=f"s{n}", role="switch", kind="router") for n in (1, 2, 3)]
    hosts = [Node(name=f"h{n}", role="host", kind="host") for n in (1, 2, 3)]
    return Network(
        name="triangle",
        nodes=(*switches, *hosts),
        links=(
            link("s1", "s2", 50_000, 10 * MBIT),
            link("s1", "s3", 30_000, 1000 * MBIT),
            link("s3", "s2", 30_000, 1000 * MBIT),
            *(link(f"h{n}", f"s{min(n, 2)}", 0, 1000 * MBIT) for n in (1, 2, 3)),
        ),
    )


def test_a_delay_that_only_the_faster_link_keeps_is_ordered() -> None:
    """A full packet takes 1.2 ms over the slow link alone."""
    here = admission(slow_and_short())
    delta = here.admit(here.first, order(rate=MBIT, dscp=(10,), delay_ns=MS))
    assert isinstance(delta, Install), delta
    assert delta.placed is not None
    ways = {one.path.nodes for one in delta.placed.carried}
    assert ways == {("h1", "s1", "s3", "s2", "h2"), ("h2", "s2", "s3", "s1", "h1")}
