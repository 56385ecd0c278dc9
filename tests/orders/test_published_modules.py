"""The tree of orders against the IETF's own modules, by another reader of YANG (yangson).

The modules are read beside the project, where CI has them; elsewhere these tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yangson import DataModel, schemanode
from yangson.datatype import BitsType, Decimal64Type
from yangson.enumerations import ContentType, ValidationScope
from yangson.exceptions import YangsonException

from testbed.errors import InputError
from testbed.northbound.library import MODULES_STATE, described
from testbed.scenario.model import Slice
from testbed.scenario.orders import schema
from testbed.scenario.orders.ietf import from_ietf
from testbed.scenario.orders.write import to_ietf
from testbed.scenario.orders.yang import Container, Leaf, MistypedError, Node, Reader
from tests.orders.documents import slices
from tests.searching import examples

PROJECT = Path(__file__).parents[2]
PUBLISHED = PROJECT.parent / "shared" / "data" / "yang"
OWN = Path(schema.__file__).parent

pytestmark = pytest.mark.skipif(
    not PUBLISHED.is_dir() and not os.environ.get("CI"),
    reason=f"the published modules are not in {PUBLISHED}",
)


def _entry(module: Path) -> dict[str, Any]:
    """A module as the library of modules lists it (RFC 7895)."""
    text = module.read_text()
    (namespace,) = re.findall(r'^\s*namespace\s+"([^"]+)"', text, re.MULTILINE)
    return {
        "name": module.stem.partition("@")[0],
        "revision": max(re.findall(r"^\s*revision \"?(\d{4}-\d\d-\d\d)", text, re.MULTILINE)),
        "namespace": namespace,
        "feature": re.findall(r"^\s*feature ([\w.-]+)", text, re.MULTILINE),
        "conformance-type": "implement",
    }


def test_the_service_names_the_revision_that_it_reads() -> None:
    (module,) = PUBLISHED.glob(f"{schema.MODULE}@*.yang")
    assert _entry(module)["revision"] == schema.REVISION
    told = described()[MODULES_STATE]["module"]
    assert {m["name"]: m["revision"] for m in told}[schema.MODULE] == schema.REVISION


@pytest.fixture(scope="module")
def model() -> DataModel:
    modules = [*PUBLISHED.glob("*.yang"), OWN / "testbed-slice.yang"]
    assert len(modules) > 1, f"no modules in {PUBLISHED}"
    library = {"module-set-id": "all", "module": [_entry(module) for module in sorted(modules)]}
    return DataModel(
        json.dumps({"ietf-yang-library:modules-state": library}), [str(PUBLISHED), str(OWN)]
    )


def _root(model: DataModel) -> Any:
    return model.get_data_node(f"/{schema.ROOT}")


def _members(node: Any) -> dict[str, Any]:
    """Data nodes below a node, whichever choice they are in."""
    found: dict[str, Any] = {}
    for child in node.children:
        if isinstance(child, (schemanode.ChoiceNode, schemanode.CaseNode)):
            found |= _members(child)
        elif isinstance(child, schemanode.DataNode):
            found[child.iname()] = child
    return found


def _cases(node: Any) -> set[frozenset[frozenset[str]]]:
    """Each choice right below a node, as the members of its cases."""
    return {
        frozenset(
            frozenset(_members(case) if isinstance(case, schemanode.CaseNode) else [case.iname()])
            for case in choice.children
        )
        for choice in node.children
        if isinstance(choice, schemanode.ChoiceNode)
    }


def _pairs(ours: Node, theirs: Any, path: str) -> Iterator[tuple[str, Node, Any]]:
    """Every node of the tree with the module's node of the same name, if both know it."""
    yield path, ours, theirs
    if isinstance(ours, Container) and ours.config:
        published = _members(theirs)
        for name in ours.members.keys() & published.keys():
            yield from _pairs(ours.members[name], published[name], f"{path}/{name}")


BY_WHEN = {"match-type"}
"""Lists whose choice the reader decides by each case's `when`."""


def _shape_of_ours(node: Node) -> dict[str, Any]:
    shape: dict[str, Any] = {"config": node.config}
    if isinstance(node, Leaf):
        return shape | {"kind": "leaf-list" if node.many else "leaf"}
    assert isinstance(node, Container)
    if not node.config:
        return shape
    shape |= {"members": node.members.keys(), "choices": {frozenset(c) for c in node.choices}}
    if node.key:
        return shape | {"kind": "list", "keys": [node.key], "least": node.least}
    return shape | {"kind": "container"}


def _shape_of_theirs(node: Any) -> dict[str, Any]:
    shape: dict[str, Any] = {"config": node.config}
    if isinstance(node, schemanode.TerminalNode):
        many = isinstance(node, schemanode.LeafListNode)
        return shape | {"kind": "leaf-list" if many else "leaf"}
    if not node.config:
        return shape
    choices = set() if node.iname() in BY_WHEN else _cases(node)
    shape |= {"members": _members(node).keys(), "choices": choices}
    if isinstance(node, schemanode.ListNode):
        return shape | {
            "kind": "list",
            "keys": [name for name, _ in node.keys],
            "least": node.min_elements,
        }
    return shape | {"kind": "container"}


def test_names_kinds_keys_choices_and_state_are_those_of_the_modules(model: DataModel) -> None:
    compared = list(_pairs(schema.SERVICES, _root(model), ""))
    assert len(compared) > 250
    for path, ours, theirs in compared:
        assert _shape_of_ours(ours) == _shape_of_theirs(theirs), path


