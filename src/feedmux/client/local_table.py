"""The WebSockets of a client of the broker, what it has asked for, and every record that comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from feedmux.client.local_events import BrokerGone, BrokerLog, LocalEvent, SocketClosed, SocketOpened
from feedmux.client.local_line import BrokerLine
from feedmux.client.local_shared import SharedSocket, Wish
from feedmux.client.local_tap import Tap
from feedmux.model.errors import FeedmuxError
from feedmux.model.link_errors import LinkLost
from feedmux.model.local_errors import BrokerLost, BrokerRefused, UnknownWebSocket
from feedmux.model.ports import Statistics
from feedmux.wire.local_records import (
    Close,
    Done,
    Failed,
    Last,
    Log,
    Open,
    Opened,
    Record,
    Subscribe,
)

CLOSED: Final = "the client was closed"
_NUMBERS: Final = 1 << 32


class _Asked(NamedTuple):
    what: str
    answer: asyncio.Future[Any]
    wanted: Open | None
    shared: SharedSocket | None
    tag: int


class LocalTable:
    """Who is who, and who waits for what. It does nothing by itself.

    Args:
        emit: takes the events.
        has_room: whether events are taken now; when they are again, call :meth:`resume`.
        is_whole: whether messages in several parts are put together.
        on_let_go: is called when the broker has closed a WebSocket, and is still there.
    """

    def __init__(
        self,
        emit: Callable[[LocalEvent], None],
        has_room: Callable[[], bool],
        *,
        is_whole: bool,
        on_let_go: Callable[[SharedSocket], None],
    ) -> None:
        self.emit = emit
        self.line: BrokerLine | None = None
        """To the broker that is there."""
        self.is_there = asyncio.Event()
        self.shared: dict[int, SharedSocket] = {}
        """The WebSockets, by the numbers that their user knows."""
        self._has_room, self._is_whole, self._on_let_go = has_room, is_whole, on_let_go
        self._by_number: dict[int, SharedSocket] = {}
        self._asked: dict[int, _Asked] = {}
        self._requests = count(1)
        self._last_id = self._brokers = 0
        self._is_closed = False

    @property
    def server_id(self) -> int:
        """The process of the broker; 0: none is there."""
        return self.line.welcome.pid if self.line is not None else 0

    def statistics(self) -> Statistics:
        """How many brokers there were, and of each WebSocket what is wanted and how its ring is read."""
        return {
            "brokers": self._brokers,
            "websockets": {id: shared.statistics() for id, shared in self.shared.items()},
        }

    def begin(self, line: BrokerLine) -> None:
        """This broker has said welcome."""
        if not line.is_over:
            self.line = line
            self._brokers += 1
            self.is_there.set()

    def blind(self) -> list[SharedSocket]:
        """The WebSockets that have to be opened again."""
        return [shared for shared in self.shared.values() if not shared.number]

    def resume(self) -> None:
        """Events are taken again."""
        for shared in list(self.shared.values()):
            shared.resume()

    def forget(self, shared: SharedSocket) -> None:
        """It is closed for good."""
        self.shared.pop(shared.id, None)
        self._by_number.pop(shared.number, None)
        shared.leave()

    def close(self) -> None:
        """Leave everything; whoever waits for an answer is told."""
        self._is_closed = True
        if self.line is not None:
            self.line.close(CLOSED)
        for shared in list(self.shared.values()):
            self.forget(shared)
        self.is_there.set()  # whoever waits for a broker waits in vain

    # what is asked

    async def ask_open(
        self, wanted: Open, tag: int = 0, *, shared: SharedSocket | None = None
    ) -> tuple[int, bool]:
        """Ask for a WebSocket; (id, whether it was opened for us).

        Args:
            wanted: how.
            tag: what its user calls this request.
            shared: it was open before, under this number.
        """

        def make(request: int) -> Record:
            return msgspec.structs.replace(wanted, request=request)

        found: tuple[int, bool] = await self.ask("open_websocket", make, wanted, shared, tag)
        return found

    async def ask_wish(self, shared: SharedSocket, symbol: str, wish: Wish) -> bool:
        """Ask for a symbol; whether somebody did already."""
        message, number = wish.message, shared.number

        def make(request: int) -> Record:
            more = (int(message.is_binary), symbol, message.payload, wish.release)
            return Subscribe(request, number, int(wish.kinds), *more)

        return bool(await self.ask("subscribe", make))

    async def ask(
        self,
        what: str,
        make: Callable[[int], Record],
        wanted: Open | None = None,
        shared: SharedSocket | None = None,
        tag: int = 0,
    ) -> Any:
        """Ask the broker; its answer.

        Raises:
            BrokerLost: it is gone.
            BrokerRefused: it said no.
        """
        if self.line is None:
            raise BrokerLost("none is there")
        request = self._number()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[request] = _Asked(what, answer, wanted, shared, tag)
        try:
            self.line.say(make(request))
            return await answer
        finally:
            self._asked.pop(request, None)

    # what the line says

    def receive(self, record: Record) -> None:
        """A record.

        Raises:
            MalformedMessage: it breaks the protocol.
        """
        if isinstance(record, Opened):
            self._opened(record)
        elif isinstance(record, Last):
            shared = self._by_number.get(record.id)
            if shared is not None:
                shared.last(record.entry)
        elif isinstance(record, Done):
            self._answer(record.request, record.value)
        elif isinstance(record, Failed):
            asked = self._asked.get(record.request)
            if asked is not None:
                self._fail(record.request, BrokerRefused(asked.what, record.code, record.reason))
        elif isinstance(record, Log):
            self.emit(BrokerLog(record.level, record.text))

    def over(self, reason: str) -> None:
        """The broker is gone: read what is left, and tell everybody."""
        line, self.line = self.line, None
        if line is None:
            return  # it had not begun
        self.is_there.clear()
        self._by_number.clear()
        failure = LinkLost(CLOSED) if self._is_closed else BrokerLost(reason)
        for request in list(self._asked):
            self._fail(request, failure)
        if self._is_closed:
            return
        open_ones = [shared for shared in self.shared.values() if shared.number]
        for shared in open_ones:
            shared.drain()
        self.emit(BrokerGone(reason))
        for shared in open_ones:
            if shared.number:
                shared.blind_since = line.heard_at
                shared.detach()
                self.emit(SocketClosed(shared.id, f"the broker is gone: {reason}"))

    def _opened(self, record: Opened) -> None:
        asked = self._asked.get(record.request)
        shared = self._by_number.get(record.id)
        if shared is None:
            shared = self._attached(record, asked)
        if shared is None or asked is None:
            return  # whoever asked has not waited for it
        self.emit(SocketOpened(shared.id, bool(record.is_new), asked.tag))
        self._answer(record.request, (shared.id, bool(record.is_new)))
        shared.opened(record.last)

    def _attached(self, record: Opened, asked: _Asked | None) -> SharedSocket | None:
        """The WebSocket that is shared from now on; None: nobody wants it any more, and it is left."""
        assert self.line is not None
        parts = self.line.parts()
        shared = None if asked is None else asked.shared or self._same(asked.wanted)
        if asked is None or (shared is not None and shared.is_gone):
            parts.close()
            self._fail(record.request, UnknownWebSocket(shared.id if shared is not None else 0))
            self.line.say(Close(self._number(), record.id))
            return None
        if shared is None:
            assert asked.wanted is not None
            shared = self._made(asked.wanted, record.id)
        try:
            tap = Tap(shared, parts, record.start, self._has_room)
        except FeedmuxError as error:
            self._fail(record.request, error)
            self.line.say(Close(self._number(), record.id))
            return None
        self.shared[shared.id] = self._by_number[record.id] = shared
        shared.attach(record.id, self.line.welcome.client, tap)
        return shared

    def _number(self) -> int:
        """The next request's; what is asked may be asked for years."""
        return next(self._requests) % _NUMBERS or next(self._requests) % _NUMBERS

    def _made(self, wanted: Open, number: int) -> SharedSocket:
        """A new one; no number was given to another one before."""
        self._last_id = max(self._last_id + 1, number)
        return SharedSocket(
            self._last_id,
            wanted,
            self.emit,
            is_whole=self._is_whole,
            on_closed=self._closed,
            on_spoiled=self._spoiled,
        )

    def _same(self, wanted: Open | None) -> SharedSocket | None:
        """The one that was shared at the broker before, and is to be opened again."""
        for shared in self.blind():
            if wanted is not None and _by_which_it_is_shared(shared.wanted) == _by_which_it_is_shared(wanted):
                return shared
        return None

    def _closed(self, shared: SharedSocket) -> None:
        """The broker does not open it again: it is leaving, or let go of this one."""
        self._by_number.pop(shared.number, None)
        shared.blind_since = asyncio.get_running_loop().time()
        shared.detach()
        if self.line is not None:
            self._on_let_go(shared)

    def _spoiled(self, reason: str) -> None:
        if self.line is not None:
            self.line.close(reason)

    def _answer(self, request: int, answer: object) -> None:
        asked = self._asked.get(request)
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(answer)

    def _fail(self, request: int, error: FeedmuxError) -> None:
        asked = self._asked.get(request)
        if asked is not None and not asked.answer.done():
            asked.answer.set_exception(error)


def _by_which_it_is_shared(wanted: Open) -> tuple[object, ...]:
    return wanted.url, wanted.key, wanted.headers, wanted.subprotocols
