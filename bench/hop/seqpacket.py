"""A pair of Unix sockets that keep messages apart (``SOCK_SEQPACKET``).

A writer waits while the reader's buffer is full.
"""

from __future__ import annotations

import socket

from bench.hop.port import MESSAGE_BYTES, Reader, Writer


class _Writer:
    flush = None

    def __init__(self, end: socket.socket) -> None:
        self._socket, self.write = end, end.send


class _Reader:
    read_many = None
    missed = ()

    def __init__(self, end: socket.socket) -> None:
        self._receive, self._socket, self.descriptor = end.recv, end, end.fileno()

    def read(self) -> bytes | None:
        try:
            return self._receive(MESSAGE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def wait(self) -> bytes:
        return self._receive(MESSAGE_BYTES)

    def lost(self) -> int:
        return 0

    def wake(self) -> None:
        """Reading is what makes the descriptor silent."""

    def rest(self) -> bool:
        return True


def ends() -> tuple[socket.socket, socket.socket]:
    """The two sockets."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def open_writer(end: socket.socket, _reading: str) -> Writer:
    return _Writer(end)


def open_reader(end: socket.socket, _reading: str) -> Reader:
    return _Reader(end)
