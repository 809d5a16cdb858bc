"""The trading methods of a simulated Deribit: orders and positions of the caller's account.

Source: Deribit API v2 documents, 2026-09; answers as captured 2026-01.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from feedmux.sim.deribit_call import Call, Method
from feedmux.sim.deribit_credits import GENERAL, MATCHING
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_methods import ANY, CURRENCIES, KINDS
from feedmux.sim.deribit_order import BUY, FOREVER, SELL, TIMES_IN_FORCE, Order, Ticket, Trade
from feedmux.sim.deribit_params import wrong
from feedmux.sim.deribit_product import Product
from feedmux.sim.deribit_rpc import Denied

_TYPES = ("limit", "market", "market_limit")
_TRIGGERS = ("stop_limit", "stop_market", "take_limit", "take_market", "trailing_stop")
_MAX_LABEL = 64


def _amount(call: Call, product: Product, default: Decimal | None = None) -> Decimal:
    """What ``amount`` or ``contracts`` says; both must say the same."""
    amounts = set()
    if "amount" in call.params:
        amounts.add(call.params.number("amount"))
    if "contracts" in call.params:
        amounts.add(call.params.number("contracts") * product.size)
    if len(amounts) > 1:
        raise Denied(11029, {"reason": "amount and contracts differ", "param": "contracts"})
    if amounts:
        return amounts.pop()
    if default is None:
        raise wrong("amount", "value required")
    return default


def _ticket(call: Call, market: Market, direction: str) -> Ticket:
    params, product = call.params, market.product
    kind = params.choice("type", _TYPES + _TRIGGERS, "limit")
    if kind in _TRIGGERS:
        raise wrong("type", "trigger orders are not simulated")
    if len(params.text("label", "")) > _MAX_LABEL:
        raise wrong("label", f"length must be <= {_MAX_LABEL}")
    ticket = Ticket(
        product=product,
        direction=direction,
        amount=_amount(call, product),
        price=params.number("price") if kind == "limit" else None,
        kind=kind,
        time_in_force=params.choice("time_in_force", TIMES_IN_FORCE, FOREVER),
        post_only=params.flag("post_only"),
        reject_post_only=params.flag("reject_post_only"),
        reduce_only=params.flag("reduce_only"),
        label=params.text("label", ""),
        connection=call.caller.ident,
    )
    if ticket.post_only and (kind != "limit" or ticket.time_in_force != FOREVER):
        raise Denied(
            11029, {"reason": "post_only needs a limit and good_til_cancelled", "param": "post_only"}
        )
    return ticket


def _placing(direction: str) -> Callable[[Call], object]:
    def run(call: Call) -> object:
        ticket = _ticket(call, call.market(), direction)
        order, trades = call.floor.exchange.engine.place(call.ledger, ticket, call.now_ms)
        return _done(call, order, trades)

    return run


def _done(call: Call, order: Order, trades: list[Trade]) -> dict[str, object]:
    ledger = call.ledger
    return {"order": order.view(ledger.user_id), "trades": ledger.fresh_trades(order) if trades else []}


def _named(call: Call) -> Order:
    return call.floor.exchange.engine.find(call.ledger, call.params.text("order_id"))


def edit(call: Call) -> object:
    """``private/edit``"""
    order, params = _named(call), call.params
    amount = _amount(call, order.ticket.product, order.amount)
    price = params.number("price") if "price" in params else order.price
    engine = call.floor.exchange.engine
    return _done(call, order, engine.edit(call.ledger, order, amount=amount, price=price, now_ms=call.now_ms))


def cancel(call: Call) -> object:
    """``private/cancel``"""
    order = _named(call)
    call.floor.exchange.engine.cancel(call.ledger, order, call.now_ms)
    return order.view(call.ledger.user_id)


def cancel_all(call: Call) -> object:
    """``private/cancel_all`` and its relatives: how many there were."""
    chosen = _chooser(call)
    return call.floor.exchange.engine.cancel_where(call.ledger, chosen, call.now_ms)


def get_open_orders(call: Call) -> object:
    """``private/get_open_orders`` and its relatives: oldest first."""
    chosen, ledger = _chooser(call), call.ledger
    return [order.view(ledger.user_id) for order in ledger.open.values() if chosen(order)]


def _chooser(call: Call) -> Callable[[Order], bool]:
    """Which orders are meant: by instrument, currency, kind, type and label, as far as these are named."""
    params = call.params
    name = call.market().product.name if "instrument_name" in params else None
    currency = params.choice("currency", (*CURRENCIES, ANY)) if "currency" in params else ANY
    kind = params.choice("kind", (*KINDS, ANY)) if "kind" in params else ANY
    way = params.text("type", "all")
    label = params.text("label") if "label" in params else None

    def chosen(order: Order) -> bool:
        ticket = order.ticket
        return (
            name in {None, ticket.product.name}
            and currency in {ANY, ticket.product.currency}
            and kind in {ANY, ticket.product.kind}
            and way in {"all", ticket.kind}
            and label in {None, ticket.label}
        )

    return chosen


def get_order_state(call: Call) -> object:
    """``private/get_order_state``"""
    return _named(call).view(call.ledger.user_id)


def get_positions(call: Call) -> object:
    """``private/get_positions``: those that were ever opened."""
    currency = call.params.choice("currency", (*CURRENCIES, ANY), ANY)
    kind = call.params.choice("kind", (*KINDS, ANY), ANY)
    markets = call.floor.exchange.markets
    return [
        held.view(markets[name])
        for name, held in call.ledger.positions.items()
        if currency in {ANY, held.product.currency} and kind in {ANY, held.product.kind}
    ]


def get_position(call: Call) -> object:
    """``private/get_position``"""
    market = call.market()
    return call.ledger.position(market.product).view(market)


def get_account_summary(call: Call) -> object:
    """``private/get_account_summary``"""
    currency = call.params.choice("currency", CURRENCIES)
    ledger = call.ledger
    summary = ledger.portfolio(currency, call.floor.exchange.markets)
    if call.params.flag("extended"):
        summary |= {"id": ledger.user_id, "username": ledger.account, "type": "main", "email": ""}
    return summary


METHODS: dict[str, Method] = {
    "private/buy": Method(_placing(BUY), MATCHING, "trade", write=True),
    "private/sell": Method(_placing(SELL), MATCHING, "trade", write=True),
    "private/edit": Method(edit, MATCHING, "trade", write=True),
    "private/cancel": Method(cancel, MATCHING, "trade", write=True),
    "private/cancel_all": Method(cancel_all, MATCHING, "trade", write=True),
    "private/cancel_all_by_instrument": Method(cancel_all, MATCHING, "trade", write=True),
    "private/cancel_all_by_currency": Method(cancel_all, MATCHING, "trade", write=True),
    "private/cancel_by_label": Method(cancel_all, MATCHING, "trade", write=True),
    "private/get_open_orders": Method(get_open_orders, GENERAL, "trade"),
    "private/get_open_orders_by_instrument": Method(get_open_orders, GENERAL, "trade"),
    "private/get_open_orders_by_currency": Method(get_open_orders, GENERAL, "trade"),
    "private/get_order_state": Method(get_order_state, GENERAL, "trade"),
    "private/get_positions": Method(get_positions, GENERAL, "trade"),
    "private/get_position": Method(get_position, GENERAL, "trade"),
    "private/get_account_summary": Method(get_account_summary, GENERAL, "account"),
}
"""By name."""
