"""Orders: what they take, where they wait, how they end, why they are refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from feedmux.sim.deribit_book import ASKS, BIDS
from feedmux.sim.deribit_order import ALL_OR_NOTHING, AT_ONCE, BUY, DAY, SELL
from feedmux.sim.deribit_rpc import Denied
from support.deribit_market import Pit, row, rows

DAY_MS = 86_400_000
BEST = Decimal("83024.5")


@pytest.fixture
def pit() -> Pit:
    """A market whose best ask is 83024.5 and best bid a tick below."""
    made = Pit()
    assert made.book.best(ASKS) == BEST
    assert made.book.best(BIDS) == BEST - Decimal("0.5")
    return made


def first(pit: Pit, side: str = ASKS) -> Decimal:
    """What stands at the best price."""
    return pit.book.depth(side, 1)[0][1]


def refused(pit: Pit, *args: Any, **more: Any) -> tuple[int, object]:
    before = pit.book.depth(BIDS), pit.book.depth(ASKS), dict(pit.me.open)
    with pytest.raises(Denied) as caught:
        pit.place(*args, **more)
    assert (pit.book.depth(BIDS), pit.book.depth(ASKS), dict(pit.me.open)) == before
    data = caught.value.data
    return caught.value.number, data["param"] if isinstance(data, dict) and "param" in data else None


# what they take


def test_a_market_order_takes_the_best_and_is_filled(pit: Pit) -> None:
    order, trades = pit.place(BUY, 100)
    assert row(order.state, order.filled, order.average) == ("filled", 100, BEST)
    assert [row(t.price, t.amount, t.direction, t.taker) for t in trades] == [(BEST, 100, BUY, order)]
    assert pit.me.size(pit.market.product) == 100
    assert pit.market.last == BEST


def test_a_limit_takes_what_it_reaches_and_waits_with_the_rest(pit: Pit) -> None:
    there = first(pit)
    order, trades = pit.place(BUY, there + 500, BEST)
    assert row(order.state, order.filled, order.left) == ("open", there, 500)
    assert sum(t.amount for t in trades) == there
    assert rows(pit.book.depth(BIDS, 1)) == [(BEST, 500)]
    assert pit.me.open == {order.ident: order}


def test_a_limit_that_reaches_nothing_waits(pit: Pit) -> None:
    order, trades = pit.place(SELL, 100, BEST + 5)
    assert (order.state, trades) == ("open", [])
    assert pit.book.amount(ASKS, BEST + 5) >= 100


def test_a_price_better_than_the_limit_is_given(pit: Pit) -> None:
    order, _ = pit.place(BUY, 10, BEST + 20)
    assert order.average == BEST


def test_what_waits_is_filled_when_the_market_moves_through_it(pit: Pit) -> None:
    order, _ = pit.place(SELL, 100, BEST + 10)
    pit.move(float(BEST) + 50)
    assert (order.state, order.average) == ("filled", BEST + 10)
    assert pit.me.size(pit.market.product) == -100
    (trade,) = [t for t in pit.diary.trades if t.maker is order]
    assert (trade.direction, trade.price) == (BUY, BEST + 10)
    account, orders, trades = pit.diary.news[-1]
    assert (account, list(orders), trades[0]["liquidity"]) == (pit.me.account, [order.ident], "M")


def test_what_waits_is_filled_in_parts_when_little_comes(pit: Pit) -> None:
    order, _ = pit.place(SELL, 100_000, BEST + 10)
    seen = []
    for _ in range(30):
        pit.move(float(BEST) + 50)
        seen.append(order.filled)
        if order.state == "filled":
            break
    assert order.state == "filled"
    assert 0 < seen[0] < 100_000
    assert seen == sorted(seen)


def test_accounts_trade_with_each_other(pit: Pit) -> None:
    made, _ = pit.place(BUY, 100, BEST - Decimal("0.5"), ledger=pit.other)
    ahead = first(pit, BIDS) - 100
    order, trades = pit.place(SELL, ahead + 40, BEST - Decimal("0.5"))
    assert [(t.amount, t.maker, t.taker) for t in trades] == [(ahead, None, order), (40, made, order)]
    assert row(pit.me.size(pit.market.product), pit.other.size(pit.market.product)) == (-ahead - 40, 40)


def test_an_order_takes_ones_own_away_instead_of_meeting_it(pit: Pit) -> None:
    own, _ = pit.place(SELL, 100, BEST)
    there = first(pit) - 100
    order, trades = pit.place(BUY, there + 30, BEST)
    assert row(own.state, own.filled, own.cancel_reason) == ("cancelled", 0, "self_trade_prevention")
    assert sum(t.amount for t in trades) == there
    assert order.left == 30
    assert own.ident not in pit.me.open


# time in force, flags


def test_immediate_or_cancel_leaves_nothing(pit: Pit) -> None:
    there = first(pit)
    order, trades = pit.place(BUY, there + 100, BEST, time_in_force=AT_ONCE)
    assert (order.state, order.filled) == ("cancelled", there)
    assert trades
    assert pit.book.best(BIDS) == BEST - Decimal("0.5")


@pytest.mark.parametrize(("more", "state"), [(0, "filled"), (10, "cancelled")])
def test_fill_or_kill_is_all_or_nothing(pit: Pit, more: int, state: str) -> None:
    there = first(pit)
    order, trades = pit.place(BUY, there + more, BEST, time_in_force=ALL_OR_NOTHING)
    assert (order.state, order.filled) == (state, there if state == "filled" else 0)
    assert bool(trades) == (state == "filled")


def test_a_day_ends_at_eight(pit: Pit) -> None:
    order, _ = pit.place(BUY, 100, BEST - 10, time_in_force=DAY)
    assert order.expires_ms is not None
    assert order.expires_ms % DAY_MS == 8 * 3_600_000
    assert 0 < order.expires_ms - pit.now_ms <= DAY_MS
    pit.now_ms = order.expires_ms - 1
    pit.exchange.gather(pit.moment)
    assert order.is_open
    pit.now_ms += 1
    pit.exchange.gather(pit.moment)
    assert (order.state, pit.me.open) == ("cancelled", {})


def test_post_only_gets_a_price_that_does_not_take(pit: Pit) -> None:
    order, trades = pit.place(BUY, 100, BEST + 10, post_only=True)
    assert (order.price, order.state, trades) == (BEST - Decimal("0.5"), "open", [])


def test_reject_post_only_is_refused_instead(pit: Pit) -> None:
    assert refused(pit, BUY, 100, BEST, post_only=True, reject_post_only=True) == (11054, None)
    order, _ = pit.place(BUY, 100, BEST - 5, post_only=True, reject_post_only=True)
    assert order.price == BEST - 5


def test_reduce_only_does_no_more_than_reduce(pit: Pit) -> None:
    assert refused(pit, SELL, 100, reduce_only=True)[0] == 11030
    pit.place(BUY, 100)
    assert refused(pit, BUY, 100, reduce_only=True)[0] == 11030
    order, _ = pit.place(SELL, 500, reduce_only=True)
    assert row(order.amount, order.state) == (100, "filled")
    assert pit.me.size(pit.market.product) == 0


def test_a_waiting_reduce_only_order_shrinks_with_the_position(pit: Pit) -> None:
    pit.place(BUY, 100)
    waiting, _ = pit.place(SELL, 100, BEST + 20, reduce_only=True)
    pit.place(SELL, 60)
    assert row(waiting.amount, waiting.state) == (40, "open")
    pit.place(SELL, 40)
    assert (waiting.state, waiting.cancel_reason) == ("cancelled", "reduce_only")


def test_a_market_limit_order_waits_at_the_price_it_got(pit: Pit) -> None:
    everything = sum(amount for _, amount in pit.book.depth(ASKS))
    order, trades = pit.place(BUY, everything + 100, kind="market_limit")
    assert row(order.state, order.left, order.price) == ("open", 100, trades[-1].price)


# changes


def test_an_edit_keeps_the_id_and_may_take(pit: Pit) -> None:
    order, _ = pit.place(BUY, 100, BEST - 5)
    pit.exchange.engine.edit(
        pit.me, order, amount=Decimal(200), price=BEST - Decimal("4.5"), now_ms=pit.now_ms
    )
    assert row(order.amount, order.price, order.replaced, order.state) == (
        200,
        BEST - Decimal("4.5"),
        True,
        "open",
    )
    trades = pit.exchange.engine.edit(pit.me, order, amount=Decimal(200), price=BEST, now_ms=pit.now_ms)
    assert (order.state, sum(t.amount for t in trades)) == ("filled", 200)
    assert pit.me.size(pit.market.product) == 200


def test_an_edit_cannot_undo_what_is_filled(pit: Pit) -> None:
    order, _ = pit.place(BUY, first(pit) + 500, BEST)
    with pytest.raises(Denied) as caught:
        pit.exchange.engine.edit(pit.me, order, amount=order.filled, price=BEST, now_ms=pit.now_ms)
    assert caught.value.number == -32602
    assert order.is_open


def test_an_edit_of_a_post_only_order_gets_another_price_or_ends_it(pit: Pit) -> None:
    engine, now_ms = pit.exchange.engine, pit.now_ms
    mild, _ = pit.place(BUY, 100, BEST - 5, post_only=True)
    engine.edit(pit.me, mild, amount=Decimal(100), price=BEST + 5, now_ms=now_ms)
    assert (mild.price, mild.state) == (BEST - Decimal("0.5"), "open")
    strict, _ = pit.place(BUY, 100, BEST - 5, post_only=True, reject_post_only=True)
    engine.edit(pit.me, strict, amount=Decimal(100), price=BEST + 5, now_ms=now_ms)
    assert (strict.state, strict.cancel_reason) == ("cancelled", "edit_post_only_reject")


def test_a_cancelled_order_is_gone_and_cannot_be_cancelled_again(pit: Pit) -> None:
    order, _ = pit.place(BUY, 100, BEST - 5)
    before = pit.book.amount(BIDS, BEST - 5)
    pit.exchange.engine.cancel(pit.me, order, pit.now_ms)
    assert (order.state, order.cancel_reason) == ("cancelled", "user_request")
    assert pit.book.amount(BIDS, BEST - 5) == before - 100
    for act in (
        lambda: pit.exchange.engine.cancel(pit.me, order, pit.now_ms),
        lambda: pit.exchange.engine.edit(pit.me, order, amount=Decimal(10), price=BEST, now_ms=pit.now_ms),
    ):
        with pytest.raises(Denied) as caught:
            act()
        assert caught.value.number == 11044


def test_orders_are_found_by_their_owner_alone(pit: Pit) -> None:
    order, _ = pit.place(BUY, 100, BEST - 5)
    assert pit.exchange.engine.find(pit.me, order.ident) is order
    for ledger, ident, number in ((pit.other, order.ident, 10029), (pit.me, "nope", 10004)):
        with pytest.raises(Denied) as caught:
            pit.exchange.engine.find(ledger, ident)
        assert caught.value.number == number


def test_some_can_be_cancelled_at_once(pit: Pit) -> None:
    orders = [pit.place(BUY, 10, BEST - n, connection=n % 2)[0] for n in (5, 6, 7)]
    engine = pit.exchange.engine
    assert engine.cancel_where(pit.me, lambda o: o.ticket.connection == 1, pit.now_ms) == 2
    assert [order.is_open for order in orders] == [False, True, False]


# refusals


@pytest.mark.parametrize(
    ("args", "more", "error"),
    [
        ((BUY, 5, BEST), {}, (-32602, "amount")),
        ((BUY, 15, BEST), {}, (-32602, "amount")),
        ((BUY, 10**11, BEST), {}, (-32602, "amount")),
        ((BUY, 10, Decimal("83024.3")), {}, (-32602, "price")),
        ((BUY, 10, 0), {}, (-32602, "price")),
        ((BUY, 10, -5), {}, (-32602, "price")),
        ((BUY, 10, 90_000), {}, (10007, None)),
        ((SELL, 10, 70_000), {}, (10005, None)),
        ((BUY, 100_000_000, BEST), {}, (10009, None)),
        ((SELL, 100_000_000), {}, (10009, None)),
    ],
)
def test_what_cannot_be_taken_is_refused_and_changes_nothing(
    pit: Pit, args: tuple[Any, ...], more: dict[str, Any], error: tuple[int, str | None]
) -> None:
    assert refused(pit, *args, **more) == error


def test_a_price_far_away_on_the_safe_side_is_taken(pit: Pit) -> None:
    assert pit.place(BUY, 10, 50_000)[0].is_open
    assert pit.place(SELL, 10, 150_000)[0].is_open


def test_without_money_one_can_still_reduce(pit: Pit) -> None:
    pit.place(BUY, 40_000_000, BEST + 1000)
    assert refused(pit, BUY, 10_000_000, BEST - 100)[0] == 10009
    held = pit.me.size(pit.market.product)
    assert held > 0
    order, _ = pit.place(SELL, held, BEST - 1000)
    assert order.filled > 0


def test_ids_say_which_currency(pit: Pit) -> None:
    order, _ = pit.place(BUY, 100)
    assert order.ident.isdecimal()
    linear = Pit(instrument="BTC_USDC-PERPETUAL").place(BUY, "0.001")[0]
    assert linear.ident.startswith("USDC-")
