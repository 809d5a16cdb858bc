"""What one account has at a simulated Deribit: orders, positions, money, and the news of them.

The margin is simpler than the venue's: two per cent of what a position and the open orders of
its worse side are worth, fifteen per cent of a coin for an option. That is enough to run out of
funds when the venue would, more or less.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal

from feedmux.sim.deribit_json import number
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_order import BUY, SELL, Order, Ticket, Trade
from feedmux.sim.deribit_product import Product

MAX_OPEN = 10_000
MAX_CLOSED = 10_000
_FUTURE_MARGIN = Decimal("0.02")
_OPTION_MARGIN = Decimal("0.15")
_TAKER_FEE = Decimal("0.0005")
_OPTION_FEE = Decimal("0.0003")
_EIGHT = Decimal("0.00000001")


class Position:
    """What an account holds of one instrument.

    Args:
        product: the instrument.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self.size = self.cost = self.realized = Decimal(0)

    def add(self, change: Decimal, price: Decimal) -> Decimal:
        """Buy (above 0) or sell (below 0) at a price. Returns the profit of what that closed."""
        profit, rest = Decimal(0), change
        if self.size * change < 0:
            closed = min(abs(change), abs(self.size))
            entry = self.cost * closed / abs(self.size)
            gain = self.product.worth(closed, price) - entry
            profit = gain if (self.size > 0) != self.product.inverse else -gain
            self.cost -= entry
            signed = closed if change > 0 else -closed
            self.size += signed
            rest = change - signed
        if rest:
            self.cost += self.product.worth(abs(rest), price)
            self.size += rest
        self.realized += profit
        return profit

    @property
    def average(self) -> Decimal:
        """The average price; 0 of nothing."""
        if not self.size:
            return Decimal(0)
        size = abs(self.size)
        average = size / self.cost if self.product.inverse else self.cost / size
        return average.quantize(_EIGHT)

    def floating(self, mark: Decimal) -> Decimal:
        """The profit if it were closed at ``mark``."""
        if not self.size:
            return Decimal(0)
        gain = self.product.worth(abs(self.size), mark) - self.cost
        return gain if (self.size > 0) != self.product.inverse else -gain

    def view(self, market: Market) -> dict[str, object]:
        """It as the venue shows it. Source: Deribit API v2 documents, get_positions, 2026-09."""
        made, floating = self.product, self.floating(market.mark).quantize(_EIGHT)
        coins = self.size / market.mark if made.inverse else self.size
        delta = coins * Decimal(repr(market.greeks().delta)) if made.is_option else coins
        worth = made.worth(abs(self.size), market.mark)
        shown: dict[str, object] = {
            "total_profit_loss": number(floating + self.realized.quantize(_EIGHT)),
            "size": number(self.size),
            "settlement_price": number(market.mark),
            "realized_profit_loss": number(self.realized.quantize(_EIGHT)),
            "mark_price": number(market.mark),
            "maintenance_margin": number((worth * _FUTURE_MARGIN / 2).quantize(_EIGHT)),
            "kind": made.kind,
            "instrument_name": made.name,
            "initial_margin": number((worth * _FUTURE_MARGIN).quantize(_EIGHT)),
            "index_price": number(market.index.price),
            "floating_profit_loss": number(floating),
            "direction": "zero" if not self.size else BUY if self.size > 0 else SELL,
            "delta": number(delta.quantize(_EIGHT)),
            "average_price": number(self.average),
        }
        if made.is_option:
            return shown
        return shown | {
            "size_currency": number(coins.quantize(_EIGHT)),
            "realized_funding": number(Decimal(0)),
            "open_orders_margin": number(Decimal(0)),
            "leverage": 50,
        }


