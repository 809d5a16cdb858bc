"""Messages that came and were not taken yet: bounded, with a rule for when the bound is reached."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from feedmux.client.events import Dropped
from feedmux.client.settings import WhenFull
from feedmux.model.errors import FeedmuxError, Overflow


class Inbox:
    """A queue with one end for the link and one for whoever reads.

    Whoever waits is woken in the turn of the loop in which something comes. Several may read; each
    message goes to one of them.

    Args:
        bound: messages that may wait.
        when_full: what happens then.
        pause: is called when it is full (``PAUSE``).
        resume: is called when half of it is free again.
    """

    def __init__(
        self, bound: int, when_full: WhenFull, *, pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        self._bound, self._when_full = bound, when_full
        self._pause, self._resume = pause, resume
        self._waiting: deque[object] = deque()
        self._readers: deque[asyncio.Future[None]] = deque()
        self._is_paused = False
        self._end: FeedmuxError | None = None
        self._is_closed = False
        self.dropped = 0
        """Messages that were let go, in all."""
        self.dropped_untold = 0
        """Of these, how many nobody was told of yet."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_paused(self) -> bool:
        """Whether it waits for its readers."""
        return self._is_paused

    def put(self, item: object) -> None:
        """Add one message.

        Raises:
            Overflow: it is full, and the rule is to end.
        """
        if len(self._waiting) >= self._bound:
            self._full()
        self._waiting.append(item)
        if self._readers:
            self._wake()

    async def get(self) -> object:
        """Take the next message, or wait for it. Where some were let go, it says so first.

        Raises:
            StopAsyncIteration: the link was closed, and everything was taken.
            FeedmuxError: the link ended with this error, and everything was taken.
        """
        while not self._waiting:
            if self._is_closed:
                raise self._end if self._end is not None else StopAsyncIteration
            reader = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            try:
                await reader
            except asyncio.CancelledError:
                self._leave(reader)
                raise
        if self.dropped_untold:
            dropped, self.dropped_untold = self.dropped_untold, 0
            return Dropped(dropped)
        item = self._waiting.popleft()
        if self._is_paused and len(self._waiting) * 2 <= self._bound:
            self._is_paused = False
            self._resume()
        return item

    def close(self, error: FeedmuxError | None) -> None:
        """Nothing more will come."""
        if not self._is_closed:
            self._is_closed, self._end = True, error
            while self._readers:
                self._wake()

    def _full(self) -> None:
        if self._when_full is WhenFull.CLOSE:
            raise Overflow("the queue of messages that nobody takes", f"{self._bound} messages")
        if self._when_full is WhenFull.DROP:
            self._waiting.popleft()
            self.dropped += 1
            self.dropped_untold += 1
        elif not self._is_paused:
            self._is_paused = True
            self._pause()

    def _wake(self) -> None:
        """Wake the reader that has waited longest."""
        while self._readers:
            reader = self._readers.popleft()
            if not reader.done():
                reader.set_result(None)
                return

    def _leave(self, reader: asyncio.Future[None]) -> None:
        """A reader was cancelled; if it had been woken, somebody else has to come."""
        if reader in self._readers:
            self._readers.remove(reader)
        elif not reader.cancelled():
            self._wake()
