"""TLS between a socket's transport and its protocol.

Theory of operation
-------------------
=========  ===========================  ======================================================
phase      event                        what happens
=========  ===========================  ======================================================
fresh      the first byte is TLS's      *shaking*
fresh      it is not                    a plain HTTP answer that says so, and *failed*
shaking    the peer's part              our part, in its turn, until both are done: *open*
shaking    no agreement                 an alert, and *failed*
open       ciphertext                   the protocol is given the plaintext
open       our side writes              ciphertext, all of it to the transport at once
open       our side has said all        close notify, the end of the stream, and *ended*
open       the peer's close notify      the transport is closed
open       what cannot be deciphered    an alert, and the transport is closed
ended      more from the peer           dropped: nothing could be answered
all else   our side writes              dropped
all else   our side has said all        the connection is aborted
=========  ===========================  ======================================================

The event loops' own TLS is not used, for three reasons. It tells a protocol nothing of a
connection whose handshake fails, so half-open ones could not be counted. It lets a socket's
transport hold 64 KiB below its own buffer before anybody is told: ticks that could still have been
replaced by newer ones. And it sets 256 KiB aside for each connection. Here nothing is kept above
the socket's transport, whose limit is 0: the protocol is paused exactly while the socket is full,
as it is without TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from enum import Enum
from typing import Any, Final, cast

from feedmux.edge import http
from feedmux.edge.doorway import Doorway
from feedmux.edge.ending import half_close
from feedmux.edge.tls import Tls

log = logging.getLogger(__name__)

READ_BYTES: Final = 65_536
HANDSHAKE_RECORD: Final = 22
"""The first byte of a TLS connection. Source: RFC 8446 §5.1."""


class Phase(Enum):
    """Where a connection is."""

    FRESH = "fresh"
    SHAKING = "shaking"
    OPEN = "open"
    ENDED = "ended"
    FAILED = "failed"


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One accepted socket: its transport's protocol, and its protocol's transport.

    The protocol is told of the connection when it is accepted, before the TLS handshake.

    Args:
        tls: what the connection is secured with.
        protocol: who reads and writes the plaintext.
        doorway: says whose turn it is to shake hands.
        loop: the event loop that everything runs in.
    """

    __slots__ = tuple(
        "_cipher _doorway _incoming _is_held _is_queued _loop _outgoing _phase _protocol _raw _tls".split()
    )

    def __init__(
        self,
        tls: Tls,
        protocol: asyncio.Protocol,
        *,
        doorway: Doorway,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__()
        self._tls = tls
        self._protocol = protocol
        self._doorway = doorway
        self._loop = loop
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._cipher = tls.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._phase = Phase.FRESH
        self._is_held = self._is_queued = False

    # What the socket's transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._raw.set_write_buffer_limits(high=0)
        self._protocol.connection_made(self)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.FRESH:
            self._phase = Phase.SHAKING
            if data[0] != HANDSHAKE_RECORD:
                self._raw.write(http.encode(http.NOT_TLS))
                self._fail("no TLS")
        if self._phase in (Phase.SHAKING, Phase.OPEN):
            self._incoming.write(data)
            if self._phase is Phase.OPEN:
                self._read()
            elif not self._is_queued and not self._doorway.ask(self._shake):
                self._is_queued = True
                self._raw.pause_reading()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase is Phase.SHAKING:
            self._tls.failed += 1
        self._phase = Phase.ENDED
        # The protocol may keep this object for a while, but not the heavy part.
        del self._cipher, self._incoming, self._outgoing
        self._protocol.connection_lost(exc)

    # What the protocol calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write plaintext; all of it is with the socket's transport when this returns."""
        if self._phase is not Phase.OPEN:
            return
        written = self._cipher.write(data)
        while written < len(data):
            written += self._cipher.write(memoryview(data)[written:])
        self._flush()

    def write_eof(self) -> None:
        """Say that nothing follows, and leave the end of the connection to the peer.

        Raises:
            OSError: the peer is gone already.
        """
        if self._phase is Phase.OPEN:
            self._say_goodbye()
            self._raw.write_eof()
        elif self._phase is not Phase.ENDED:
            self._raw.abort()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """End the connection when all is sent."""
        if self._phase is Phase.OPEN:
            self._say_goodbye()
        self._phase = Phase.ENDED
        self._raw.close()

    def abort(self) -> None:
        """End the connection now."""
        self._phase = Phase.ENDED
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._raw.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the limit is always 0."""

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 0

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def is_reading(self) -> bool:
        return not self._is_held and self._raw.is_reading()

    def pause_reading(self) -> None:
        self._is_held = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Read on, and deliver in the next turn what had come before the pause."""
        self._is_held = False
        self._raw.resume_reading()
        self._loop.call_soon(self._read)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``sslcontext``, ``ssl_object``, or what the socket's transport knows."""
        if name == "sslcontext":
            return self._cipher.context
        return self._cipher if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def _shake(self) -> None:
        """Our part of the handshake, when it is its turn."""
        if self._phase is not Phase.SHAKING or self._raw.is_closing():
            return
        if self._is_queued:
            self._is_queued = False
            self._raw.resume_reading()
        try:
            self._cipher.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()
            self._fail(error.reason or str(error))
        else:
            self._phase = Phase.OPEN
            self._flush()
            self._read()

    def _fail(self, reason: str) -> None:
        """The handshake came to nothing; let the peer read why before the connection ends."""
        log.debug("a TLS handshake failed: %s", reason)
        self._phase = Phase.FAILED
        self._tls.failed += 1
        half_close(self._raw)

    def _read(self) -> None:
        """Deliver the plaintext that has come, as long as the protocol wants it."""
        while self._phase is Phase.OPEN and not self._is_held and self._has_input():
            try:
                data = self._cipher.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                log.debug("a TLS connection is broken: %s", error.reason or error)
                self._phase = Phase.ENDED
                self._flush()
                self._raw.close()
                return
            if not data:
                self.close()
                return
            self._protocol.data_received(data)
        if self._phase is Phase.OPEN:
            self._flush()

    def _has_input(self) -> bool:
        return self._incoming.pending > 0 or self._cipher.pending() > 0

    def _say_goodbye(self) -> None:
        """Send close notify; the peer's own is not waited for, the end of its stream is."""
        self._phase = Phase.ENDED
        with contextlib.suppress(ssl.SSLError):  # it also looks for the peer's, which is not there yet
            self._cipher.unwrap()
        self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._raw.write(data)
