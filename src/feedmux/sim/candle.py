"""Candles: where an interval begins and ends, and what traded between."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from decimal import Decimal

INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
"""The intervals of Bybit's klines: minutes, then day, week and month.

Source: Bybit V5 documents, websocket/public/kline, 2026-07.
"""

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_FIRST_MONDAY_MS = 4 * _DAY_MS
"""1970-01-01 was a Thursday; weeks begin on Monday, 00:00 UTC."""
_FOUR_PLACES = Decimal("0.0001")


def bounds(interval: str, ms: int) -> tuple[int, int]:
    """The first and the last millisecond of the candle that holds ``ms`` (Unix, UTC).

    Args:
        interval: one of :data:`INTERVALS`.
        ms: Unix milliseconds.
    """
    if interval == "M":
        return _month(ms)
    if interval == "W":
        start = (ms - _FIRST_MONDAY_MS) // (7 * _DAY_MS) * (7 * _DAY_MS) + _FIRST_MONDAY_MS
        return start, start + 7 * _DAY_MS - 1
    length = _DAY_MS if interval == "D" else int(interval) * _MINUTE_MS
    start = ms // length * length
    return start, start + length - 1


def _month(ms: int) -> tuple[int, int]:
    day = datetime.fromtimestamp(ms // 1000, UTC)
    first = datetime(day.year, day.month, 1, tzinfo=UTC)
    start = int(first.timestamp()) * 1000
    return start, start + monthrange(day.year, day.month)[1] * _DAY_MS - 1


class Candle:
    """One candle under way. Its low never passes its open or close, nor its high.

    Args:
        interval: one of :data:`INTERVALS`.
        ms: a Unix millisecond inside it.
        price: the first price.
    """

    __slots__ = ("close", "end", "high", "interval", "low", "open", "start", "turnover", "volume")

    def __init__(self, interval: str, ms: int, price: Decimal) -> None:
        self.interval = interval
        self.start, self.end = bounds(interval, ms)
        self.open = self.close = self.high = self.low = price
        self.volume = self.turnover = Decimal(0)

    def add(self, price: Decimal, volume: Decimal, turnover: Decimal) -> None:
        """Count ``volume`` traded at ``price``, worth ``turnover``; a volume of 0 changes nothing."""
        if not volume:
            return
        self.close = price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.volume += volume
        self.turnover += turnover

    def data(self, ms: int, *, confirm: bool) -> dict[str, object]:
        """The item of a kline frame: times are integers, prices and amounts texts.

        Args:
            ms: the candle clock, Unix milliseconds.
            confirm: True when the candle is closed.
        """
        return {
            "start": self.start,
            "end": self.end,
            "interval": self.interval,
            "open": format(self.open, "f"),
            "close": format(self.close, "f"),
            "high": format(self.high, "f"),
            "low": format(self.low, "f"),
            "volume": format(self.volume, "f"),
            "turnover": format(self.turnover.quantize(_FOUR_PLACES), "f"),
            "confirm": confirm,
            "timestamp": max(self.start, min(ms, self.end)),
        }
