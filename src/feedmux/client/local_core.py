"""What a client of the broker does by itself: find one, keep its WebSockets open whatever becomes of it.

Theory of operation
===================
A client has at most one line to a broker (:mod:`feedmux.client.local_line`) and any number of WebSockets
(:mod:`feedmux.client.local_shared`). One task keeps both::

    looking ──a broker says welcome──▶ there ──the line is over──▶ looking

On *there* every WebSocket that was open before is asked for again, under the number that its user knows:
opened, and everything that is wanted of it subscribed to, and its user is told for how long it was blind.
When the line is over what is left in the rings is read first; then the user is told that the broker is gone
and that each WebSocket is closed.

Whoever asks for something while no broker is there waits, up to a bound, and asks the next one: all but
``send``, because what it sends may have been meant for the connection that is gone.

A WebSocket whose user sends messages of his own, and has no opening messages, may need a login before
anything can be subscribed to. If we are the one who has to log in, his subscriptions follow his first new
one, or after five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from feedmux.client.local_events import LocalEvent, SocketClosed, SocketError, SocketRestored
from feedmux.client.local_line import BrokerLine
from feedmux.client.local_shared import SharedSocket, Wish
from feedmux.client.local_table import CLOSED, LocalTable
from feedmux.model.errors import FeedmuxError
from feedmux.model.link_errors import LinkLost, RequestTimeout
from feedmux.model.local_errors import BrokerLost, BrokerRefused, UnknownWebSocket
from feedmux.model.ports import Statistics
from feedmux.wire.local_records import Close, LogLevel, Message, Open, Send, Unsubscribe

_LOG: Final = logging.getLogger(__name__)
_TRIES: Final = 3
_WAITS_S: Final = (0.1, 5.0)
_LOGIN_S: Final = 5.0
_LEAVING_S: Final = 1.0
_FLUSH_S: Final = 1.0
_HOPELESS: Final = frozenset({"INVALID_SETTING"})
"""Codes that the next attempt would be answered with, too."""


class LocalCore:
    """A client; see *Theory of operation*. Everything happens in one loop.

    Args:
        emit: takes the events.
        has_room: whether events are taken now; when they are again, call :meth:`resume`.
        find: connects to the broker, or to a gateway, which is one as far as this goes.
        name: by which it shows this client; empty: the program's name.
        is_whole: whether messages in several parts are put together.
        request_timeout_s: how long anything that is asked for may take, seconds.
    """

    def __init__(
        self,
        emit: Callable[[LocalEvent], None],
        has_room: Callable[[], bool],
        *,
        find: Callable[[], Awaitable[socket.socket]],
        name: str,
        is_whole: bool,
        request_timeout_s: float,
    ) -> None:
        self._table = LocalTable(emit, has_room, is_whole=is_whole, on_let_go=self._let_go)
        self._find = find
        self._name = name or os.path.basename(sys.argv[0]) or "python"  # noqa: PTH119
        self._timeout_s = request_timeout_s
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._living: asyncio.Task[None] | None = None
        self._restoring: set[asyncio.Task[None]] = set()
        self._log_level: int | None = None

    # from outside

    async def start(self) -> None:
        """Find or start a broker, and stay with it.

        Raises:
            NoBroker: there is none.
            BrokerRefused: it does not want us.
            BrokerLost: it ended at once, several times.
        """
        line = await self._connected()
        self._begin(line)
        self._living = asyncio.create_task(self._live(line), name="feedmux-local")

    async def close(self) -> None:
        """Leave the broker and everything that is shared. May be repeated."""
        self._is_closed = True
        if self._table.line is not None:
            await self._table.line.flush(_FLUSH_S)
        if self._living is not None:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)
        self._table.close()

    @property
    def server_id(self) -> int:
        """The process of the broker; 0: none is there."""
        return self._table.server_id

    def statistics(self) -> Statistics:
        """See :meth:`LocalTable.statistics`."""
        return self._table.statistics()

    def resume(self) -> None:
        """Events are taken again."""
        self._table.resume()

    async def open(self, wanted: Open, request: int = 0) -> tuple[int, bool]:
        """Open a WebSocket, or share it; (id, whether it was opened for us)."""
        async with self._within("open_websocket"):
            while True:
                await self._wait(self._table.is_there)
                try:
                    return await self._table.ask_open(wanted, request)
                except BrokerLost:
                    continue  # the next one is asked

    async def leave(self, id: int) -> None:
        """Leave a WebSocket; 0: all."""
        leaving = [self.find(id)] if id else list(self._table.shared.values())
        async with self._within("close_websocket"):
            for shared in leaving:
                number = shared.number
                self._table.forget(shared)
                if number:
                    with contextlib.suppress(BrokerLost, BrokerRefused):  # it shares it no more, either way
                        await self._table.ask("close_websocket", partial(_close, number))

    def send(self, id: int, message: Message) -> None:
        """Send a message."""
        shared = self.find(id)
        if self._table.line is None or not shared.number:
            raise BrokerLost(
                "nothing was sent; the WebSocket is opened again as soon as another one is there"
            )
        shared.is_spoken_to = True
        self._table.line.say(Send(shared.number, int(message.is_binary), message.payload))

    async def subscribe(self, id: int, symbol: str, wish: Wish) -> bool:
        """Want a symbol; whether somebody did already."""
        shared = self.find(id)
        async with self._within("subscribe"):
            while True:
                await self._wait(shared.is_open, shared)
                shared.has_subscribed.set()
                try:
                    existed = await self._table.ask_wish(shared, symbol, wish)
                except BrokerLost:
                    continue
                shared.wish(symbol, wish)
                return existed

    async def unsubscribe(self, id: int, symbol: str, message: Message) -> None:
        """Want a symbol no more."""
        shared = self.find(id)
        shared.wishes.pop(symbol, None)
        async with self._within("unsubscribe"):
            while True:
                await self._wait(shared.is_open, shared)
                make = partial(_unsubscribe, shared.number, symbol, message)
                try:
                    await self._table.ask("unsubscribe", make)
                except BrokerLost:
                    continue
                return

    def change(self, id: int, wanted: Open) -> None:
        """Open a WebSocket like this, if it has to be opened again."""
        self.find(id).wanted = wanted

    def renew(self, reason: str) -> None:
        """Leave this broker, as if it were gone, and open everything again."""
        if self._table.line is not None:
            self._table.line.close(reason)

    def set_log_level(self, level: int) -> None:
        """Ask this broker, and those that follow it, for its log."""
        self._log_level = level
        if self._table.line is not None:
            self._table.line.say(LogLevel(level))

    def find(self, id: int) -> SharedSocket:
        """The WebSocket of a number.

        Raises:
            UnknownWebSocket: there is none.
            LinkLost: the client was closed.
        """
        if self._is_closed:
            raise LinkLost(CLOSED)
        shared = self._table.shared.get(id)
        if shared is None:
            raise UnknownWebSocket(id)
        return shared

    # the task

    async def _live(self, line: BrokerLine) -> None:
        while True:
            for shared in self._table.blind():
                self._revive(shared)
            try:
                await line.wait_end()
            finally:
                await self._end_restoring()
            line = await self._patiently_connected()
            self._begin(line)

    def _let_go(self, shared: SharedSocket) -> None:
        """The broker has closed it, and is about to end; if it does not, it opens it again."""
        self._revive(shared, after_s=_LEAVING_S)

    def _revive(self, shared: SharedSocket, after_s: float = 0.0) -> None:
        """Open it again, beside everything else."""
        task = asyncio.create_task(self._restore(shared, after_s))
        self._restoring.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._restoring.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("a WebSocket was not restored", exc_info=task.exception())

    async def _end_restoring(self) -> None:
        for task in self._restoring:
            task.cancel()
        await asyncio.gather(*self._restoring, return_exceptions=True)

    def _begin(self, line: BrokerLine) -> None:
        self._table.begin(line)
        if self._log_level is not None and not line.is_over:
            line.say(LogLevel(self._log_level))

    async def _connected(self) -> BrokerLine:
        """A line to a broker that has said welcome; one that is just leaving is not the last word."""
        for last in (False,) * (_TRIES - 1) + (True,):
            line = BrokerLine(await self._find(), self._table.receive, self._table.over)
            try:
                await line.greet(self._name)
            except BrokerLost:
                if last:
                    raise
                continue
            return line
        raise AssertionError("the last try returns or raises")

    async def _patiently_connected(self) -> BrokerLine:
        wait_s, told = _WAITS_S[0], ""
        while True:
            try:
                return await self._connected()
            except FeedmuxError as error:
                if str(error) != told:
                    told = str(error)
                    self._table.emit(SocketError(0, told, error.code))
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _WAITS_S[1])

    async def _restore(self, shared: SharedSocket, after_s: float) -> None:
        await asyncio.sleep(after_s)
        wait_s = _WAITS_S[0]
        while not shared.is_gone:
            try:
                async with self._within("open_websocket"):
                    _, is_new = await self._table.ask_open(shared.wanted, shared=shared)
            except BrokerLost:
                return  # the next one is asked
            except FeedmuxError as error:
                if shared.is_gone:
                    return  # its user closed it meanwhile
                self._table.emit(SocketError(shared.id, f"it was not opened again: {error}", error.code))
                if error.code in _HOPELESS:
                    self._table.forget(shared)
                    self._table.emit(SocketClosed(shared.id, str(error), again=False))
                    return
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _WAITS_S[1])
                continue
            await self._restore_wishes(shared, is_new=is_new)
            return

    async def _restore_wishes(self, shared: SharedSocket, *, is_new: bool) -> None:
        if is_new and shared.is_spoken_to and shared.wishes and not shared.wanted.opening:
            try:
                async with asyncio.timeout(_LOGIN_S):
                    await shared.has_subscribed.wait()
            except TimeoutError:
                pass
        for symbol, wishes in list(shared.wishes.items()):
            for wish in list(wishes):
                if symbol not in shared.wishes or not shared.number:
                    break  # its user left it meanwhile
                try:
                    async with self._within("subscribe"):
                        await self._table.ask_wish(shared, symbol, wish)
                except BrokerLost:
                    return
                except FeedmuxError as error:
                    reason = f"{symbol} was not subscribed to again: {error}"
                    self._table.emit(SocketError(shared.id, reason, error.code))
        if shared.number:
            self._table.emit(SocketRestored(shared.id, self._loop.time() - shared.blind_since))

    # what is asked

    @asynccontextmanager
    async def _within(self, what: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            raise RequestTimeout(what, self._timeout_s, maybe_executed=True) from None

    async def _wait(self, event: asyncio.Event, shared: SharedSocket | None = None) -> None:
        await event.wait()
        if self._is_closed:
            raise LinkLost(CLOSED)
        if shared is not None and shared.is_gone:
            raise UnknownWebSocket(shared.id)


def _close(number: int, request: int) -> Close:
    return Close(request, number)


def _unsubscribe(number: int, symbol: str, message: Message, request: int) -> Unsubscribe:
    return Unsubscribe(request, number, int(message.is_binary), symbol, message.payload)
