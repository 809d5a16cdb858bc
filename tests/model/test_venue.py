from __future__ import annotations

from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Answer, Malformed, Merge, Pong, Value, VenueEvent

TRADE = Topic(PUBLIC, "bybit", "linear", "trade", "BTCUSDT")


def test_events_are_values_that_compare_by_content() -> None:
    pairs: list[tuple[VenueEvent, VenueEvent]] = [
        (Value(TRADE, 1, "", b"[]"), Value(TRADE, 1, "", b"[]")),
        (Merge(TRADE, 1, True, 5, {"a": "1"}), Merge(TRADE, 1, True, 5, {"a": "1"})),
        (Answer("1", True, None, ""), Answer("1", True, None, "")),
        (Pong(), Pong()),
        (Malformed("short", TRADE), Malformed("short", TRADE)),
    ]
    for one, other in pairs:
        assert one == other
