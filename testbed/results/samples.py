"""The samples of a run: one tidy table, a row for every packet of every session.

Times count from the start of traffic and delays are one-way unless named rtt, all
in ns. `forward_ns` and `rtt_ns` start at the intended moment of sending, so that a
late sender is part of the delay (no coordinated omission); the `_wire_` columns
start at the kernel's transmit timestamp. The time spent in the reflector is taken
out of every round trip. A delay is null where its packet was lost.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from testbed.errors import ResultError
from testbed.plan.model import Plan

SCHEMA = 1

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "session": (pa.dictionary(pa.int32(), pa.string()), "session id of the plan"),
    "seq": (pa.int64(), "number of the packet in its session, from 0"),
    "intended_ns": (pa.int64(), "when it was due to be sent"),
    "sent_ns": (pa.int64(), "kernel transmit timestamp"),
    "schedule_error_ns": (pa.int64(), "sent - intended: the instrument's own error"),
    "forward_ns": (pa.int64(), "one-way, intended to the reflector's receive timestamp"),
    "forward_wire_ns": (pa.int64(), "one-way, kernel transmit to receive timestamp"),
    "reverse_ns": (pa.int64(), "one-way, reflector's transmit to the sender's receive timestamp"),
    "rtt_ns": (pa.int64(), "round trip from intended, net of reflector time"),
    "rtt_wire_ns": (pa.int64(), "round trip from kernel transmit, net of reflector time"),
    "lost_forward": (pa.bool_(), "did not reach the reflector"),
    "lost_reverse": (pa.bool_(), "its answer did not come back"),
}
"""Column -> type and meaning."""

ARROW = pa.schema(
    [
        pa.field(name, kind, metadata={"unit": "ns" if name.endswith("_ns") else "", "doc": doc})
        for name, (kind, doc) in COLUMNS.items()
    ],
    metadata={
        "schema": str(SCHEMA),
        "table": "slicing-testbed samples",
        "origin": "times count from the start of traffic",
    },
)


def tidy(session: str, raw: np.ndarray) -> pa.Table:
    """The rows of one session from its raw records (`testbed.probes.samples`)."""
    lost_forward, lost = raw["lost_forward"], raw["lost_forward"] | raw["lost_reverse"]
    absent = {"forward_ns": lost_forward, "forward_wire_ns": lost_forward}
    absent |= dict.fromkeys(("reverse_ns", "rtt_ns", "rtt_wire_ns"), lost)
    columns = []
    for name, (kind, _) in COLUMNS.items():
        if name == "session":
            index = pa.array(np.zeros(len(raw), dtype=np.int32))
            columns.append(pa.DictionaryArray.from_arrays(index, [session]))
        else:
            columns.append(pa.array(raw[name], type=kind, mask=absent.get(name)))
    return pa.Table.from_arrays(columns, schema=ARROW)


def write_samples(plan: Plan, folder: Path, target: Path, *, partial: bool) -> int:
    """Write `target` from the raw files in `folder`; the number of packets in it.

    A partial run may lack sessions; a complete one may not. Raises ResultError.
    """
    from testbed.probes.samples import read_samples

    packets = 0
    with pq.ParquetWriter(target, ARROW, compression="zstd") as writer:
        for session in plan.sessions:
            path = folder / f"{session.id}.bin"
            try:
                table = tidy(session.id, read_samples(path))
            except (OSError, ValueError, ResultError) as error:
                if partial:
                    continue
                raise ResultError(
                    f"the samples of session {session.id!r} cannot be read: {error}",
                    where=str(path),
                    expected="one raw file for each session of the plan",
                ) from error
            writer.write_table(table)
            packets += len(table)
    return packets


def load_samples(path: Path) -> pd.DataFrame:
    """The table as a DataFrame; delays of lost packets are NaN. Raises ResultError."""
    again = "run the experiment again"
    try:
        file = pq.ParquetFile(path)
        meta = file.schema_arrow.metadata or {}
        found = meta.get(b"schema", b"none").decode()
        if found == str(SCHEMA):
            frame: pd.DataFrame = file.read().to_pandas()
    except FileNotFoundError as error:
        raise ResultError("samples are missing", where=str(path), remedy=again) from error
    except (OSError, pa.ArrowException) as error:
        raise ResultError(
            "samples are damaged",
            where=str(path),
            expected="a Parquet file",
            remedy=again,
        ) from error
    if found != str(SCHEMA):
        raise ResultError(
            f"samples have schema {found}",
            where=str(path),
            expected=f"schema {SCHEMA}",
            remedy=f"{again}, or read it with the version that wrote it (0-provenance.json)",
        )
    missing = set(COLUMNS) - set(frame)
    if missing:
        raise ResultError(
            f"samples lack the columns {', '.join(sorted(missing))}",
            where=str(path),
            expected=", ".join(COLUMNS),
            remedy=again,
        )
    return frame
