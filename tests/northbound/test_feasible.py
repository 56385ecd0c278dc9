"""Orders that are only tested, what is not carried of an order, and whether a slice is up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.northbound.address import BASE, ENTRY
from testbed.northbound.journal import Journal
from testbed.northbound.service import Service
from testbed.scenario.orders.schema import LIST
from tests.northbound.asking import Client, Wires, document, late, serving
from tests.plan.networks import MBIT, MS
from tests.plan.ordered import admission

Asked = tuple[Client, Service, Wires]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Asked]:
    with serving(tmp_path) as asked:
        yield asked


def _with(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    body[LIST][0] |= {name.replace("_", "-"): value for name, value in more.items()}
    return body


def test_a_test_reserves_nothing_and_says_what_would_be(served: Asked) -> None:
    client, service, wires = served
    before = wires.state
    told = client.ask("POST", BASE, _with(document(late(delay_ns=5 * MS)), test_only=[None]))
    assert told.status == 200
    (state,) = (one["testbed-slice:state"] for one in told.body[LIST])
    assert state["path"][0]["node"] == ["h1", "s1", "s3", "s2", "h2"]
    assert all(MS // 2 < way["one-way-delay-bound-ns"] <= 5 * MS for way in state["path"])
    assert (wires.state, service.state.book.placed) == (before, ())
    assert client.ask("GET", ENTRY + "late").status == 404
    assert client.post(late(delay_ns=5 * MS)).status == 201
    (made,) = client.ask("GET", ENTRY + "late").body[LIST]
    assert made["testbed-slice:state"]["path"][0]["node"] == state["path"][0]["node"]


def test_a_test_of_what_cannot_be_says_so(served: Asked) -> None:
    client, *_ = served
    told = client.ask("POST", BASE, _with(document(late(rate=99 * MBIT)), test_only=[None]))
    assert told.status == 409
    assert "order 95 Mbit/s or less" in told.errors[0]["error-message"]


def test_a_changed_slice_is_tested_beside_itself(served: Asked) -> None:
    client, service, _ = served
    client.post(late(rate=60 * MBIT))
    told = client.ask(
        "PUT", ENTRY + "late", _with(document(late(rate=80 * MBIT)), test_only=[None])
    )
    assert told.status == 200
    assert service.state.book.placed[0].slice.guaranteed_bps == 60 * MBIT


def test_a_promise_that_is_not_kept_is_refused(served: Asked) -> None:
    client, service, _ = served
    body = document(late())
    policy = body[LIST][0]["service-slo-sle-policy"]
    policy["sle-policy"] = {"security": ["ietf-network-slice-service:encryption"]}
    told = client.ask("POST", BASE, body)
    assert told.status == 409
    assert told.errors[0]["error-tag"] == "operation-not-supported"
    assert told.errors[0]["error-path"].endswith("sle-policy/security")
    assert service.state.book.placed == ()


def test_what_is_not_carried_reaches_the_answer(served: Asked) -> None:
    client, *_ = served
    tags = {
        "tag-type": [{"tag-type": "ietf-network-slice-service:customer", "tag-type-value": ["x"]}]
    }
    told = client.ask("POST", BASE, _with(document(late()), service_tags=tags))
    assert told.status == 201
    assert any("service-tags" in note for note in told.body["testbed-slice:not-carried"])


def test_a_slice_over_a_cut_link_is_down_and_an_order_goes_round(tmp_path: Path) -> None:
    here = admission()
    cut: set[frozenset[str]] = set()
    service = Service(here, Journal(tmp_path / "journal"), Wires(here), down=lambda: cut)
    service.create(document(late()))

    def status(id_: str = "late") -> str:
        told, _ = service.read(id_)
        found: str = told["status"]["oper-status"]["status"]
        return found

    assert (status(), status("gold")) == ("ietf-vpn-common:op-up", "ietf-vpn-common:op-up")
    cut.add(frozenset(("s3", "s1")))
    assert (status(), status("gold")) == ("ietf-vpn-common:op-down", "ietf-vpn-common:op-down")
    service.replace("late", document(late(priority=30)))
    assert status() == "ietf-vpn-common:op-up"
    (there, _) = service.read("late")[0]["testbed-slice:state"]["path"]
    assert there["node"] == ["h1", "s1", "s2", "h2"]
    cut.clear()
    assert (status(), status("gold")) == ("ietf-vpn-common:op-up", "ietf-vpn-common:op-up")
