from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic
from feedmux.venue.bybit_topic import INTERVALS, LABELS, arg_of, problem_of, topic_of


def linear(kind: str, instrument: str = "BTCUSDT", param: str = "") -> Topic:
    return Topic(PUBLIC, "bybit", "linear", kind, instrument, param)


def test_there_are_thirteen_intervals_and_no_two_alike() -> None:
    labels = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M"]
    codes = ["1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M"]
    assert dict(zip(labels, codes, strict=True)) == INTERVALS
    assert dict(zip(codes, labels, strict=True)) == LABELS


@pytest.mark.parametrize(
    ("topic", "arg"),
    [
        (linear("ticker"), "tickers.BTCUSDT"),
        (linear("trade", "1000PEPEUSDT"), "publicTrade.1000PEPEUSDT"),
        (linear("kline", "BTCPERP", "60"), "kline.60.BTCPERP"),
        (linear("kline", "BTC-25DEC26", "M"), "kline.M.BTC-25DEC26"),
        (linear("ticker", "BTCUSDT-25DEC26"), "tickers.BTCUSDT-25DEC26"),
    ],
)
def test_topics_and_bybit_texts_map_both_ways(topic: Topic, arg: str) -> None:
    assert arg_of(topic) == arg
    assert topic_of("linear", arg) == topic
    assert problem_of("linear", topic) is None


@pytest.mark.parametrize(
    "arg",
    [
        "orderbook.50.BTCUSDT", "allLiquidation.BTCUSDT", "trade.linear.BTCUSDT", "tickers", "tickers.", "",
        ".", "tickers..BTCUSDT", "tickers.60.BTCUSDT", "kline.BTCUSDT", "kline..BTCUSDT", "kline.1h.BTCUSDT",
        "kline.60.BTCUSDT.", "tickers.btcusdt", "tickers.*", "publicTrade.B", "tickers.BTCUSDT\n",
    ],
)  # fmt: skip
def test_texts_that_are_none_of_ours(arg: str) -> None:
    assert topic_of("linear", arg) is None


def test_a_kind_that_bybit_does_not_have_has_no_text() -> None:
    with pytest.raises(InvalidTopic, match="book"):
        arg_of(linear("book"))


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        (linear("ticker", "btcusdt"), "'btcusdt' is no Bybit symbol: symbols are upper-case, as in BTCUSDT"),
        (linear("ticker", "BTC/USDT"), "'BTC/USDT' is no Bybit symbol: expected 2 to 40"),
        (linear("ticker", "BTCUSDT\n"), "is no Bybit symbol: expected 2 to 40"),
        (linear("ticker", "ＢＴＣ"), "is no Bybit symbol: expected 2 to 40"),
        (linear("ticker", "-BTC"), "is no Bybit symbol"),
        (linear("ticker", ""), "'' is no Bybit symbol"),
        (linear("ticker", "B" * 41), "…' is no Bybit symbol"),
        (linear("kline", param="1h"), "'1h' is no candle interval of Bybit's; expected one of 1, 3, 5"),
        (linear("kline"), "'' is no candle interval"),
        (linear("ticker", param="60"), "a ticker takes no parameter, got '60'"),
        (linear("book", param="50"), "'book' is no stream of Bybit's; expected one of ticker, kline, trade"),
        (Topic(PUBLIC, "bybit", "spot", "ticker", "BTCUSDT"), "is not a topic of bybit.linear"),
        (Topic(PUBLIC, "deribit", "linear", "ticker", "BTCUSDT"), "is not a topic of bybit.linear"),
        (Topic("uid=7", "bybit", "linear", "ticker", "BTCUSDT"), "is not a topic of bybit.linear"),
    ],
)
def test_what_can_never_exist_is_told_in_a_sentence(topic: Topic, words: str) -> None:
    problem = problem_of("linear", topic)
    assert problem is not None
    assert words in problem
    assert len(problem) < 200
