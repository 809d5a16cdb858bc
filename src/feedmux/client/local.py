"""Share WebSockets with other programs of this machine, from programs that block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from types import TracebackType
from typing import Any, Self

from feedmux.client.guard import Guard
from feedmux.client.local_async import AsyncLocalClient, wanted_of
from feedmux.client.local_events import LocalCallbacks, LocalEvent, SocketError
from feedmux.client.local_topics import LocalTopics
from feedmux.client.loop_thread import LoopThread
from feedmux.model.checks import require_kind, require_number
from feedmux.model.errors import FeedmuxError, InvalidSetting
from feedmux.model.link_errors import LinkLost
from feedmux.model.ports import Statistics
from feedmux.wire.local_records import Kinds, Open

_ALL = Kinds.QUOTES | Kinds.TRADES


class LocalClient:
    """An :class:`feedmux.client.local_async.AsyncLocalClient` whose methods block.

    ::

        with LocalClient() as client:
            id, is_new = client.open_websocket("wss://stream.example.com/v2")
            for event in client:
                print(event)

    Its methods may be called from any thread, and from callbacks. With callbacks there is nothing to iterate
    over: a thread of the client's takes the events and calls.

    Args:
        callbacks: who is called; None: nobody, the events are iterated over.
        name: what ``feedmux share status`` calls this client; empty: the program's name.
        broker: the broker's name; empty: that in ``FEEDMUX_SHARE_NAME``, else ``default``.
        is_whole: True puts messages that come in several parts together; False hands the parts on.
        request_timeout_s: how long anything that is asked for may take, seconds.
        max_waiting: events that wait to be taken.

    Raises:
        InvalidSetting: one of these cannot be.
        NoBroker: there is none, and none came up.
        ForeignBroker: another user is in its place.
        BrokerRefused: it does not want us.
    """

    def __init__(
        self,
        callbacks: LocalCallbacks | None = None,
        *,
        name: str = "",
        broker: str = "",
        is_whole: bool = True,
        request_timeout_s: float = 30.0,
        max_waiting: int = 4096,
    ) -> None:
        if callbacks is not None:
            require_kind("callbacks", callbacks, LocalCallbacks, "LocalCallbacks(data=…, …), or None")
        self._client = AsyncLocalClient(
            name,
            broker=broker,
            is_whole=is_whole,
            request_timeout_s=request_timeout_s,
            max_waiting=max_waiting,
        )
        self._requests = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = LoopThread("feedmux-local", "the client")
        with contextlib.ExitStack() as undo:
            undo.callback(self._loop.end)
            self._loop.call(self._client.start())
            undo.pop_all()
        self._box = self._client.box
        self._caller: threading.Thread | None = None
        if callbacks is not None:
            self._caller = threading.Thread(
                target=self._call_back, args=(callbacks,), name="feedmux-local-callbacks", daemon=True
            )
            self._caller.start()

    @staticmethod
    def topics(
        *topics: str,
        gateway: str = "default",
        options: Mapping[str, Any] | None = None,
        max_waiting: int = 4096,
        request_timeout_s: float = 30.0,
    ) -> LocalTopics:
        """Read topics of a running gateway of this user and machine; see :meth:`AsyncLocalClient.topics`.

        Returns:
            An iterator and context manager that has begun.

        Raises:
            NoGateway: there is none.
            ForeignGateway: another user is in its place.
            BrokerRefused: it does not want us: too many programs read it, for instance.
            Refused: it has none of the topics for us.
            RequestTimeout: it did not answer.
            InvalidSetting: one of the arguments cannot be.
        """
        return LocalTopics(
            topics,
            gateway=gateway,
            options=options,
            max_waiting=max_waiting,
            request_timeout_s=request_timeout_s,
        )

    @property
    def server_id(self) -> int:
        """The process of the broker; 0: none is there just now."""
        return self._client.server_id

    def open_websocket(
        self,
        url: str,
        api_key: str = "",
        *,
        headers: Iterable[tuple[str, str]] = (),
        subprotocols: Iterable[str] = (),
        opening: Iterable[str | bytes] = (),
        last_by: str = "",
    ) -> tuple[int, bool]:
        """Open a WebSocket, or share it; see :meth:`AsyncLocalClient.open_websocket`.

        Returns:
            Its number, and whether it was opened for this client, who has to log in.
        """
        work = self._client.open_websocket(
            url,
            api_key,
            headers=headers,
            subprotocols=subprotocols,
            opening=opening,
            last_by=last_by,
        )
        return self._loop.call(work)

    def open_websocket_async(
        self,
        url: str,
        api_key: str = "",
        *,
        headers: Iterable[tuple[str, str]] = (),
        subprotocols: Iterable[str] = (),
        opening: Iterable[str | bytes] = (),
        last_by: str = "",
    ) -> int:
        """Open a WebSocket, or share it, and do not wait for that.

        Returns:
            A number that the event has as its ``request``: a ``SocketOpened``, or a ``SocketError`` that says
            why it was not opened.

        Raises:
            InvalidSetting: it cannot be opened like this.
            InvalidMessage: an opening message is none.
            LinkLost: the client was closed.
        """
        wanted = wanted_of(url, api_key, headers, subprotocols, opening, last_by)
        request = next(self._requests)
        self._loop.call(self._begin(wanted, request))
        return request

    def close_websocket(self, id: int = 0) -> None:
        """Leave a WebSocket, 0: all of them; see :meth:`AsyncLocalClient.close_websocket`."""
        self._loop.call(self._client.close_websocket(id))

    def send(self, id: int, message: str | bytes) -> None:
        """Send a text, or bytes for a binary message; see :meth:`AsyncLocalClient.send`."""
        self._loop.call(self._client.send(id, message))

    def subscribe(
        self,
        id: int,
        symbol: str,
        request: str | bytes,
        kinds: Kinds = _ALL,
        *,
        release: str | bytes = "",
    ) -> bool:
        """Want a symbol; whether somebody did already; see :meth:`AsyncLocalClient.subscribe`."""
        return self._loop.call(self._client.subscribe(id, symbol, request, kinds, release=release))

    def unsubscribe(self, id: int, symbol: str, request: str | bytes) -> None:
        """Want a symbol no more; see :meth:`AsyncLocalClient.unsubscribe`."""
        self._loop.call(self._client.unsubscribe(id, symbol, request))

    def set_log_level(self, level: int) -> None:
        """Ask for the broker's log; see :meth:`AsyncLocalClient.set_log_level`."""
        self._loop.call(self._client.set_log_level(level))

    def receive(self, timeout_s: float | None = None) -> LocalEvent:
        """Take the next event.

        Args:
            timeout_s: how long to wait, seconds; None: for ever.

        Raises:
            TimeoutError: nothing came.
            LinkLost: the client was closed.
            InvalidSetting: that is no time, or the callbacks take the events.
        """
        if timeout_s is not None:
            require_number("timeout_s", timeout_s, "seconds, 0 or more, or None", least=0)
        self._check_free()
        event = self._box.take_blocking(timeout_s)
        if event is None:
            raise LinkLost("the client was closed")
        return event

    def __iter__(self) -> Iterator[LocalEvent]:
        """Yield events until the client is closed, by whichever thread."""
        self._check_free()
        while (event := self._box.take_blocking()) is not None:
            yield event

    def statistics(self) -> Statistics:
        """Return how many events wait, and more; see :meth:`AsyncLocalClient.statistics`."""
        return self._loop.call(self._statistics())

    def close(self) -> None:
        """Leave everything, and end the client's threads. May be repeated, and called by callbacks."""
        if not self._loop.is_ended:
            with contextlib.suppress(LinkLost):  # another thread was faster
                self._loop.call(self._closed())
        self._loop.end()
        if self._caller is not None and self._caller is not threading.current_thread():
            self._caller.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _statistics(self) -> Statistics:
        return self._client.statistics()

    async def _begin(self, wanted: Open, request: int) -> None:
        task = asyncio.create_task(self._opened(wanted, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _opened(self, wanted: Open, request: int) -> None:
        try:
            await self._client.open(wanted, request)
        except FeedmuxError as error:
            self._box.put(SocketError(0, str(error), error.code, request))

    async def _closed(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        if self._caller is not None:
            self._box.end(discard=True)

    def _check_free(self) -> None:
        if self._caller is not None:
            expected = "a client without any, whose events can be taken"
            raise InvalidSetting("callbacks", "a client that calls them", expected)

    def _call_back(self, callbacks: LocalCallbacks) -> None:
        called, guard = callbacks.by_kind(), Guard("the broker")
        while (event := self._box.take_blocking()) is not None:
            function = called.get(type(event))
            if function is not None:
                guard.call(function, event)
