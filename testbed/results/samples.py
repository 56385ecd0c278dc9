"""The samples of a run: one tidy table, a row for every message of every session.

Columns are those of `testbed.probes.samples`, with the session before them: times
count from the start of traffic, delays are one-way unless named rtt, all in ns. Those
named intended start at the intended moment of sending, the others at the kernel's
transmit timestamp. What is not known is null. A packet whose time to come back was not
over when its run was cut short is neither received nor lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from testbed.errors import ResultError
from testbed.files import whole
from testbed.net.legs import HOLD_NS
from testbed.plan.model import Plan
from testbed.probes.arrivals import MISSING
from testbed.probes.samples import SAMPLE, Logs, Samples
from testbed.probes.schedule import grace_ns

SCHEMA = 2
_LAST_PACKETS = 1
"""Schema of tables in which only a message's last packet was measured."""
NULL_SESSION = "null-path"
"""Id of the session beside the network (testbed.probes.null_path)."""

_MEANING = {
    "session": "session id of the plan",
    "seq": "number of the message in its session, from 0",
    "packets": "IP packets of the message",
    "arrived": "how many of them reached the reflector, copies not counted",
    "reordered_packets": "how many of them one that left later overtook (RFC 4737)",
    "intended_ns": "when it was due to be sent",
    "sent_ns": "kernel transmit timestamp of its first packet",
    "schedule_error_ns": "sent - intended: the instrument's own error",
    "forward_ns": "one-way, sent to the receive timestamp of the last of its packets to come",
    "forward_intended_ns": "one-way, intended to that receive timestamp",
    "reverse_ns": "one-way, reflector's transmit to the sender's receive timestamp",
    "rtt_ns": "forward + reverse: round trip from sent, net of reflector time",
    "rtt_intended_ns": "round trip from intended, net of reflector time",
    "answered": "its last packet reached the reflector, which replied",
    "received": "the reply came back",
    "not_sent": "the kernel refused it, or a part of it",
    "lost_forward": "not all of its packets reached the reflector",
    "lost_reverse": "answered, but the reply did not come back",
    "reordered_forward": "a later message had arrived before it (RFC 4737)",
    "reordered_reverse": "a later reply had arrived before its reply",
    "copies_forward": "how often it arrived: that of its packets which came most often",
    "copies_reverse": "how often its reply arrived",
    "tos_forward": "TOS octet as the reflector saw it",
    "tos_reverse": "TOS octet as the sender saw it",
}


def _field(name: str, kind: pa.DataType) -> pa.Field:
    unit = "ns" if name.endswith("_ns") else ""
    return pa.field(name, kind, metadata={"unit": unit, "meaning": _MEANING[name]})


ARROW = pa.schema(
    [
        _field("session", pa.dictionary(pa.int32(), pa.string())),
        *(_field(name, pa.from_numpy_dtype(SAMPLE[name])) for name in SAMPLE.names or ()),
    ],
    metadata={
        "table": "slicing-testbed samples",
        "schema": str(SCHEMA),
        "origin": "times count from the start of traffic",
    },
)


def tidy(session: str, raw: Samples) -> pa.Table:
    """The rows of one session from its raw table."""
    index = pa.array(np.zeros(len(raw), dtype=np.int32))
    columns = [pa.DictionaryArray.from_arrays(index, [session])]
    for name in ARROW.names[1:]:
        unknown = raw[name] == MISSING if name.endswith("_ns") else None
        columns.append(pa.array(np.ascontiguousarray(raw[name]), mask=unknown))
    return pa.Table.from_arrays(columns, schema=ARROW)


class Written(NamedTuple):
    """What there was in the logs of a run."""

    messages: int
    traffic_ns: int | None
    """Up to which moment after the start of traffic, if it was cut short; None: to its end."""


def write_samples(
    plan: Plan, folder: Path, target: Path, null_target: Path, *, partial: bool
) -> Written:
    """Write `target` from the probes' logs in `folder`, and `null_target` with the packets of
    the null path, if it was measured.

    A partial run may lack sessions; a complete one may not. Raises ResultError.
    """
    messages = 0
    grace = grace_ns(plan.sessions) + HOLD_NS
    with whole(target) as file, pq.ParquetWriter(file, ARROW, compression="zstd") as writer:
        if not plan.sessions:
            return Written(0, None)
        try:
            logs = Logs(folder)
        except ResultError as error:
            error.remedy = error.remedy or "read it with the version that wrote it"
            raise
        for session in plan.sessions:
            if partial and session.id not in logs.ids:
                continue
            table = tidy(session.id, logs.samples(session.id, grace))
            writer.write_table(table)
            messages += len(table)
    if NULL_SESSION in logs.ids:
        with whole(null_target) as file:
            table = tidy(NULL_SESSION, logs.samples(NULL_SESSION, grace))
            pq.write_table(table, file, compression="zstd")
    return Written(messages, logs.traffic_ns)


def load_samples(path: Path, *, messages: bool = True) -> pd.DataFrame:
    """The table as a DataFrame; what is not known is NaN. Raises ResultError.

    Args:
        messages: some have several packets: then a table of their last packets will not do.
    """
    again = "run the experiment again"
    try:
        file = pq.ParquetFile(path)
        meta = file.schema_arrow.metadata or {}
        found = meta.get(b"schema", b"none").decode()
        old = found == str(_LAST_PACKETS) and not messages
        if old or found == str(SCHEMA):
            frame: pd.DataFrame = file.read().to_pandas()
    except FileNotFoundError as error:
        raise ResultError("samples are missing", where=str(path), remedy=again) from error
    except (OSError, pa.ArrowException) as error:
        raise ResultError(
            "samples are damaged", where=str(path), expected="a Parquet file", remedy=again
        ) from error
    if not old and found != str(SCHEMA):
        raise ResultError(
            f"samples have schema {found}",
            where=str(path),
            expected=f"schema {SCHEMA}",
            remedy=f"{again}, or read it with the version that wrote it (0-provenance.json)",
        )
    if old:
        frame["packets"] = 1
        frame["arrived"] = (~frame["lost_forward"]).astype(int)
        frame["answered"] = ~frame["lost_forward"]
        frame["reordered_packets"] = frame["reordered_forward"].astype(int)
    absent = set(ARROW.names) - set(frame)
    if absent:
        raise ResultError(
            f"samples lack the columns {', '.join(sorted(absent))}",
            where=str(path),
            expected=", ".join(ARROW.names),
            remedy=again,
        )
    return frame
