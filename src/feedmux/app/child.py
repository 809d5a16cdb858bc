"""A child process of a gateway with workers: ``python -m feedmux.app.child DESCRIPTOR``.

The parent starts it with one end of a control socket and tells it there what it is to be. Signals that
a terminal or a supervisor sends to the whole group are the parent's business; a child ends when it is
told to, or when the parent's end of the socket closes.

Clients wait until a worker's successor is there, and all of them for the feed's. So a child loads only what
it needs for that, and the rest while it works.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from importlib import import_module
from typing import Any, Final, Protocol

import uvloop

from feedmux.app import log
from feedmux.app.control import Control
from feedmux.app.edge_child import EdgeChild
from feedmux.app.feed_child import FeedChild
from feedmux.app.memory import calm_collector
from feedmux.app.messages import BeginEdge, BeginFeed, Leave, ToEdge, ToFeed
from feedmux.app.packed import unpack
from feedmux.model.errors import FeedmuxError, MalformedMessage

_LOG = logging.getLogger("feedmux.child")

_LATER: Final = ("feedmux.app.log_lines", "feedmux.app.exposition")
"""What the first line of the log and the first scrape need: loaded before, so that they stop nobody."""
_LATER_S: Final = 2.0

Said = tuple[Any, list[int]] | None
"""A message and the descriptors that came with it; None: there will be no other."""


class Role(Protocol):
    """What a child does."""

    async def begin(self, message: Any, descriptors: list[int], /) -> None:
        """Take up the work."""

    async def take(self, message: Any, descriptors: list[int], /) -> None:
        """Do what the parent says; the descriptors are ours."""

    async def end(self, *, is_orderly: bool) -> None:
        """Stop; in order where the parent said so, at once where it is gone."""


class Child:
    """A process before it is told what it is, and after.

    Args:
        sock: its end of the control socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._said: asyncio.Queue[Said] = asyncio.Queue()  # bounded by what the socket takes
        self._control = Control(
            sock, ToFeed | ToEdge, take=self._hear, ended=self._ended, peer="the parent process"
        )

    async def run(self) -> int:
        """Live until the parent says to leave, or is gone; the exit code."""
        role: Role | None = None
        loading = asyncio.create_task(_load_the_rest(), name="load the rest")
        try:
            while (said := await self._said.get()) is not None and not isinstance(said[0], Leave):
                if role is None:
                    role = self._become(said[0])
                    await role.begin(*said)
                else:
                    await role.take(*said)
        except FeedmuxError as error:
            _LOG.error("%s", error)
            self._control.cut(str(error))
            return 1
        finally:
            loading.cancel()
            if role is not None:
                await role.end(is_orderly=said is not None)
            await asyncio.gather(loading, return_exceptions=True)
        return 0

    def _hear(self, message: Any, descriptors: list[int]) -> None:
        self._said.put_nowait((message, descriptors))

    def _ended(self, reason: str) -> None:
        _LOG.debug("%s", reason)
        self._said.put_nowait(None)

    def _become(self, message: Any) -> Role:
        if not isinstance(message, BeginEdge | BeginFeed):
            raise MalformedMessage("control message", f"{type(message).__name__} before any beginning")
        settings = unpack(message.settings)
        log.configure_later(settings)
        kind = EdgeChild if isinstance(message, BeginEdge) else FeedChild
        return kind(settings, self._control.send)


async def _load_the_rest() -> None:
    await asyncio.sleep(_LATER_S)
    for name in _LATER:
        await asyncio.to_thread(import_module, name)


async def main(descriptor: int) -> int:
    """Be a child of whoever is at the other end of the control socket; the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return await Child(socket.socket(fileno=descriptor)).run()


if __name__ == "__main__":
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(main(int(sys.argv[1])))
    sys.stderr.flush()
    os._exit(code)  # nothing is left to clean up that the system does not clean up sooner
