"""Keep one side of RabbitMQ consumed: whatever ends a session, another one follows, without end.

Theory of operation
-------------------
A *session* is one connection, from connecting to its end, and says why it ended. Between two of
them passes a wait (:mod:`feedmux.core.reconnect`); a session proves itself when the second look at
its queue finds everything in order, so that one which opens and ends at once is not opened again
at full speed.

What a session ends with is logged in full, for those who run this; the readers of the streams are told
the same in general terms, without addresses and names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from feedmux.core.reconnect import Backoff, Event, Reconnect
from feedmux.feed.broker import ConsumerLost, ExchangeDiffers
from feedmux.feed.complaints import Complaints
from feedmux.feed.relay import Relay, Side
from feedmux.model.errors import AuthenticationFailed, FeedmuxError, Refused
from feedmux.model.link_errors import ConnectFailed, LinkLost
from feedmux.model.ports import Clock, Dice, Statistics

log = logging.getLogger(__name__)

_REASONS: Final[tuple[tuple[type[FeedmuxError], str], ...]] = (
    (AuthenticationFailed, "RabbitMQ does not accept the gateway's credentials"),
    (ExchangeDiffers, "the exchange in RabbitMQ is another one than the gateway's settings say"),
    (Refused, "RabbitMQ refused what the gateway asked for"),
    (ConnectFailed, "RabbitMQ cannot be reached"),
    (ConsumerLost, "RabbitMQ stopped delivering"),
)
_LOST: Final = "the connection to RabbitMQ was lost"


class Session(Protocol):
    """One connection, which consumes one queue."""

    async def run(self) -> None:
        """Connect and consume, until that ends.

        Raises:
            FeedmuxError: why it ended; it never just returns.
        """


class Owner(Protocol):
    """Who a session tells how it is."""

    def opened(self) -> None:
        """It consumes."""

    def looked(self, consumers: int) -> None:
        """Its queue was looked at, and is in order.

        Args:
            consumers: how many RabbitMQ says there are.
        """


class Consumer:
    """One side, and its sessions one after the other.

    Args:
        side: which.
        make_session: makes the next session.
        relay: is told when messages come and when they do not.
        backoff: the waits between two sessions.
        clock: time.
        dice: for the jitter.
    """

    def __init__(
        self,
        side: Side,
        make_session: Callable[[Owner], Session],
        *,
        relay: Relay,
        backoff: Backoff,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self._side = side
        self._make_session = make_session
        self._relay = relay
        self._machine = Reconnect(backoff, dice)
        self._complaints = Complaints(log, clock)
        self._clock = clock
        self._down_since = clock.monotonic()
        self._closed = asyncio.Event()
        self.is_open = False
        self.consumers = 0
        """How many RabbitMQ says there are for us."""
        self.opens = 0
        """How many sessions consumed."""

    async def run(self) -> None:
        """Keep a session until :meth:`close`; the owner awaits it."""
        self._machine.apply(Event.START)
        while not self._closed.is_set():
            error = await self._one_session()
            if self._closed.is_set():
                return
            self._machine.apply(Event.LOST if self.is_open else Event.FAILED)
            self._tell(error)
            if self.is_open:
                self._down_since = self._clock.monotonic()
            self.is_open, self.consumers = False, 0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), self._machine.wait_s)
                return
            self._machine.apply(Event.DUE)

    def close(self) -> None:
        """End: the session says goodbye, :meth:`run` returns."""
        self._closed.set()

    @property
    def wait_s(self) -> float:
        """How long the latest wait lasts, in seconds; 0 before the first."""
        return self._machine.wait_s

    def statistics(self) -> Statistics:
        """How it is: ``down_for`` is the seconds since it was consumed last, or was made; 0 while it is."""
        return {
            "side": str(self._side),
            "connected": self.is_open,
            "down_for": 0.0 if self.is_open else self._clock.monotonic() - self._down_since,
            "consumers": self.consumers,
        }

    # What a session tells its owner

    def opened(self) -> None:
        """Messages come."""
        self.is_open = True
        self.opens += 1
        self._machine.apply(Event.OPENED)
        log.info("RabbitMQ: the %s side is consumed", self._side)
        self._relay.connected(self._side)

    def looked(self, consumers: int) -> None:
        """All is well; from the second time on that is a proof."""
        if self.consumers:
            self._machine.apply(Event.PROVED)
        self.consumers = consumers

    async def _one_session(self) -> BaseException:
        """Run a session to its end or ours; why it ended."""
        session = asyncio.ensure_future(self._make_session(self).run())
        closing = asyncio.ensure_future(self._closed.wait())
        tasks = {session, closing}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        # A library that closes may cancel who waits for it.
        error = None if session.cancelled() else session.exception()
        return error or LinkLost("it was ended from within")

    def _tell(self, error: BaseException) -> None:
        """Log why a session ended, and tell the readers of its streams."""
        kind = type(error).__name__
        text = f"RabbitMQ, {self._side} side: {error}; trying again in {self._machine.wait_s:.2f} s"
        if not isinstance(error, FeedmuxError):
            log.error(text, exc_info=error)
        elif self.is_open:
            log.warning(text)
        else:
            self._complaints.note(kind, text)
        self._relay.lost(self._side, reason_of(error))


def reason_of(error: BaseException) -> str:
    """Say to readers why nothing comes; nothing of what they need not know."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return _LOST
