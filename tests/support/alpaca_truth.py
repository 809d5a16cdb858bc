"""What should be shown of a simulated Alpaca's frames: the field tables, written once more and slowly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

Message = dict[str, Any]


def read(payloads: Iterable[bytes], types: str, symbol: str) -> list[list[Message]]:
    """The objects of some types and one symbol, frame by frame; numbers keep their digits."""
    found: list[list[Message]] = []
    for payload in payloads:
        objects = json.loads(payload, parse_float=Decimal)
        found.append([one for one in objects if one["T"] in types and one.get("S") == symbol])
    return [objects for objects in found if objects]


def ticker(quote: Message) -> Message:
    """A quote as it should be shown."""
    sides = {
        ours: {"price": str(quote[price]), "size": str(quote[size]), "exchange": quote[exchange]}
        for ours, price, size, exchange in (("bid", "bp", "bs", "bx"), ("ask", "ap", "as", "ax"))
    }
    return {
        "symbol": quote["S"], "venueTime": quote["t"], **sides, "conditions": quote["c"], "tape": quote["z"]
    }  # fmt: skip


def trades(objects: list[Message]) -> list[Message]:
    """What one frame says of a symbol's trades as it should be shown."""
    return [_news(one) for one in objects]


def candles(frames: Iterable[list[Message]]) -> Iterator[Message]:
    """Bars and what corrects them, as they should be shown."""
    for bar in (one for objects in frames for one in objects):
        opened = _ms(bar["t"])
        yield {
            "symbol": bar["S"],
            "interval": "1m",
            "openTime": opened,
            "closeTime": opened + 59_999,
            "open": str(bar["o"]),
            "high": str(bar["h"]),
            "low": str(bar["l"]),
            "close": str(bar["c"]),
            "volume": str(bar["v"]),
            "confirmed": True,
            **({"tradeCount": bar["n"]} if "n" in bar else {}),
            **({"averagePrice": str(bar["vw"])} if "vw" in bar else {}),
            **({"corrected": True} if bar["T"] == "u" else {}),
        }


def _news(one: Message) -> Message:
    where = {"exchange": one["x"], "tape": one["z"]}
    when = {"symbol": one["S"], "time": _ms(one["t"]), "venueTime": one["t"]}
    if one["T"] == "x":
        gone = {"id": str(one["i"]), "price": str(one["p"]), "quantity": str(one["s"])}
        return {**when, "cancelled": gone, "action": one["a"], **where}
    if one["T"] == "c":
        was, is_ = (
            {"id": str(one[f"{x}i"]), "price": str(one[f"{x}p"]), "quantity": str(one[f"{x}s"])}
            | ({"conditions": one[f"{x}c"]} if one[f"{x}c"] else {})
            for x in "oc"
        )
        return {**when, "corrected": was, "correction": is_, **where}
    deal = {"id": str(one["i"]), "price": str(one["p"]), "quantity": str(one["s"])}
    return {**when, **deal, "conditions": one["c"], **where}


def _ms(text: str) -> int:
    whole, _, rest = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 1000 + int((rest + "000")[:3])
