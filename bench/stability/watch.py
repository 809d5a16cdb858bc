"""Use a link as its owner would for as long as a run lasts, and write down what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from bench.stability.audit import Audit
from bench.stability.traces import Memory
from feedmux.client.link import Link, LinkState
from feedmux.model.errors import FeedmuxError

LOOK_S = 30.0
_ASK_S = 1.0
_KEPT = 20


class Watch:
    """Reads a link, asks it something every second, looks at its health every so often.

    Args:
        link: live already.
        ask: a request that may be repeated.
        audit: takes what is read.
        look_s: how often its health is looked at, seconds.
    """

    def __init__(
        self, link: Link, ask: Callable[[], Awaitable[object]], audit: Audit, *, look_s: float
    ) -> None:
        self.link, self.audit = link, audit
        self._ask, self._look_s = ask, look_s
        self._began = time.monotonic()
        self.memory = Memory()
        self.asked = self.error_count = self.looks = self.well = 0
        self.errors: list[str] = []
        """The first of what went wrong."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do all that while the block lasts."""
        loop = asyncio.get_running_loop()
        log = _ErrorLog(self._note)
        logging.getLogger("feedmux").addHandler(log)
        loop.set_exception_handler(lambda _, context: self._note(f"unhandled: {context}"))
        try:
            async with asyncio.TaskGroup() as tasks:
                works = [
                    tasks.create_task(work())
                    for work in (self._read, self._go_on_asking, self._go_on_looking)
                ]
                yield
                for work in works:
                    work.cancel()
        finally:
            loop.set_exception_handler(None)
            logging.getLogger("feedmux").removeHandler(log)

    @property
    def is_whole(self) -> bool:
        """Whether it is live, says so, and is subscribed to all that is wanted."""
        held = self.link.statistics()["held"]
        is_live = self.link.state is LinkState.LIVE and not self.audit.is_interrupted
        return is_live and held == len(self.link.channels)

    @property
    def carried(self) -> dict[str, Any]:
        """The counters of its connection."""
        found: dict[str, Any] = self.link.statistics()["connection"]  # type: ignore[assignment]
        return found

    def look(self) -> None:
        """Look at its health now."""
        self.memory.sample()
        self.looks += 1
        self.well += self.is_whole
        statistics: Any = self.link.statistics()
        counts = f"{self.audit.messages.total():,} messages, {self.audit.interruptions} interruptions"
        # Not the console of the other benches: what that remembers of each line would be measured, too.
        print(
            f"  {time.monotonic() - self._began:5.0f} s: {statistics['state']}, {statistics['held']} of "
            f"{len(self.link.channels)} channels, {counts}, {self.asked} requests, {self.error_count} errors",
            flush=True,
        )

    async def _read(self) -> None:
        async for item in self.link:
            self.audit.take(item)

    async def _go_on_asking(self) -> None:
        while True:
            self.asked += 1
            try:
                await self._ask()
            except FeedmuxError as error:
                self._note(f"{type(error).__name__}: {error}")
            await asyncio.sleep(_ASK_S)

    async def _go_on_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            self.look()

    def _note(self, text: str) -> None:
        self.error_count += 1
        if len(self.errors) < _KEPT:
            self.errors.append(text[:300])

    def figures(self) -> dict[str, object]:
        """What there is to store."""
        carried = self.carried
        return {
            "seconds": round(time.monotonic() - self._began, 1),
            "opens": carried["opens"],
            "attempts": carried["attempts"],
            "requests": self.asked,
            "pings": carried["pings"],
            "pongs": carried["pongs"],
            "errors": self.errors,
            "looks": self.looks,
            "rss_growth": self.memory.resident_growth,
            "block_growth": self.memory.block_growth,
            **self.memory.figures(),
            **self.audit.figures(),
        }


class _ErrorLog(logging.Handler):
    """Hands on what the library logs as an error."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note(record.getMessage())
