"""The ring in shared memory, as large as the bus between processes makes it.

A writer never waits; what a reader missed is reported.
"""

from __future__ import annotations

import select
import socket

from bench.hop.port import Reader, Writer
from feedmux._native.ring import RingReader, RingWriter, Seat
from feedmux.bus.shm import CAPACITY_BYTES
from feedmux.client.segment import make_bell, make_page, make_ring, open_page, open_ring, silence_bell
from feedmux.model.ring_errors import Lapped


class _Reader:
    missed = Lapped

    def __init__(self, end: socket.socket) -> None:
        _, (ring, seat, self.descriptor), *_ = socket.recv_fds(end, 1, 3)
        self._ring = RingReader(open_ring(ring), Seat(open_page(seat), self.descriptor))
        self.read, self.read_many, self.rest = self._ring.read, self._ring.read_many, self._ring.sleep

    def lost(self) -> int:
        return self._ring.lost

    def wake(self) -> None:
        silence_bell(self.descriptor)
        self._ring.rise()

    def wait(self) -> bytes:
        while (message := self.read()) is None:
            if self.rest():
                select.select([self.descriptor], [], [])
                self.wake()
        return message


def ends() -> tuple[socket.socket, socket.socket]:
    """A socket over which the writer hands on its descriptors."""
    return socket.socketpair()


def open_writer(end: socket.socket, _reading: str) -> Writer:
    """Make the ring, and a seat for its reader."""
    ring, seat, bell = make_ring(CAPACITY_BYTES), make_page(), make_bell()
    writer = RingWriter(ring.memory)
    writer.add(Seat(seat.memory, bell))
    socket.send_fds(end, [b"f"], [ring.descriptor, seat.descriptor, bell])
    return writer


def open_reader(end: socket.socket, _reading: str) -> Reader:
    """Read the writer's ring."""
    return _Reader(end)
