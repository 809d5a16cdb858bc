"""A socket before it is a WebSocket: one HTTP request, one answer.

Theory of operation
-------------------
==========  =====================  ==================================================
phase       event                  what happens
==========  =====================  ==================================================
reading     a whole request head   its turn is waited for, unless it is now: *queued*
queued      its turn               an HTTP answer, and *closing*; or 101, and the
                                   socket is handed to a :class:`Connection`
reading     this is no HTTP        400, and *closing*
reading     too much, or too late  431 or 408, and *closing*
reading     its route raises       500, and *closing*; the traceback is logged once
queued      too late               that is our own doing: it waits on
closing     more from the peer     read and dropped, so that it can read its answer
closing     the peer closes        the socket is closed
closing     too late               the socket is aborted
==========  =====================  ==================================================

It is half open, and counted by the doorway, from the moment it is made.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from websockets.exceptions import SecurityError
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from feedmux.edge import http, upgrade
from feedmux.edge.connection import Connection
from feedmux.edge.deadlines import Deadlines
from feedmux.edge.ending import half_close
from feedmux.edge.house import House
from feedmux.edge.http import Reply

log = logging.getLogger(__name__)


class Handshake(Deadlines, asyncio.Protocol):
    """One accepted socket.

    Args:
        house: where it belongs.
    """

    __slots__ = ("_buffer", "_closing", "_house", "_is_head", "_is_inside", "_is_queued", "_transport")

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._house = house
        self._buffer = bytearray()
        self._closing = False
        self._is_head = False
        self._is_queued = False
        self._is_inside = True
        house.doorway.enter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._house.come(self)
        self.remind(self._house.config.handshake_timeout_s)
        if self._house.shut:
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer += data
        if self._is_queued:
            return
        if self._end_of_head() >= 0:
            if not self._house.doorway.ask(self._answer):
                self._is_queued = True
                self._transport.pause_reading()
        elif len(self._buffer) > http.MAX_HEAD_BYTES:
            self._reply(http.HEAD_TOO_LARGE)
        elif not self._buffer[:1].isupper():  # no method begins like this: TLS, or noise
            self._reply(http.BAD_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        self.retire()
        self._house.gone(self)
        self._leave()

    def overdue(self, now: float) -> None:
        if self._closing:
            self._transport.abort()
        elif self._is_queued:
            self.remind(self._house.config.handshake_timeout_s)
        else:
            self._house.doorway.timed_out += 1
            self._reply(http.TIMEOUT)

    def abort(self) -> None:
        self._transport.abort()

    def _end_of_head(self) -> int:
        """Where the empty line begins; -1 while there is none."""
        return self._buffer.find(b"\r\n\r\n", 0, http.MAX_HEAD_BYTES + 4)

    def _answer(self) -> None:
        """Its turn: answer the request, if its sender is still there."""
        if self._transport.is_closing():
            return
        if self._is_queued:
            self._is_queued = False
            self._transport.resume_reading()
        end = self._end_of_head() + 4
        head, rest = bytes(self._buffer[:end]), bytes(self._buffer[end:])
        if not self._house.draining and (ordinary := upgrade.answer(head, self._house.path)) is not None:
            self._open(ordinary, rest)
        else:
            self._take(head, rest)

    def _take(self, head: bytes, rest: bytes) -> None:
        method = head.split(b" ", 1)[0]
        if method not in http.METHODS:
            known = method.isalpha() and method.isupper()
            self._reply(http.METHOD_NOT_ALLOWED if known else http.BAD_REQUEST)
            return
        self._is_head = method == b"HEAD"
        config = self._house.config
        protocol = ServerProtocol(max_size=config.max_message_bytes, logger=self._house.protocol_log)
        protocol.receive_data(head)
        events = protocol.events_received()
        if not events:
            too_large = isinstance(protocol.handshake_exc, SecurityError)
            self._reply(http.HEAD_TOO_LARGE if too_large else http.BAD_REQUEST)
            return
        request = cast(Request, events[0])
        path = request.path.partition("?")[0]
        if path == config.path:
            self._upgrade(protocol, request, rest)
        else:
            self._serve(path)

    def _serve(self, path: str) -> None:
        """Answer a plain request; a route that raises must not take the socket, or the loop, with it."""
        route = self._house.routes.get(path, _not_found)
        try:
            answer = http.encode(route(), head=self._is_head)
        except Exception:
            times = self._house.count_failure(path)
            level = logging.ERROR if times == 1 else logging.DEBUG  # a probe may ask every second
            log.log(level, "GET %s could not be answered; this is a defect", path, exc_info=True)
            answer = http.encode(http.FAILED, head=self._is_head)
        self._finish(answer)

    def _upgrade(self, protocol: ServerProtocol, request: Request, rest: bytes) -> None:
        if self._house.draining:
            self._reply(http.GOING_AWAY)
            return
        response = protocol.accept(request)
        if response.status_code != 101:
            self._reply(_refusal(response))
            return
        protocol.send_response(response)
        self._open(b"".join(protocol.data_to_send()), rest)

    def _open(self, answer: bytes, rest: bytes) -> None:
        """Say yes, and hand the socket on."""
        self._transport.write(answer)
        self._closing = True
        self._buffer.clear()
        self.retire()
        connection = Connection(self._house)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        self._house.gone(self)
        self._leave()
        if rest:
            connection.data_received(rest)

    def _leave(self) -> None:
        """It is no longer half open."""
        if self._is_inside:
            self._is_inside = False
            self._house.doorway.leave()

    def _reply(self, reply: Reply) -> None:
        self._finish(http.encode(reply, head=self._is_head))

    def _finish(self, answer: bytes) -> None:
        self._closing = True
        self._buffer.clear()
        self._transport.write(answer)
        half_close(self._transport)
        self.retire()
        self.remind(self._house.config.close_timeout_s)


def _not_found() -> Reply:
    return http.NOT_FOUND


def _refusal(response: Response) -> Reply:
    """What is wrong with a WebSocket handshake, as the other answers say it."""
    reason = (response.body or b"").decode().partition("\n")[0]
    kept = [(name, response.headers[name]) for name in ("Allow", "Upgrade") if name in response.headers]
    return Reply(response.status_code, {"error": reason}, (*kept, http.VERSION))
