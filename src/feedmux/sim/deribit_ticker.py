"""What a simulated Deribit says of one instrument as a whole: ticker, quote, order book.

Source: captures of 2025-12 and 2026-09, ticker and quote channels; Deribit API v2 documents,
get_order_book, 2026-09, for what an option has besides.
"""

from __future__ import annotations

from decimal import Decimal

from feedmux.sim.deribit_book import ASKS, BIDS
from feedmux.sim.deribit_json import number, optional, real
from feedmux.sim.deribit_market import Market

_EIGHT = Decimal("0.00000001")


def quote(market: Market) -> dict[str, object]:
    """The best of both sides."""
    bid, ask = market.book.best(BIDS), market.book.best(ASKS)
    return {
        "best_ask_price": optional(ask),
        "best_bid_price": optional(bid),
        "best_ask_amount": number(market.book.amount(ASKS, ask) if ask is not None else Decimal(0)),
        "best_bid_amount": number(market.book.amount(BIDS, bid) if bid is not None else Decimal(0)),
    }


def ticker(market: Market, now_ms: int) -> dict[str, object]:
    """Everything that a ticker says."""
    low, high = market.band()
    shown: dict[str, object] = {
        "timestamp": now_ms,
        "state": "open",
        "stats": _stats(market),
        "index_price": number(market.index.price),
        "instrument_name": market.product.name,
        "last_price": number(market.last),
        "settlement_price": number(market.before.quantize(_EIGHT)),
        "min_price": number(low),
        "max_price": number(high),
        "open_interest": number(market.interest),
        "mark_price": number(market.mark),
    }
    if market.product.is_perpetual:
        shown |= _funding(market)
    if market.product.is_option:
        shown |= _option(market)
    return shown | quote(market) | {"estimated_delivery_price": number(market.index.price)}


def order_book(market: Market, depth: int, now_ms: int) -> dict[str, object]:
    """The answer of ``public/get_order_book``."""
    shown = ticker(market, now_ms)
    book = market.book
    return shown | {
        "change_id": market.change_id,
        "bids": [[number(price), number(amount)] for price, amount in book.depth(BIDS, depth)],
        "asks": [[number(price), number(amount)] for price, amount in book.depth(ASKS, depth)],
    }


def _stats(market: Market) -> dict[str, object]:
    coins, dollars = market.product.volume(market.traded, market.last)
    if market.product.is_option:
        dollars *= market.index.price  # an option is paid in the coin
    change = (market.last - market.before) / market.before * 100
    return {
        "high": number(market.high),
        "low": number(market.low),
        "price_change": number(change.quantize(Decimal("0.0001"))),
        "volume": number(coins.quantize(_EIGHT)),
        "volume_usd": number(dollars.quantize(Decimal("0.01"))),
        "volume_notional": number(dollars.quantize(Decimal("0.01"))),
    }


def _funding(market: Market) -> dict[str, object]:
    """Source: captures of 2026-09: ``current_funding`` is often in exponent form."""
    rate = (market.mark - market.index.price) / market.index.price
    return {
        "interest_value": number((rate * 100).quantize(Decimal("1e-16"))),
        "current_funding": number(rate.quantize(Decimal("1e-8"))),
        "funding_8h": number((rate / 3).quantize(Decimal("1e-8"))),
    }


def _option(market: Market) -> dict[str, object]:
    greeks, volatility = market.greeks(), market.volatility
    return {
        "mark_iv": number(volatility),
        "bid_iv": number(volatility - 1),
        "ask_iv": number(volatility + 1),
        "greeks": {
            "delta": real(greeks.delta, 5),
            "gamma": real(greeks.gamma, 5),
            "rho": real(greeks.rho, 5),
            "theta": real(greeks.theta, 5),
            "vega": real(greeks.vega, 5),
        },
        "underlying_price": number(market.index.price),
        "underlying_index": "SYN." + "-".join(market.product.name.split("-")[:2]),
        "interest_rate": number(Decimal(0)),
    }
