"""What trades: plausible, and the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from feedmux.sim.alpaca_bars import MINUTE_NS
from feedmux.sim.alpaca_codec import JSON
from feedmux.sim.alpaca_desk import Desk, Event
from support.alpaca_client import captured

NOW = 1_770_000_000 * 10**9
STEP = 10**7


def told(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [json.loads(JSON.item(event.item)) for event in events]


def day(desk: Desk, count: int, *, start: int = NOW) -> list[dict[str, Any]]:
    events: list[Event] = []
    for place in range(count):
        events += desk.trade(start + place * STEP, start)
        events += desk.quote(start + place * STEP)
    return told(events)


def without_times(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key != "t"} for item in items]


def test_the_same_seed_makes_the_same_values_at_any_time() -> None:
    one = day(Desk("sip", "AAPL", 7), 50)
    other = day(Desk("sip", "AAPL", 7), 50, start=NOW + 10**15)
    assert without_times(one) == without_times(other)
    assert without_times(one) != without_times(day(Desk("sip", "AAPL", 8), 50))
    assert without_times(one) != without_times(day(Desk("iex", "AAPL", 7), 50))


def test_quotes_do_not_move_trades() -> None:
    quoted = [item for item in day(Desk("sip", "AAPL", 7), 20) if item["T"] == "t"]
    desk = Desk("sip", "AAPL", 7)
    alone = told([event for place in range(20) for event in desk.trade(NOW + place, NOW)])
    assert [item["i"] for item in quoted] == [item["i"] for item in alone]
    assert [item["p"] for item in quoted] == [item["p"] for item in alone]


@pytest.mark.parametrize(
    ("feed", "symbol"), [("iex", "AAPL"), ("sip", "SPY"), ("test", "FAKEPACA"), ("sip", "ZZ")]
)
def test_trades_and_quotes_are_plausible(feed: str, symbol: str) -> None:
    items = day(Desk(feed, symbol, 1), 500)
    trades = [item for item in items if item["T"] == "t"]
    quotes = [item for item in items if item["T"] == "q"]
    assert len(trades) == len(quotes) == 500
    assert list(trades[0]) == ["T", "S", "i", "x", "p", "s", "c", "z", "t"]
    assert list(quotes[0]) == ["T", "S", "bx", "bp", "bs", "ax", "ap", "as", "c", "z", "t"]
    ids = [trade["i"] for trade in trades]
    assert ids == sorted(set(ids))
    assert ids[0] > 2**32
    assert max(ids) < 2**53
    assert len({later - earlier for earlier, later in pairwise(ids)}) > 1
    prices = [trade["p"] for trade in trades]
    assert len(set(prices)) > 5
    assert all(0.7 * prices[0] < price < 1.4 * prices[0] for price in prices)
    assert any(round(price * 100, 6) % 1 for price in prices)
    assert all(0 < quote["bp"] < quote["ap"] for quote in quotes)
    assert all(("I" in trade["c"]) is (trade["s"] < 100) for trade in trades)
    assert len({item["z"] for item in items}) == 1
    assert (
        {trade["x"] for trade in trades} > {"V"} if feed == "sip" else {item["x"] for item in trades} == {"V"}
    )


def test_times_have_nanoseconds_and_rise() -> None:
    times = [item["t"] for item in day(Desk("iex", "AAPL", 1), 200)]
    whole = [time.ljust(30, "0") if "." in time else time for time in (time.rstrip("Z") for time in times)]
    assert whole == sorted(set(whole))
    assert any(len(time) == len("2026-02-02T02:40:00.123456789Z") for time in times)


def test_a_minute_closes_with_a_bar_a_day_and_a_band() -> None:
    desk = Desk("sip", "SPY", 1)
    desk.trade(NOW, NOW)
    events = desk.trade(NOW + 1, NOW + MINUTE_NS)
    assert [event.channel for event in events] == ["bars", "dailyBars", "lulds", "trades"]
    bar, _, band, trade = told(events)
    assert bar["n"] == 1
    assert list(band) == ["T", "S", "u", "d", "i", "t", "z"]
    assert band["d"] < trade["p"] < band["u"]
    assert events[0].topic == "bars:SPY"


@pytest.mark.parametrize(
    ("symbol", "halted", "resumed"),
    [("AAPL", ("H", "T1"), ("T", "")), ("IBM", ("2", "P"), ("3", ""))],
)
def test_a_halt_speaks_the_words_of_its_tape(
    symbol: str, halted: tuple[str, str], resumed: tuple[str, str]
) -> None:
    desk = Desk("sip", symbol, 1)
    (first,) = told(desk.turn(NOW, halt=True))
    assert desk.is_halted
    (second,) = told(desk.turn(NOW, halt=False))
    assert not desk.is_halted
    assert list(first) == ["T", "S", "sc", "sm", "rc", "rm", "t", "z"]
    assert (first["T"], first["sc"], first["rc"]) == ("s", *halted)
    assert (second["T"], second["sc"], second["rc"]) == ("s", *resumed)


def test_a_correction_names_both_trades_and_a_cancellation_the_corrected_one() -> None:
    desk = Desk("sip", "AAPL", 1)
    assert desk.correct(NOW, units=1, size=1) == desk.cancel(NOW, "C") == []
    (trade,) = told(desk.trade(NOW, NOW))
    (correction,) = told(desk.correct(NOW, units=2_000_000, size=300))
    assert [correction[key] for key in ("T", "oi", "op", "os", "oc")] == [
        "c", trade["i"], trade["p"], trade["s"], trade["c"],
    ]  # fmt: skip
    assert (correction["cp"], correction["cs"]) == (200, 300)
    assert correction["ci"] > correction["oi"]
    (cancel,) = told(desk.cancel(NOW, "E"))
    assert [cancel[key] for key in ("T", "i", "p", "s", "a")] == ["x", correction["ci"], 200, 300, "E"]
    assert desk.cancel(NOW, "E") == []


def everything() -> dict[str, dict[str, Any]]:
    """One of each kind of data, by its type."""
    desk = Desk("sip", "AAPL", 3)
    events = [*desk.trade(NOW, NOW), *desk.quote(NOW), *desk.trade(NOW, NOW + MINUTE_NS)]
    events += [*desk.correct(NOW, units=10_000, size=1), *desk.cancel(NOW, "C"), *desk.turn(NOW, halt=True)]
    return {item["T"]: item for item in told(events)}


@pytest.mark.parametrize("kind", list("tqbdcxls"))
def test_data_have_the_members_of_the_venues_and_their_types(kind: str) -> None:
    real = [items[0] for items in captured("docs_message_examples.jsonl") if items[0]["T"] == kind]
    assert real
    ours = everything()[kind]
    for theirs in real:
        assert set(theirs) <= set(ours)
        assert set(ours) - set(theirs) <= ({"n", "vw"} if kind in "bd" else set())
        for key, value in theirs.items():
            numbers = isinstance(value, float) and isinstance(ours[key], int)
            assert numbers or type(value) is type(ours[key]), key
