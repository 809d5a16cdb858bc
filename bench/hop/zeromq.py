"""pyzmq: PUSH to PULL over ``ipc://``, with its own high-water marks. A writer waits at them."""

from __future__ import annotations

import os
from collections.abc import Callable

import zmq

from bench.hop.port import Reader, Writer


class _Writer:
    flush = None

    def __init__(self, name: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.connect(name)
        self.write = self._socket.send


class _Reader:
    read_many = None
    missed = ()

    def __init__(self, name: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.PULL)
        self._socket.bind(name)
        self._receive: Callable[..., bytes] = self._socket.recv
        self.wait = self._receive
        self.descriptor = self._socket.getsockopt(zmq.FD)

    def read(self) -> bytes | None:
        try:
            return self._receive(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def lost(self) -> int:
        return 0

    def wake(self) -> None:
        """The descriptor says that something happened, once; what, :meth:`rest` asks."""

    def rest(self) -> bool:
        return not self._socket.getsockopt(zmq.EVENTS) & zmq.POLLIN


def ends() -> tuple[str, str]:
    """An address without a file."""
    return (name := f"ipc://@feedmux-hop-{os.getpid()}"), name


def open_writer(end: str, _reading: str) -> Writer:
    return _Writer(end)


def open_reader(end: str, _reading: str) -> Reader:
    return _Reader(end)
