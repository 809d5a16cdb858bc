"""Bars of minutes and days, and late trades."""

from __future__ import annotations

from random import Random

from feedmux.sim.alpaca_bars import MINUTE_NS, Bars
from feedmux.sim.alpaca_codec import JSON

START = 1_614_009_060 // 60 * MINUTE_NS
"""2021-02-22T15:51:00Z."""


class Dice(Random):
    """Dice that always or never let a trade be late."""

    def __init__(self, late: bool) -> None:
        super().__init__(1)
        self._late = late

    def random(self) -> float:
        return 0.0 if self._late else 0.9


def text(bars: Bars, ns: int) -> list[str]:
    return [JSON.item(item).decode() for _, item in bars.over(ns)]


def test_a_minute_is_told_when_it_is_over_with_the_day_behind_it() -> None:
    bars = Bars("SPY", Dice(late=False))
    for second, units, size in ((1, 10_000, 10), (20, 30_000, 10), (30, 5_000, 10), (59, 20_000, 20)):
        bars.add(units, size, START + second * 1_000_000_000)
    assert bars.over(START + MINUTE_NS - 1) == []
    assert text(bars, START + MINUTE_NS) == [
        '{"T":"b","S":"SPY","o":1,"h":3,"l":0.5,"c":2,"v":50,"t":"2021-02-22T15:51:00Z","n":4,"vw":1.7}',
        '{"T":"d","S":"SPY","o":1,"h":3,"l":0.5,"c":2,"v":50,"t":"2021-02-22T05:00:00Z","n":4,"vw":1.7}',
    ]
    assert bars.over(START + 2 * MINUTE_NS) == []


def test_a_minute_without_a_trade_has_no_bar() -> None:
    assert Bars("SPY", Dice(late=False)).over(START + MINUTE_NS) == []


def test_a_late_trade_is_told_half_a_minute_after_the_end_and_once() -> None:
    bars = Bars("SPY", Dice(late=True))
    bars.add(10_000, 10, START)
    (_, first), _ = bars.over(START + MINUTE_NS)
    assert bars.over(START + MINUTE_NS * 3 // 2 - 1) == []
    ((channel, update),) = bars.over(START + MINUTE_NS * 3 // 2)
    assert (channel, update["T"], update["n"]) == ("updatedBars", "u", 2)
    assert isinstance(update["v"], int)
    assert update["v"] > 10
    assert first["v"] == 10
    assert bars.over(START + MINUTE_NS * 9) == []


def test_a_day_begins_at_midnight_in_new_york() -> None:
    bars = Bars("SPY", Dice(late=False))
    midnight = START - (START - 300 * MINUTE_NS) % (1440 * MINUTE_NS) + 1440 * MINUTE_NS
    bars.add(10_000, 10, midnight - 1)
    bars.over(midnight)
    bars.add(20_000, 10, midnight)
    _, (channel, day) = bars.over(midnight + MINUTE_NS)
    assert channel == "dailyBars"
    assert (day["n"], day["v"]) == (1, 10)
    assert '"t":"2021-02-23T05:00:00Z"' in JSON.item(day).decode()
