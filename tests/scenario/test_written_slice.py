"""Slices of build(): what they promise, what contradicts, and the same slice by order."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.errors import InputError
from testbed.scenario.experiment import Experiment, scenario_of
from testbed.scenario.model import Slice
from testbed.scenario.orders.write import to_ietf

UNUSED: Any = lambda _ref: None
ORDER = Path(__file__).parents[2] / "experiments" / "orders"


def nodes(*names: str) -> Any:
    return lambda _ref: SimpleNamespace(nodes=[SimpleNamespace(name=name) for name in names])


def written(**terms: Any) -> Slice:
    experiment = Experiment(UNUSED)
    experiment.slice("s", sst=2, **terms)
    return experiment._slices[0]


def test_everything_a_slice_can_promise() -> None:
    slice_ = written(
        guaranteed="5 Mbit/s",
        maximum="10 Mbit/s",
        delay="5 ms",
        delay_percentile=(99.9, "2 ms"),
        variation="1 ms",
        variation_percentile=(99, "100 us"),
        loss=1e-5,
        availability=0.99999,
        mtu="1500 B",
        diversity="link",
        isolation="dedicated-queue",
        ends=[("ue1", "park"), ("ue2", "park")],
        burst="3 kB",
    )
    assert (slice_.delay_ns, slice_.delay_percentile_ns) == (5_000_000, 2_000_000)
    assert (slice_.variation_ns, slice_.variation_percentile_ns) == (1_000_000, 100_000)
    assert (slice_.loss, slice_.availability, slice_.mtu_bytes) == (1e-5, 0.99999, 1500)
    assert [(c.src, c.dst, c.burst_bytes) for c in slice_.contracts()] == [
        ("ue1", "park", 3000),
        ("park", "ue1", 3000),
        ("ue2", "park", 3000),
        ("park", "ue2", 3000),
    ]


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"guaranteed": "5 Mbit/s", "maximum": "4 Mbit/s"}, "below the guaranteed rate"),
        ({"delay": "0 ms"}, "bound is 0 ns"),
        ({"delay_percentile": 99.9}, "a percentile and its bound"),
        ({"delay_percentile": (99.9, None)}, "has no unit"),
        ({"delay_percentile": (0, "5 ms")}, "percentile is 0"),
        ({"delay_percentile": (101, "5 ms")}, "percentile is 101"),
        ({"delay_percentile": ("99.9", "5 ms")}, "expected: a number"),
        ({"variation": "-1 ms"}, "negative"),
        ({"loss": 1}, "loss is 1"),
        ({"loss": "1e-5"}, "expected: a number"),
        ({"availability": 99.999}, "a ratio above 0"),
        ({"mtu": "40 B"}, "MTU is 40 bytes"),
        ({"diversity": "srlg"}, "unknown diversity 'srlg'"),
        ({"isolation": "hard"}, "one of dedicated-queue, shared"),
        ({"protection": "frr"}, "did you mean 'frer'"),
        ({"ends": [("ue1", "ue1")]}, "pairs of nodes"),
        ({"ends": ["ue1"]}, "pairs of nodes"),
        ({"ends": [("a", "b"), ("b", "a")]}, "pair twice"),
        ({"burst": "1 kB"}, "burst without ends"),
    ],
)
def test_what_cannot_be_promised_is_refused(terms: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        written(**terms)
    assert says in str(caught.value)
    assert "slice s" in caught.value.where


def test_a_slice_and_its_order_are_the_same_object(tmp_path: Path) -> None:
    slice_ = written(guaranteed="5 Mbit/s", delay="5 ms", ends=[("ue1", "park")])
    (tmp_path / "order.json").write_text(json.dumps(to_ietf([slice_])[0]))

    class Ordered(Experiment):
        """Same?"""

        def build(self) -> None:
            self.topology("city")
            assert self.orders(str(tmp_path / "order.json")) == ("s",)

    scenario = scenario_of("ordered", Ordered, {}, seed=1, network=nodes("ue1", "park"))
    assert scenario.slices == (slice_,)


def test_orders_name_nodes_that_are_there() -> None:
    experiment = Experiment(nodes("ue1", "ue2", "ue3", "cloud", "metro"))
    experiment.topology("city")
    with pytest.raises(InputError, match=r"sdp\[id='robot'\]/node-id: refers to node 'park'"):
        experiment.orders(str(ORDER / "city_ietf.json"))


def test_orders_and_slices_share_their_names() -> None:
    experiment = Experiment(UNUSED)
    experiment.slice("surgery", sst=1)
    with pytest.raises(InputError, match="two slices are called 'surgery'"):
        experiment.orders(str(ORDER / "city_ietf.json"))
    assert len(experiment._slices) == 1


def test_shipped_orders_of_every_format() -> None:
    experiment = Experiment(nodes("ue1", "ue2", "ue3", "park", "metro", "cloud"))
    experiment.topology("city")
    experiment.orders(str(ORDER / "city_ietf.json"))
    experiment.orders(
        str(ORDER / "remote_driving_3gpp.json"), format="3gpp", terminal="ue2", server="park"
    )
    experiment.orders(
        str(ORDER / "rendering_gst.json"), format="gst", terminal="ue3", server="metro"
    )
    found = {slice_.id: len(slice_.contracts()) for slice_ in experiment._slices}
    assert found == {
        "surgery": 2,
        "vehicles": 4,
        "sites": 6,
        "remote-driving": 2,
        "cloud-rendering": 2,
    }
