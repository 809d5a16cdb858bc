from __future__ import annotations

from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import (
    Answer,
    Budget,
    Candle,
    Greeted,
    Malformed,
    Merge,
    Pong,
    Reply,
    Value,
    VenueEvent,
)

TRADE = Topic(PUBLIC, "bybit", "linear", "trade", "BTCUSDT")


def test_events_are_values_that_compare_by_content() -> None:
    pairs: list[tuple[VenueEvent, VenueEvent]] = [
        (Value(TRADE, 1, "", b"[]"), Value(TRADE, 1, "", b"[]")),
        (Merge(TRADE, 1, True, 5, {"a": "1"}), Merge(TRADE, 1, True, 5, {"a": "1"})),
        (Candle(TRADE, 1, "k", b"{}", b"[]"), Candle(TRADE, 1, "k", b"{}", b"[]")),
        (Answer("1", True, None, ""), Answer("1", True, None, "")),
        (
            Answer("1", True, None, "", granted=frozenset([TRADE])),
            Answer("1", True, None, "", False, frozenset([TRADE])),
        ),
        (Greeted(), Greeted("")),
        (Reply(b"x"), Reply(b"x")),
        (Pong(), Pong()),
        (Malformed("short", TRADE), Malformed("short", TRADE)),
    ]
    for one, other in pairs:
        assert one == other


def test_a_venue_that_names_no_limit_has_none() -> None:
    assert min(Budget().rate, 100.0) == min(Budget().burst, 100.0) == 100.0
