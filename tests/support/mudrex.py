"""What the Mudrex proxy makes of Bybit's frames and publishes, worked out without the code under test.

Source: DecentralizedJM/mudrex-proxy-server-websocket, main 73e61d4 (2026-02-07), app/upstream/transformer.py.
"""

from __future__ import annotations

from typing import Any, Final

from support import truth

Frame = dict[str, Any]

ENVELOPE: Final = ["stream", "type", "data", "timestamp", "source"]
"""The keys of every message, in their order."""
TICKER: Final = ["symbol", *truth.TICKER]
CANDLE: Final = [
    *("symbol", "interval", "openTime", "closeTime", "open", "high", "low", "close"),
    *("volume", "turnover", "confirmed"),
]
TRADE: Final = ["id", "symbol", "price", "quantity", "side", "time", "isBlockTrade"]
"""The keys of each kind of data, in their order."""


def proxied(frame: Frame) -> Frame:
    """The message that it makes of a frame; that of a ticker has to be whole."""
    kind, _, rest = frame["topic"].partition(".")
    if kind == "tickers":
        state = {name: text for name, text in frame["data"].items() if text}
        is_whole = frame["type"] == "snapshot"
        return _message("ticker", rest, "snapshot" if is_whole else "update", truth.ticker(state), frame)
    if kind == "kline":
        return _message("kline", rest, "update", truth.candle(frame["topic"], frame["data"][0]), frame)
    trades = [truth.trade(frame["topic"], item) for item in frame["data"]]
    return _message("trade", rest, "update", trades, frame)


def _message(kind: str, rest: str, word: str, data: object, frame: Frame) -> Frame:
    stream = f"mudrex.futures.{kind}.{rest}"
    return {
        "stream": stream, "type": word, "data": data, "timestamp": frame["ts"], "source": "mudrex",
    }  # fmt: skip
