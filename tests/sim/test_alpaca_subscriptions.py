"""The set of a connection: added to, taken from, told as a whole."""

from __future__ import annotations

import pytest

from feedmux.sim.alpaca_subscriptions import CHANNELS, FOLLOWERS, Subscriptions


def having(**changes: list[str]) -> Subscriptions:
    subscriptions = Subscriptions()
    assert subscriptions.add(changes)
    return subscriptions


def test_subscribing_adds_in_order_and_without_doubles() -> None:
    subscriptions = having(bars=["IBM"], trades=["AAPL"])
    assert subscriptions.add({"bars": ["AAPL", "IBM", "AAPL", "VOO"]})
    assert subscriptions.listed(omit_empty=True) == {
        "trades": ["AAPL"],
        "bars": ["IBM", "AAPL", "VOO"],
        "corrections": ["AAPL"],
        "cancelErrors": ["AAPL"],
    }


def test_the_whole_set_names_every_channel_unless_empty_ones_are_omitted() -> None:
    assert Subscriptions().listed() == {channel: [] for channel in (*CHANNELS, *FOLLOWERS)}
    assert Subscriptions().listed(omit_empty=True) == {}


def test_unsubscribing_takes_what_is_there_and_says_what_that_was() -> None:
    subscriptions = having(trades=["AAPL", "IBM"], bars=["*", "SPY"])
    gone = subscriptions.remove({"trades": ["IBM", "VOO", "IBM"], "bars": ["*"], "quotes": ["AAPL"]})
    assert set(gone) == {("trades", "IBM"), ("bars", "*")}
    listed = subscriptions.listed()
    assert (listed["trades"], listed["corrections"], listed["bars"]) == (["AAPL"], ["AAPL"], ["SPY"])


def test_taking_one_symbol_from_a_wildcard_takes_nothing() -> None:
    subscriptions = having(bars=["*"])
    assert subscriptions.remove({"bars": ["SPY"]}) == []
    assert subscriptions.covers("bars", "SPY")


@pytest.mark.parametrize(
    ("channel", "symbol", "covered"),
    [
        ("trades", "AAPL", True),
        ("trades", "IBM", False),
        ("corrections", "AAPL", True),
        ("cancelErrors", "AAPL", True),
        ("corrections", "IBM", False),
        ("quotes", "AAPL", False),
        ("bars", "AAPL", True),
        ("bars", "IBM", True),
        ("updatedBars", "IBM", False),
    ],
)
def test_what_is_covered(channel: str, symbol: str, covered: bool) -> None:
    assert having(trades=["AAPL"], bars=["*"]).covers(channel, symbol) is covered


def test_too_many_trades_and_quotes_change_nothing_and_bars_are_not_counted() -> None:
    subscriptions = having(trades=["A", "B"])
    assert subscriptions.add({"quotes": ["A"], "bars": ["A", "B", "C", "D"], "trades": ["A"]}, most=3)
    before = subscriptions.listed()
    assert not subscriptions.add({"quotes": ["B"], "bars": ["E"]}, most=3)
    assert not subscriptions.add({"trades": ["*"]}, most=30)
    assert subscriptions.listed() == before
