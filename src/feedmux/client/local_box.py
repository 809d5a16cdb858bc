"""Where events wait for whoever uses :mod:`feedmux.client.local`: bounded, and filled by the loop.

It never refuses an event. When it is full, the rings are not read, and they hold what comes meanwhile; that
they do not hold it for ever is said by an event. Lines of the log are let go and counted instead.

Only a thread that waits costs a lock: one end of a deque is the loop's, the other one that of whoever takes,
and each notes what it is about to do before it looks at what the other one did.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

from feedmux.client.local_events import BrokerLog

_WARNING: Final = 3

Event = TypeVar("Event")


class EventBox(Generic[Event]):
    """Events in their order; of whatever kind, but lines of the log are told apart.

    Args:
        bound: from so many on it is full.
        on_room: is called in the loop when it was full and is not any more.
    """

    def __init__(self, bound: int, on_room: Callable[[], None]) -> None:
        self._bound, self._on_room = bound, on_room
        self._loop = asyncio.get_running_loop()
        self._gate = threading.Condition()
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._sleepers = 0
        self._was_full = self._is_ended = False
        self._logs_let_go = 0

    def __len__(self) -> int:
        return len(self._events)

    def has_room(self) -> bool:
        """Whether it is not full; if it is, ``on_room`` will be called."""
        if len(self._events) < self._bound:
            return True
        self._was_full = True  # noted first: who makes room from now on says so
        self._was_full = len(self._events) >= self._bound
        return not self._was_full

    def put(self, event: Event) -> None:
        """Take an event; in the loop."""
        if self._is_ended or (type(event) is BrokerLog and not self._admits_line()):
            return
        self._events.append(event)
        if self._sleepers:  # one that comes now looks at the events before it sleeps
            with self._gate:
                self._gate.notify()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, *, discard: bool = False) -> None:
        """Nothing comes any more; what is there can still be taken, unless it is thrown away. In the loop."""
        with self._gate:
            self._is_ended = True
            if discard:
                self._events.clear()
            self._gate.notify_all()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Event | None:
        """Wait for the next event; None: there are no more. For one task of the loop."""
        while not self._events and not self._is_ended:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.next()

    def take_blocking(self, timeout_s: float | None = None) -> Event | None:
        """Wait for the next event in a thread; None: there are no more.

        Raises:
            TimeoutError: nothing came.
        """
        with self._gate:
            self._sleepers += 1
            try:
                if not self._gate.wait_for(lambda: self._events or self._is_ended, timeout_s):
                    raise TimeoutError("no event came")
            finally:
                self._sleepers -= 1
            return self.next()

    def next(self) -> Event | None:
        """Take an event if there is one."""
        try:
            event = self._events.popleft()
        except IndexError:
            return None
        if self._was_full and len(self._events) <= self._bound // 2:
            self._was_full = False
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody reads any more
                self._loop.call_soon_threadsafe(self._on_room)
        return event

    def _admits_line(self) -> bool:
        """Whether there is room for a line of the log; if so, says first for how many there was none."""
        if len(self._events) >= self._bound:
            self._logs_let_go += 1
            return False
        if self._logs_let_go:
            text = f"{self._logs_let_go} lines of the log were let go: they were not taken in time"
            self._events.append(cast(Event, BrokerLog(_WARNING, text)))
            self._logs_let_go = 0
        return True
