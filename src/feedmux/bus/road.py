"""One end of a stream socket between two processes: hello, records in, bytes out, one end.

Both ends of :mod:`feedmux.bus.stream` are a :class:`Road` with its hooks filled in. A road ends
once, whatever ended it (the peer's death, garbage from it, our own cut), and its end is told once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final, cast

from feedmux.model.errors import MalformedMessage
from feedmux.model.link_errors import ConnectFailed
from feedmux.wire.record import Hello, Record, RecordDecoder, encode

LOG: Final = logging.getLogger(__name__)
PEER_MALFORMED: Final = "bus.peer_malformed peer=%s error=%s"


class Road(asyncio.Protocol):
    """A connection that speaks records; subclasses fill in the hooks.

    Args:
        peer: who is at the other end, for logs and reasons.
        accepts: the types of record that the peer may send.
        high_bytes: more than this in the transport's buffer means :attr:`is_full`, until half
            of it is gone.
    """

    def __init__(self, peer: str, *accepts: type[Record], high_bytes: int) -> None:
        self.peer: Final = peer
        self.is_full = False
        self.is_over = False
        self._high_bytes = high_bytes
        self._decoder = RecordDecoder(*accepts)
        self._transport: asyncio.Transport | None = None

    async def begin(self, sock: socket.socket) -> None:
        """Speak over ``sock`` from now on; the road owns it, also when this fails.

        Raises:
            ConnectFailed: it is not a connected stream socket.
        """
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            # not create_unix_connection: in uvloop 0.23 that takes the socket over only after
            # connection_made, so a road that ends within it leaves a descriptor closed twice
            await loop.connect_accepted_socket(lambda: self, sock)
        except (OSError, ValueError) as error:
            sock.close()
            raise ConnectFailed(f"the bus socket of {self.peer}", str(error)) from error

    def cut(self, reason: str) -> None:
        """End now; what waits is discarded."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def finish(self, reason: str) -> None:
        """End now; what waits still leaves, unless the peer is slow."""
        if self._transport is None or self.is_full:
            self.cut(reason)
        else:
            self._transport.close()
            self._end(reason)

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; never blocks. Nothing after the end."""
        if self._transport is not None and not self.is_over:
            self._transport.write(data)

    @property
    def buffered_bytes(self) -> int:
        """How much waits in the transport for the peer to read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    # what a subclass fills in

    def on_begin(self) -> None:
        """The socket is ours and the hello is on its way."""

    def on_record(self, record: Record) -> None:
        """The peer sent ``record``."""

    def on_room(self) -> None:
        """The peer has read what waited: no longer full."""

    def on_end(self, reason: str) -> None:
        """The road ended; called once."""

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.is_over:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._high_bytes, low=self._high_bytes // 2)
        self._transport.write(encode(Hello()))
        self.on_begin()

    def data_received(self, data: bytes) -> None:
        if not self.is_over:
            self._decoder.feed(data)
            self.read()

    def read(self) -> None:
        """Take the records that are whole."""
        try:
            self._take_records()
        except MalformedMessage as error:
            LOG.warning(PEER_MALFORMED, self.peer, error)
            self.cut(f"{self.peer} sent what cannot be read: {error}")

    def _take_records(self) -> None:
        for record in self._decoder.records():
            if self.is_over:
                return
            self.on_record(record)

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if not self.is_over:
            self.on_room()

    def eof_received(self) -> None:
        self.cut(f"{self.peer} ended")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"{self.peer} ended" if exc is None else f"{self.peer} ended: {exc}")

    def _end(self, reason: str) -> None:
        if not self.is_over:
            self.is_over = True
            self.on_end(reason)
