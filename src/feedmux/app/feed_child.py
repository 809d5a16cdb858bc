"""The feed process: it speaks to the venues, and writes what they say into a ring for the workers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from feedmux.app import introduction
from feedmux.app.control import exactly
from feedmux.app.messages import BeginFeed, Crowd, Part, Reader, Ring
from feedmux.app.wiring import build_feed
from feedmux.model.errors import MalformedMessage

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

_LOG = logging.getLogger("feedmux.feed_child")
_ENDING_S = 1.0
"""How long feeds may take to say goodbye."""
REPORTS_S = 1.0
"""How often a child tells its parent what it has counted."""

Send = Callable[[msgspec.Struct, Sequence[int]], None]


class FeedChild:
    """What a feed process does.

    Args:
        settings: all of them.
        send: to the parent, a message and its descriptors.

    Raises:
        NoMemory: the system does not lend enough for the ring.
    """

    def __init__(self, settings: Settings, send: Send) -> None:
        self._settings, self._send = settings, send
        self._parts = build_feed(settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._reporting: asyncio.Task[None] | None = None

    async def begin(self, message: BeginFeed, descriptors: list[int], /) -> None:
        """Connect to the venues; they are asked for what workers want."""
        del message
        exactly(descriptors, 0)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(feed.run()) for feed in self._parts.feeds.all]
        for task in self._tasks:
            task.add_done_callback(_fail)
        self._reporting = loop.create_task(self._report())
        self._send(Ring(), [self._parts.writer.descriptor])

    async def take(self, message: Any, descriptors: list[int], /) -> None:
        """Serve a reader, or know more of the gateway."""
        if isinstance(message, Crowd):
            exactly(descriptors, 0)
            self._introduce(message)
            return
        if not isinstance(message, Reader):
            exactly(descriptors, 0)
            raise MalformedMessage("control message", f"{type(message).__name__} is not for a feed")
        road, page, bell = exactly(descriptors, 3)
        await self._parts.writer.attach(socket.socket(fileno=road), message.holder, page, bell)

    def _introduce(self, crowd: Crowd) -> None:
        node, host = self._parts.feeds.node, self._settings.host
        if node is not None:
            introduction.introduce(node, host, crowd.port, lambda: crowd.clients)

    async def end(self, *, is_orderly: bool) -> None:
        """Give up the venues and the ring."""
        del is_orderly
        for feed in self._parts.feeds.all:
            feed.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_ENDING_S)
        for task in (*self._tasks, *([self._reporting] if self._reporting else [])):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._parts.writer.close()

    async def _report(self) -> None:
        while True:
            self._send(Part(dict(self._parts.figures())), ())
            await asyncio.sleep(REPORTS_S)


def _fail(task: asyncio.Task[None]) -> None:
    """A feed that ended by a defect takes the process with it: the parent sees that, and starts another."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _LOG.critical("A feed ended: %s: %s", type(error).__name__, error)
        sys.stderr.flush()
        os._exit(1)
