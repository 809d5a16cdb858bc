"""One connection to a broker: records, the descriptors beside them, beats, and how its end is noticed.

The records are :mod:`feedmux.wire.local`'s; docs/reference/local-protocol.md says who may say what. A line
is over when the socket ends, when nothing came for as long as the broker itself said, when the broker
breaks the protocol, or when :meth:`BrokerLine.close` is called; why is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from feedmux.model.errors import MalformedMessage, Overflow
from feedmux.model.local_errors import BrokerLost, BrokerRefused
from feedmux.wire.local import LocalDecoder, encode
from feedmux.wire.local_records import BROKER, Beat, Failed, Hello, Record, Welcome

_CHUNK: Final = 256 * 1024
_CHUNKS: Final = 16
"""Read in one turn of the loop; then everybody else has a turn."""
_MOST_WAITING: Final = 64 * 1024 * 1024
_GREETING_S: Final = 5.0
_DESCRIPTORS: Final = 3
_BESIDE_BYTES: Final = socket.CMSG_LEN(_DESCRIPTORS * array("i").itemsize)
_MOST_SETS: Final = 64


class RingParts(NamedTuple):
    """The descriptors that come with a WebSocket; whoever takes them closes them.

    Args:
        ring: the ring's memory.
        seat: the page in which its reader says that it sleeps.
        bell: the eventfd that wakes it.
    """

    ring: int
    seat: int
    bell: int

    def close(self) -> None:
        """Give them back."""
        for descriptor in self:
            os.close(descriptor)


class BrokerLine:
    """A connection; see the module.

    Args:
        sock: connected, and ours from now on.
        on_record: is called with every record after the welcome; it may raise ``MalformedMessage``.
        on_end: is called once, with the reason, while what is in the rings can still be read.
    """

    def __init__(
        self, sock: socket.socket, on_record: Callable[[Record], None], on_end: Callable[[str], None]
    ) -> None:
        self._sock, self._on_record, self._on_end = sock, on_record, on_end
        self._loop = asyncio.get_running_loop()
        self._decoder = LocalDecoder(BROKER)
        self._sets: deque[RingParts] = deque()
        self._waiting = bytearray()
        self._greeted: asyncio.Future[Welcome] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._flushed: asyncio.Future[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._has_spoken = self._is_welcome = False
        self.welcome = Welcome(0, 0, 0, 0)
        self.heard_at = self._loop.time()
        """When the last record came, by the loop's clock."""

    @property
    def is_over(self) -> bool:
        """Whether nothing can be said any more."""
        return self._ended.done()

    async def greet(self, name: str) -> Welcome:
        """Say hello, and wait for the welcome.

        Args:
            name: by which the broker shows this client.

        Raises:
            BrokerRefused: it does not want us.
            BrokerLost: it ended, or did not answer in time.
        """
        self._loop.add_reader(self._sock, self._readable)
        self.say(Hello(os.getpid(), name))
        try:
            async with asyncio.timeout(_GREETING_S):
                await self._greeted
        except TimeoutError:
            self.close(f"it did not say welcome within {_GREETING_S:g} s")
            raise BrokerLost(await self._ended) from None
        except asyncio.CancelledError:
            self.close("the client was closed")
            raise
        self._tick()
        return self.welcome

    async def wait_end(self) -> str:
        """Wait until it is over; why."""
        return await asyncio.shield(self._ended)

    def say(self, record: Record) -> None:
        """Send a record; what the socket does not take at once follows.

        Raises:
            BrokerLost: the line is over.
            Overflow: the broker does not read what we say.
            MalformedMessage: a field is longer than its bound.
        """
        data = encode(record)
        if self.is_over:
            raise BrokerLost(self._ended.result())
        if len(self._waiting) + len(data) > _MOST_WAITING:
            raise Overflow("what the broker has not read yet", f"{_MOST_WAITING} bytes")
        self._has_spoken = True
        if not self._waiting:
            data = data[self._sent(data) :]
            if not data:
                return
            self._loop.add_writer(self._sock, self._writable)
        self._waiting += data

    async def flush(self, within_s: float) -> None:
        """Wait until the system has taken all that was said, so long and no longer."""
        if self._waiting and not self.is_over:
            self._flushed = self._loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._flushed

    def parts(self) -> RingParts:
        """The descriptors that belong to the record at hand; the caller's from now on.

        Raises:
            MalformedMessage: there are none.
        """
        if not self._sets:
            raise MalformedMessage("record", "a new WebSocket came without its three descriptors")
        return self._sets.popleft()

    def close(self, reason: str) -> None:
        """End it. May be repeated."""
        if self.is_over:
            return
        self._ended.set_result(reason)
        if self._ticking is not None:
            self._ticking.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for parts in self._sets:
            parts.close()
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)
        if self._is_welcome:
            self._on_end(reason)
        elif not self._greeted.done():
            self._greeted.set_exception(BrokerLost(reason))
            self._greeted.exception()  # nobody may have waited for it

    # the socket

    def _readable(self) -> None:
        for _ in range(_CHUNKS):
            if self.is_over or not self._read():
                return

    def _read(self) -> bool:
        """Read once; whether there may be more."""
        try:
            data, beside, flags, _ = self._sock.recvmsg(_CHUNK, _BESIDE_BYTES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except OSError as error:
            self.close(error.strerror or str(error))
            return False
        if beside and not self._take(beside, flags):
            return False
        if not data:
            self.close("it hung up")
            return False
        self.heard_at = self._loop.time()
        self._decoder.feed(data)
        try:
            for record in self._decoder.records():
                self._receive(record)
                if self.is_over:
                    return False
        except MalformedMessage as error:
            self.close(f"it broke the protocol: {error}")
        return True

    def _take(self, beside: list[tuple[int, int, bytes]], flags: int) -> bool:
        found = array("i")
        for level, kind, data in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found.frombytes(data[: len(data) // found.itemsize * found.itemsize])
        if len(found) == _DESCRIPTORS and not flags & socket.MSG_CTRUNC and len(self._sets) < _MOST_SETS:
            self._sets.append(RingParts(*found))
            return True
        for descriptor in found:
            os.close(descriptor)
        self.close(f"{len(found)} descriptors came; expected three, and room for them in this process")
        return False

    def _receive(self, record: Record) -> None:
        if isinstance(record, Welcome):
            self.welcome, self._is_welcome = record, True
            self._greeted.set_result(record)
        elif isinstance(record, Failed) and not record.request:
            if not self._greeted.done():
                self._greeted.set_exception(BrokerRefused("hello", record.code, record.reason))
            self.close(f"{record.reason} ({record.code})")
        elif not isinstance(record, Beat):
            self._on_record(record)

    def _sent(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # it has ended: the reader learns why, after it has read what is left

    def _writable(self) -> None:
        del self._waiting[: self._sent(self._waiting)]
        if not self._waiting:
            self._loop.remove_writer(self._sock)
            if self._flushed is not None and not self._flushed.done():
                self._flushed.set_result(None)

    # life

    def _tick(self) -> None:
        """Beat, unless something was said; end the line of a broker that is silent."""
        dead_s = self.welcome.dead_ms / 1000
        if self._loop.time() - self.heard_at > dead_s:
            self._readable()  # it may be us who did not listen
            if self.is_over:
                return
            if self._loop.time() - self.heard_at > dead_s:
                self.close(f"nothing came from it for {dead_s:g} s")
                return
        if not self._has_spoken:
            self.say(Beat())
        self._has_spoken = False
        self._ticking = self._loop.call_later(max(self.welcome.beat_ms, 1) / 1000, self._tick)
