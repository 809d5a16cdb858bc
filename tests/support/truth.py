"""What the venue's own frames mean, worked out without the code under test."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

Data = Any
Frame = dict[str, Any]

STREAM = "mudrex.futures."
LABELS = {"1": "1m", "3": "3m", "5": "5m", "60": "1h", "D": "1d"}
TICKER = {
    "price": "lastPrice",
    "markPrice": "markPrice",
    "indexPrice": "indexPrice",
    "high24h": "highPrice24h",
    "low24h": "lowPrice24h",
    "prevPrice24h": "prevPrice24h",
    "volume24h": "volume24h",
    "turnover24h": "turnover24h",
    "change24hPercent": "price24hPcnt",
    "tickDirection": "tickDirection",
    "bid": "bid1",
    "ask": "ask1",
    "openInterest": "openInterest",
    "openInterestValue": "openInterestValue",
    "fundingRate": "fundingRate",
    "nextFundingTime": "nextFundingTime",
}
"""Every key of a ticker's data, in its order, and the venue's field that it shows."""


def ticker(state: dict[str, str]) -> dict[str, Any]:
    """The data that shows a whole state of the venue's; what the venue leaves open is absent."""
    data: dict[str, Any] = {"symbol": state["symbol"]}
    for key, field in TICKER.items():
        if key in {"bid", "ask"}:
            sides = {part: state.get(f"{field}{part.capitalize()}", "") for part in ("price", "size")}
            if any(sides.values()):
                data[key] = {part: text for part, text in sides.items() if text}
        elif text := state.get(field):
            data[key] = percent(text) if key == "change24hPercent" else text
    return data


def percent(ratio: str) -> str:
    """A ratio in per cent with two decimals."""
    text = f"{Decimal(ratio) * 100:.2f}"
    return "0.00" if text == "-0.00" else text


def candle(topic: str, item: dict[str, Any]) -> dict[str, Any]:
    """The data that shows one candle."""
    _, interval, symbol = topic.split(".")
    prices = {key: item[key] for key in ("open", "high", "low", "close", "volume", "turnover")}
    return {
        "symbol": symbol,
        "interval": LABELS[interval],
        "openTime": item["start"],
        "closeTime": item["end"],
        **prices,
        "confirmed": item["confirm"],
    }


def trade(topic: str, item: dict[str, Any]) -> dict[str, Any]:
    """The data that shows one trade."""
    return {
        "id": item["i"],
        "symbol": topic.split(".")[1],
        "price": item["p"],
        "quantity": item["v"],
        "side": item["S"].lower(),
        "time": item["T"],
        "isBlockTrade": item["BT"],
    }


def shown(frames: Sequence[Frame], topic: str) -> list[Data]:
    """All that a reader of ``topic`` should have been shown of one connection, in order."""
    state: dict[str, str] = {}
    values: list[Data] = []
    for frame in frames:
        if frame.get("topic") != topic:
            continue
        if topic.startswith("tickers."):
            state = dict(frame["data"]) if frame["type"] == "snapshot" else state | frame["data"]
            values.append(ticker(state))
        elif topic.startswith("kline."):
            values.extend(candle(topic, item) for item in frame["data"])
        else:
            values.append([trade(topic, item) for item in frame["data"]])
    return values
