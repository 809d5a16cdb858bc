"""Make a stream of messages and notices of what a client of a gateway's ring is told.

Theory of operation
===================

::

    asked ──answer──▶ live ──closed, gateway gone──────────▶ asked    the core opens it again
      │                 └────missed something──▶ renewing ──▶ asked    so that snapshots come again
      └──every topic refused──▶ over

Messages are handed on while it is *live*. That it is not any more is an :class:`Interrupted`, that it is
again a :class:`Restored`; nothing is missed without one. What the gateway refuses is wanted no longer and
named by the next :class:`Restored`, which comes first of all if something is refused at the beginning. If
nothing is left, or the request is refused as a whole, a :class:`feedmux.model.errors.Refused` is the last
item.

A ring that was lapped is left, with the connection: which answers were in it nobody knows, and what begins
anew begins with snapshots. That is done at most once in :data:`PAUSE_S`, so that a program that is always
too slow does not keep the gateway busy.

Deliberately absent: sockets and rings; :mod:`feedmux.client.local_core` has them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from feedmux.client.events import Interrupted, Notice, Restored
from feedmux.client.local_events import (
    BrokerGone,
    LocalEvent,
    SocketClosed,
    SocketData,
    SocketError,
    SocketLost,
)
from feedmux.client.messages import Message, decode
from feedmux.model.errors import FeedmuxError, Refused

PAUSE_S: Final = 1.0
"""Between two connections that are left because something was missed."""

Item = Message | Notice | FeedmuxError
"""What comes out; an error is the last one."""

_LOG: Final = logging.getLogger(__name__)


class TopicStream:
    """The state of one stream; see *Theory of operation*. In one loop.

    Args:
        topics: what is wanted.
        put: takes what comes out.
        renew: leaves the connection and its ring, for this reason, and opens another one.
        narrow: has a ring, by its number, opened for these topics alone from now on.
    """

    def __init__(
        self,
        topics: tuple[str, ...],
        *,
        put: Callable[[Item], None],
        renew: Callable[[str], None],
        narrow: Callable[[int, tuple[str, ...]], None],
    ) -> None:
        self._topics, self._put, self._begin_anew, self._narrow = topics, put, renew, narrow
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[None] = self._loop.create_future()
        """Done when the first answer came; with :class:`Refused` if it refuses everything."""
        self._is_live = self._is_over = False
        self._lost_at: float | None = None
        self._renewed_at = float("-inf")
        self._renewal: asyncio.TimerHandle | None = None

    def take(self, event: LocalEvent) -> None:
        """Take what the client is told; runs per message.

        Raises:
            MalformedMessage: a message is none.
        """
        if isinstance(event, SocketData):
            message = decode(event.payload)
            if "op" in message:
                self._take_answer(event.id, message)
            elif self._is_live:
                self._put(message)
        elif isinstance(event, SocketLost):
            missed = f"{event.size_bytes} bytes of its ring were overwritten before they were read"
            self._miss(f"this program was too slow: {missed}")
        elif isinstance(event, SocketError):
            self._take_error(event)
        elif isinstance(event, SocketClosed):
            self._lose(event.reason)
            if not event.again:
                self._end(Refused(self._named(), event.reason))
        elif isinstance(event, BrokerGone):
            self._lose(f"the gateway is gone: {event.reason}")

    def close(self) -> None:
        """Nothing comes out any more."""
        self._is_over, self._is_live = True, False
        self._forget_renewal()
        self.answered.cancel()

    # Within

    def _take_error(self, event: SocketError) -> None:
        """What the ring itself says is missing; everything else is tried again."""
        if event.id and not event.code:
            self._miss(event.reason)
        else:
            _LOG.debug("the topics are not there yet: %s", event.reason)

    def _take_answer(self, id: int, answer: Message) -> None:
        if self._is_live or self._is_over:
            return
        if answer["op"] == "error":
            self._end(Refused(self._named(), answer["message"]))
            return
        for note in answer.get("notes") or ():
            _LOG.info("%s", note)
        refused = {str(one["arg"]): str(one["reason"]) for one in answer["rejected"] or ()}
        held = tuple(answer["args"])
        if not held:
            self._end(Refused(self._named(), "; ".join(dict.fromkeys(refused.values()))))
            return
        if refused:
            self._topics = held
            self._narrow(id, held)
        self._go_live(held, refused)

    def _go_live(self, held: tuple[str, ...], refused: dict[str, str]) -> None:
        after_s = 0.0 if self._lost_at is None else self._loop.time() - self._lost_at
        if self._lost_at is not None or refused:
            self._put(Restored(after_s, held, refused))
        self._is_live, self._lost_at = True, None
        if not self.answered.done():
            self.answered.set_result(None)

    def _lose(self, reason: str) -> None:
        """The ring ends; what comes after it is missed until there is another one."""
        self._forget_renewal()
        if self._is_live:
            self._is_live, self._lost_at = False, self._loop.time()
            self._put(Interrupted(reason))

    def _miss(self, reason: str) -> None:
        """Something is missing in the ring: begin anew."""
        if self._is_over:
            return
        self._lose(reason)
        wait_s = max(0.0, self._renewed_at + PAUSE_S - self._loop.time())
        self._renewal = self._loop.call_later(wait_s, self._renew, reason)

    def _renew(self, reason: str) -> None:
        self._renewal, self._renewed_at = None, self._loop.time()
        self._begin_anew(reason)

    def _forget_renewal(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None

    def _end(self, error: Refused) -> None:
        if self._is_over:
            return
        self._is_over, self._is_live = True, False
        self._forget_renewal()
        if self.answered.done():
            self._put(error)
        else:
            self.answered.set_exception(error)

    def _named(self) -> str:
        return ", ".join(self._topics)
