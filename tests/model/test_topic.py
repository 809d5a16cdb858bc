from __future__ import annotations

import gc
import weakref

import pytest

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Mode, Topic, place_name


def test_canonical_text_has_six_fields() -> None:
    topic = Topic(PUBLIC, "bybit", "linear", "kline", "BTCUSDT", "60")
    assert topic.text == "public:bybit:linear:kline:BTCUSDT:60"


def test_separators_inside_a_field_are_encoded() -> None:
    assert Topic(PUBLIC, "v", "", "ticker", "A:B/C").text == "public:v::ticker:A%3AB%2FC:"


@pytest.mark.parametrize(
    "text", ["", "a:b", "a:b:c:d:e:f:g", "public:v::ticker:A B:", "public:v::ticker:%zz:"]
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InvalidTopic, match="is not a topic"):
        Topic.parse(text)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("ticker", Mode.MERGE),
        ("kline", Mode.CANDLE),
        ("trade", Mode.DISTINCT),
        ("book", Mode.BOOK),
        ("x", Mode.RAW),
    ],
)
def test_mode_follows_the_kind(kind: str, mode: Mode) -> None:
    assert Topic(PUBLIC, "v", "m", kind, "I").mode is mode


def test_a_market_is_named_behind_its_venue_unless_it_is_the_only_one() -> None:
    assert (place_name("bybit", "linear"), place_name("deribit", "")) == ("bybit.linear", "deribit")


def test_all_that_equal_are_one_as_long_as_one_is_kept() -> None:
    said = [Topic.parse("public:bybit:linear:kline:ONLYHERE:60") for _ in range(3)]
    made = Topic("public", "bybit", "linear", "kline", "ONLYHERE", "60")
    assert made == said[0] is said[1] is said[2] is made.one() is not made
    assert Topic.parse("public:bybit:linear:kline:ONLYHERE:30") is not said[0]
    gone = weakref.ref(said[0])
    said.clear()
    gc.collect()
    assert gone() is None
    assert made.one() is made
