"""One channel of a simulated Deribit: who reads it, and what is to be sent to them.

Theory of operation
-------------------
A :class:`Stream` has readers and a period: 0 for ``raw``, else at most one delivery in so many
milliseconds. It is told what happens (``changed``, ``traded``) and asked by ``collect`` what is to
be sent. While it is mute nothing is sent: states (books, tickers) pile up what changed, so that
the first delivery afterwards makes a reader's state right again; what merely happened (trades)
is lost.

Who joins gets what ``first`` says; what is pending is sent to the others before. To *skip* is to
leave a delivery out although its stream thinks that it was sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from feedmux.sim.clock import Moment
from feedmux.sim.deribit_book import Change
from feedmux.sim.deribit_channels import AGGREGATED, RAW, Channel
from feedmux.sim.deribit_json import encode
from feedmux.sim.deribit_order import Trade
from feedmux.sim.frames import Reader

MAX_WAITING = 10_000


class Subscriber(Reader, Protocol):
    """Who subscribed to a channel."""

    def may_read(self, account: str, /) -> bool:
        """Whether it may be told what concerns an account, now."""


class Stream(ABC):
    """One channel: who reads it, and what waits to be sent to them.

    ``readers`` have had the first delivery, ``fresh`` ones get it when the channel speaks again.

    Args:
        channel: which.
        period_ms: the shortest time between two deliveries; 0 for none.
        account: whose it is; empty when it is everybody's.
    """

    def __init__(self, channel: Channel, period_ms: int, account: str = "") -> None:
        self.channel = channel
        self.account = account
        self.readers: set[Subscriber] = set()
        self.fresh: set[Subscriber] = set()
        self.muted = False
        self.skips = 0
        self.gap_every = 0
        self.last = self.before = b""
        self.waiting: list[bytes] = []
        self._period_ms = period_ms
        self._due_ms = 0
        self._sent = 0

    @property
    def is_read(self) -> bool:
        """Whether anybody is there."""
        return bool(self.readers or self.fresh)

    def drop(self, reader: Subscriber) -> None:
        """``reader`` reads no more."""
        self.readers.discard(reader)
        self.fresh.discard(reader)

    def put(self, data: object) -> None:
        """Add a delivery, unless it is to be skipped or nobody would see it."""
        if not self.readers or self.muted or len(self.waiting) >= MAX_WAITING:
            return
        self._sent += 1
        if self.gap_every and self._sent % self.gap_every == 0:
            return
        if self.skips:
            self.skips -= 1
            return
        self.waiting.append(encode(data))

    def collect(self, moment: Moment) -> list[bytes]:
        """What is to be sent now, oldest first; it waits no more."""
        if not self.muted and moment.now_ms >= self._due_ms:
            self.settle(moment)
        return self._take(moment)

    def _take(self, moment: Moment) -> list[bytes]:
        texts, self.waiting = self.waiting, []
        if texts:
            self._due_ms = moment.now_ms + self._period_ms
            self.before = texts[-2] if len(texts) > 1 else self.last or texts[-1]
            self.last = texts[-1]
        return texts

    def flush(self, moment: Moment) -> list[bytes]:
        """What is pending, whether it is due or not; for those who read before somebody joins."""
        if not self.muted:
            self.settle(moment)
        return self._take(moment)

    @abstractmethod
    def settle(self, moment: Moment) -> None:
        """Put what is pending."""

    def first(self, moment: Moment) -> object | None:
        """What a new reader gets at once; None is nothing."""
        return None

    def changed(self, changes: Sequence[Change], moment: Moment) -> None:  # noqa: B027 - few care
        """The book is another."""

    def traded(self, trades: Sequence[Trade], moment: Moment) -> None:  # noqa: B027 - few care
        """Somebody took."""


def period_ms(channel: Channel, agg2_s: float) -> int:
    """The shortest time between two deliveries of a channel."""
    if channel.interval == RAW:
        return 0
    return 100 if channel.interval == AGGREGATED else int(agg2_s * 1000)
