"""A client's socket as an outbox sees it, with room that the test decides."""

from __future__ import annotations

from collections.abc import Sequence

from feedmux.core.outbox import Outbox, OutboxLimits


class ScriptedSocket:
    """Takes ``room`` frames, then is full: the writer of :attr:`outbox`.

    Args:
        limits: the bounds of its outbox.
    """

    def __init__(self, limits: OutboxLimits | None = None) -> None:
        self.room: float = float("inf")
        self.written: list[bytes] = []
        self.writes = 0
        self.overflows = 0
        self.dirty: list[Outbox] = []
        self.outbox = Outbox(self, self.dirty.append, limits or OutboxLimits())

    def write(self, frames: Sequence[bytes], /) -> int:
        taken = int(min(self.room, len(frames)))
        self.room -= taken
        self.writes += 1
        self.written += frames[:taken]
        if taken < len(frames):
            self.outbox.pause()  # a transport says so while the write is still under way
        return taken

    def overflow(self) -> None:
        self.overflows += 1

    def flush(self) -> None:
        """Drain what is listed, as the turn of the loop does."""
        dirty = self.dirty[:]
        self.dirty.clear()
        for outbox in dirty:
            outbox.drain()

    def open(self, room: float = float("inf")) -> None:
        """Make room, and say so."""
        self.room = room
        self.outbox.resume()
