"""Candles follow each other without a hole, and span their prices."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.sim.candle import INTERVALS, Candle, bounds
from support.examples import EXAMPLES

MILLISECONDS = st.integers(0, 4_102_444_800_000)  # up to the year 2100


@settings(max_examples=EXAMPLES)
@given(interval=st.sampled_from(INTERVALS), at=MILLISECONDS)
def test_candles_leave_no_hole_and_do_not_overlap(interval: str, at: int) -> None:
    start, end = bounds(interval, at)
    assert start <= at <= end
    assert bounds(interval, start) == bounds(interval, end) == (start, end)
    assert bounds(interval, end + 1)[0] == end + 1


@settings(max_examples=EXAMPLES)
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
