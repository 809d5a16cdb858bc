"""Records that prove themselves: whoever reads one knows whether it is whole, and which one it is.

A record is one unit of 16 bytes, again and again. The unit looks like the header of a record of the
ring, so that a reader that lands in the middle of one finds a length and a kind that it could believe.
"""

from __future__ import annotations

import struct

_UNIT = struct.Struct("<IIQ")


def record_of(number: int, units: int) -> bytes:
    """Record number ``number`` of a run whose records have up to ``units`` units."""
    return _UNIT.pack(16 * (1 + number % 5), 1, number) * (1 + number % units)


def number_of(record: bytes, units: int) -> int:
    """Which record this is; -1: it is torn, or none."""
    if len(record) < _UNIT.size:
        return -1
    number: int = _UNIT.unpack_from(record)[2]
    whole = len(record) == 16 * (1 + number % units) and record == record[:16] * (len(record) // 16)
    return number if whole else -1
