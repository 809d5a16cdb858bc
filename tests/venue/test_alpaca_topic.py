from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic
from feedmux.venue.alpaca_topic import CHANNELS, INTERVALS, MARKET, NAME, channels_of, problem_of, topic_of


def topic(kind: str, symbol: str = "AAPL", param: str | None = None) -> Topic:
    param = ("1" if kind == "kline" else "") if param is None else param
    return Topic(PUBLIC, NAME, MARKET, kind, symbol, param)


def test_topics_take_their_symbols_from_one_channel_or_two() -> None:
    topics = [topic("ticker"), topic("kline", "BRK.B"), topic("trade", "F"), topic("ticker", "BTC/USD")]
    assert channels_of(topics) == {
        "quotes": ["AAPL", "BTC/USD"],
        "bars": ["BRK.B"],
        "updatedBars": ["BRK.B"],
        "trades": ["F"],
    }
    assert dict(INTERVALS) == {"1m": "1"}


def test_a_kind_that_alpaca_does_not_have_is_an_error() -> None:
    with pytest.raises(InvalidTopic):
        channels_of([topic("book")])


@pytest.mark.parametrize(
    "symbol", ["AAPL", "F", "BRK.B", "BAC.PRL", "ABC.WS.A", "FAKEPACA", "BTC/USD", "1INCH/USDT", "BF-B"]
)
@pytest.mark.parametrize("kind", CHANNELS)
def test_symbols_of_stocks_and_pairs_make_topics(kind: str, symbol: str) -> None:
    made = topic_of(kind, symbol)
    assert made == topic(kind, symbol)
    assert made is not None
    assert Topic.parse(made.text) == made
    assert made is topic_of(kind, symbol), "equal topics are one object"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (
            Topic(PUBLIC, "bybit", "linear", "ticker", "AAPL"),
            "'public:bybit:linear:ticker:AAPL:' is not a topic of",
        ),
        (topic("book"), "'book' is no stream of Alpaca's; expected one of ticker, trade, kline"),
        (topic("kline", param="60"), "'60' is no candle interval of Alpaca's; expected one of 1m"),
        (topic("kline", param=""), "'' is no candle interval of Alpaca's"),
        (topic("trade", param="1"), "a trade takes no parameter, got '1'"),
        (topic("ticker", "aapl"), "'aapl' is no Alpaca symbol: symbols are upper-case, as in AAPL"),
        (topic("ticker", "btc/usd"), "symbols are upper-case, as in BTC/USD"),
        (topic("ticker", "*"), "'*' is no Alpaca symbol: expected 1 to 24 of the characters"),
        (topic("ticker", ""), "'' is no Alpaca symbol"),
        (topic("ticker", "BTC/"), "'BTC/' is no Alpaca symbol"),
        (topic("ticker", "A/B/C"), "'A/B/C' is no Alpaca symbol"),
        (topic("ticker", "A B"), "'A B' is no Alpaca symbol"),
        (topic("ticker", "A" * 60), f"'{'A' * 40}…' is no Alpaca symbol"),
    ],
)
def test_what_can_never_exist_is_said_in_a_sentence(wrong: Topic, problem: str) -> None:
    assert (problem_of(wrong) or "").startswith(problem) or problem in (problem_of(wrong) or "")
    assert topic_of("ticker", "*") is None
