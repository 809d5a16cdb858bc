"""A book beside the plainest one that could be: two dictionaries."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.core.book import Book, BookState, Level
from support.examples import EXAMPLES

pytestmark = pytest.mark.law

LEVELS = st.lists(st.tuples(st.integers(1, 12).map(Decimal), st.integers(0, 3).map(Decimal)), max_size=8)


def fill(side: dict[Decimal, Decimal], levels: list[Level]) -> None:
    for price, amount in levels:
        if amount:
            side[price] = amount
        else:
            side.pop(price, None)


class Books(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.last = 0
        self.is_valid = False

    @rule(bids=LEVELS, asks=LEVELS, step=st.integers(1, 9))
    def snapshot(self, bids: list[Level], asks: list[Level], step: int) -> None:
        self.last += step
        self.bids, self.asks, self.is_valid = {}, {}, True
        fill(self.bids, bids)
        fill(self.asks, asks)
        self.book.snapshot(self.last, bids, asks)

    @rule(bids=LEVELS, asks=LEVELS, step=st.integers(1, 9), missed=st.booleans())
    def change(self, bids: list[Level], asks: list[Level], step: int, missed: bool) -> None:
        previous = self.last + missed
        if self.is_valid and not missed:
            fill(self.bids, bids)
            fill(self.asks, asks)
        self.is_valid = self.is_valid and not missed
        self.last = previous + step
        self.book.change(previous, self.last, bids, asks)

    @rule()
    def clear(self) -> None:
        self.is_valid = False
        self.book.clear()

    @invariant()
    def it_is_the_plain_one_or_says_that_it_is_not_valid(self) -> None:
        assert (self.book.state is BookState.VALID) == self.is_valid
        bids = sorted(self.bids.items(), reverse=True) if self.is_valid else []
        asks = sorted(self.asks.items()) if self.is_valid else []
        assert list(self.book.bids()) == bids
        assert list(self.book.asks()) == asks


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=EXAMPLES, deadline=None)
