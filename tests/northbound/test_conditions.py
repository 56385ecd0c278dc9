"""Entity-tags and what depends on them: a change that another one came before is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.northbound.address import BASE, ENTRY
from testbed.northbound.conditions import Version, current, require
from testbed.northbound.problem import ProblemError
from testbed.scenario.orders.schema import LIST
from tests.northbound.asking import Client, document, late, serving
from tests.plan.networks import MBIT

DATA = "/restconf/data"
S = 10**9
VERSION = Version("a-3", 1_700_000_000 * S + 5)
THEN, BEFORE = "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:19 GMT"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with serving(tmp_path) as (found, _, _):
        yield found


@pytest.mark.parametrize(
    ("fields", "there", "fine"),
    [
        ({}, True, True),
        ({"if-match": '"a-3"'}, True, True),
        ({"if-match": '"x", "a-3.0123"'}, True, True),
        ({"if-match": 'W/"a-3"'}, True, False),
        ({"if-match": '"a-2"'}, True, False),
        ({"if-match": '"a-3"'}, False, False),
        ({"if-match": "*"}, True, True),
        ({"if-match": "*"}, False, False),
        ({"if-none-match": "*"}, True, False),
        ({"if-none-match": "*"}, False, True),
        ({"if-none-match": 'W/"a-3"'}, True, False),
        ({"if-unmodified-since": THEN}, True, True),
        ({"if-unmodified-since": BEFORE}, True, False),
        ({"if-unmodified-since": BEFORE}, False, True),
        ({"if-unmodified-since": BEFORE, "if-match": '"a-3"'}, True, True),
        ({"if-unmodified-since": "yesterday"}, True, True),
        ({"if-unmodified-since": "Tue, 14 Nov 99999 22:13:19 GMT"}, True, True),
    ],
)
def test_a_change_is_made_if_its_condition_holds(
    fields: dict[str, str], there: bool, fine: bool
) -> None:
    version = VERSION if there else None
    if fine:
        require(fields, version)
        return
    with pytest.raises(ProblemError) as problem:
        require(fields, version)
    assert problem.value.status == 412


@pytest.mark.parametrize("tags", ["a-3", '"a-3', "", '"a" "b"', 'w/"a"'])
def test_a_condition_that_is_none_is_refused(tags: str) -> None:
    for name in ("if-match", "if-none-match"):
        with pytest.raises(ProblemError) as problem:
            require({name: tags}, VERSION)
        assert problem.value.status == 400


def test_a_copy_is_current_only_if_all_of_it_is() -> None:
    whole = VERSION.with_state(b"{}")
    assert current({"if-none-match": f'"{whole.tag}"'}, whole, dated=False)
    assert not current({"if-none-match": '"a-3"'}, whole, dated=False)
    assert not current({"if-none-match": f'"{whole.tag}"'}, VERSION.with_state(b"[]"), dated=False)
    assert current({"if-modified-since": THEN}, VERSION, dated=True)
    assert not current({"if-modified-since": BEFORE}, VERSION, dated=True)
    assert not current({"if-modified-since": THEN}, whole, dated=False)
    require({"if-match": f'"{whole.tag}"'}, VERSION)  # what was read with its state
    assert not current({"if-match": f'"{whole.tag}"'}, whole, dated=False)  # read it again


def test_every_change_has_a_tag_of_its_own(client: Client) -> None:
    def tags(target: str) -> list[str]:
        return [client.ask("GET", f"{t}?content=config").headers["etag"] for t in (DATA, target)]

    before = tags(BASE)
    made = client.post(late())
    seen = [before, tags(f"{ENTRY}late")]
    assert seen[1][1] == made.headers["etag"]
    for rate in (2, 3, 2):  # as before, but by another change
        told = client.put(late(rate=rate * MBIT))
        assert told.headers["etag"] == tags(f"{ENTRY}late")[1]
        seen.append(tags(f"{ENTRY}late"))
    client.ask("DELETE", f"{ENTRY}late")
    client.post(late())
    seen.append(tags(f"{ENTRY}late"))
    for column in zip(*seen, strict=True):
        assert len(set(column)) == len(column)
    gold = client.ask("GET", f"{ENTRY}gold?content=config")
    assert client.put(late("other", dscp=(12,))).status == 201
    again = client.ask("GET", f"{ENTRY}gold?content=config")
    assert gold.headers["etag"] == again.headers["etag"]
    assert "last-modified" in gold.headers


def test_tags_outlive_the_process_and_are_no_others(tmp_path: Path) -> None:
    with serving(tmp_path / "..") as (client, _, _):
        client.post(late())
        first = client.ask("GET", f"{ENTRY}late?content=config").headers["etag"]
    with serving(tmp_path / "..") as (client, _, _):
        assert client.ask("GET", f"{ENTRY}late?content=config").headers["etag"] == first
    with serving(tmp_path) as (client, _, _):
        client.post(late())
        assert client.ask("GET", f"{ENTRY}late?content=config").headers["etag"] != first


def test_what_fails_has_no_new_version(client: Client) -> None:
    made = client.post(late())
    assert client.put(late(rate=99 * MBIT)).status == 409
    told = client.ask("GET", f"{ENTRY}late?content=config")
    assert told.headers["etag"] == made.headers["etag"]


def test_conditions_of_requests(client: Client) -> None:
    entry, body = f"{ENTRY}late", document(late())
    assert client.ask("PUT", entry, body, {"If-Match": "*"}).status == 412
    assert client.ask("PUT", entry, body, {"If-None-Match": "*"}).status == 201
    told = client.ask("PUT", entry, body, {"If-None-Match": "*"})
    assert (told.status, told.errors[0]["error-tag"]) == (412, "operation-failed")
    whole = client.ask("GET", entry).headers["etag"]
    config = client.ask("GET", f"{entry}?content=config")
    assert client.ask("GET", entry, headers={"If-None-Match": whole}).status == 304
    not_new = client.ask(
        "HEAD", f"{entry}?content=config", None, {"If-None-Match": told.headers["etag"]}
    )
    assert (not_new.status, not_new.body) == (304, b"")
    since = {"If-Modified-Since": config.headers["last-modified"]}
    assert client.ask("GET", f"{entry}?content=config", headers=since).status == 304
    assert client.ask("GET", entry, headers={"If-Match": '"other"'}).status == 412
    assert client.ask("PUT", entry, body, {"If-Match": whole}).status == 204
    assert client.ask("DELETE", entry, None, {"If-Match": whole}).status == 412
    assert client.ask("DELETE", entry, None, {"If-Unmodified-Since": BEFORE}).status == 412
    assert (
        client.ask("POST", BASE, document(late("b", dscp=(12,))), {"If-Match": whole}).status == 412
    )
    every = client.ask("GET", BASE).headers["etag"]
    assert (
        client.ask("POST", BASE, document(late("b", dscp=(12,))), {"If-Match": every}).status == 201
    )
    assert client.ask("DELETE", f"{ENTRY}nobody", None, {"If-Match": "*"}).status == 404


def test_of_many_who_read_the_same_one_wins(client: Client) -> None:
    tag = client.post(late()).headers["etag"]
    found: list[tuple[int, int]] = []

    def put(rate: int) -> None:
        told = client.ask(
            "PUT", f"{ENTRY}late", document(late(rate=rate * MBIT)), {"If-Match": tag}
        )
        found.append((told.status, rate))

    writers = [threading.Thread(target=put, args=(rate,)) for rate in range(1, 17)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(status for status, _ in found) == [204] + [412] * 15
    ((_, won),) = (each for each in found if each[0] == 204)
    (now,) = client.ask("GET", f"{ENTRY}late?content=config").body[LIST]
    assert now == document(late(rate=won * MBIT))[LIST][0]
