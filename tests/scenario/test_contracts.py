"""A slice's contracts: every direction its groups ask for."""

import msgspec

from testbed.scenario.model import Construct, Group, Sdp, Slice, Slo

SDPS = (
    Sdp(id="a", node="h1", rate_bps=3_000_000, burst_bytes=4000),
    Sdp(id="b", node="h2"),
    Sdp(id="c", node="h3", burst_bytes=100),
    Sdp(id="d"),
)


def _slice(*constructs: Construct) -> Slice:
    return Slice(
        id="s",
        sst=2,
        guaranteed_bps=5_000_000,
        delay_ns=1_000_000,
        sdps=SDPS,
        groups=(Group(id="g", constructs=constructs),),
    )


def test_each_direction_has_its_token_bucket_and_promise() -> None:
    down = Slo(delay_ns=2_000_000, mtu_bytes=200)
    slice_ = _slice(
        Construct(id="ul", senders=("a",), receivers=("b",)),
        Construct(id="dl", senders=("b",), receivers=("a",), slo=down),
    )
    up, back = slice_.contracts()
    assert (up.id, up.src, up.dst) == ("g/ul/a>b", "h1", "h2")
    assert (up.rate_bps, up.burst_bytes, up.packet_bytes) == (3_000_000, 4000, 1518)
    assert up.slo == Slo(guaranteed_bps=5_000_000, delay_ns=1_000_000)
    assert (back.src, back.dst, back.rate_bps, back.burst_bytes) == ("h2", "h1", 0, 200)
    assert back.slo == down
    assert msgspec.json.decode(msgspec.json.encode(slice_), type=Slice) == slice_


def test_a_matrix_is_every_ordered_pair_of_placed_ends() -> None:
    ends = ("a", "b", "c", "d")
    contracts = _slice(Construct(id="m", kind="a2a", senders=ends, receivers=ends)).contracts()
    assert [(c.src, c.dst) for c in contracts] == [
        ("h1", "h2"),
        ("h1", "h3"),
        ("h2", "h1"),
        ("h2", "h3"),
        ("h3", "h1"),
        ("h3", "h2"),
    ]
    assert {c.burst_bytes for c in contracts} == {4000, 1518}
