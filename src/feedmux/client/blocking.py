"""A link for programs without an event loop: scripts, notebooks, threads.

The link lives in a loop of its own, in one thread that ends with it. Every method waits for its
result and raises what the link raises.

Any thread may close it while others wait. Nothing is handed to the loop after its end has been
decided, and what had been handed to it is cancelled, so nobody waits for an answer that cannot come.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Final, Self, TypeVar

from feedmux.client.events import Subscribed
from feedmux.client.link import Link, LinkState
from feedmux.client.loop_thread import LoopThread
from feedmux.client.parts import check_wait
from feedmux.model.checks import require_kind, type_of
from feedmux.model.errors import InvalidSetting
from feedmux.model.link_errors import LinkLost
from feedmux.model.ports import Statistics

_Result = TypeVar("_Result")
_NOTHING: Final = object()
_MAKER: Final = "a function that makes a link, e.g. lambda: connect(url)"


class BlockingLink:
    """A :class:`feedmux.client.link.Link` whose methods block.

    ::

        with BlockingLink(lambda: connect(url)) as link:
            link.send({"hello": "world"})
            print(link.receive(timeout_s=5))

    Its methods may be called from any thread.

    Args:
        make_link: makes the link, in the loop that it will live in.
        within_s: how long the first connection may take; None: one attempt decides.

    Raises:
        InvalidSetting: ``make_link`` makes no link, or ``within_s`` is no time.
        FeedmuxError: why there is no connection.
    """

    def __init__(self, make_link: Callable[[], Link], *, within_s: float | None = None) -> None:
        check_wait("within_s", within_s)
        if not callable(make_link):
            raise InvalidSetting("make_link", type_of(make_link), _MAKER)
        self._loop = LoopThread("feedmux-link", "the link")
        with contextlib.ExitStack() as undo:
            undo.callback(self._loop.end)
            self._link = self._loop.call(_opened(make_link, within_s))
            undo.pop_all()

    @property
    def state(self) -> LinkState:
        """Where the link is."""
        return self._link.state

    def send(self, message: object) -> None:
        """Send one message; see :meth:`Link.send`."""
        self._loop.call(self._link.send(message))

    def request(
        self, method: str, params: object = None, *, timeout_s: float | None = None, repeatable: bool = False
    ) -> object:
        """Ask, and wait for the answer; see :meth:`Link.request`."""
        return self._loop.call(self._link.request(method, params, timeout_s=timeout_s, repeatable=repeatable))

    def subscribe(self, channels: str | Iterable[str]) -> Subscribed:
        """Want channels; see :meth:`Link.subscribe`."""
        return self._loop.call(self._link.subscribe(channels))

    def unsubscribe(self, channels: str | Iterable[str]) -> None:
        """Want channels no longer; see :meth:`Link.unsubscribe`."""
        self._loop.call(self._link.unsubscribe(channels))

    def receive(self, timeout_s: float | None = None) -> object:
        """Take the next message or notice.

        Args:
            timeout_s: how long to wait, seconds; None: for ever.

        Raises:
            InvalidSetting: that is no time.
            TimeoutError: nothing came.
            LinkLost: the link was closed.
            FeedmuxError: the link ended with this.
        """
        check_wait("timeout_s", timeout_s)
        return self._loop.call(_next(self._link, timeout_s))

    def __iter__(self) -> Iterator[object]:
        """Yield messages and notices until the link is closed, by whichever thread."""
        try:
            while (message := self._loop.call(_next_or(self._link, _NOTHING))) is not _NOTHING:
                yield message
        except LinkLost:
            if not self._loop.is_ended:
                raise

    def statistics(self) -> Statistics:
        """Return counters since the start, and the present."""
        return self._loop.call(_statistics(self._link))

    def close(self) -> None:
        """End the link and its thread. May be repeated, and called by several threads."""
        with contextlib.suppress(LinkLost):  # another thread was faster
            self._loop.call(self._link.close())
        self._loop.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _opened(make_link: Callable[[], Link], within_s: float | None) -> Link:
    link = make_link()
    require_kind("make_link", link, Link, _MAKER)
    link.start()
    async with contextlib.AsyncExitStack() as undo:
        undo.push_async_callback(link.close)
        await link.wait_live(within_s)
        undo.pop_all()
    return link


async def _statistics(link: Link) -> Statistics:
    return link.statistics()


async def _next_or(link: Link, end: object) -> object:
    return await anext(link, end)


async def _next(link: Link, timeout_s: float | None) -> object:
    try:
        async with asyncio.timeout(timeout_s):
            return await anext(link)
    except StopAsyncIteration:
        raise LinkLost("the link was closed") from None
