"""Candles begin and end where the venue's do, and hold together."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from feedmux.sim.candle import Candle, bounds


def ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("interval", "at", "start", "after"),
    [
        ("1", ms(2026, 9, 30, 8, 31) + 59_999, ms(2026, 9, 30, 8, 31), ms(2026, 9, 30, 8, 32)),
        ("5", ms(2026, 9, 30, 8, 34), ms(2026, 9, 30, 8, 30), ms(2026, 9, 30, 8, 35)),
        ("60", ms(2026, 9, 30, 8, 31), ms(2026, 9, 30, 8), ms(2026, 9, 30, 9)),
        ("720", ms(2026, 9, 30, 8, 31), ms(2026, 9, 30), ms(2026, 9, 30, 12)),
        ("D", ms(2026, 9, 30, 8, 31), ms(2026, 9, 30), ms(2026, 10, 1)),
        ("W", ms(2026, 9, 30, 8, 31), ms(2026, 9, 28), ms(2026, 10, 5)),
        ("W", ms(2026, 9, 28), ms(2026, 9, 28), ms(2026, 10, 5)),
        ("M", ms(2024, 2, 29, 8, 31), ms(2024, 2, 1), ms(2024, 3, 1)),
        ("M", ms(2026, 12, 31, 23, 59), ms(2026, 12, 1), ms(2027, 1, 1)),
    ],
)
def test_a_candle_begins_and_ends_on_the_calendar(interval: str, at: int, start: int, after: int) -> None:
    assert bounds(interval, at) == (start, after - 1)


def test_without_a_trade_a_candle_stays_as_it_is() -> None:
    candle = Candle("1", 60_000, Decimal("10"))
    candle.add(Decimal("12"), Decimal(0), Decimal(0))
    assert candle.high == Decimal("10")


def test_the_item_of_a_candle_has_the_venues_fields_and_types() -> None:
    data = Candle("1", 61_000, Decimal("10.50")).data(999_999_999, confirm=True)
    assert data == {
        "start": 60_000,
        "end": 119_999,
        "interval": "1",
        "open": "10.50",
        "close": "10.50",
        "high": "10.50",
        "low": "10.50",
        "volume": "0",
        "turnover": "0.0000",
        "confirm": True,
        "timestamp": 119_999,
    }
