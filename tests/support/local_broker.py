"""A broker that does what a test tells it to: for what a real one does not do, or not when it should."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from feedmux._native.ring import RingWriter, Seat
from feedmux.client.segment import make_bell, make_page, make_ring
from feedmux.wire.local import LocalDecoder, encode
from feedmux.wire.local_address import address
from feedmux.wire.local_records import CLIENT, Beat, Entry, Hello, Opened, Record, Welcome

PATIENCE_S = 10.0

Kind = TypeVar("Kind", bound=Record)


class ScriptedRing:
    """A ring and one seat at it, as a broker has them."""

    def __init__(self, capacity: int = 4096) -> None:
        self.ring, self.page, self.bell = make_ring(capacity), make_page(), make_bell()
        self.writer = RingWriter(self.ring.memory)
        self.seat = Seat(self.page.memory, self.bell)
        self.writer.add(self.seat)

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """What a client is handed; they stay ours."""
        return self.ring.descriptor, self.page.descriptor, self.bell

    def write(self, *entries: Entry) -> None:
        """Write, and wake who sleeps."""
        for entry in entries:
            self.writer.write(entry.encode())
        self.writer.flush()

    def close(self) -> None:
        """Give everything back."""
        self.writer.close()
        self.seat.close()
        for memory in (self.ring.memory, self.page.memory):
            memory.close()  # a mapping has a descriptor of its own
        for descriptor in self.descriptors:
            os.close(descriptor)


class ScriptedLine:
    """What such a broker has of one client."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard: list[Record] = []
        self._decoder = LocalDecoder(CLIENT)
        self._taken = 0

    def say(self, *records: Record, descriptors: tuple[int, ...] = ()) -> None:
        """Send records at once; the descriptors go beside the first byte."""
        socket.send_fds(self.sock, [b"".join(map(encode, records))], descriptors)

    async def hear(self, kind: type[Kind]) -> Kind:
        """Wait for the next record of this kind; others are passed over."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while self._taken < len(self.heard):
                    record = self.heard[self._taken]
                    self._taken += 1
                    if isinstance(record, kind):
                        return record
                data = await loop.sock_recv(self.sock, 1 << 20)
                assert data, f"the client hung up; it had said {self.heard}"
                self._decoder.feed(data)
                self.heard += self._decoder.records()

    async def hangs_up(self) -> None:
        """Wait until the client has gone."""
        async with asyncio.timeout(PATIENCE_S):
            while await asyncio.get_running_loop().sock_recv(self.sock, 1 << 20):
                continue

    async def greet(self, *, client: int = 1, beat_ms: int = 500, dead_ms: int = 15_000) -> Hello:
        """Answer the hello."""
        hello = await self.hear(Hello)
        self.say(Welcome(os.getpid(), client, beat_ms, dead_ms))
        return hello

    def opened(
        self, request: int, ring: ScriptedRing, *, id: int = 1, is_new: int = 1, start: int = 0
    ) -> None:
        """Say that a WebSocket is open, with its ring."""
        self.say(Opened(request, id, is_new, start, 0), descriptors=ring.descriptors)

    def beat(self) -> None:
        """Say that we are there."""
        self.say(Beat())

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


class ScriptedBroker:
    """Where clients find it."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._lines: list[ScriptedLine] = []

    async def accept(self) -> ScriptedLine:
        """Wait for the next client."""
        async with asyncio.timeout(PATIENCE_S):
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listening)
        self._lines.append(ScriptedLine(sock))
        return self._lines[-1]

    async def welcome(self, **how: int) -> ScriptedLine:
        """Wait for the next client, and answer its hello."""
        line = await self.accept()
        await line.greet(**how)
        return line

    def close(self) -> None:
        """Hang up on everybody."""
        self._listening.close()
        for line in self._lines:
            line.close()


@asynccontextmanager
async def scripted_broker(
    name: str, place: Callable[[int, str], str] = address
) -> AsyncIterator[ScriptedBroker]:
    """A broker of this name, or whoever is found at ``place``; it is gone with the block."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(place(os.getuid(), name))
    listening.listen()
    listening.setblocking(False)
    broker = ScriptedBroker(listening)
    try:
        yield broker
    finally:
        broker.close()
