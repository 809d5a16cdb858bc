"""What the frames of a Deribit mean, worked out without the code under test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

Data = dict[str, Any]

TICKER: dict[str, str | tuple[str, str, str]] = {
    "price": "last_price",
    "markPrice": "mark_price",
    "indexPrice": "index_price",
    "high24h": "stats.high",
    "low24h": "stats.low",
    "volume24h": "stats.volume",
    "turnover24h": "stats.volume_usd",
    "change24hPercent": "stats.price_change",
    "bid": ("best_bid_price", "best_bid_amount", "bid_iv"),
    "ask": ("best_ask_price", "best_ask_amount", "ask_iv"),
    "openInterest": "open_interest",
    "fundingRate": "current_funding",
    "fundingRate8h": "funding_8h",
    "interestValue": "interest_value",
    "settlementPrice": "settlement_price",
    "estimatedDeliveryPrice": "estimated_delivery_price",
    "deliveryPrice": "delivery_price",
    "minPrice": "min_price",
    "maxPrice": "max_price",
    "markIv": "mark_iv",
    "greeks": "greeks",
    "underlyingPrice": "underlying_price",
    "underlyingIndex": "underlying_index",
    "interestRate": "interest_rate",
    "state": "state",
}
"""Every key of a ticker's data, in its order, and the field of Deribit's that it shows."""
MINUTE_MS = 60_000


class Number(str):
    """A number as it was written."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """Its digits without an exponent."""
        return f"{Decimal(self):f}" if "e" in self.lower() else str(self)


def read(payloads: Iterable[bytes], channel: str) -> list[Any]:
    """The data of a channel, message by message, with numbers as they were written."""
    messages = [json.loads(payload, parse_float=Number) for payload in payloads]
    params = [one["params"] for one in messages if one.get("method") == "subscription"]
    return [one["data"] for one in params if one["channel"] == channel]


def ticker(data: Data) -> Data:
    """The data that shows a ticker; what Deribit leaves open is absent."""
    shown: Data = {"symbol": data["instrument_name"]}
    for key, field in TICKER.items():
        if isinstance(field, tuple):
            price, size, iv = (data.get(name) for name in field)
            if size is not None and Decimal(size):
                shown[key] = plain({"price": price, "size": size, "iv": iv})
        else:
            outer, _, inner = field.rpartition(".")
            value = (data.get(outer) or {}).get(inner) if outer else data.get(field)
            if value is not None:
                shown[key] = plain(value)
    return shown


def plain(value: Any) -> Any:
    """A value with its numbers as plain texts and without what is not known."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if inner is not None}
    return value.text if isinstance(value, Number) else value


def trade(data: Data) -> Data:
    """The data that shows one trade."""
    shown = {
        "id": data["trade_id"],
        "symbol": data["instrument_name"],
        "price": data["price"],
        "quantity": data["amount"],
        "side": data["direction"],
        "time": data["timestamp"],
        "isBlockTrade": False,
        "tradeSeq": data["trade_seq"],
        "markPrice": data["mark_price"],
        "indexPrice": data["index_price"],
        "iv": data.get("iv"),
    }
    return {name: plain(value) for name, value in shown.items() if value is not None}


def candle(data: Data, symbol: str, *, confirmed: bool) -> Data:
    """The data that shows one candle of a minute."""
    prices = {name: plain(data[name]) for name in ("open", "high", "low", "close", "volume")}
    times = {"openTime": data["tick"], "closeTime": data["tick"] + MINUTE_MS - 1}
    more = {"turnover": plain(data["cost"]), "confirmed": confirmed}
    return {"symbol": symbol, "interval": "1m", **times, **prices, **more}


def candles(states: Sequence[Data], symbol: str) -> list[Data]:
    """All that a reader should be shown of candles whose messages came one after the other, none lost."""
    shown: list[Data] = []
    for number, state in enumerate(states):
        before = states[number - 1] if number else state
        if state["tick"] > before["tick"] > states[0]["tick"]:
            shown.append(candle(before, symbol, confirmed=True))
        shown.append(candle(state, symbol, confirmed=False))
    return shown
