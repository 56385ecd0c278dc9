"""testbed orders: check, convert, and errors with the path of the fault."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from testbed.cli.main import main
from testbed.scenario.orders.ietf import from_ietf

ORDERS = Path(__file__).parents[2] / "experiments" / "orders"
IETF = str(ORDERS / "city_ietf.json")
GPP = str(ORDERS / "remote_driving_3gpp.json")
GST = str(ORDERS / "rendering_gst.json")


def typed(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["orders", *words])
    return done.exit_code, done.stdout, done.stderr


def test_check_shows_what_each_order_asks() -> None:
    code, shown, notes = typed("check", IETF, "--topology", "city")
    assert code == 0
    assert notes == ""
    for text in ("surgery", "2-000001", "ue1 > park", "max 5.00 ms", "99.999 %", "own, none"):
        assert text in shown


def test_check_shows_how_a_failure_is_met() -> None:
    code, shown, _ = typed("check", str(ORDERS / "mesh_ietf.json"), "--topology", "metro_mesh")
    assert code == 0
    assert "fast_failover" in shown
    assert "link-disjoint" in shown


def test_check_prints_slices_as_json() -> None:
    code, shown, _ = typed("check", "--json", IETF)
    assert code == 0
    assert [slice_["id"] for slice_ in json.loads(shown)] == ["surgery", "vehicles", "sites"]


@pytest.mark.parametrize(("format_", "file"), [("3gpp", GPP), ("gst", GST), ("ietf", IETF)])
def test_convert_writes_an_order_that_reads_back(format_: str, file: str) -> None:
    ends = () if format_ == "ietf" else ("--terminal", "ue1", "--server", "park")
    code, shown, notes = typed("convert", "--from", format_, "--to", "ietf", *ends, file)
    assert code == 0
    found = from_ietf(json.loads(shown))
    assert found.notes == ()
    assert all(slice_.contracts() for slice_ in found.slices)
    assert ("/survivalTime" in notes) == (format_ == "3gpp")


def test_faults_end_with_their_paths(tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text(Path(IETF).read_text().replace('"node-id": "ue1"', '"node-id": 1'))
    code, shown, said = typed("check", str(file))
    assert (code, shown) == (2, "")
    assert "slice-service[id='surgery']/sdps/sdp[id='console']/node-id: is 1" in said


def test_nodes_of_another_topology_are_missed() -> None:
    code, _, said = typed("check", "--topology", "metro_ring", IETF)
    assert code == 2
    assert "sdp[id='console']/node-id: refers to node 'ue1'" in said


def test_a_format_that_does_not_fit() -> None:
    code, _, said = typed("check", "--from", "ietf", GPP)
    assert code == 2
    assert "--from 3gpp" in said


def test_formats_are_told_from_the_files() -> None:
    code, shown, _ = typed("check", *map(str, sorted(ORDERS.glob("*.json"))))
    assert code == 0
    for file in (IETF, GPP, GST):
        assert Path(file).name in shown


def test_every_file_is_checked_after_one_that_fails(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"name": "x"}')
    code, shown, said = typed("check", str(other), GPP)
    assert code == 2
    assert "serviceProfileList (3gpp)" in said
    assert Path(GPP).name in shown


def test_an_unknown_node_is_answered_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text(Path(IETF).read_text().replace('"node-id": "ue1"', '"node-id": "eu1"'))
    code, _, said = typed("check", str(file), "--topology", "city")
    assert code == 2
    assert "did you mean 'ue1'" in said
