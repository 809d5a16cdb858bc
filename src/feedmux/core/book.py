"""Keep an order book that is sent as a snapshot and chained changes, or say that it is not valid.

Theory of operation
===================

::

    empty ──snapshot──▶ valid ──change that continues the last one──▶ valid
      ▲                   │
      └──── clear ────────┴──any other change──▶ broken ──snapshot──▶ valid

Each change names the one before it. One that does not follow the last is no reason to guess: the book is
broken from then on, every change is refused, and only a new snapshot mends it. A change of the same
number as the last one is a repetition and changes nothing.

Invariants: no amount is 0 or below; bids fall and asks rise from the first on; a book that is not
valid shows nothing. Deliberately absent: how a new snapshot is got, and what the numbers mean.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

Level = tuple[Decimal, Decimal]
"""Price and amount."""


class BookState(StrEnum):
    """Whether a book can be believed."""

    EMPTY = "empty"
    """Nothing came yet."""
    VALID = "valid"
    BROKEN = "broken"
    """A change was missed."""


class Applied(NamedTuple):
    """What a message did to a book.

    Args:
        state: of the book now.
        reason: why it is broken; empty otherwise.
    """

    state: BookState
    reason: str = ""


class _Side:
    """One side: prices in order, amounts by price."""

    __slots__ = ("amounts", "prices", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign  # bids are kept with their sign turned, so that the best is always first
        self.prices: list[Decimal] = []
        self.amounts: dict[Decimal, Decimal] = {}

    def set(self, price: Decimal, amount: Decimal) -> None:
        key = self.sign * price
        if amount > 0:
            if key not in self.amounts:
                insort(self.prices, key)
            self.amounts[key] = amount
        elif self.amounts.pop(key, None) is not None:
            del self.prices[bisect_left(self.prices, key)]

    def levels(self, depth: int | None) -> tuple[Level, ...]:
        return tuple((self.sign * key, self.amounts[key]) for key in self.prices[:depth])

    def clear(self) -> None:
        self.prices.clear()
        self.amounts.clear()


class Book:
    """One instrument's book."""

    __slots__ = ("_asks", "_bids", "_change_id", "state")

    def __init__(self) -> None:
        self._bids, self._asks = _Side(-1), _Side(1)
        self._change_id = 0
        self.state = BookState.EMPTY
        """Whether it can be believed."""

    @property
    def change_id(self) -> int:
        """Which change was the last; 0 when it is not valid."""
        return self._change_id if self.state is BookState.VALID else 0

    def bids(self, depth: int | None = None) -> tuple[Level, ...]:
        """The best bids, highest first; nothing when the book is not valid."""
        return self._bids.levels(depth) if self.state is BookState.VALID else ()

    def asks(self, depth: int | None = None) -> tuple[Level, ...]:
        """The best asks, lowest first; nothing when the book is not valid."""
        return self._asks.levels(depth) if self.state is BookState.VALID else ()

    def snapshot(self, change_id: int, bids: Iterable[Level], asks: Iterable[Level]) -> Applied:
        """Begin anew with the whole book."""
        self.clear()
        self._fill(bids, asks)
        self._change_id, self.state = change_id, BookState.VALID
        return Applied(self.state)

    def change(self, previous: int, change_id: int, bids: Iterable[Level], asks: Iterable[Level]) -> Applied:
        """Apply a change; an amount of 0 takes a price out."""
        if self.state is not BookState.VALID:
            return Applied(self.state, "a snapshot has to come first")
        if change_id == self._change_id:
            return Applied(self.state)
        if previous != self._change_id:
            return self.spoil(
                f"change {change_id} follows {previous}, and the last one was {self._change_id}"
            )
        self._fill(bids, asks)
        self._change_id = change_id
        return Applied(self.state)

    def spoil(self, reason: str) -> Applied:
        """Say that something is missing: only a snapshot mends it."""
        self.clear()
        self.state = BookState.BROKEN
        return Applied(self.state, reason)

    def clear(self) -> None:
        """Forget everything, as on a new connection."""
        self._bids.clear()
        self._asks.clear()
        self._change_id, self.state = 0, BookState.EMPTY

    def _fill(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        for side, levels in ((self._bids, bids), (self._asks, asks)):
            for price, amount in levels:
                side.set(price, amount)

    def __repr__(self) -> str:
        depth = f"bids={len(self._bids.prices)} asks={len(self._asks.prices)}"
        return f"<Book {self.state} change_id={self._change_id} {depth}>"
