"""Records as the lab kernel's netlink attributes have them: C structs, by their fields."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any


class Record:
    """A C struct in the machine's order, of fields such as "Q rate_bps", or "4x" of padding.

    >>> Record("I id", "4x", "Q rate_bps").unpack(bytes([1, *bytes(7), 2, *bytes(7)]))
    {'id': 1, 'rate_bps': 2}
    """

    def __init__(self, *fields: str) -> None:
        parts = [field.split() for field in fields]
        self.names = tuple(part[1] for part in parts if len(part) == 2)
        self._struct = struct.Struct("=" + "".join(part[0] for part in parts))
        self.size = self._struct.size

    def pack(self, of: object = None, **values: int) -> bytes:
        """The record of an object's attributes, some of them given. Raises struct.error."""
        return self._struct.pack(
            *(values[name] if name in values else getattr(of, name) for name in self.names)
        )

    def unpack(self, data: bytes) -> dict[str, Any]:
        """The fields of the first record in `data`."""
        return dict(zip(self.names, self._struct.unpack_from(data), strict=True))

    def each(self, data: bytes, start: int = 0) -> Iterator[dict[str, Any]]:
        """The fields of all records from byte `start` on."""
        for values in self._struct.iter_unpack(data[start:]):
            yield dict(zip(self.names, values, strict=True))