class News:
    """What happened to an account in one instrument since it was told last.

    Args:
        product: the instrument.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self.orders: dict[str, Order] = {}
        self.trades: list[dict[str, object]] = []


class Ledger:
    """One account.

    Args:
        account: its client id.
        user_id: its number.
        balance: what it owns at first, by currency.
    """

    def __init__(self, account: str, user_id: int, balance: Callable[[str], float]) -> None:
        self.account = account
        self.user_id = user_id
        self.open: dict[str, Order] = {}
        self.closed: OrderedDict[str, Order] = OrderedDict()
        self.positions: dict[str, Position] = {}
        self.news: dict[str, News] = {}
        self.cancel_on_disconnect = False
        self._balance = balance
        self._balances: dict[str, Decimal] = {}

    # -- orders ----------------------------------------------------------------------------

    def find(self, ident: str) -> Order | None:
        """An order of this account, open or not."""
        return self.open.get(ident) or self.closed.get(ident)

    def keep(self, order: Order) -> None:
        """Put an order where it belongs now, and let its owner know."""
        self.tell(order)
        if order.is_open:
            self.open[order.ident] = order
            return
        self.open.pop(order.ident, None)
        self.closed[order.ident] = order
        while len(self.closed) > MAX_CLOSED:
            self.closed.popitem(last=False)

    def tell(self, order: Order) -> None:
        """The owner will hear of ``order``."""
        self._news(order.ticket.product).orders[order.ident] = order

    def _news(self, product: Product) -> News:
        return self.news.setdefault(product.name, News(product))

    def fresh_trades(self, order: Order) -> list[dict[str, object]]:
        """The trades of an order that nobody was told of yet."""
        news = self.news.get(order.ticket.product.name)
        return [] if news is None else [t for t in news.trades if t["order_id"] == order.ident]

    def take_news(self) -> list[News]:
        """What happened since the last call, by instrument."""
        news, self.news = list(self.news.values()), {}
        return news

    # -- positions and money ---------------------------------------------------------------

    def position(self, product: Product) -> Position:
        """What is held of an instrument, perhaps nothing."""
        return self.positions.setdefault(product.name, Position(product))

    def size(self, product: Product) -> Decimal:
        """How much is held of an instrument; below 0 is owed."""
        held = self.positions.get(product.name)
        return Decimal(0) if held is None else held.size

    def balance(self, currency: str) -> Decimal:
        """What it owns, realised profits and fees counted."""
        return self._balances.setdefault(currency, Decimal(repr(self._balance(currency))))

    def book(self, trade: Trade, order: Order, *, took: bool) -> None:
        """Count one of this account's trades, and let its owner know."""
        made, ticket = trade.product, order.ticket
        change = trade.amount if ticket.direction == BUY else -trade.amount
        profit = self.position(made).add(change, trade.price)
        fee = _fee(trade, took=took)
        self._balances[made.currency] = self.balance(made.currency) + profit - fee
        self._news(made).trades.append(self._trade_view(trade, order, fee=fee, profit=profit, took=took))

    def _trade_view(
        self, trade: Trade, order: Order, *, fee: Decimal, profit: Decimal, took: bool
    ) -> dict[str, object]:
        """A trade as its owner sees it. Source: Deribit API v2 documents, user.trades, 2026-09."""
        ticket = order.ticket
        return trade.view() | {
            "direction": ticket.direction,
            "state": order.state,
            "order_id": order.ident,
            "order_type": ticket.kind,
            "label": ticket.label,
            "liquidity": "T" if took else "M",
            "fee": number(fee.quantize(_EIGHT)),
            "fee_currency": trade.product.currency,
            "profit_loss": number(profit.quantize(_EIGHT)),
            "post_only": order.post_only,
            "reduce_only": ticket.reduce_only,
            "self_trade": False,
            "matching_id": None,
            "api": True,
            "mmp": False,
            "risk_reducing": ticket.reduce_only,
        }

    def needs(self, currency: str, markets: Mapping[str, Market], more: Ticket | None = None) -> Decimal:
        """The margin of positions and open orders, with one order more perhaps."""
        sizes = {held.product.name: held.size for held in self.positions.values()}
        sides = {name: [size, -size] for name, size in sizes.items()}
        waiting = [(order.ticket, order.left) for order in self.open.values()]
        for ticket, left in [*waiting, *([(more, more.amount)] if more else [])]:
            if not ticket.reduce_only:
                pair = sides.setdefault(ticket.product.name, [Decimal(0), Decimal(0)])
                pair[0 if ticket.direction == BUY else 1] += left
        total = Decimal(0)
        for name, pair in sides.items():
            made = markets[name].product
            if made.currency == currency:
                total += _margin(made, max(*pair, Decimal(0)), markets[name].mark)
        return total

    def portfolio(self, currency: str, markets: Mapping[str, Market]) -> dict[str, object]:
        """The money of one currency. Source: a capture of 2026-01, user.portfolio."""
        held = [p for p in self.positions.values() if p.product.currency == currency]
        floating = sum((p.floating(markets[p.product.name].mark) for p in held), Decimal(0))
        realized = sum((p.realized for p in held), Decimal(0))
        margin, balance = self.needs(currency, markets), self.balance(currency)
        equity = balance + floating
        figures = {
            "balance": balance,
            "equity": equity,
            "margin_balance": equity,
            "available_funds": max(equity - margin, Decimal(0)),
            "available_withdrawal_funds": max(balance - margin, Decimal(0)),
            "initial_margin": margin,
            "maintenance_margin": margin / 2,
            "projected_initial_margin": margin,
            "projected_maintenance_margin": margin / 2,
            "total_pl": floating + realized,
            "session_upl": floating,
            "session_rpl": realized,
            "futures_pl": floating + realized,
            "futures_session_upl": floating,
            "futures_session_rpl": realized,
            "options_pl": Decimal(0),
            "options_value": Decimal(0),
            "options_delta": Decimal(0),
            "delta_total": Decimal(0),
            "locked_balance": Decimal(0),
            "fee_balance": Decimal(0),
        }
        shown: dict[str, object] = {key: number(value.quantize(_EIGHT)) for key, value in figures.items()}
        return shown | {
            "currency": currency,
            "margin_model": "segregated_sm",
            "portfolio_margining_enabled": False,
            "cross_collateral_enabled": False,
        }


def _fee(trade: Trade, *, took: bool) -> Decimal:
    if trade.product.is_option:
        return trade.amount * _OPTION_FEE
    return trade.product.worth(trade.amount, trade.price) * _TAKER_FEE if took else Decimal(0)


def _margin(made: Product, amount: Decimal, mark: Decimal) -> Decimal:
    return amount * _OPTION_MARGIN if made.is_option else made.worth(amount, mark) * _FUTURE_MARGIN
