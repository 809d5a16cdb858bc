from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic
from feedmux.venue.deribit_topic import INTERVALS, LABELS, LENGTHS_MS, channel_of, problem_of, topic_of


def topic(kind: str, instrument: str = "BTC-PERPETUAL", param: str = "") -> Topic:
    return Topic(PUBLIC, "deribit", "", kind, instrument, param)


def test_there_are_twelve_intervals_and_no_two_alike() -> None:
    labels = ["1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d"]
    codes = ["1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D"]
    assert dict(zip(labels, codes, strict=True)) == INTERVALS
    assert dict(zip(codes, labels, strict=True)) == LABELS


def test_lengths_are_what_the_labels_say() -> None:
    units = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
    assert {code: int(label[:-1]) * units[label[-1]] for code, label in LABELS.items()} == LENGTHS_MS


@pytest.mark.parametrize(
    ("wanted", "channel"),
    [
        (topic("ticker"), "ticker.BTC-PERPETUAL.100ms"),
        (topic("trade"), "trades.BTC-PERPETUAL.100ms"),
        (topic("kline", param="60"), "chart.trades.BTC-PERPETUAL.60"),
        (topic("kline", param="1D"), "chart.trades.BTC-PERPETUAL.1D"),
        (topic("ticker", "BTC-27NOV26"), "ticker.BTC-27NOV26.100ms"),
        (topic("ticker", "BTC-27NOV26-90000-C"), "ticker.BTC-27NOV26-90000-C.100ms"),
        (topic("trade", "BTC_USDC-PERPETUAL"), "trades.BTC_USDC-PERPETUAL.100ms"),
        (topic("trade", "XRP_USDC-27NOV26-0d625-C"), "trades.XRP_USDC-27NOV26-0d625-C.100ms"),
        (topic("trade", "ETH_USDC"), "trades.ETH_USDC.100ms"),
        (topic("trade", "BTC-CS-27NOV26-90000_95000"), "trades.BTC-CS-27NOV26-90000_95000.100ms"),
        (topic("kline", "1INCH_USDC-PERPETUAL", "1"), "chart.trades.1INCH_USDC-PERPETUAL.1"),
    ],
)
def test_topics_and_channels_map_both_ways(wanted: Topic, channel: str) -> None:
    assert channel_of(wanted) == channel
    assert topic_of(channel) == wanted
    assert problem_of(wanted) is None


@pytest.mark.parametrize(
    "channel",
    [
        "book.BTC-PERPETUAL.100ms", "ticker.BTC-PERPETUAL.raw", "ticker.BTC-PERPETUAL.agg2",
        "ticker.BTC-PERPETUAL",
        "trades.BTC-PERPETUAL.raw", "trades.future.BTC.100ms", "trades.BTC-PERPETUAL.100ms.",
        "chart.trades.B.60",
        "chart.trades.BTC-PERPETUAL.7", "chart.trades.BTC-PERPETUAL.1d", "chart.BTC-PERPETUAL.60",
        "ticker..100ms",
        "ticker.btc-perpetual.100ms", "ticker.*.100ms", "quote.BTC-PERPETUAL", "platform_state", "", ".",
        "..",
        "incremental_ticker.BTC-PERPETUAL", "ticker.BTC-PERPETUAL\n.100ms", "ticker.BTC-PERPETUAL.100ms\n",
    ],
)  # fmt: skip
def test_channels_that_are_none_of_ours(channel: str) -> None:
    assert topic_of(channel) is None


def test_a_kind_that_deribit_does_not_have_has_no_channel() -> None:
    with pytest.raises(InvalidTopic, match="book"):
        channel_of(topic("book"))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (topic("ticker", "btc-perpetual"), "names are upper-case, as in BTC-PERPETUAL"),
        (topic("ticker", "BTC/USD"), "'BTC/USD' is no Deribit instrument: expected 2 to 64"),
        (topic("ticker", "BTC.PERPETUAL"), "is no Deribit instrument: expected 2 to 64"),
        (topic("ticker", "BTC-PERPETUAL\n"), "is no Deribit instrument: expected 2 to 64"),
        (topic("ticker", "ＢＴＣ"), "is no Deribit instrument: expected 2 to 64"),
        (topic("ticker", "BTCdUSD"), "is no Deribit instrument: names are upper-case"),
        (topic("ticker", "-BTC"), "is no Deribit instrument"),
        (topic("ticker", ""), "'' is no Deribit instrument"),
        (topic("ticker", "B" * 65), "…' is no Deribit instrument"),
        (topic("kline", param="1h"), "'1h' is no candle interval of Deribit's; expected one of 1, 3, 5, 10"),
        (topic("kline", param="240"), "'240' is no candle interval"),
        (topic("kline"), "'' is no candle interval"),
        (topic("ticker", param="60"), "a ticker takes no parameter, got '60'"),
        (topic("book"), "'book' is no stream of Deribit's; expected one of ticker, trade, kline"),
        (Topic(PUBLIC, "deribit", "linear", "ticker", "BTC-PERPETUAL"), "is not a topic of deribit"),
        (Topic(PUBLIC, "bybit", "", "ticker", "BTC-PERPETUAL"), "is not a topic of deribit"),
        (Topic("uid=7", "deribit", "", "ticker", "BTC-PERPETUAL"), "is not a topic of deribit"),
    ],
)
def test_what_can_never_exist_is_told_in_a_sentence(wanted: Topic, words: str) -> None:
    problem = problem_of(wanted)
    assert problem is not None
    assert words in problem
    assert len(problem) < 200
