"""A native outbox on one end of a real socket pair; what its transport would do is the test's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Any, Self

from feedmux._native.outbox import Flush, Outbox, TopicRow
from feedmux.core.outbox import OutboxLimits
from support.hubs import Reader


class Line:
    """The writer of :attr:`outbox`, which was lent the descriptor of :attr:`ours`.

    Args:
        dirty: where the outbox is listed; nowhere, when the test drains it.
        limits: of the outbox.
    """

    def __init__(
        self, dirty: Flush | Callable[[Outbox], None] | None = None, limits: OutboxLimits | None = None
    ) -> None:
        self.ours, self.peer = socket.socketpair()
        self.ours.setblocking(False)
        self.peer.setblocking(False)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.closed = False
        """Whether the transport keeps what it is given: its buffer stays full."""
        self.reads_when_full = False
        """Whether the peer reads everything when the socket is full, so that the rest can leave."""
        self.rests: list[bytes] = []
        self.written: list[bytes] = []
        self.arrived = b""
        self.breaks = 0
        self.overflows = 0
        unlimited = OutboxLimits(1_000_000, 1 << 40)
        self.outbox = Outbox(self, dirty or (lambda outbox: None), limits or unlimited)
        self.outbox.lend(self.ours.fileno())
        self.row = TopicRow()
        self.row.add(self.outbox, Reader())

    def offer(self, *frames: bytes) -> None:
        for frame in frames:
            self.row.offer(frame, "", 1, 0)

    def write(self, frames: Sequence[bytes], /) -> int:
        self.written += frames
        return len(frames)

    def rest(self, data: bytes, /) -> bool:
        self.rests.append(data)
        if self.reads_when_full:
            self.arrived += self.read() + data
        elif self.closed:
            self.outbox.pause()
        return not self.closed

    def overflow(self) -> None:
        self.overflows += 1

    def broken(self) -> None:
        self.breaks += 1

    def fill(self) -> None:
        """Fill the socket to the last byte."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.ours.send(b"z" * 4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.ours.send(b"z")

    def read(self) -> bytes:
        """All that is there for the peer."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while piece := self.peer.recv(1 << 20):
                data += piece
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.outbox.lend(-1)
        self.ours.close()
        self.peer.close()
