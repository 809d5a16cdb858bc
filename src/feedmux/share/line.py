"""The socket of one client: bytes both ways, and descriptors to it.

What is said goes out at once as far as the system takes it, the rest when it takes more; descriptors go
beside the first byte of what they belong to. What waits is bounded: a client that does not read is cut.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

_READ_BYTES: Final = 256 * 1024
MOST_WAITING_BYTES: Final = 32 * 1024 * 1024
"""So much may wait for a client to read."""


class Line:
    """A connected, non-blocking Unix stream socket; it is ours from now on.

    ``ended`` is called exactly once, not from within :meth:`cut`'s caller but in a later turn if that is us.

    Args:
        sock: the socket.
        received: takes what came.
        ended: the other side hung up, or was cut; says why.
    """

    def __init__(
        self, sock: socket.socket, *, received: Callable[[bytes], None], ended: Callable[[str], None]
    ) -> None:
        self._socket = sock
        self._received, self._on_ended = received, ended
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._waiting_bytes = 0
        self._is_writing = self._is_ending = self._is_closed = False
        self._loop.add_reader(sock, self._read)

    @property
    def is_open(self) -> bool:
        """Whether anything can be said."""
        return not (self._is_ending or self._is_closed)

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the other side to read."""
        return self._waiting_bytes

    def say(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send bytes, and descriptors with them, which are ours from now on and closed once they are sent."""
        if not self.is_open:
            _close(descriptors)
            return
        if self._waiting_bytes + len(data) > MOST_WAITING_BYTES:
            _close(descriptors)
            self.cut(f"it does not read: over {MOST_WAITING_BYTES} bytes wait for it")
            return
        self._waiting.append((memoryview(data), tuple(descriptors)))
        self._waiting_bytes += len(data)
        if not self._is_writing:
            self._write()

    def hang_up(self) -> None:
        """Take nothing more, and end once all that was said is sent."""
        if self._is_closed or self._is_ending:
            return
        self._is_ending = True
        self._loop.remove_reader(self._socket)
        if not self._waiting:
            self.cut("it was sent away")

    def cut(self, reason: str) -> None:
        """End now; ``ended`` follows in the next turn."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        for _, descriptors in self._waiting:
            _close(descriptors)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._loop.call_soon(self._on_ended, reason)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.cut(error.strerror or str(error))
            return
        if data:
            self._received(data)
        else:
            self.cut("it hung up")

    def _write(self) -> None:
        while self._waiting:
            data, descriptors = self._waiting[0]
            try:
                sent = self._send(data, descriptors)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self.cut(error.strerror or str(error))
                return
            _close(descriptors)
            self._waiting_bytes -= sent
            if sent == len(data):
                self._waiting.popleft()
            else:
                self._waiting[0] = (data[sent:], ())
        self._watch(bool(self._waiting))
        if self._is_ending and not self._waiting:
            self.cut("it was sent away")

    def _send(self, data: memoryview, descriptors: tuple[int, ...]) -> int:
        if descriptors:
            return socket.send_fds(self._socket, [data], list(descriptors))
        return self._socket.send(data)

    def _watch(self, is_writing: bool) -> None:
        if is_writing == self._is_writing:
            return
        self._is_writing = is_writing
        if is_writing:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
