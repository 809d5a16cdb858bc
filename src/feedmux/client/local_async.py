"""Share WebSockets with other programs of this machine, in asyncio; :mod:`feedmux.client.local` blocks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from feedmux.client.endpoint import Endpoint
from feedmux.client.local_box import EventBox
from feedmux.client.local_core import LocalCore
from feedmux.client.local_events import LocalEvent
from feedmux.client.local_finder import check_name, find_broker
from feedmux.client.local_shared import Wish
from feedmux.client.local_table import CLOSED
from feedmux.client.local_topics import AsyncLocalTopics
from feedmux.client.settings import LinkConfig
from feedmux.model.checks import require_kind, require_number, require_whole, type_of
from feedmux.model.errors import InvalidMessage, InvalidSetting
from feedmux.model.link_errors import LinkLost
from feedmux.model.ports import Statistics
from feedmux.wire.local_records import MAX_ITEMS, MAX_MESSAGE_BYTES, MAX_TEXT_BYTES, Kinds, Message, Open

_A_MESSAGE: Final = "a text, or bytes for a binary message"
_ALL: Final = Kinds.QUOTES | Kinds.TRADES


class AsyncLocalClient:
    """A client of the broker through which the programs of a user share WebSockets.

    ::

        async with AsyncLocalClient() as client:
            id, is_new = await client.open_websocket("wss://stream.example.com/v2")
            async for event in client:
                print(event)

    If no broker runs, one is started. If it dies, another one is, and every WebSocket is opened again.
    Events that nobody takes wait, up to ``max_waiting``; then the rings are not read, and who is too slow
    for them is told by :class:`feedmux.client.local_events.SocketLost`.

    Args:
        name: what ``feedmux share status`` calls this client; empty: the program's name.
        broker: the broker's name; empty: that in ``FEEDMUX_SHARE_NAME``, else ``default``.
        is_whole: True puts messages that come in several parts together; False hands the parts on.
        request_timeout_s: how long anything that is asked for may take, seconds.
        max_waiting: events that wait to be taken.

    Raises:
        InvalidSetting: one of these cannot be.
    """

    def __init__(
        self,
        name: str = "",
        *,
        broker: str = "",
        is_whole: bool = True,
        request_timeout_s: float = 30.0,
        max_waiting: int = 4096,
    ) -> None:
        require_number("request_timeout_s", request_timeout_s, "seconds, above 0", above=0)
        require_whole("max_waiting", max_waiting, "a number of events above 0", least=1)
        self._name = _text("name", name)
        self._broker, self._is_whole = check_name(broker), is_whole
        self._timeout_s, self._max_waiting = request_timeout_s, max_waiting
        self._core: LocalCore | None = None
        self._is_closed = False

    @staticmethod
    def topics(
        *topics: str,
        gateway: str = "default",
        options: Mapping[str, Any] | None = None,
        max_waiting: int = 4096,
        request_timeout_s: float = 30.0,
    ) -> AsyncLocalTopics:
        """Read topics of a running gateway of this user and machine; no broker is needed.

        Args:
            topics: what is wanted, e.g. ``ticker:BTCUSDT``; public ones only.
            gateway: its name, the setting LOCAL_NAME.
            options: of the subscription, e.g. ``{"max_rate": 4}``; the gateway checks them.
            max_waiting: messages that wait to be taken; more wait in the ring.
            request_timeout_s: how long the beginning may take, seconds.

        Returns:
            An asynchronous iterator and context manager: see :class:`AsyncLocalTopics`, which says what it
            raises when it begins.

        Raises:
            InvalidSetting: one of these cannot be.
        """
        return AsyncLocalTopics(
            topics,
            gateway=gateway,
            options=options,
            max_waiting=max_waiting,
            request_timeout_s=request_timeout_s,
        )

    async def start(self) -> None:
        """Find or start a broker; ``async with`` does it. May be repeated.

        Raises:
            NoBroker: there is none, and none came up.
            ForeignBroker: another user is in its place.
            BrokerRefused: it does not want us.
            LinkLost: the client was closed.
        """
        if self._is_closed:
            raise LinkLost(CLOSED)
        if self._core is not None:
            return
        self._box: EventBox[LocalEvent] = EventBox(self._max_waiting, self._resume)
        core = LocalCore(
            self._box.put,
            self._box.has_room,
            find=partial(find_broker, self._broker),
            name=self._name,
            is_whole=self._is_whole,
            request_timeout_s=self._timeout_s,
        )
        await core.start()
        self._core = core

    async def close(self) -> None:
        """Leave every WebSocket and the broker. May be repeated."""
        self._is_closed = True
        if self._core is not None:
            await self._core.close()
            self._box.end()

    @property
    def server_id(self) -> int:
        """The process of the broker; 0: none is there just now."""
        return self._core.server_id if self._core is not None else 0

    @property
    def box(self) -> EventBox[LocalEvent]:
        """Where the events wait."""
        self._running()
        return self._box

    def statistics(self) -> Statistics:
        """Return how many events wait, how many brokers there were, and how each WebSocket is read.

        Raises:
            LinkLost: the client is not running.
        """
        return {"waiting": len(self.box), **self._running().statistics()}

    async def open_websocket(
        self,
        url: str,
        api_key: str = "",
        *,
        headers: Iterable[tuple[str, str]] = (),
        subprotocols: Iterable[str] = (),
        opening: Iterable[str | bytes] = (),
        last_by: str = "",
    ) -> tuple[int, bool]:
        """Open a WebSocket, or share one that has the same address, key, headers and sub-protocols.

        Args:
            url: ``ws://`` or ``wss://``.
            api_key: what it is shared by besides; it is sent nowhere.
            headers: of the upgrade request.
            subprotocols: likewise.
            opening: messages that are sent first, each time it is opened: a login, for instance.
            last_by: the member of JSON messages by whose value the last ones are kept for who comes late.

        Returns:
            Its number, and whether it was opened for this client, who has to log in.

        Raises:
            InvalidSetting: it cannot be opened like this.
            BrokerRefused: it was not opened; ``CONNECT_FAILED``: the reason is the other side's.
            RequestTimeout: it was not opened in time.
            LinkLost: the client was closed.
        """
        return await self.open(wanted_of(url, api_key, headers, subprotocols, opening, last_by))

    async def open(self, wanted: Open, request: int = 0) -> tuple[int, bool]:
        """Open what :func:`wanted_of` has written down; see :meth:`open_websocket`.

        Args:
            wanted: how.
            request: a number that ``SocketOpened`` repeats.
        """
        return await self._running().open(wanted, request)

    async def close_websocket(self, id: int = 0) -> None:
        """Leave a WebSocket; 0: all of them. Nothing of it comes any more.

        Raises:
            UnknownWebSocket: it is none of this client's.
            RequestTimeout: the broker did not answer; it is left all the same.
            LinkLost: the client was closed.
        """
        require_whole("id", id, "a number that open_websocket returned, or 0", least=0)
        await self._running().leave(id)

    async def send(self, id: int, message: str | bytes) -> None:
        """Send a message: a text, or bytes for a binary one.

        Raises:
            UnknownWebSocket: it is none of this client's.
            InvalidMessage: it is none, or too long.
            BrokerLost: the WebSocket is not open just now; nothing was sent.
            Overflow: the broker does not take any more.
            LinkLost: the client was closed.
        """
        self._running().send(id, _message("message", message))

    async def subscribe(
        self,
        id: int,
        symbol: str,
        request: str | bytes,
        kinds: Kinds = _ALL,
        *,
        release: str | bytes = "",
    ) -> bool:
        """Want a symbol; ``request`` is sent if nobody wanted it yet, or not these kinds of it.

        Args:
            id: of the WebSocket. symbol: its name, by which the clients' wishes are counted. request: asks
            for it. kinds: quotes, trades or both. release: asks for no more of it; is sent when all clients
            that wanted it have died. Of the same type.

        Returns:
            Whether it existed: somebody wanted it already, and nothing was sent.

        Raises:
            UnknownWebSocket: it is none of this client's.
            BrokerRefused: too many symbols, for instance.
            InvalidMessage: a message is none, or too long.
            RequestTimeout: the broker did not answer.
            LinkLost: the client was closed.
        """
        message, last = _message("request", request), _message("release", release)
        require_whole("kinds", int(kinds), "Kinds.QUOTES, Kinds.TRADES or both", least=1, most=3)
        if release and message.is_binary != last.is_binary:
            raise InvalidMessage("release", type_of(release), "the type that request has")
        wish = Wish(Kinds(kinds), message, last.payload)
        return await self._running().subscribe(id, _text("symbol", symbol), wish)

    async def unsubscribe(self, id: int, symbol: str, request: str | bytes) -> None:
        """Want a symbol no more; ``request`` is sent if nobody else does.

        Raises:
            UnknownWebSocket: it is none of this client's.
            InvalidMessage: the message is none, or too long.
            RequestTimeout: the broker did not answer.
            LinkLost: the client was closed.
        """
        message = _message("request", request)
        await self._running().unsubscribe(id, _text("symbol", symbol), message)

    async def set_log_level(self, level: int) -> None:
        """Ask for the broker's log, as :class:`BrokerLog` events.

        Args:
            level: from 0 trace, 1 debug, 2 info, 3 warning, 4 error to 5 critical; 6: nothing.
        """
        require_whole("level", level, "a level from 0 to 6", least=0, most=6)
        self._running().set_log_level(level)

    async def receive(self) -> LocalEvent:
        """Take the next event.

        Raises:
            LinkLost: the client was closed.
        """
        self._running()
        event = await self._box.take()
        if event is None:
            raise LinkLost(CLOSED)
        return event

    async def __aiter__(self) -> AsyncIterator[LocalEvent]:
        """Yield events until the client is closed."""
        self._running()
        while (event := await self._box.take()) is not None:
            yield event
            while (event := self._box.next()) is not None:  # it has come already: no need to wait
                yield event

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _running(self) -> LocalCore:
        if self._core is None or self._is_closed:
            raise LinkLost(CLOSED if self._is_closed else "the client was not started")
        return self._core

    def _resume(self) -> None:
        if self._core is not None:
            self._core.resume()


def wanted_of(
    url: str,
    api_key: str,
    headers: Iterable[tuple[str, str]],
    subprotocols: Iterable[str],
    opening: Iterable[str | bytes],
    last_by: str,
) -> Open:
    """Check how a WebSocket is to be opened, and write it down; see :meth:`AsyncLocalClient.open_websocket`.

    Raises:
        InvalidSetting: it cannot be.
        InvalidMessage: an opening message is none.
    """
    Endpoint(url)
    pairs, protocols, messages = tuple(headers), tuple(subprotocols), tuple(opening)
    LinkConfig(headers=pairs)
    for name, items in (("headers", pairs), ("subprotocols", protocols), ("opening", messages)):
        if len(items) > MAX_ITEMS:
            raise InvalidSetting(name, f"{len(items)} of them", f"at most {MAX_ITEMS}")
    for name, value in pairs:
        _text("headers", name)
        _text("headers", value, is_secret=True)
    return Open(
        0,
        _text("url", url, is_secret=True),
        _text("api_key", api_key, is_secret=True),
        tuple((name, value) for name, value in pairs),
        tuple(_text("subprotocols", protocol) for protocol in protocols),
        tuple(_message("opening", message) for message in messages),
        _text("last_by", last_by),
    )


def _text(name: str, value: object, *, is_secret: bool = False) -> str:
    expected = f"a text of at most {MAX_TEXT_BYTES} bytes in UTF-8"
    require_kind(name, value, str, expected)
    assert isinstance(value, str)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        size = MAX_TEXT_BYTES + 1
    if size > MAX_TEXT_BYTES:
        raise InvalidSetting(name, f"{len(value)} characters" if is_secret else value, expected)
    return value


def _message(name: str, value: object) -> Message:
    if not isinstance(value, str | bytes):
        raise InvalidMessage(name, type_of(value), _A_MESSAGE)
    try:
        payload = value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError as error:
        raise InvalidMessage(name, "a text that is not Unicode", _A_MESSAGE) from error
    if len(payload) > MAX_MESSAGE_BYTES:
        raise InvalidMessage(name, f"one of {len(payload)} bytes", f"at most {MAX_MESSAGE_BYTES} bytes")
    return Message(payload, isinstance(value, bytes))
