"""A worker: it serves clients from a listener that it was lent, and reads what the feed process writes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from feedmux.app import keys, memory, terms
from feedmux.app.census import Figures
from feedmux.app.control import exactly
from feedmux.app.descriptors import make_room
from feedmux.app.feed_child import REPORTS_S, Send
from feedmux.app.messages import BeginEdge, Part, Ready, Reload, Source, Whole
from feedmux.app.wiring import EdgeParts, build_edge, shared_door
from feedmux.model.errors import MalformedMessage

if TYPE_CHECKING:
    from feedmux.app.settings import Settings


class EdgeChild:
    """What a worker does.

    Args:
        settings: all of them.
        send: to the parent, a message and its descriptors.
    """

    def __init__(self, settings: Settings, send: Send) -> None:
        self._settings, self._send = settings, send
        self._parts: EdgeParts | None = None
        self._whole: Figures = {}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, message: BeginEdge, descriptors: list[int], /) -> None:
        """Accept clients.

        Raises:
            InvalidCertificate, InvalidKey: the files of TLS, or the keys of tokens, cannot be used.
        """
        if len(descriptors) < 2:
            exactly(descriptors, 2)
        page, *listeners = descriptors
        self._whole = message.figures
        settings, loop = self._settings, asyncio.get_running_loop()
        make_room(**terms.room(settings))
        door = shared_door(page, message.place)
        self._parts = build_edge(settings, loop=loop, door=door, whole=self._of_all)
        await self._parts.edge.start([socket.socket(fileno=descriptor) for descriptor in listeners])
        self._tasks = [
            loop.create_task(self._report()),
            loop.create_task(memory.keep(self._stop)),
            loop.create_task(keys.keep(settings, self._parts.edge.auth, self._stop)),
        ]
        self._send(Ready(), ())

    async def take(self, message: Any, descriptors: list[int], /) -> None:
        """Read from another feed, learn what all have counted, or read the certificate again."""
        assert self._parts is not None
        if isinstance(message, Source):
            await self._parts.attach(*exactly(descriptors, 4))
            return
        exactly(descriptors, 0)
        if isinstance(message, Whole):
            self._whole = message.figures
        elif isinstance(message, Reload):
            if self._parts.edge.server.tls is not None:
                self._parts.edge.server.tls.reload()
            self._parts.edge.grant(message.roles)
        else:
            raise MalformedMessage("control message", f"{type(message).__name__} is not for a worker")

    async def end(self, *, is_orderly: bool) -> None:
        """Send everybody away."""
        self._stop.set()
        if self._parts is None:
            return
        if is_orderly:
            await self._parts.edge.drain(self._settings.drain_grace, self._settings.drain_seconds)
        else:
            await self._parts.edge.stop()
        self._parts.reader.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _of_all(self, own: Figures) -> Figures:
        """The figures of the whole gateway, as of the last second; our own until then."""
        figures = self._whole or {**own, "feeds": []}
        server = {**figures["server"], "draining": own["server"]["draining"]}
        scrapes = {**figures["scrapes"], "in_flight": own["scrapes"]["in_flight"]}
        return {**figures, "server": server, "scrapes": scrapes}

    async def _report(self) -> None:
        assert self._parts is not None
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                self._send(Part(dict(self._parts.figures())), ())
                await asyncio.sleep(REPORTS_S)
