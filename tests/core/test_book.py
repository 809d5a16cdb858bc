from __future__ import annotations

from decimal import Decimal

import pytest

from feedmux.core.book import Book, BookState, Level


def levels(*pairs: tuple[int, int]) -> list[Level]:
    return [(Decimal(price), Decimal(amount)) for price, amount in pairs]


def book() -> Book:
    kept = Book()
    kept.snapshot(7, levels((99, 1), (100, 2)), levels((102, 1), (101, 5)))
    return kept


def test_the_best_comes_first() -> None:
    assert book().bids() == tuple(levels((100, 2), (99, 1)))
    assert book().asks(1) == tuple(levels((101, 5)))


def test_a_change_that_follows_is_applied() -> None:
    kept = book()
    assert kept.change(7, 19, levels((100, 0), (98, 4)), levels((101, 6))).state is BookState.VALID
    assert kept.bids() == tuple(levels((99, 1), (98, 4)))
    assert kept.asks() == tuple(levels((101, 6), (102, 1)))
    assert kept.change_id == 19


def test_a_change_that_does_not_follow_breaks_it_until_the_next_snapshot() -> None:
    kept = book()
    applied = kept.change(8, 9, levels((100, 1)), [])
    assert applied == (BookState.BROKEN, "change 9 follows 8, and the last one was 7")
    assert (kept.bids(), kept.asks(), kept.change_id) == ((), (), 0)
    assert kept.change(9, 10, [], []).state is BookState.BROKEN
    assert kept.snapshot(11, levels((1, 1)), []).state is BookState.VALID
    assert kept.bids() == tuple(levels((1, 1)))


def test_a_repeated_change_changes_nothing() -> None:
    kept = book()
    kept.change(7, 8, levels((100, 3)), [])
    assert kept.change(7, 8, levels((100, 9)), []).state is BookState.VALID
    assert kept.bids(1) == tuple(levels((100, 3)))


def test_nothing_can_be_changed_before_the_first_snapshot() -> None:
    kept = Book()
    assert kept.change(0, 1, levels((1, 1)), []) == (BookState.EMPTY, "a snapshot has to come first")
    assert kept.bids() == ()


@pytest.mark.parametrize("price", [99, 100, 5])
def test_to_take_out_what_is_not_there_does_no_harm(price: int) -> None:
    kept = book()
    kept.change(7, 8, levels((price, 0)), [])
    kept.change(8, 9, levels((price, 0)), [])
    assert Decimal(price) not in dict(kept.bids())


def test_it_can_be_spoilt_and_cleared() -> None:
    kept = book()
    assert kept.spoil("it cannot be read") == (BookState.BROKEN, "it cannot be read")
    kept.clear()
    assert repr(kept) == "<Book empty change_id=0 bids=0 asks=0>"
