"""Read a gateway's topics through a ring, in asyncio or not; ``LocalClient.topics`` is the way to here.

What comes is made by :mod:`feedmux.client.local_stream`, which says when there are notices and when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from feedmux.client.events import Notice
from feedmux.client.local_box import EventBox
from feedmux.client.local_core import LocalCore
from feedmux.client.local_finder import check_gateway, find_gateway
from feedmux.client.local_stream import Item, TopicStream
from feedmux.client.local_table import CLOSED
from feedmux.client.loop_thread import LoopThread
from feedmux.client.messages import Message
from feedmux.client.parts import channels_of, check_wait
from feedmux.model.checks import require_number, require_whole, type_of
from feedmux.model.errors import FeedmuxError, InvalidSetting
from feedmux.model.link_errors import LinkLost, RequestTimeout
from feedmux.model.local_errors import BrokerLost
from feedmux.model.ports import Statistics
from feedmux.model.share_errors import NoGateway
from feedmux.wire.local_address import TOPICS
from feedmux.wire.local_records import Message as Saying
from feedmux.wire.local_records import Open

Options = Mapping[str, Any]
"""Of a subscription, as the ``/ws`` protocol has them, e.g. ``{"max_rate": 4}``."""

_OPTIONS: Final = "a mapping of options of a subscription that JSON has, or None"


class AsyncLocalTopics:
    """Topics of a gateway of this user and machine: messages, and notices where something is missing.

    ::

        async with AsyncLocalClient.topics("ticker:BTCUSDT") as topics:
            async for message in topics:
                print(message)

    Without ``async with`` the first message begins it, and :meth:`close` ends it. It is used once; all
    methods belong to one event loop.

    Args:
        topics: what is wanted, e.g. ``ticker:BTCUSDT``; repeats count once.
        gateway: its name, the setting LOCAL_NAME.
        options: of the subscription; the gateway checks them.
        max_waiting: messages that wait to be taken; more wait in the ring.
        request_timeout_s: how long the beginning may take, seconds.

    Raises:
        InvalidSetting: one of these cannot be.
    """

    def __init__(
        self,
        topics: Iterable[str],
        *,
        gateway: str = "default",
        options: Options | None = None,
        max_waiting: int = 4096,
        request_timeout_s: float = 30.0,
    ) -> None:
        self._topics = _checked(topics)
        self._gateway = check_gateway(gateway)
        require_whole("max_waiting", max_waiting, "a number of messages above 0", least=1)
        require_number("request_timeout_s", request_timeout_s, "seconds, above 0", above=0)
        self._options, self._max_waiting, self._timeout_s = options, max_waiting, request_timeout_s
        self._wanted = self._request(self._topics)
        self._core: LocalCore | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Find the gateway and subscribe; ``async with`` and the first message do it. May be repeated.

        Raises:
            NoGateway: there is none.
            ForeignGateway: another user is in its place.
            BrokerRefused: it does not want us: too many programs read it, for instance.
            Refused: it has none of the topics for us.
            RequestTimeout: it did not answer.
            LinkLost: it was closed.
        """
        if self._is_closed:
            raise LinkLost(CLOSED)
        if self._core is not None:
            return
        self._box: EventBox[Item] = EventBox(self._max_waiting, self._resume)
        self._stream = TopicStream(self._topics, put=self._box.put, renew=self._renew, narrow=self._narrow)
        self._core = core = LocalCore(
            self._stream.take,
            self._box.has_room,
            find=partial(find_gateway, self._gateway),
            name="",
            is_whole=True,
            request_timeout_s=self._timeout_s,
        )
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            try:
                await core.start()
            except BrokerLost as error:
                raise NoGateway(self._gateway, error.reason) from None
            await core.open(self._wanted)
            await self._answered()
            undo.pop_all()

    async def close(self) -> None:
        """Give everything back. May be repeated."""
        self._is_closed = True
        if self._core is not None:
            self._stream.close()
            await self._core.close()
            self._box.end()

    async def receive(self) -> Message | Notice:
        """Take the next message or notice; begins if that has not happened.

        Raises:
            LinkLost: it was closed.
            Refused: the gateway has none of the topics any more.
        """
        try:
            return await anext(self)
        except StopAsyncIteration:
            raise LinkLost(CLOSED) from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Notice:
        if not self._is_closed:
            await self.start()
        item = await self._box.take() if self._core is not None else None
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, FeedmuxError):
            await self.close()
            raise item
        return item

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def box(self) -> EventBox[Item]:
        """Where what comes waits; it has begun."""
        return self._box

    def statistics(self) -> Statistics:
        """Return how many messages wait, how many gateways there were, and how the ring is read.

        Raises:
            LinkLost: it has not begun, or was closed.
        """
        if self._core is None or self._is_closed:
            raise LinkLost(CLOSED if self._is_closed else "nothing was begun")
        return {"waiting": len(self._box), **self._core.statistics()}

    # Within

    def _renew(self, reason: str) -> None:
        assert self._core is not None
        self._core.renew(reason)

    def _narrow(self, id: int, topics: tuple[str, ...]) -> None:
        assert self._core is not None
        self._core.change(id, self._request(topics))

    async def _answered(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(self._stream.answered)
        except TimeoutError:
            raise RequestTimeout("subscribe", self._timeout_s, maybe_executed=True) from None

    def _resume(self) -> None:
        if self._core is not None:
            self._core.resume()

    def _request(self, topics: tuple[str, ...]) -> Open:
        """What is opened: the topics, with one request for all of them."""
        request: dict[str, object] = {"op": "subscribe", "args": topics}
        if self._options is not None:
            request["options"] = self._options
        try:
            written = msgspec.json.encode(request)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidSetting("options", type_of(self._options), f"{_OPTIONS} ({error})") from error
        return Open(0, TOPICS, opening=(Saying(written),))


class LocalTopics:
    """An :class:`AsyncLocalTopics` whose methods block; it has begun when it is made.

    ::

        for message in LocalClient.topics("ticker:BTCUSDT"):
            print(message)

    Its methods may be called from any thread. Used in a ``with`` block, or closed, it leaves nothing behind.

    Args: those of :class:`AsyncLocalTopics`.

    Raises: what :meth:`AsyncLocalTopics.start` raises.
    """

    def __init__(
        self,
        topics: Iterable[str],
        *,
        gateway: str = "default",
        options: Options | None = None,
        max_waiting: int = 4096,
        request_timeout_s: float = 30.0,
    ) -> None:
        self._topics = AsyncLocalTopics(
            topics,
            gateway=gateway,
            options=options,
            max_waiting=max_waiting,
            request_timeout_s=request_timeout_s,
        )
        self._loop = LoopThread("feedmux-topics", "the client")
        with contextlib.ExitStack() as undo:
            undo.callback(self._loop.end)
            self._loop.call(self._topics.start())
            undo.pop_all()
        self._box = self._topics.box

    def receive(self, timeout_s: float | None = None) -> Message | Notice:
        """Take the next message or notice.

        Args:
            timeout_s: how long to wait, seconds; None: for ever.

        Raises:
            TimeoutError: nothing came.
            LinkLost: it was closed.
            Refused: the gateway has none of the topics any more.
            InvalidSetting: that is no time.
        """
        check_wait("timeout_s", timeout_s)
        item = self._box.take_blocking(timeout_s)
        if item is None:
            raise LinkLost(CLOSED)
        return self._given(item)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message | Notice:
        item = self._box.next()
        if item is None:  # nothing has come yet
            item = self._box.take_blocking()
        if item is None:
            raise StopIteration
        return self._given(item)

    def statistics(self) -> Statistics:
        """See :meth:`AsyncLocalTopics.statistics`."""
        return self._loop.call(self._statistics())

    def close(self) -> None:
        """Give everything back, and end the thread. May be repeated."""
        if not self._loop.is_ended:
            with contextlib.suppress(LinkLost):  # another thread was faster
                self._loop.call(self._topics.close())
        self._loop.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _given(self, item: Item) -> Message | Notice:
        if isinstance(item, FeedmuxError):
            self.close()
            raise item
        return item

    async def _statistics(self) -> Statistics:
        return self._topics.statistics()


def _checked(topics: Iterable[str]) -> tuple[str, ...]:
    try:
        found = channels_of(topics)
    except InvalidSetting as error:
        raise InvalidSetting("topics", error.value, error.expected) from None
    if not found:
        raise InvalidSetting("topics", "none", "at least one, e.g. ticker:BTCUSDT")
    return found
