"""One connection to Redis, from connecting to its end; :mod:`feedmux.bus.redis` keeps one after the other.

It reads whatever the socket gives, as it comes: who is slow to read is cut off by Redis.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from feedmux.bus.redis_config import NotRedis, RedisConfig
from feedmux.model.errors import FeedmuxError
from feedmux.model.link_errors import LinkLost

PING: Final = b"*1\r\n$4\r\nPING\r\n"
NO_MORE: Final = object()
"""What :meth:`Parser.gets` returns when nothing is whole."""
_MOST_AT_ONCE: Final = 16 * 1024  # hiredis moves all that it still has with every kilobyte it has read
_CONFIRMATIONS: Final = (b"subscribe", b"unsubscribe")


class Listening:
    """A command that subscribes or unsubscribes, and how many of its channels are not confirmed yet."""

    __slots__ = ("channels", "command", "left")

    def __init__(self, command: bytes, channels: Sequence[bytes]) -> None:
        self.command, self.channels, self.left = command, channels, len(channels)


class Call:
    """A command whose answer somebody waits for."""

    __slots__ = ("answer", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


Sent = bytes | Listening | Call
"""What was sent; bytes are the channel of something published."""


class Garbled(Exception):
    """What a parser cannot read; the text says why, and nothing of what it was."""


class Parser(Protocol):
    """Cuts bytes into what Redis said."""

    def feed(self, data: bytes, /) -> None: ...

    def gets(self) -> Any:
        """The next thing, or :data:`NO_MORE`.

        Raises:
            Garbled: these are not the bytes of Redis.
        """


class Keeper(Protocol):
    """Whose connection it is."""

    def pushed(self, channel: bytes, body: bytes) -> None:
        """A message came."""

    def confirmed(self, sent: bytes | Listening, reply: object) -> None:
        """Redis answered to something that nobody waits for."""

    def roomy(self) -> None:
        """What waited has left."""


class RedisConnection(asyncio.Protocol):
    """One connection.

    Args:
        keeper: whose it is.
        config: where to, and how long it may take.
        parser: a new one.
        push: the type of what a parser returns for what is no answer.
    """

    def __init__(self, keeper: Keeper, config: RedisConfig, parser: Parser, push: type[Any]) -> None:
        self._keeper, self._config = keeper, config
        self._parser, self._push = parser, push
        self._transport: asyncio.Transport | None = None
        self._heard = 0
        self.sent: deque[Sent] = deque()
        """What is not answered yet, in order."""
        self.is_full = False
        self.over: asyncio.Future[FeedmuxError] = asyncio.get_running_loop().create_future()
        """Why it ended."""

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: nobody is there, or it is not who its certificate should name.
        """
        loop, config = asyncio.get_running_loop(), self._config
        if config.path:
            await loop.create_unix_connection(lambda: self, config.path, ssl=config.tls)
        else:
            await loop.create_connection(lambda: self, config.host, config.port, ssl=config.tls)

    async def ask(self, name: str, command: bytes) -> Any:
        """Send a command at once, and wait for its answer, which may be an error that Redis sent.

        Raises:
            FeedmuxError: the connection ended before.
        """
        call = Call(name)
        self.sent.append(call)
        self.write(command)
        try:
            await asyncio.wait({call.answer, self.over}, return_when=asyncio.FIRST_COMPLETED)
            if call.answer.done():
                return call.answer.result()
            raise self.over.result()
        finally:
            call.answer.cancel()  # nobody waits for it any more

    async def look(self) -> None:
        """Find out whether Redis answers; as long as anything comes, it is waited for.

        Raises:
            FeedmuxError: it does not, or the connection ended.
        """
        timeout_s = self._config.answer_timeout_s
        asking = asyncio.ensure_future(self.ask("PING", PING))
        try:
            while True:
                heard = self._heard
                await asyncio.wait({asking}, timeout=timeout_s)
                if asking.done():
                    asking.result()
                    return
                if heard == self._heard:
                    raise LinkLost(f"Redis did not answer within {timeout_s:g} s")
        finally:
            asking.cancel()

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; never blocks. Nothing after the end."""
        if self._transport is not None and not self.over.done():
            self._transport.write(data)

    @property
    def buffered_bytes(self) -> int:
        """How much waits in the transport."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def cut(self, error: FeedmuxError) -> None:
        """End now; what waits is discarded."""
        self._end(error)
        if self._transport is not None:
            self._transport.abort()

    async def finish(self, timeout_s: float) -> None:
        """Wait until Redis has taken everything, at most ``timeout_s``; then it may be cut.

        To hang up before its answers are read would reset the connection, and lose what it has not read.
        """
        with suppress(FeedmuxError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.ask("PING", PING)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.over.done():
            self._transport.abort()
            return
        high = self._config.bound_bytes // 2
        self._transport.set_write_buffer_limits(high=high, low=high // 2)

    def data_received(self, data: bytes) -> None:
        self._heard += 1
        if self.over.done():
            return
        try:
            for start in range(0, len(data), _MOST_AT_ONCE):
                self._parser.feed(data[start : start + _MOST_AT_ONCE])
                self._take_all()
        except Garbled as error:
            self.cut(NotRedis(self._config.address, str(error)))
        except NotRedis as error:
            self.cut(error)

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if not self.over.done():
            self._keeper.roomy()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LinkLost("Redis ended it" if exc is None else str(exc) or type(exc).__name__))

    # Parts

    def _take_all(self) -> None:
        """Take what is whole, until the connection is over."""
        while not self.over.done() and (said := self._parser.gets()) is not NO_MORE:
            if type(said) is self._push:
                self._take_push(said)
            else:
                self._take_answer(said)

    def _end(self, error: FeedmuxError) -> None:
        """It is over; only the first reason counts."""
        if not self.over.done():
            self.over.set_result(error)

    def _take_push(self, said: list[Any]) -> None:
        kind = said[0] if said else b""
        if kind == b"message" and len(said) == 3:
            self._keeper.pushed(said[1], said[2])
        elif kind in _CONFIRMATIONS:
            self._confirm()

    def _confirm(self) -> None:
        """One channel was subscribed to, or is not any more; this comes in order with the answers."""
        if not self.sent or not isinstance(self.sent[0], Listening):
            raise NotRedis(self._config.address, "it confirmed what it was not asked for")
        listening = self.sent[0]
        listening.left -= 1
        if not listening.left:
            self.sent.popleft()

    def _take_answer(self, said: object) -> None:
        if not self.sent:
            raise NotRedis(self._config.address, "it answered what it was not asked")
        sent = self.sent.popleft()
        if not isinstance(sent, Call):
            self._keeper.confirmed(sent, said)
        elif not sent.answer.done():
            sent.answer.set_result(said)
