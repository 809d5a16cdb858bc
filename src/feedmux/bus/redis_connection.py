"""One connection to Redis, from connecting to its end; :mod:`feedmux.bus.redis` keeps one after the other.

It reads whatever the socket gives, as it comes: who is slow to read is cut off by Redis.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, cast

from feedmux.bus.redis_config import NotRedis, RedisConfig, RedisRefused
from feedmux.model.errors import FeedmuxError
from feedmux.model.link_errors import Cause, ConnectFailed, LinkLost

PING: Final = b"*1\r\n$4\r\nPING\r\n"
NO_MORE: Final = object()
"""What :meth:`Parser.gets` returns when nothing is whole."""
_MESSAGES: Final = (b"message", b"smessage")
_CONFIRMATIONS: Final = (b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe")
_ENDED: Final = b"sunsubscribe"
_MOVED: Final = "another node of the Redis Cluster has our channels now"
_MOST_AT_ONCE: Final = 16 * 1024  # hiredis moves all that it still has with every kilobyte it has read


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


class Published(NamedTuple):
    """A command that publishes on a channel.

    Args:
        channel: which.
        events: how many of them are in the message.
    """

    channel: bytes
    events: int


Sent = Published | Listening | Call
"""What was sent."""


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


class Speech(NamedTuple):
    """How bytes become what Redis says, and the other way round: what a library does.

    Args:
        parser: makes a new parser.
        push: the type of what a parser returns for what is no answer.
        pack: makes the bytes of a command.
    """

    parser: Callable[[], Parser]
    push: type[Any]
    pack: Callable[[tuple[str | bytes, ...]], bytes]


class Keeper(Protocol):
    """Whose connection it is."""

    def pushed(self, channel: bytes, body: bytes) -> None:
        """A message came."""

    def confirmed(self, sent: Published | Listening, reply: object) -> None:
        """Redis answered to something that nobody waits for."""

    def roomy(self) -> None:
        """What waited has left."""


class RedisConnection(asyncio.Protocol):
    """One connection.

    Args:
        keeper: whose it is.
        config: where to, and how long it may take.
        speech: how Redis speaks.
    """

    def __init__(self, keeper: Keeper, config: RedisConfig, speech: Speech) -> None:
        self._keeper, self._config = keeper, config
        self._parser, self._push, self._pack = speech.parser(), speech.push, speech.pack
        self._transport: asyncio.Transport | None = None
        self._heard = 0
        self.sent: deque[Sent] = deque()
        """What is not answered yet, in order."""
        self.is_full = False
        self.over: asyncio.Future[FeedmuxError] = asyncio.get_running_loop().create_future()
        """Why it ended."""

    async def enter(self, *, within_s: float, is_only_asked: bool = False) -> None:
        """Connect, and be let in.

        Args:
            within_s: how long it may take.
            is_only_asked: see :meth:`RedisConfig.greeted`.

        Raises:
            FeedmuxError: nobody is there, its certificate names another one, or it does not let us in.
        """
        config = self._config
        try:
            async with asyncio.timeout(within_s):
                await self._open()
                reply = await self.ask("HELLO", self._pack(config.hello()))
                config.greeted(reply, is_only_asked=is_only_asked)
                if config.database and not is_only_asked:
                    await self.order("SELECT", str(config.database))
        except TimeoutError as error:
            spoken = "" if config.tls is None else ", speaking TLS"
            reason = f"we were not let in within {within_s:g} s{spoken}"
            raise ConnectFailed(config.address, reason, cause=Cause.TIMEOUT) from error
        except ssl.SSLError as error:
            raise ConnectFailed(config.address, _tls_reason(error), cause=Cause.TLS) from error
        except (OSError, ValueError) as error:
            raise ConnectFailed(config.address, str(error) or type(error).__name__) from error
        except LinkLost as error:
            raise ConnectFailed(config.address, error.reason) from error

    async def order(self, *command: str | bytes) -> Any:
        """Send a command at once; its answer.

        Raises:
            RedisRefused: Redis answered with an error.
            FeedmuxError: the connection ended before.
        """
        name = name_of(command)
        reply = await self.ask(name, self._pack(command))
        if isinstance(reply, Exception):
            raise RedisRefused(name, self._config.hide(str(reply)))
        return reply

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

    async def look(self) -> Any:
        """Find out whether Redis answers; as long as anything comes, it is waited for.

        Returns:
            What it answers to :attr:`RedisConfig.probe`, which may be an error that Redis sent.

        Raises:
            FeedmuxError: it does not, or the connection ended.
        """
        timeout_s = self._config.answer_timeout_s
        probe = self._config.probe
        asking = asyncio.ensure_future(self.ask(probe[0], self._pack(probe)))
        try:
            while True:
                heard = self._heard
                await asyncio.wait({asking}, timeout=timeout_s)
                if asking.done():
                    return asking.result()
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

    @property
    def room(self) -> int:
        """How much more may wait; 0 while Redis does not take what waits already."""
        return 0 if self.is_full else self._config.bound_bytes - self.buffered_bytes

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
        if isinstance(exc, ssl.SSLError):
            self._end(LinkLost(_tls_reason(exc)))
        else:
            self._end(LinkLost("Redis ended it" if exc is None else str(exc) or type(exc).__name__))

    # Parts

    async def _open(self) -> None:
        loop, config = asyncio.get_running_loop(), self._config
        if config.path:
            await loop.create_unix_connection(lambda: self, config.path)
        else:
            await loop.create_connection(lambda: self, config.host, config.port, ssl=config.tls)

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
        if kind in _MESSAGES and len(said) == 3:
            self._keeper.pushed(said[1], said[2])
        elif kind in _CONFIRMATIONS:
            self._confirm(kind)

    def _confirm(self, kind: bytes) -> None:
        """One channel was subscribed to, or is not any more; this comes in order with the answers.

        That a channel of a shard is not any more also comes unasked: when its slot has moved.
        """
        head = self.sent[0] if self.sent else None
        if isinstance(head, Listening) and head.command.lower() == kind:
            head.left -= 1
            if not head.left:
                self.sent.popleft()
        elif kind == _ENDED:
            self.cut(LinkLost(_MOVED))
        else:
            raise NotRedis(self._config.address, "it confirmed what it was not asked for")

    def _take_answer(self, said: object) -> None:
        if not self.sent:
            raise NotRedis(self._config.address, "it answered what it was not asked")
        sent = self.sent.popleft()
        if not isinstance(sent, Call):
            self._keeper.confirmed(sent, said)
        elif not sent.answer.done():
            sent.answer.set_result(said)


class _Nobody:
    """Keeps nothing."""

    def pushed(self, channel: bytes, body: bytes) -> None:
        pass

    def confirmed(self, sent: Published | Listening, reply: object) -> None:
        pass

    def roomy(self) -> None:
        pass


async def ask_once(config: RedisConfig, speech: Speech, *commands: tuple[str | bytes, ...]) -> Any:
    """Ask a server something over a connection of its own; the last of its answers.

    Raises:
        RedisRefused: it answered with an error.
        FeedmuxError: it cannot be asked.
    """
    connection = RedisConnection(_Nobody(), config, speech)
    reply: Any = None
    try:
        async with asyncio.timeout(config.ask_timeout_s):
            await connection.enter(within_s=config.ask_timeout_s, is_only_asked=True)
            for command in commands:
                reply = await connection.order(*command)
    except TimeoutError as error:
        reason = f"it did not answer within {config.ask_timeout_s:g} s"
        raise ConnectFailed(config.address, reason, cause=Cause.TIMEOUT) from error
    finally:
        connection.cut(LinkLost("we have asked"))
    return reply


def _tls_reason(error: ssl.SSLError) -> str:
    """Say why TLS did not come about, or ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {getattr(error, 'verify_message', error)}"
    what = getattr(error, "reason", None) or error.strerror or str(error)
    return f"TLS failed: {what.lower().replace('_', ' ')}"


def name_of(command: Sequence[str | bytes]) -> str:
    """A command as it may be shown: its first word."""
    first = command[0]
    return first if isinstance(first, str) else first.decode(errors="replace")
