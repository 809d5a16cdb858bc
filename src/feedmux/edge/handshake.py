"""A socket before it is a WebSocket: one HTTP request, one answer.

Theory of operation
-------------------
==========  =====================  ==================================================
phase       event                  what happens
==========  =====================  ==================================================
reading     a whole request head   an HTTP answer, and *closing*; or 101, and the
                                   socket is handed to a :class:`Connection`
reading     too much, or too late  431 or 408, and *closing*
closing     answer sent            the socket is closed
closing     too late               the socket is aborted
==========  =====================  ==================================================
"""

from __future__ import annotations

import asyncio
from typing import cast

from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from feedmux.edge import http
from feedmux.edge.connection import Connection
from feedmux.edge.deadlines import Deadlines
from feedmux.edge.house import House
from feedmux.edge.http import Reply


class Handshake(Deadlines, asyncio.Protocol):
    """One accepted socket.

    Args:
        house: where it belongs.
    """

    __slots__ = ("_buffer", "_closing", "_house", "_transport")

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._house = house
        self._buffer = bytearray()
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._house.come(self)
        self.remind(self._house.config.handshake_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n", 0, http.MAX_HEAD_BYTES + 4)
        if end >= 0:
            self._take(bytes(self._buffer[: end + 4]), bytes(self._buffer[end + 4 :]))
        elif len(self._buffer) > http.MAX_HEAD_BYTES:
            self._reply(http.HEAD_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.gone(self)

    def overdue(self, now: float) -> None:
        if self._closing:
            self._transport.abort()
        else:
            self._reply(http.TIMEOUT)

    def abort(self) -> None:
        self._transport.abort()

    def _take(self, head: bytes, rest: bytes) -> None:
        method = head.split(b" ", 1)[0]
        if method not in http.METHODS:
            known = method.isalpha() and method.isupper()
            self._reply(http.METHOD_NOT_ALLOWED if known else http.BAD_REQUEST)
            return
        config = self._house.config
        protocol = ServerProtocol(max_size=config.max_message_bytes, logger=self._house.protocol_log)
        protocol.receive_data(head)
        events = protocol.events_received()
        if not events:
            self._reply(http.BAD_REQUEST)
            return
        request = cast(Request, events[0])
        path = request.path.partition("?")[0]
        if path == config.path:
            self._upgrade(protocol, request, rest)
        else:
            route = self._house.routes.get(path)
            self._reply(route() if route else http.NOT_FOUND, head=request.method == "HEAD")

    def _upgrade(self, protocol: ServerProtocol, request: Request, rest: bytes) -> None:
        if self._house.draining:
            self._reply(http.GOING_AWAY)
            return
        protocol.send_response(protocol.accept(request))
        answer = b"".join(protocol.data_to_send())
        if protocol.state is not State.OPEN:
            self._finish(answer)
            return
        self._transport.write(answer)
        self._house.gone(self)
        self._closing = True
        self.retire()
        connection = Connection(self._house, self._open_protocol())
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        if rest:
            connection.data_received(rest)

    def _open_protocol(self) -> ServerProtocol:
        """A protocol that begins after the handshake; the one that made it keeps the request (2.5 KB)."""
        config = self._house.config
        return ServerProtocol(
            state=State.OPEN, max_size=config.max_message_bytes, logger=self._house.protocol_log
        )

    def _reply(self, reply: Reply, *, head: bool = False) -> None:
        self._finish(http.encode(reply, head=head))

    def _finish(self, answer: bytes) -> None:
        self._closing = True
        self._buffer.clear()
        self._transport.write(answer)
        self._transport.close()
        self.remind(self._house.config.close_timeout_s)
