"""The class files hold the sources' numbers, and wrong files are refused with reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.traffic.classes import BUILT_IN, AppClass, load_class, load_classes, parse_class

MS = 1_000_000
GOOD: dict[str, object] = {
    "description": "a class",
    "direction": "UL",
    "size": "48 B",
    "interval": "1 ms",
    "arrivals": "periodic",
    "deadline": "5 ms",
    "deadline_kind": "OW",
    "judged": "one-way",
    "sst": 2,
    "dscp": 46,
    "source": "TS 22.104",
    "evidence": "S",
}

# fmt: off
# id, direction, size B, period ms, deadline ms, kind, reliability, survival ms, SST, 5QI, PDB ms,
# PER, DSCP, evidence: the literature table the files were written from
TABLE: list[tuple[object, ...]] = [
    ("uav_c2_stick", "DL", 24, 40, 40, "OW", 0.999, 40, 2, 84, 30, 1e-05, 40, "S"),
    ("uav_airspace_utm", "UL", 1500, 1000, 5000, "OW", 0.999, None, 1, 69, 60, 1e-06, 40, "M"),
    ("uav_nav_infra", "DL", 4000, 500, 10, "OW", 0.99, None, 2, 83, 10, 0.0001, 40, "M"),
    ("uav_formation_ca", "U2U", 300, 100, 100, "OW", 0.99, 100, 2, 86, 5, 0.0001, 46, "M"),
    ("v2x_l2_assist", "UL", 1600, 100, 100, "OW", 0.99, None, 4, 79, 50, 0.01, 40, "S"),
    ("v2x_l4_coop", "UL+DL", 2000, 10, 10, "OW", 0.9999, 10, 4, 86, 5, 0.0001, 46, "S"),
    ("remote_driving", "UL", 1200, 0.384, 5, "OW", 0.99999, None, 4, 85, 5, 1e-05, 46, "S"),
    ("emergency_vehicle", "UL", 1200, 0.384, 10, "OW", 0.9999, 20, 4, 86, 5, 0.0001, 46, "D"),
    ("telesurgery_haptic", "UL+DL", 48, 1, 5, "OW", 0.9999, 1, 2, 87, 5, 0.001, 46, "S"),
    ("hft_order", "UL+DL", 128, 0.1, 0.2, "RTT", 1, None, 128, None, None, None, 46, "D"),
    ("motion_control", "UL+DL", 50, 0.5, 0.5, "OW", 0.99999, 0.5, 5, 82, 10, 0.0001, 46, "M"),
    ("visual_inspection", "UL", 270000, 15, 15, "OW", 0.999, None, 5, 88, 10, 0.001, 34, "S"),
    ("ar_vr_dl", "DL", 62500, 16.667, 10, "OW", 0.99, 16.7, 6, 89, 15, 0.0001, 34, "S"),
    ("ar_vr_pose", "UL", 100, 4, 10, "OW", 0.99, None, 6, 88, 10, 0.001, 34, "S"),
    ("virtual_human", "DL", 33000, 33.333, 50, "OW", 0.999, 33, 6, 80, 10, 1e-06, 34, "D"),
    ("cloud_gaming", "DL", 62500, 16.667, 15, "OW", 0.99, 16.7, 6, 89, 15, 0.0001, 34, "S"),
    ("llm_chat", "DL", 200, 40, 450, "TTFT", 0.99, None, 1, 80, 10, 1e-06, 18, "S"),
    ("ai_image_gen", "DL", 2000000, 30000, 2000, "FCT", 0.99, None, 1, 8, 300, 1e-06, 18, "D"),
    ("train_sync", "DC", 4096, None, 1, "OW", 1, 50, 128, None, None, None, 26, "S"),
    ("dr_replication_sync", "DC", 16384, 1, 5, "RTT", 1, None, 128, None, None, None, 26, "S"),
    ("sat_backhaul", "UL+DL", 1400, 10, 30, "OW-prop", 0.99, None, 1, 10, 1100, 1e-06, 18, "S"),
    ("embb_video", "DL", 1448, 2, 300, "OW", 0.999999, None, 1, 6, 300, 1e-06, 28, "S"),
    ("best_effort", "UL+DL", 1448, None, None, None, None, None, 1, 9, 300, 1e-06, 0, "S"),
]
# fmt: on


@pytest.fixture(scope="module")
def classes() -> dict[str, AppClass]:
    return load_classes()


def test_every_class_is_there(classes: dict[str, AppClass]) -> None:
    assert len(TABLE) == 23
    assert {str(row[0]) for row in TABLE} <= set(classes)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_numbers_are_the_sources(row: tuple[object, ...], classes: dict[str, AppClass]) -> None:
    app = classes[str(row[0])]

    def in_ms(value_ns: int | None) -> float | None:
        return None if value_ns is None else value_ns / MS

    assert row[1:] == (
        app.direction,
        app.size_bytes,
        None if app.sampled else in_ms(app.interval_ns),
        in_ms(app.stated_deadline_ns),
        app.stated_kind,
        app.reliability,
        in_ms(app.survival_ns),
        app.sst,
        app.five_qi,
        in_ms(app.pdb_ns),
        app.per,
        app.dscp,
        app.evidence,
    )
    assert app.source


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_round_trips_and_one_ways_are_not_mixed(
    row: tuple[object, ...], classes: dict[str, AppClass]
) -> None:
    app = classes[str(row[0])]
    expected = {"OW": "one-way", "OW-prop": "one-way", "RTT": "rtt", "TTFT": "rtt"}
    assert app.judged == expected.get(str(app.stated_kind), "one-way")
    if app.stated_kind in {"OW", "OW-prop", "RTT"}:
        assert app.deadline_ns == app.stated_deadline_ns
        assert app.network_share_reason == ""
    elif app.stated_deadline_ns is not None and app.deadline_ns is not None:
        assert 0 < app.deadline_ns < app.stated_deadline_ns
        assert app.network_share_reason


def test_network_shares(classes: dict[str, AppClass]) -> None:
    assert classes["llm_chat"].deadline_ns == 20 * MS
    assert classes["ai_image_gen"].deadline_ns == 1800 * MS
    assert classes["best_effort"].deadline_ns is None


def test_five_qi_rows_agree(classes: dict[str, AppClass]) -> None:
    """One 5QI has one PDB and PER, whatever class uses it (TS 23.501 table 5.7.4-1)."""
    rows: dict[int, set[tuple[int | None, float | None]]] = {}
    for app in classes.values():
        if app.five_qi is not None:
            rows.setdefault(app.five_qi, set()).add((app.pdb_ns, app.per))
    assert {five_qi: len(values) for five_qi, values in rows.items()} == dict.fromkeys(rows, 1)


@pytest.mark.parametrize(
    ("change", "what", "hint"),
    [
        ({"dedline": "5 ms"}, "unknown key 'dedline'", "did you mean 'deadline'"),
        ({"deadline": 5}, "time 5 has no unit", "5 ms"),
        ({"deadline": "5"}, "has no unit", "5 ms"),
        ({"deadline": "5 B"}, "unknown unit 'B'", "ms"),
        ({"deadline": "-5 ms"}, "negative", ">= 0"),
        ({"interval": "0 ms"}, "is zero", "more than zero"),
        ({"size": "48 ms"}, "unknown unit 'ms'", "kB"),
        ({"direction": "UP"}, "unknown value 'UP'", "UL"),
        ({"judged": "rtt"}, "kind OW cannot be judged by a delay of kind rtt", "'one-way'"),
        ({"deadline_kind": "TTFT"}, "not a network delay", "network_share"),
        ({"network_share": "9 ms", "network_share_reason": "x"}, "larger than", "part"),
        ({"network_share": "1 ms"}, "reason go together", "one line"),
        ({"sampled_every": "1 ms"}, "interval, or two", "either"),
        ({"five_qi": 82}, "'pdb' is missing", "all of five_qi, pdb, per"),
        ({"dscp": 64}, "64 is out of range", "0 to 63"),
        ({"dscp": True}, "True is out of range", "0 to 63"),
        ({"reliability": 99.9}, "not a share", "up to 1"),
        ({"source": ""}, "not a text", "text"),
        ({"evidence": "X"}, "unknown value 'X'", "one of D, M, S"),
    ],
)
def test_wrong_key_says_what_where_and_remedy(
    change: dict[str, object], what: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_class("mine", GOOD | change, where="mine.toml")
    assert what in caught.value.what
    assert caught.value.where.startswith("mine.toml")
    assert hint in f"{caught.value.expected} {caught.value.remedy}"


@pytest.mark.parametrize("key", [*GOOD])
def test_missing_key_is_named(key: str) -> None:
    raw = {k: v for k, v in GOOD.items() if k != key}
    with pytest.raises(InputError) as caught:
        parse_class("mine", raw, where="mine.toml")
    assert key in f"{caught.value.what} {caught.value.expected}"


def test_no_deadline_at_all_is_fine() -> None:
    raw = {k: v for k, v in GOOD.items() if k not in {"deadline", "deadline_kind", "judged"}}
    assert parse_class("mine", raw, where="mine.toml").deadline_ns is None


def test_same_name_in_two_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "motion_control.toml").write_text((BUILT_IN / "motion_control.toml").read_text())
    with pytest.raises(InputError, match="defined twice"):
        load_classes([BUILT_IN, tmp_path])


@pytest.mark.parametrize("text", [b"deadline = 5 ms", b"\xff\xfe"])
def test_unreadable_file_is_named(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_bytes(text)
    with pytest.raises(InputError) as caught:
        load_classes([tmp_path])
    assert caught.value.where.endswith("broken.toml")


def test_file_name_is_the_class_name(tmp_path: Path) -> None:
    (tmp_path / "My-Class.toml").write_text("")
    with pytest.raises(InputError, match="not a class name"):
        load_classes([tmp_path])


@pytest.mark.parametrize("raw", [b"\xff", b"a = " + b"[" * 100_000, b"a = " + b"1" * 5_000])
def test_a_file_that_is_none_is_told(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "odd.toml").write_bytes(raw)
    with pytest.raises(InputError, match="cannot be read") as wrong:
        load_class(tmp_path / "odd.toml")
    assert "odd.toml" in wrong.value.where
