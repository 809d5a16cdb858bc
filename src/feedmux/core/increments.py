"""Keep one object that comes as a snapshot and increments, so that who comes later is given all of it.

Theory of operation
===================

::

    empty ──snapshot──▶ kept ──increment──▶ kept ──increment, at a bound──▶ kept (a book) or empty
      ▲                  │
      └──────clear───────┘      a snapshot replaces all that is kept

An increment means nothing without the snapshot before it, so nothing else is ever kept: with the
base its increments go. Producers send a snapshot now and then; should too much come in between, a
book is folded into a new base (:mod:`feedmux.core.folding`). What is no book cannot be, and is let go:
half an object would be a wrong one.

Invariants: parts are in order; their number and their bytes stay within the limits. Deliberately
absent: whether the parts are complete, which who adds them knows by their positions.

Folding costs one pass over what is kept and one sort of its prices: with n increments and b bytes, which
are at most the limits, O(b + b log b). It happens once in n increments, or once in an eighth of the limit's
bytes: a book that leaves less room than that is let go, lest the next increments fold it again and again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from feedmux.core.folding import fold
from feedmux.model.event import Envelope, EventKind

UNKEPT: Final = "more came since its last snapshot than can be kept; it begins again with the next one"
TOO_LARGE: Final = "its snapshot is larger than can be kept; it begins again with the next one"
"""Why an object is lost, as sentences for people."""

_ROOM: Final = 8  # a folded book leaves at least one part in so many for increments


class ObjectLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one stored object.

    Args:
        increments: how many are kept after the snapshot.
        bytes: of all payloads together.
    """

    increments: int = 256
    bytes: int = 1_048_576


class _Numbered(msgspec.Struct):
    sequence: int | None = None


_numbered = msgspec.json.Decoder(_Numbered).decode


def sequence_of(payload: bytes) -> int | None:
    """The member ``sequence`` of a body, if the body is an object and this an integer. Never raises."""
    try:
        return _numbered(payload).sequence
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class Stored:
    """One object: a snapshot and its increments.

    Args:
        limits: its bounds.
    """

    __slots__ = ("_base", "_increments", "_limits", "_parts", "_size_bytes")

    def __init__(self, limits: ObjectLimits) -> None:
        self._limits = limits
        self._base: Envelope | None = None
        self._increments: list[Envelope] = []
        self._parts: tuple[Envelope, ...] | None = ()
        self._size_bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is no snapshot, so that increments are refused."""
        return self._base is None

    @property
    def size_bytes(self) -> int:
        """Bytes of all payloads that are kept."""
        return self._size_bytes

    def start(self, envelope: Envelope) -> None:
        """Keep a snapshot in place of all before; one that is above the bound makes the object empty."""
        self.clear()
        if len(envelope.payload) <= self._limits.bytes:
            self._base, self._parts = envelope, None
            self._size_bytes = len(envelope.payload)

    def add(self, envelope: Envelope) -> bool:
        """Keep an increment that follows the last part.

        At a bound a book is folded into a new base, which has the position and the times of this increment.

        Returns:
            False when it could not be kept: there was no base, or there is none any more.
        """
        if self._base is None:
            return False
        self._increments.append(envelope)
        self._parts = None
        self._size_bytes += len(envelope.payload)
        limits = self._limits
        if self._size_bytes <= limits.bytes and len(self._increments) <= limits.increments:
            return True
        return self._compact(self._base)

    def parts(self) -> tuple[Envelope, ...]:
        """The snapshot, then the increments since, in order; nothing when the object is empty.

        The same tuple as long as it has the same parts.
        """
        if self._parts is None:
            self._parts = () if self._base is None else (self._base, *self._increments)
        return self._parts

    def clear(self) -> None:
        """Forget everything."""
        self._base, self._parts = None, ()
        self._increments.clear()
        self._size_bytes = 0

    def _compact(self, base: Envelope) -> bool:
        last = self._increments[-1]
        payload = fold(base.payload, [increment.payload for increment in self._increments])
        self.clear()
        if payload is None or len(payload) > self._limits.bytes - self._limits.bytes // _ROOM:
            return False
        self.start(msgspec.structs.replace(last, kind=EventKind.SNAPSHOT, payload=payload))
        return True
