"""The last value of one topic, and what a reader that comes later is given of it."""

from __future__ import annotations

from typing import Final

import msgspec

from feedmux.model.event import Envelope, EventKind, Position
from feedmux.model.topic import Mode, Topic

_KEPT = {Mode.MERGE, Mode.CANDLE}

# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_GAP, _STATUS = EventKind.GAP, EventKind.STATUS


class LastValue:
    """What a hub knows of one topic's data.

    Trades and raw bodies have no state, so nothing of them is kept: a late reader starts with
    the next one. The update of an object is a change, not the state: :mod:`feedmux.hub.object`.
    """

    __slots__ = ("_epoch", "_keeps", "_seq", "_value")

    fault: Final = ""
    """A value is never lost by being kept."""

    def __init__(self, topic: Topic) -> None:
        self._keeps = topic.mode in _KEPT
        self._value: Envelope | None = None
        self._epoch = self._seq = 0

    @property
    def position(self) -> Position:
        """Where the topic's writer was last heard."""
        return Position(self._epoch, self._seq)

    def accept(self, envelope: Envelope) -> bool:
        """Take the next event; False when it is older than what is known, or is known already.

        A gap or a status repeats a position, so it is old only when its epoch is over; when its
        epoch is new, what was known before is void.
        """
        if envelope.kind is _GAP or envelope.kind is _STATUS:
            if envelope.epoch > self._epoch:
                self._epoch, self._seq, self._value = envelope.epoch, 0, None
            return envelope.epoch in (0, self._epoch)
        epoch, seq = envelope.epoch, envelope.seq
        if epoch < self._epoch or (epoch == self._epoch and seq <= self._seq):
            return False
        self._epoch, self._seq = epoch, seq
        if self._keeps:
            self._value = envelope
        return True

    def snapshot(self) -> Envelope | None:
        """The whole known state at the last position, or None when there is none."""
        if self._value is None or self._value.kind is EventKind.SNAPSHOT:
            return self._value
        return msgspec.structs.replace(self._value, kind=EventKind.SNAPSHOT)

    def parts(self) -> tuple[Envelope, ...]:
        """What makes the whole known state: the snapshot, or nothing."""
        last = self.snapshot()
        return () if last is None else (last,)
