"""What travels from a source to its readers: data, gaps and statuses on one road."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple

import msgspec

from feedmux.model.topic import Topic


class EventKind(IntEnum):
    """What an envelope carries."""

    SNAPSHOT = 1
    """The whole known state; consumes a seq."""
    UPDATE = 2
    """The next value; consumes a seq."""
    GAP = 3
    """A hole; carries the last position."""
    STATUS = 4
    """How the topic is; carries the last position."""


class State(StrEnum):
    """How a topic is, as its readers are told."""

    LIVE = "live"
    PENDING = "pending"
    STALE = "stale"
    RECONNECTING = "reconnecting"
    REFUSED = "refused"


class GapReason(StrEnum):
    """Why values are missing."""

    SLOW = "slow"
    LINK = "link"
    LAPPED = "lapped"


class Position(NamedTuple):
    """Where a topic's writer is. A reader drops what is older than what it has.

    Args:
        epoch: Unix milliseconds at which continuity began; always above the previous one.
        seq: from 1 in each epoch; 0 before the first value.
    """

    epoch: int
    seq: int


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of a status event. ``reason`` is a sentence for people, or empty."""

    state: State
    reason: str = ""


class Gap(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """The payload of a gap event.

    Args:
        first: the first missing seq.
        last: the last missing seq, or None when nobody can know how much was lost.
        reason: where it was lost.
    """

    first: int
    last: int | None
    reason: GapReason


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """One event of one topic, as buses carry it.

    Args:
        topic: what it belongs to.
        epoch: see :class:`Position`.
        seq: see :class:`Position`; gap and status repeat the last one.
        kind: what ``payload`` is.
        venue_ns: the venue's own time, Unix nanoseconds; 0 when it gave none.
        receive_ns: when our process read it, Unix nanoseconds.
        key: conflation key, unique over all topics: a waiting value is replaced by a newer one
            of the same key. Empty means: never replace.
        payload: the JSON text of ``data`` alone (no stream name, brand or seq).
    """

    topic: Topic
    epoch: int
    seq: int
    kind: EventKind
    venue_ns: int
    receive_ns: int
    key: str
    payload: bytes

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq)
