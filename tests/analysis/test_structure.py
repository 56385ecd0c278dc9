"""Terms that the plan alone keeps."""

from __future__ import annotations

import msgspec

from testbed.analysis.structure import structure
from testbed.net.paths import Backup, Path
from testbed.plan.model import Plan
from testbed.scenario.model import Slice
from tests.legs import with_paths
from tests.results import synthetic

NODES = ("a", "s1", "s2", "s3", "b")


def path(**given: object) -> Path:
    fields: dict[str, object] = {
        "id": "p",
        "cookie": 1,
        "slice": "gold",
        "src": "a",
        "dst": "b",
        "nodes": NODES,
        "label": 16,
        "queue": 1,
        "policy": "lowest_delay",
    }
    return Path(**(fields | given))  # type: ignore[arg-type]


def held(one: Path, plan: Plan | None = None, **terms: object) -> tuple[str, str]:
    slice_ = Slice(id="gold", sst=1, **terms)  # type: ignore[arg-type]
    ((_, _, word, how),) = structure(plan or synthetic.plan(), slice_, one)
    return word, how


def test_nothing_is_asked() -> None:
    assert not list(structure(synthetic.plan(), Slice(id="gold", sst=1), path()))


def test_diversity() -> None:
    apart = path(backup=("a", "s1", "x", "s3", "b"))
    assert held(apart, diversity="link")[0] == "kept"
    assert held(apart, diversity="node")[0] == "kept"
    same_node = path(backup=("a", "s1", "x", "s2", "y", "s3", "b"))
    assert held(same_node, diversity="link")[0] == "kept"
    assert held(same_node, diversity="node") == ("broken", "the other path shares s2")
    same_link = path(backup=("a", "s1", "s2", "x", "s3", "b"))
    assert held(same_link, diversity="link") == ("broken", "the other path shares s1-s2")
    assert held(path(), diversity="link")[0] == "broken"
    assert held(path(nodes=("a", "s1", "b")), diversity="link")[0] == "kept"


def test_protection() -> None:
    round_ = Backup(failed=("s1", "s2"), nodes=("s1", "x", "s3", "b"), label=17)
    some = path(protection="fast_failover", backups=(round_,))
    word, how = held(some, protection="fast_failover")
    assert word == "kept"
    assert how.endswith("1 of 2 links of the core, but not for s2-s3, which nothing goes round")
    assert held(some, protection="reactive")[0] == "broken"
    assert held(path(), protection="frer")[0] == "broken"
    copies = Backup(failed=None, nodes=("a", "s1", "x", "s3", "b"), label=17)
    twice = path(protection="frer", backups=(copies,))
    assert held(twice, protection="frer")[0] == "kept"


def test_isolation() -> None:
    plan = synthetic.plan()
    own = path(queue=9)
    assert held(own, plan, isolation="dedicated-queue")[0] == "kept"
    assert held(path(queue=0), plan, isolation="dedicated-queue")[0] == "broken"
    first = plan.sessions[0]
    moved = with_paths(first, msgspec.structs.replace(first.paths[0], queue=9))
    shared = msgspec.structs.replace(plan, sessions=(moved, *plan.sessions[1:]))
    word, how = held(own, shared, isolation="dedicated-queue")
    assert (word, how) == ("broken", f"it shares queue 9 with {first.slice}")
