"""One object as a hub knows it: its snapshot and the increments since, whole or not at all.

Theory of operation
===================

::

             snapshot          increment that follows     hole, new epoch     what cannot be kept
    none     whole, offered    none, nothing              none                none, a fault
    whole    whole, offered    whole, offered             none                none, a fault
             if it is needed

An increment without the snapshot before it is of no use to anybody, so nothing is offered of it. A
producer repeats its snapshots; who has the object needs no second one. One is *needed* when the hub
had none, for then nobody had; when the topic was not live, for then it is what makes it good again;
and when increments before it did not come.

Whole, the object follows positions as every topic does: what is not above the last one is known.
Without it a snapshot at any position of the epoch is a beginning. The writer answers a want with
all that it has, from its snapshot on, and everybody who holds the topic hears that: who is whole
finds it old, who has a hole is whole again.

A *fault* is a loss that nobody else tells of: there is more than the limits allow and it cannot be
folded, or an increment is missing although no gap came. It lasts until there is an object again.
"""

from __future__ import annotations

import msgspec

from feedmux.core.increments import TOO_LARGE, UNKEPT, ObjectLimits, Stored
from feedmux.model.event import Envelope, EventKind, Position, State, Status

# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_GAP, _STATUS, _SNAPSHOT = EventKind.GAP, EventKind.STATUS, EventKind.SNAPSHOT

_BROKEN = "an increment is missing; it begins again with the next snapshot"

_decode_status = msgspec.json.Decoder(Status).decode


class LastObject:
    """What a hub knows of one object; the counterpart of :class:`feedmux.hub.cache.LastValue`.

    Args:
        limits: bounds of what is kept.
    """

    __slots__ = ("_epoch", "_is_live", "_seq", "_stored", "fault")

    def __init__(self, limits: ObjectLimits) -> None:
        self._stored = Stored(limits)
        self._is_live = False
        self._epoch = self._seq = 0
        self.fault = ""
        """Why there is no object although no gap was told, as a sentence for people; else empty."""

    @property
    def position(self) -> Position:
        """Where the topic's writer was last heard."""
        return Position(self._epoch, self._seq)

    def accept(self, envelope: Envelope) -> bool:
        """Take the next event; whether it is to be offered to who reads the topic."""
        kind, epoch = envelope.kind, envelope.epoch
        if epoch > self._epoch:
            self._epoch, self._seq, self.fault = epoch, 0, ""
            self._stored.clear()
        elif epoch < self._epoch:
            return epoch == 0 and (kind is _STATUS or kind is _GAP)
        if kind is _STATUS:
            self._is_live = _decode_status(envelope.payload).state is State.LIVE
            return True
        if kind is _GAP:
            self._stored.clear()
            return True
        return self._start(envelope) if kind is _SNAPSHOT else self._add(envelope)

    def parts(self) -> tuple[Envelope, ...]:
        """The snapshot, then the increments since, in order; nothing when there is no object."""
        return self._stored.parts()

    def _start(self, envelope: Envelope) -> bool:
        was_empty, former = self._stored.is_empty, self._seq
        if not was_empty and envelope.seq <= former:
            return False
        self._seq = envelope.seq
        self._stored.start(envelope)
        self.fault = TOO_LARGE if self._stored.is_empty else ""
        is_needed = was_empty or not self._is_live or envelope.seq != former + 1
        return is_needed and not self.fault

    def _add(self, envelope: Envelope) -> bool:
        seq = envelope.seq
        if self._stored.is_empty:
            self._seq = max(seq, self._seq)
            return False
        if seq <= self._seq:
            return False
        is_next, self._seq = seq == self._seq + 1, seq
        if not is_next:
            self._stored.clear()
            self.fault = _BROKEN
        elif not self._stored.add(envelope):
            self.fault = UNKEPT
        return not self.fault