def test_mandatory_leaves_are_those_of_the_modules(model: DataModel) -> None:
    for path, ours, theirs in _pairs(schema.SERVICES, _root(model), ""):
        if isinstance(ours, Container) and ours.config:
            published = _members(theirs)
            mandatory = {
                name
                for name, node in ours.members.items()
                if isinstance(node, Leaf) and (node.mandatory or name == ours.key)
            }
            expected = {
                name
                for name, node in published.items()
                if isinstance(node, schemanode.LeafNode) and node.mandatory
            }
            assert mandatory == expected, path


NUMBERS = st.integers(-2, 70) | st.integers(4090, 4100) | st.integers(2**20 - 2, 2**20 + 2)
WORDS = """0 1 05 -0 1000 18446744073709551615 18446744073709551616 0.5 100 100.001 1.2345 1e3 +1
node link srlg node,link 10.0.0.1 10.0.0 10.0.0.1/24 10.0.0.0/33 ::1 fe80::1%eth0 10.0.0.1%1
2001:db8::/32 true ok 5GC AB12ef AB12e"""
TEXTS = (
    st.sampled_from(WORDS.split())
    | st.sampled_from(["", " ", "node link", "node node", "\t", "\x00", "é", "a" * 64, "a" * 65])
    | st.text(max_size=4)
)
VALUES: st.SearchStrategy[Any] = (
    NUMBERS | TEXTS | st.booleans() | st.none() | st.just([None]) | st.floats(0, 9) | st.just([])
)
"""Values in JSON, many of them near a border of some type."""


def _identities(theirs: Any) -> list[str]:
    """What an identityref could be in JSON; others are cheap to guess wrong."""
    known = getattr(theirs.type, "sctx", None)
    if known is None or not hasattr(theirs.type, "bases"):
        return []
    bases = theirs.type.bases
    data = known.schema_data
    return [
        name if module == theirs.ns else f"{module}:{name}"
        for (name, module), adjacent in data.identity_adjs.items()
        if all(data.is_derived_from((name, module), base) for base in bases) and adjacent
    ]


def _accepts_theirs(theirs: Any, value: Any) -> bool:
    """As yangson judges, where it is no more lenient than RFC 7950."""
    try:
        cooked = theirs.type.from_raw(value)
        taken = cooked is not None and cooked in theirs.type
    except (YangsonException, TypeError, ValueError, AttributeError, ArithmeticError):
        return False
    if not isinstance(value, str):
        return taken
    if isinstance(theirs.type, Decimal64Type):  # section 9.3.1
        digits = theirs.type.fraction_digits
        return taken and bool(re.fullmatch(rf"[+-]?\d+(\.\d{{1,{digits}}})?", value))
    if isinstance(theirs.type, BitsType):  # section 9.7.2: a bit is named once
        return taken and len(set(value.split())) == len(value.split())
    return taken and not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", value)


def _accepts_ours(ours: Leaf, value: Any) -> bool:
    try:
        ours.type(value)
    except MistypedError:
        return False
    return True


@settings(max_examples=examples(40))
@given(value=VALUES)
def test_values_of_leaves_are_judged_as_by_the_modules(model: DataModel, value: Any) -> None:
    for path, ours, theirs in _pairs(schema.SERVICES, _root(model), ""):
        if isinstance(ours, Leaf) and ours.config:
            assert _accepts_ours(ours, value) == _accepts_theirs(theirs, value), (path, value)


def test_identities_are_those_of_the_modules(model: DataModel) -> None:
    compared = 0
    for path, ours, theirs in _pairs(schema.SERVICES, _root(model), ""):
        if isinstance(ours, Leaf) and ours.config:
            for name in _identities(theirs):
                compared += 1
                assert _accepts_ours(ours, name), (path, name)
    assert compared > 100


def _valid(model: DataModel, document: Any) -> None:
    """Raises YangsonException."""
    instance = model.from_raw(document)
    instance.validate(ValidationScope.all, ContentType.config)


@settings(max_examples=examples(20))
@given(drawn=st.lists(slices(), min_size=1, max_size=3, unique_by=lambda slice_: slice_.id))
def test_what_is_written_is_valid(model: DataModel, drawn: list[Slice]) -> None:
    document, _ = to_ietf(drawn)
    _valid(model, document)


@pytest.mark.parametrize("name", ["city_ietf.json", "mesh_ietf.json"])
def test_shipped_orders_are_valid(model: DataModel, name: str) -> None:
    _valid(model, json.loads((PROJECT / "experiments" / "orders" / name).read_text()))


def _broken(document: Any, data: st.DataObject) -> None:
    """Change a random place of a document in place."""
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if isinstance(inner, (dict, list)) and inner and data.draw(st.integers(0, 4)):
            place = inner
            continue
        how = data.draw(st.sampled_from(["drop", "value", "double"]))
        if how == "drop":
            del place[key]
        elif how == "double" and isinstance(place, list):
            place.append(inner)
        else:
            place[key] = data.draw(VALUES)
        return


@settings(max_examples=examples(80))
@given(drawn=slices(), data=st.data())
def test_a_changed_document_that_is_taken_is_valid(
    model: DataModel, drawn: Slice, data: st.DataObject
) -> None:
    """And one that is valid is taken by the tree, which knows no references between leaves."""
    document, _ = to_ietf([drawn])
    _broken(document, data)
    try:
        _valid(model, document)
        valid = True
    except (YangsonException, TypeError, ValueError, AttributeError, KeyError):
        valid = False
    if valid:
        reader = Reader()
        reader.value(schema.SERVICES, document.get(schema.ROOT, {}), f"/{schema.ROOT}")
        assert not reader.faults
    else:
        with pytest.raises(InputError):
            from_ietf(document)
