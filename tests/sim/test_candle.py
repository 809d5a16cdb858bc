"""Candles begin and end where the venue's do, and hold together."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedmux.sim.candle import INTERVALS, Candle, bounds

MILLISECONDS = st.integers(0, 4_102_444_800_000)  # up to the year 2100


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


@given(interval=st.sampled_from(INTERVALS), at=MILLISECONDS)
def test_candles_leave_no_hole_and_do_not_overlap(interval: str, at: int) -> None:
    start, end = bounds(interval, at)
    assert start <= at <= end
    assert bounds(interval, start) == bounds(interval, end) == (start, end)
    assert bounds(interval, end + 1)[0] == end + 1


@given(prices=st.lists(st.decimals("0.01", "99999", places=2), min_size=1, max_size=20))
def test_a_candle_spans_its_prices(prices: list[Decimal]) -> None:
    candle = Candle("5", 1_000_000, prices[0])
    for price in prices:
        candle.add(price, Decimal(2), price * 2)
    data = candle.data(1_000_000, confirm=False)
    assert Decimal(str(data["open"])) == prices[0]
    assert Decimal(str(data["close"])) == prices[-1]
    assert Decimal(str(data["high"])) == max(prices)
    assert Decimal(str(data["low"])) == min(prices)
    assert Decimal(str(data["volume"])) == 2 * len(prices)
    assert Decimal(str(data["turnover"])) == 2 * sum(prices)


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
