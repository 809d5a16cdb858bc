"""Carry one WebSocket connection, from the first attempt to its last byte.

Theory of operation
===================

::

    connect() ──▶ opened ──▶ received* ──▶ ended(reason)     each of the two ends exactly once
        └──▶ ConnectFailed: nothing was opened, nothing is left behind

A connection has one reason to end, and the first one counts. From then on nothing is received
and nothing can be sent, although the transport may need a few more turns of the loop:

- ``end`` (ours, or the server broke the protocol): CLOSE as a courtesy, then cut;
- ``close`` (ours, in peace): CLOSE, then up to ``close_timeout_s`` for the server's answer;
- CLOSE from the server: answered with its own code, then hung up;
- the transport ends by itself, or the frame parser refuses what came.

This module, :mod:`feedmux.client.attempt` and :mod:`feedmux.client.ears` alone know picows 2.3, and
make good for what that leaves to its user: it does not answer CLOSE (and its ``send_close`` without
a code would send the illegal code 0), does not put fragments together, does not bound what waits to
be sent, and takes masking keys that can be guessed (:mod:`feedmux.client.mask`), so that PING is
answered here too. After what it cannot take it reads on for 10 ms, and delivers a message that is
too long, so that we end it ourselves.

Deliberately absent: compression (picows never offers it; a compressed frame ends the
connection), and the UTF-8 check of text, which belongs to whoever decodes it.

Source: RFC 6455 §5.2 (reserved bits), §5.4 (fragments), §5.5 (control frames), §7.4 (codes).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from ssl import SSLContext
from typing import Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSProtocolError, WSTransport

from feedmux.client.attempt import Attempt
from feedmux.client.endpoint import Endpoint
from feedmux.client.intake import Intake
from feedmux.client.mask import refresh
from feedmux.client.settings import LinkConfig
from feedmux.model.errors import Overflow
from feedmux.model.link_errors import Cause, ConnectFailed

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_FRAME_OVERHEAD: Final = 14

CLOSED_HERE: Final = "closed here"


class Connection(WSListener):
    """One connection and one attempt to make it; used once.

    The callbacks run in the event loop and may not block. ``opened`` and ``ended`` must not
    raise.

    Args:
        endpoint: where to.
        config: bounds and deadlines.
        opened: the connection is open; comes before the first message.
        received: one whole message. What it raises is told to ``blamed`` and changes nothing.
        received_binary: the same for binary messages.
        ponged: the payload of a PONG.
        blamed: ``received`` raised; called while the exception is being handled.
        ended: an open connection ended, and why.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        config: LinkConfig,
        *,
        opened: Callable[[], None],
        received: Callable[[bytes], None],
        received_binary: Callable[[bytes], None],
        ponged: Callable[[bytes], None],
        blamed: Callable[[], None],
        ended: Callable[[str], None],
    ) -> None:
        self._endpoint, self._config = endpoint, config
        self._on_opened, self._on_ponged = opened, ponged
        self._received, self._received_binary = received, received_binary
        self._blamed, self._on_ended = blamed, ended
        self._attempt: Attempt | None = None
        self._transport: WSTransport | None = None
        self._reason: str | None = None
        self._fault = ""
        self._parts: bytearray | None = None
        self._parts_are_binary = False
        self._abort_timer: asyncio.TimerHandle | None = None
        self.messages = 0
        """How many whole messages came."""
        self.close_code: int | None = None
        """With what code the server closed it; None when it did not, or gave none."""

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._transport is not None and self._reason is None

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be sent."""
        return self._transport.underlying_transport.get_write_buffer_size() if self._transport else 0

    async def connect(self, *, tls: SSLContext | None, turn: int) -> None:
        """Open the connection; ``opened`` was called before this returns.

        Args:
            tls: how to check the server; for ``wss`` only.
            turn: see :func:`feedmux.client.dial.dial`.

        Raises:
            ConnectFailed: it did not open within ``connect_timeout_s``, or was ended meanwhile.
        """
        attempt = self._attempt = Attempt(
            self._endpoint, self._config, tls=tls, turn=turn, broken=self._was_broken
        )
        hung_up = f"{attempt.who} hung up before it answered the upgrade"
        failure = ConnectFailed(self._endpoint.text, hung_up, cause=Cause.PROTOCOL)
        try:
            await attempt.run(self)
        except ConnectFailed as error:  # a deadline that comes right after `opened` changes nothing
            failure = error
        finally:
            self._attempt = None
            if self._transport is None:
                await attempt.hang_up()
        if self._transport is None:
            if self._reason is not None:
                failure = ConnectFailed(self._endpoint.text, self._reason, cause=Cause.ENDED)
            raise failure

    async def wait_ended(self) -> None:
        """Wait until an open connection is gone; return at once when none was opened."""
        if self._transport is not None:
            with contextlib.suppress(WSProtocolError):  # `ended` was told
                await self._transport.wait_disconnected()

    def send(self, payload: bytes | str, *, binary: bool = False) -> None:
        """Send one message; the caller made sure that the connection is open.

        Raises:
            Overflow: more than ``max_write_buffer_bytes`` would wait to be sent.
        """
        data = payload.encode() if isinstance(payload, str) else payload
        bound = self._config.max_write_buffer_bytes
        if self.waiting_bytes + len(data) + _FRAME_OVERHEAD > bound:
            raise Overflow(f"the write buffer to {self._endpoint.text}", f"{bound} bytes")
        if self._transport is not None:
            self._transport.send(_BINARY if binary else _TEXT, data)
            refresh()

    def ping(self, payload: bytes) -> None:
        """Send a PING frame; the answer comes as ``ponged(payload)``."""
        if self._transport is not None and self._reason is None:
            self._transport.send_ping(payload)
            refresh()

    def pause_reading(self) -> None:
        """Take nothing more for now; what was read already still comes."""
        if self._transport is not None and self._reason is None:
            self._transport.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on after :meth:`pause_reading`."""
        if self._transport is not None and self._reason is None:
            self._transport.underlying_transport.resume_reading()

    def end(self, reason: str, code: int = 1001) -> None:
        """Cut the connection, or the attempt to make it; ``ended`` follows in a later turn."""
        self._cease(reason)
        if self._transport is not None:
            self._transport.send_close(WSCloseCode(code))
            self._transport.disconnect(graceful=False)
        elif self._attempt is not None:
            self._attempt.abandon()

    def close(self) -> None:
        """End in peace; ``ended`` follows within ``close_timeout_s``."""
        if self._transport is None:
            self.end(CLOSED_HERE)
        elif self._reason is None:
            self._cease(CLOSED_HERE)
            self._transport.send_close(WSCloseCode.OK)
            self._abort_soon()

    # What picows calls.

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._reason is not None or self._attempt is None or not self._attempt.is_under_way:
            transport.disconnect(graceful=False)
            return
        refresh()
        self._transport = transport
        underlying, high = transport.underlying_transport, self._config.max_write_buffer_bytes
        underlying.set_write_buffer_limits(high=high)
        underlying.set_protocol(Intake(underlying.get_protocol()))
        self._on_opened()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # Hot: `msg_type` alone costs 0.13 µs, so it is read once and compared by identity.
        kind = frame.msg_type
        is_data = kind is _TEXT or kind is _BINARY
        if is_data and frame.fin and self._parts is None and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            self.messages += 1
            try:
                if kind is _TEXT:
                    self._received(frame.get_payload_as_bytes())
                else:
                    self._received_binary(frame.get_payload_as_bytes())
            except Exception:  # noqa: BLE001 - the outermost edge: blamed() logs and counts it
                self._blamed()
        else:
            self._take(frame, kind)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self._transport is not None:
            self._cease(self._fault or "the connection broke without a CLOSE")
            self._on_ended(self._reason or "")

    def pause_writing(self) -> None:
        # send() keeps below the bound: what passed it are answers to PING that nobody reads.
        self.end(f"the server stopped reading: over {self._config.max_write_buffer_bytes} bytes wait")

    def resume_writing(self) -> None:
        pass

    # Within.

    def _cease(self, reason: str) -> None:
        """Take nothing more; the first reason counts."""
        if self._reason is None:
            self._reason = reason
        self._received = self._received_binary = _ignore
        self._parts = None

    def _take(self, frame: WSFrame, kind: WSMsgType) -> None:
        """Take what is not a whole message in one frame."""
        if self._reason is not None and kind is not WSMsgType.CLOSE:
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._break("reserved bits, as of compression, which was not agreed on")
        elif kind is WSMsgType.CLOSE:
            self._answer_close(frame.get_payload_as_bytes())
        elif kind is WSMsgType.PONG:
            self._on_ponged(frame.get_payload_as_bytes())
        elif kind is WSMsgType.PING:
            self._pong(frame.get_payload_as_bytes())
        elif (kind is WSMsgType.CONTINUATION) != (self._parts is not None):
            self._break("fragments of messages out of order")
        else:
            self._gather(frame, kind)

    def _pong(self, payload: bytes) -> None:
        if self._transport is not None:
            self._transport.send_pong(payload)
            refresh()

    def _gather(self, frame: WSFrame, kind: WSMsgType) -> None:
        """Add a fragment to its message."""
        if self._parts is None:
            self._parts, self._parts_are_binary = bytearray(), kind is _BINARY
        parts = self._parts
        if len(parts) + frame.payload_size > self._config.max_message_bytes:
            self.end(self._too_long, WSCloseCode.MESSAGE_TOO_BIG.value)
            return
        parts += frame.get_payload_as_bytes()
        if frame.fin:
            self._parts = None
            self.messages += 1
            try:
                (self._received_binary if self._parts_are_binary else self._received)(bytes(parts))
            except Exception:  # noqa: BLE001 - the outermost edge: blamed() logs and counts it
                self._blamed()

    def _was_broken(self, code: int, what: str) -> None:
        """Read no further: picows found what it cannot take. What came before that is still received."""
        if self._transport is None or self._fault:
            return
        is_long = code == WSCloseCode.MESSAGE_TOO_BIG.value
        self._fault = self._too_long if is_long else _broke(self._endpoint.scrub(what))
        self._transport.send_close(WSCloseCode(code))
        self._transport.disconnect(graceful=False)

    def _break(self, what: str) -> None:
        self.end(_broke(what), WSCloseCode.PROTOCOL_ERROR.value)

    def _answer_close(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else None
        if self._reason is None:
            if code is not None and not _may_be_sent(code):
                self._break(f"a CLOSE with code {code}")
                return
            self.close_code = code
        text = self._endpoint.scrub(payload[2:].decode(errors="replace"))
        self._cease(f"the server closed the connection ({code or 'no code'}{': ' if text else ''}{text})")
        if self._transport is not None:
            if not self._transport.is_close_frame_sent:
                self._transport.send(WSMsgType.CLOSE, payload[:2])
                refresh()
            self._transport.disconnect()
            self._abort_soon()

    def _abort_soon(self) -> None:
        if self._transport is not None and self._abort_timer is None:
            loop, delay_s = asyncio.get_running_loop(), self._config.close_timeout_s
            self._abort_timer = loop.call_later(delay_s, self._transport.disconnect, False)

    @property
    def _too_long(self) -> str:
        return f"a message is longer than max_message_bytes ({self._config.max_message_bytes})"


def _broke(what: str) -> str:
    return f"the server broke the protocol: {what}"


def _may_be_sent(code: int) -> bool:
    """Whether a CLOSE may carry it. Source: RFC 6455 §7.4, and IANA's registry of 2026-09."""
    return (1000 <= code <= 1014 and code not in {1004, 1005, 1006}) or 3000 <= code <= 4999


def _ignore(payload: bytes) -> None:
    """Take what comes after the end."""
