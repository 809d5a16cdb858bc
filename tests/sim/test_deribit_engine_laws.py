"""Whatever two accounts do and wherever the market goes, orders and positions add up."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feedmux.sim.deribit_book import ASKS, BIDS
from feedmux.sim.deribit_ledger import Ledger
from feedmux.sim.deribit_order import BUY, SELL, TIMES_IN_FORCE, Order
from feedmux.sim.deribit_rpc import Denied
from support.deribit_market import STILL, Pit
from support.examples import EXAMPLES

TICK = Decimal("0.5")
WHO = st.integers(0, 1)
CONNECTION = st.integers(1, 3)
DIRECTION = st.sampled_from((BUY, SELL))
LOTS = st.integers(1, 4000)
AWAY = st.integers(-30, 30)
"""Ticks from the best price of the other side: below 0 waits, above 0 takes."""


class Trading(RuleBasedStateMachine):
    """Two accounts with three connections each, one instrument."""

    def __init__(self) -> None:
        super().__init__()
        self.pit = Pit(msgspec.structs.replace(STILL, instruments=("BTC-PERPETUAL",), depth=5))
        self.ledgers = (self.pit.me, self.pit.other)
        self.limits: dict[str, Decimal | None] = {}
        self.orders: dict[str, Order] = {}

    @property
    def open(self) -> list[tuple[Ledger, Order]]:
        return [(ledger, order) for ledger in self.ledgers for order in ledger.open.values()]

    def price(self, direction: str, away: int) -> Decimal:
        best = self.pit.book.best(ASKS if direction == BUY else BIDS)
        assume(best is not None)
        assert best is not None
        return best + (TICK * away if direction == BUY else -TICK * away)

    def check_fills(self, order: Order, trades: list[Any], limit: Decimal | None, available: Decimal) -> None:
        """No fill without a cross, none worse than the limit, none of what is not there."""
        assert sum((t.amount for t in trades), Decimal(0)) <= available
        for trade in trades:
            assert trade.taker is order
            assert trade.direction == order.ticket.direction
            if limit is not None:
                assert trade.price <= limit if trade.direction == BUY else trade.price >= limit
            assert trade.maker is None or trade.maker.account != order.account

    @rule(
        who=WHO,
        connection=CONNECTION,
        direction=DIRECTION,
        lots=LOTS,
        away=st.none() | AWAY,
        time_in_force=st.sampled_from(TIMES_IN_FORCE),
        flags=st.sampled_from(("", "", "post_only", "reject_post_only", "reduce_only")),
    )
    def place(
        self,
        who: int,
        connection: int,
        direction: str,
        lots: int,
        away: int | None,
        time_in_force: str,
        flags: str,
    ) -> None:
        price = None if away is None else self.price(direction, away)
        ledger, product = self.ledgers[who], self.pit.market.product
        side = ASKS if direction == BUY else BIDS
        best, there = self.pit.book.best(side), self.pit.book.available(side, price, ledger.account)
        crosses = best is not None and (
            price is None or (price >= best if direction == BUY else price <= best)
        )
        before = ledger.size(product)
        more: dict[str, Any] = {"connection": connection, "time_in_force": time_in_force}
        if price is not None and flags.endswith("post_only"):
            more |= {"post_only": True, "reject_post_only": flags.startswith("reject")}
        more |= {"reduce_only": flags == "reduce_only"}
        try:
            order, trades = self.pit.place(direction, lots * 10, price, ledger=ledger, **more)
        except Denied as denied:
            assert denied.number in {10009, 11054, 11030}
            assert (denied.number == 11054) <= bool(crosses and more.get("reject_post_only"))
            return
        self.orders[order.ident] = order
        self.check_fills(order, trades, price, there)
        assert crosses or not trades
        assert not (more.get("post_only") and trades)
        if time_in_force == "fill_or_kill":
            assert order.filled in {Decimal(0), order.amount}
        if time_in_force in {"fill_or_kill", "immediate_or_cancel"} or price is None:
            assert not order.is_open
        if more["reduce_only"]:
            assert abs(ledger.size(product)) <= abs(before)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), who=WHO, lots=LOTS, time_in_force=st.sampled_from(TIMES_IN_FORCE))
    def meet(self, data: st.DataObject, who: int, lots: int, time_in_force: str) -> None:
        """Somebody goes for an order that waits, perhaps his own."""
        _, waiting = data.draw(st.sampled_from(self.open))
        ledger, direction = self.ledgers[who], SELL if waiting.ticket.direction == BUY else BUY
        there = self.pit.book.available(ASKS if direction == BUY else BIDS, waiting.price, ledger.account)
        try:
            order, trades = self.pit.place(
                direction, lots * 10, waiting.price, ledger=ledger, time_in_force=time_in_force
            )
        except Denied as denied:
            assert denied.number == 10009
            return
        self.orders[order.ident] = order
        self.check_fills(order, trades, waiting.price, there)
        assert order.left == 0 or waiting.account == order.account or not waiting.is_open or not order.is_open

    @precondition(lambda self: self.open)
    @rule(data=st.data(), lots=LOTS, away=AWAY)
    def edit(self, data: st.DataObject, lots: int, away: int) -> None:
        ledger, order = data.draw(st.sampled_from(self.open))
        direction, amount = order.ticket.direction, Decimal(lots * 10)
        price = self.price(direction, away)
        there = self.pit.book.available(ASKS if direction == BUY else BIDS, price, ledger.account)
        before = order.amount, order.price, order.filled
        try:
            trades = self.pit.exchange.engine.edit(
                ledger, order, amount=amount, price=price, now_ms=self.pit.now_ms
            )
        except Denied as denied:
            assert denied.number in {10009, -32602}
            assert (order.amount, order.price, order.filled) == before
            assert order.is_open
        else:
            self.check_fills(order, trades, price, there)
        self.pit.exchange.gather(self.pit.moment)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ledger, order = data.draw(st.sampled_from(self.open))
        self.pit.exchange.engine.cancel(ledger, order, self.pit.now_ms)
        self.pit.exchange.gather(self.pit.moment)
        assert order.state == "cancelled"

    @rule(who=WHO, connection=CONNECTION)
    def disconnect(self, who: int, connection: int) -> None:
        """What a connection's end does to orders when it is to cancel them."""
        ledger = self.ledgers[who]
        others = {
            o.ident for _, o in self.open if o.account != ledger.account or o.ticket.connection != connection
        }
        engine = self.pit.exchange.engine
        gone = engine.cancel_where(ledger, lambda o: o.ticket.connection == connection, self.pit.now_ms)
        self.pit.exchange.gather(self.pit.moment)
        assert {order.ident for _, order in self.open} == others
        assert gone >= 0

    @rule(steps=st.integers(1, 5))
    def pass_time(self, steps: int) -> None:
        self.pit.step(steps)

    @rule(ticks=st.integers(-60, 60))
    def move(self, ticks: int) -> None:
        self.pit.move(float(self.pit.market.fair + ticks * TICK))

    @rule()
    def sleep_over(self) -> None:
        self.pit.now_ms += 86_400_000
        self.pit.exchange.gather(self.pit.moment)
        assert all(order.expires_ms is None for _, order in self.open)

    @invariant()
    def the_book_is_not_crossed(self) -> None:
        bid, ask = self.pit.book.best(BIDS), self.pit.book.best(ASKS)
        assert bid is None or ask is None or bid < ask

    @invariant()
    def positions_are_the_sum_of_fills(self) -> None:
        sizes: dict[str, Decimal] = defaultdict(Decimal)
        filled: dict[str, Decimal] = defaultdict(Decimal)
        for trade in self.pit.diary.trades:
            for order, sign in ((trade.taker, 1), (trade.maker, -1)):
                if order is not None:
                    bought = (trade.direction == BUY) == (sign == 1)
                    assert order.ticket.direction == (BUY if bought else SELL)
                    sizes[order.account] += trade.amount if bought else -trade.amount
                    filled[order.ident] += trade.amount
        for ledger in self.ledgers:
            assert ledger.size(self.pit.market.product) == sizes[ledger.account]
        for ident, order in self.orders.items():
            assert order.filled == filled[ident]
            assert 0 <= order.filled <= order.amount
            assert (order.state == "filled") == (order.left == 0)

    @invariant()
    def owners_hear_of_every_fill_and_of_every_end(self) -> None:
        told: dict[str, Decimal] = defaultdict(Decimal)
        heard: set[str] = set()
        for _, orders, trades in self.pit.diary.news:
            heard |= set(orders)
            for trade in trades:
                told[trade["order_id"]] += Decimal(bytes(trade["amount"]).decode())
        for ident, order in self.orders.items():
            assert told[ident] == order.filled
            assert ident in heard

    @invariant()
    def the_book_has_exactly_the_open_orders(self) -> None:
        resting: dict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
        for _, order in self.open:
            assert order.is_open
            assert order.price is not None
            resting[BIDS if order.ticket.direction == BUY else ASKS, order.price] += order.left
        for side in (BIDS, ASKS):
            for price, amount in self.pit.book.depth(side):
                assert amount > 0
                assert amount == self.pit.book.free_amount(side, price) + resting.pop(
                    (side, price), Decimal(0)
                )
        assert not resting

    @invariant()
    def the_day_has_its_last_price_within(self) -> None:
        market = self.pit.market
        assert market.low <= market.last <= market.high


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=EXAMPLES // 4, stateful_step_count=30, deadline=None)
