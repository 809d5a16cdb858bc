"""A client's socket as an outbox sees it, with room that the test decides; for both twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import pytest

from feedmux._native import outbox as native
from feedmux.core import flush as core_flush
from feedmux.core import outbox as core
from feedmux.core.outbox import OutboxLimits
from feedmux.model.ports import Format, Outlet, Row
from support.hubs import FULL, Reader


class Twin(NamedTuple):
    """One of the two that must behave alike."""

    name: str
    outbox: Callable[..., Any]
    row: Callable[..., Any]
    flush: Callable[..., Any]


PYTHON: Final = Twin("python", core.Outbox, core.TopicRow, core_flush.Flush)
NATIVE: Final = Twin("native", native.Outbox, native.TopicRow, native.Flush)
on_both_twins = pytest.mark.parametrize("twin", [PYTHON, NATIVE], ids=lambda twin: twin.name)


def told(epoch: int, first: int, last: int) -> bytes:
    """The frame that tells of a hole."""
    return b"hole %d:%d-%d" % (epoch, first, last)


class ScriptedSocket:
    """Takes ``room`` frames, then is full: the writer of :attr:`outbox`.

    Args:
        twin: which outbox.
        limits: its bounds.
        mends: whether what tells of a hole of :attr:`losable` gives all anew.
    """

    def __init__(self, twin: Twin, limits: OutboxLimits | None = None, *, mends: bool = False) -> None:
        self.room: float = float("inf")
        self.written: list[bytes] = []
        self.writes = 0
        self.overflows = 0
        self.dirty: list[object] = []
        self.outbox = twin.outbox(self, self.dirty.append, limits or OutboxLimits())
        self.row: Row = twin.row()
        self.losable: Row = twin.row(told, mends)
        for row in (self.row, self.losable):
            row.add(self.outbox, Reader())

    def offer(self, *frames: str) -> None:
        """Offer frames written as ``key=text``, or ``text`` alone for one without a key."""
        for frame in frames:
            key = frame.partition("=")[0] if "=" in frame else ""
            self.row.offer(frame.encode(), key, 1, 0)

    def trade(self, *seqs: int, epoch: int = 1) -> None:
        """Offer values that nothing replaces, and that may be lost if it is told."""
        for seq in seqs:
            self.losable.offer(b"%d:%d" % (epoch, seq), "", epoch, seq)

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

    def rest(self, data: bytes, /) -> bool:
        raise AssertionError("no descriptor was lent")

    def broken(self) -> None:
        raise AssertionError("no descriptor was lent")

    def flush(self) -> None:
        """Drain what is listed, as the turn of the loop does."""
        dirty: list[Any] = self.dirty[:]
        self.dirty.clear()
        for outbox in dirty:
            outbox.drain()

    def open(self, room: float = float("inf")) -> None:
        """Make room, and say so."""
        self.room = room
        self.outbox.resume()

    def texts(self) -> list[str]:
        """What was written."""
        return [frame.decode() for frame in self.written]


class Client(Reader):
    """A subscriber with a socket."""

    def __init__(self, twin: Twin, limits: OutboxLimits | None = None, layout: Format = FULL) -> None:
        super().__init__(layout)
        self.socket = ScriptedSocket(twin, limits)

    @property
    def outlet(self) -> Outlet:
        outbox: Outlet = self.socket.outbox
        return outbox

    def shown(self) -> list[bytes]:
        """What the socket was given, after it has room."""
        self.socket.open()
        self.socket.flush()
        written, self.socket.written = self.socket.written, []
        return written
