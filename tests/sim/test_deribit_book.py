"""The order book: who gets what, and what is noted."""

from __future__ import annotations

from decimal import Decimal

import pytest

from feedmux.sim.deribit_book import ASKS, BIDS, Book, Fill
from feedmux.sim.deribit_order import BUY, SELL, Order, Ticket
from feedmux.sim.deribit_product import product
from support.deribit_market import row, rows

BTC = product("BTC-PERPETUAL", 1)


def of(number: int) -> Decimal:
    return Decimal(number)


def order(
    ident: str, direction: str = SELL, amount: int = 50, price: int = 101, account: str = "me"
) -> Order:
    return Order(ident, account, Ticket(BTC, direction, of(amount), of(price)), 0)


def book() -> Book:
    made = Book()
    for price, amount in ((101, 10), (102, 20), (103, 30)):
        made.lay(ASKS, of(price), of(amount))
    for price, amount in ((100, 10), (99, 20)):
        made.lay(BIDS, of(price), of(amount))
    made.drain()
    return made


def take(
    made: Book, side: str, amount: int, limit: int | None = None, account: str | None = None
) -> list[Fill]:
    worst = None if limit is None else of(limit)
    return made.take(side, of(amount), limit=worst, account=account, now_ms=0).fills


def test_it_shows_the_best_first() -> None:
    assert rows(book().depth(ASKS)) == [(101, 10), (102, 20), (103, 30)]
    assert rows(book().depth(BIDS)) == [(100, 10), (99, 20)]
    assert rows(book().depth(ASKS, 1)) == [(101, 10)]
    assert row(book().best(BIDS), book().best(ASKS), Book().best(ASKS)) == (100, 101, None)


@pytest.mark.parametrize(
    ("side", "amount", "limit", "fills"),
    [
        (ASKS, 5, None, [(101, 5)]),
        (ASKS, 25, None, [(101, 10), (102, 15)]),
        (ASKS, 25, 101, [(101, 10)]),
        (ASKS, 999, None, [(101, 10), (102, 20), (103, 30)]),
        (ASKS, 5, 100, []),
        (BIDS, 15, None, [(100, 10), (99, 5)]),
        (BIDS, 15, 100, [(100, 10)]),
        (BIDS, 15, 101, []),
    ],
)
def test_who_takes_gets_the_best_price_within_his_limit(
    side: str, amount: int, limit: int | None, fills: list[tuple[int, int]]
) -> None:
    assert [row(fill.price, fill.amount) for fill in take(book(), side, amount, limit)] == fills


def test_on_a_level_the_free_amount_goes_first_and_orders_in_their_order() -> None:
    made, first, second = book(), order("1"), order("2", account="you")
    made.rest(first)
    made.rest(second)
    assert made.amount(ASKS, of(101)) == 110
    fills = take(made, ASKS, 70, 101)
    assert [row(fill.amount, fill.maker) for fill in fills] == [(10, None), (50, first), (10, second)]
    assert row(first.state, second.state, second.left) == ("filled", "open", 40)
    assert row(*made.depth(ASKS)[0]) == (101, 40)


def test_own_orders_are_taken_away_instead_of_filled() -> None:
    made, own, others = book(), order("1"), order("2", account="you")
    made.rest(own)
    made.rest(others)
    taken = made.take(ASKS, of(40), limit=of(101), account="me", now_ms=0)
    assert [row(fill.amount, fill.maker) for fill in taken.fills] == [(10, None), (30, others)]
    assert taken.withdrawn == [own]
    assert own.filled == 0
    assert made.amount(ASKS, of(101)) == 20


def test_what_is_available_leaves_own_orders_out() -> None:
    made = book()
    made.rest(order("1"))
    assert made.available(ASKS, of(102)) == 80
    assert made.available(ASKS, of(102), "me") == 30
    assert made.available(BIDS, None) == 30


def test_differences_are_handed_over_once() -> None:
    made = book()
    made.lay(ASKS, of(101), of(0))
    made.lay(BIDS, of(98), of(5))
    resting = order("1", BUY, price=100)
    made.rest(resting)
    assert {row(c.side, c.price, c.before) for c in made.drain()} == {
        (ASKS, 101, 10),
        (BIDS, 98, 0),
        (BIDS, 100, 10),
    }
    assert made.drain() == []


def test_what_changed_back_is_no_difference() -> None:
    made, resting = book(), order("1")
    made.rest(resting)
    made.withdraw(resting)
    made.withdraw(resting)
    assert made.drain() == []
    assert row(*made.depth(ASKS)[0]) == (101, 10)


def test_a_waiting_order_can_be_made_smaller() -> None:
    made, resting = book(), order("1")
    made.rest(resting)
    made.drain()
    made.shrink(resting, of(20))
    assert [row(c.price, c.before) for c in made.drain()] == [(101, 60)]
    assert made.amount(ASKS, of(101)) == 30
