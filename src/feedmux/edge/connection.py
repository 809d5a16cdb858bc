"""One WebSocket: RFC 6455 around a session and its outbox.

Theory of operation
-------------------
========  =======================  ========================================================
phase     event                    what happens
========  =======================  ========================================================
made      room in the house        *open*; the session may have the first word
made      none                     4003, *closing*
open      a message                the session answers it
open      the session closes       its code, *closing*
open      the session cannot       1011, *closing*
          even begin
open      the protocol is broken   the close code that RFC 6455 names, *closing*
open      a ping is not answered   1011, *closing*
open      idle, and silent         4000, *closing*
open      stalled, or far behind,  4008, *closing*
          or outbox full
open      too many answers wait    aborted, because a close would wait behind them
open      too many frames          left unread until the second is over
open      all talk at once         left unread until it is its turn
closing   the peer follows         the socket is closed
closing   it does not in time      the socket is aborted
========  =======================  ========================================================

The outbox writes data frames to the descriptor directly, past the transport, as long as the
transport's own buffer is empty; the rest of a frame that did not fit goes to the transport at
once (:meth:`Connection.rest`), and nothing is written directly until the transport says that it
is empty again. So
answers, pongs and closes, which always go through the transport, never land inside a frame, and
overtake only what still waits in the outbox.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, cast

from websockets.frames import Frame, Opcode

from feedmux._native.outbox import Outbox
from feedmux.core.limits import RateWindow
from feedmux.edge.assembly import Assembly, NotText, whole
from feedmux.edge.deadlines import NEVER, Deadlines
from feedmux.edge.dialogue import Dialogue, SessionMaker
from feedmux.edge.ending import half_close
from feedmux.edge.house import House
from feedmux.edge.joined import send_joined
from feedmux.edge.parser import Parser, Parsers
from feedmux.edge.slowness import Pace, Slowness, taken_bytes
from feedmux.wire.frame import ping_frame, text_frame

log = logging.getLogger(__name__)

GOING_AWAY: Final = 1001
NOT_UTF8: Final = 1007
KEEPALIVE: Final = 1011
NOT_SERVED: Final = 1011
IDLE: Final = 4000
FULL_HOUSE: Final = 4003
SLOW: Final = 4008

_PING: Final = ping_frame()

PIECE_BYTES: Final = 2048
"""How much is parsed before a flood can be noticed; some 340 of the smallest frames."""


class Connection(Deadlines, asyncio.Protocol):
    """One client's socket, from the 101 on.

    Args:
        house: where it belongs; holds what all connections share.
        parsers: of messages as long as this client's may be.
    """

    __slots__ = tuple(
        "_closing _control_bytes _deadline _frames _heard _house _in_line _message _parser"
        " _parsers _pinged _reading_held _slow _transport _unread outbox session".split()
    )

    def __init__(self, house: House, parsers: Parsers) -> None:
        super().__init__(house)
        self._house = house
        self.session: Dialogue | None = None
        self.outbox: Outbox | None = None
        self._parsers = parsers
        self._parser: Parser | None = None
        self._message: Assembly | None = None
        self._closing = False
        self._frames = RateWindow(house.config.max_frames)
        self._reading_held = False
        self._in_line = False
        self._unread = b""
        self._control_bytes = 0
        self._slow: Slowness | None = None
        self._pinged = NEVER
        self._heard = house.clock.monotonic()
        self._deadline = self._heard + house.config.ping_interval_s

    # asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._house.come(self)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not self._reading_held and not self._in_line and not self._house.desk.ask(self._read):
            self._in_line = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        config, now = self._house.config, self._house.clock.monotonic()
        self._slow = slow = Slowness(
            now, taken_bytes(self._transport), stall_s=config.stall_timeout_s, lag_s=config.max_lag_s
        )
        if self.outbox is not None:
            self.outbox.pause()
            self.remind(slow.next_look(now))

    def resume_writing(self) -> None:
        self._slow = None
        self._control_bytes = 0
        if self._pinged != NEVER:  # the ping waited behind all the rest
            self._pinged = self._house.clock.monotonic()
        if self.outbox is not None:
            self.outbox.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        # The descriptor's number belongs to the next connection as soon as this returns.
        if self.outbox is not None:
            self.outbox.lend(-1)
        self._begin_closing()
        self._house.gone(self)
        self.retire()
        self._unread, self._message, self._parser = b"", None, None

    # The handshake calls

    def welcome(self, make_session: SessionMaker) -> None:
        """Let the client in, unless the house is full; nothing may have been fed before."""
        if not self._house.admit(self):
            self.close(FULL_HOUSE, "Connection limit reached")
            return
        self.outbox = self._house.make_outbox(self)
        self.outbox.lend(self._house.descriptor(self._transport))
        if self._transport.get_write_buffer_size():
            self.pause_writing()
        try:
            self.session = make_session(self, self.outbox)
            self.session.begin()
        except Exception:
            log.exception("a client cannot be served; this is a defect")
            self.close(NOT_SERVED, "The server cannot serve this client")
        self.remind(self._next_check(self._heard))

    @property
    def pace(self) -> Pace:
        """How the client takes what it is sent."""
        return Pace.OK if self._slow is None else self._slow.pace(self._house.clock.monotonic())

    # The outbox's writer

    def write(self, frames: Sequence[bytes], /) -> int:
        """Send data frames where there is no descriptor to lend; see :class:`~feedmux.model.ports.Writer`."""
        return send_joined(self._transport, frames, lambda: self._slow is None)

    def rest(self, data: bytes, /) -> bool:
        """Send the rest of a frame; see :class:`~feedmux.model.ports.DirectWriter`."""
        self._transport.write(data)
        return self._slow is None

    def broken(self) -> None:
        """The peer is gone; the transport has not noticed yet."""
        self._transport.abort()

    def overflow(self) -> None:
        """The outbox is full: close, but not in the middle of a fan-out."""
        self._house.loop.call_soon(self.close, SLOW, "Too slow: too much waits to be read")

    # The session's peer

    def answer(self, payload: bytes, /) -> None:
        """Send a message of the protocol, behind data that can leave, ahead of data that cannot."""
        if not self._closing:
            if self.outbox is not None:
                self.outbox.drain()
            self._control(text_frame(payload))

    # The server's wheel and drain

    def overdue(self, now: float) -> None:
        if not self._closing:
            self._look_after(now)
        elif now >= self._deadline:
            self._transport.abort()
        else:
            self.remind(self._deadline - now)

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; the socket is aborted when the peer does not follow."""
        if not self._closing:
            self._house.count_close(code)
            parser = self._parser = self._parser or self._parsers.take()
            parser.close(code, reason)
            self._begin_closing()
            self._say(parser)

    def abort(self) -> None:
        self._transport.abort()

    def _read(self) -> None:
        """Parse what has come in, in pieces; what is left of a flood waits until its second is over."""
        if self._in_line:
            self._in_line = False
            if self._transport.is_closing():
                return
            self._transport.resume_reading()
        data, self._unread = self._unread, b""
        parser = self._parser = self._parser or self._parsers.take()
        for start in range(0, len(data), PIECE_BYTES):
            if self._reading_held:
                self._unread = data[start:]
                return
            for frame in parser.feed(data[start : start + PIECE_BYTES]):
                self._take(frame)
            self._say(parser)
        if parser.is_between:
            self._parser = None
            self._parsers.give_back(parser)

    def _take(self, frame: Frame) -> None:
        now = self._house.clock.monotonic()
        if not self._frames.admit(now):
            self._hold_reading(self._frames.reopens_in(now))
        if self._closing:
            return
        if frame.opcode is Opcode.PONG:
            self._pinged = NEVER
            self.remind(max(0.0, self._deadline - now))
        elif frame.opcode is Opcode.CLOSE:
            self._begin_closing()
        else:
            self._heard = now
            if frame.opcode is not Opcode.PING:
                self._assemble(frame)

    def _assemble(self, frame: Frame) -> None:
        payload: bytes | None = None
        try:
            if self._message is not None:
                payload = self._message.add(frame)
                self._message = None if frame.fin else self._message
            elif frame.fin:
                payload = whole(frame)
            else:
                self._message = Assembly(frame)
        except NotText:
            self.close(NOT_UTF8, "A text message is not UTF-8")
        if payload is not None and self.session is not None:
            self._deliver(self.session, payload)

    def _deliver(self, session: Dialogue, payload: bytes) -> None:
        try:
            session.take(payload)
            if session.is_idle:
                self.remind(self._house.config.idle_timeout_s)
        except Exception:
            log.exception("a client's message could not be answered; this is a defect")
            session.fail()

    def _control(self, frame: bytes) -> None:
        """Write through the transport: behind a frame under way, ahead of the outbox."""
        if self._transport.is_closing():
            return
        if self._slow is not None:
            self._control_bytes += len(frame)
        self._transport.write(frame)
        if self._control_bytes > self._house.config.max_control_bytes:
            self._give_up()

    def _give_up(self) -> None:
        """The peer asks and asks, and does not read."""
        if not self._closing:
            self._house.count_close(SLOW)
            self._begin_closing()
        self._transport.abort()

    def _say(self, parser: Parser) -> None:
        """Write what the parser wants to say; an empty text means that it has said all."""
        for data in parser.to_send():
            if data:
                self._control(data)
            else:
                self._end(parser)

    def _end(self, parser: Parser) -> None:
        """Both have said all, or the peer broke the protocol: it was sent a close, and closes."""
        if not self._closing:
            sent = parser.close_sent
            assert sent is not None, "only an end of the stream, which is not fed, has no close"
            self._house.count_close(sent.code)
            self._begin_closing()
        half_close(self._transport)

    def _begin_closing(self) -> None:
        """From here on no data: the session and its outbox are gone."""
        if self._closing:
            return
        self._closing = True
        session, self.session = self.session, None
        if session is not None:
            session.end()
        if self.outbox is not None:
            self._house.leave(self)
            self.outbox.drop()
        self._deadline = self._house.clock.monotonic() + self._house.config.close_timeout_s
        self.remind(self._house.config.close_timeout_s)

    def _hold_reading(self, seconds: float) -> None:
        """A flood: read on when the second is over, so that nobody else pays for it."""
        if not self._reading_held and not self._transport.is_closing():
            self._reading_held = True
            self._transport.pause_reading()
            self._house.loop.call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        self._reading_held = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._read()

    def _look_after(self, now: float) -> None:
        config, session = self._house.config, self.session
        assert session is not None
        session.expire(now)
        if not session.is_idle:
            self._heard = now  # who has streams need not say anything
        if self._closing:
            return
        too_slow = self._verdict(self._slow, now) if self._slow is not None else ""
        if too_slow:
            self.close(SLOW, too_slow)
        elif self._slow is None and now - self._pinged >= config.pong_timeout_s:
            self.close(KEEPALIVE, "keepalive ping timeout")
        elif now - self._heard >= config.idle_timeout_s:
            self.close(IDLE, "Idle timeout")
        else:
            self._ping_if_due(now)
            self.remind(self._next_check(now))

    def _verdict(self, slow: Slowness, now: float) -> str:
        """Why a client that does not keep up must go; empty: it may stay."""
        slow.look(now, taken_bytes(self._transport))
        return slow.verdict(now)

    def _ping_if_due(self, now: float) -> None:
        if self._slow is None and self._pinged == NEVER and now >= self._deadline:
            self._pinged = now
            self._deadline = now + self._house.config.ping_interval_s
            self._control(_PING)

    def _next_check(self, now: float) -> float:
        config, session = self._house.config, self.session
        waits = [self._slow.next_look(now) if self._slow is not None else self._next_ping(now)]
        if session is not None:
            waits.append(session.next_deadline - now)
            if session.is_idle:
                waits.append(self._heard + config.idle_timeout_s - now)
        return max(0.0, min(waits))

    def _next_ping(self, now: float) -> float:
        """Seconds until a ping is due, or the answer to one."""
        pinged = self._pinged != NEVER
        return (self._pinged + self._house.config.pong_timeout_s if pinged else self._deadline) - now
