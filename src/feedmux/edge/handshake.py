"""A socket before it is a WebSocket: one HTTP request, one answer.

Theory of operation
-------------------
==========  =====================  ==================================================
phase       event                  what happens
==========  =====================  ==================================================
reading     a whole request head   its turn is waited for, unless it is now: *queued*
queued      its turn               an HTTP answer, and *closing*; or its endpoint lets
                                   it in: 101, and the socket is handed to a
                                   :class:`Connection`
queued      it is not let in       what the endpoint answers, and *closing*
queued      route or endpoint      500, and *closing*; the traceback is logged once
            raises
queued      too late               that is our own doing: it waits on
reading     this is no HTTP        400, and *closing*
reading     too much, or too late  431 or 408, and *closing*
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
from feedmux.edge.endpoint import Endpoint, Entry, Opening
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
        ordinary = upgrade.read(head) if not self._house.draining else None
        endpoint = self._house.endpoint(ordinary.opening.path) if ordinary is not None else None
        if ordinary is None or endpoint is None:
            self._take(head, rest)
        elif (entry := self._admit(endpoint, ordinary.opening)) is not None:
            self._open(entry, ordinary.answer, rest)

    def _take(self, head: bytes, rest: bytes) -> None:
        method = head.split(b" ", 1)[0]
        if method not in http.METHODS:
            known = method.isalpha() and method.isupper()
            self._reply(http.METHOD_NOT_ALLOWED if known else http.BAD_REQUEST)
            return
        self._is_head = method == b"HEAD"
        protocol = ServerProtocol(logger=self._house.protocol_log)
        protocol.receive_data(head)
        events = protocol.events_received()
        if not events:
            too_large = isinstance(protocol.handshake_exc, SecurityError)
            self._reply(http.HEAD_TOO_LARGE if too_large else http.BAD_REQUEST)
            return
        request = cast(Request, events[0])
        opening = Opening.of(request.path, _lowered(request))
        endpoint = self._house.endpoint(opening.path)
        if endpoint is None:
            self._serve(opening.path)
        elif self._house.draining:
            self._reply(http.GOING_AWAY)
        else:
            self._upgrade(endpoint, opening, protocol.accept(request), rest)

    def _serve(self, path: str) -> None:
        """Answer a plain request; a route that raises must not take the socket, or the loop, with it."""
        route = self._house.routes.get(path, _not_found)
        try:
            answer = http.encode(route(), head=self._is_head)
        except Exception:
            level = self._gravity(path)
            log.log(level, "GET %s could not be answered; this is a defect", path, exc_info=True)
            answer = http.encode(http.FAILED, head=self._is_head)
        self._finish(answer)

    def _admit(self, endpoint: Endpoint, opening: Opening) -> Entry | None:
        """What a client gets that is let in; None: it is not, and has been told why."""
        try:
            verdict = endpoint.admit(opening)
        except Exception:
            level = self._gravity("a WebSocket")  # without its path, which may be any
            log.log(level, "A WebSocket could not be admitted; this is a defect", exc_info=True)
            verdict = http.FAILED
        if isinstance(verdict, Entry):
            return verdict
        self._house.count_refusal(verdict.status)
        self._reply(verdict._replace(headers=(*verdict.headers, http.VERSION)))
        return None

    def _gravity(self, what: str) -> int:
        """The level at which a defect is logged: a probe may ask every second."""
        return logging.ERROR if self._house.count_failure(what) == 1 else logging.DEBUG

    def _upgrade(self, endpoint: Endpoint, opening: Opening, response: Response, rest: bytes) -> None:
        """Follow the protocol library's verdict on the request, then the endpoint's on the client."""
        if response.status_code != 101:
            self._reply(_refusal(response))
            return
        entry = self._admit(endpoint, opening)
        if entry is not None:
            if entry.subprotocol is not None:
                response.headers["Sec-WebSocket-Protocol"] = entry.subprotocol
            self._open(entry, response.serialize(), rest)

    def _open(self, entry: Entry, answer: bytes, rest: bytes) -> None:
        """Say yes, and hand the socket on."""
        self._transport.write(answer)
        self._closing = True
        self._buffer.clear()
        self.retire()
        connection = Connection(self._house, self._house.parsers(entry.max_message_bytes))
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        connection.welcome(entry.make_session)
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


def _lowered(request: Request) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in request.headers.raw_items()]


def _refusal(response: Response) -> Reply:
    """What is wrong with a WebSocket handshake, as the other answers say it."""
    reason = (response.body or b"").decode().partition("\n")[0]
    kept = [(name, response.headers[name]) for name in ("Allow", "Upgrade") if name in response.headers]
    return Reply(response.status_code, {"error": reason}, (*kept, http.VERSION))
