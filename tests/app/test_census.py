from __future__ import annotations

from typing import Any

import pytest

from feedmux.app import census
from feedmux.app.wiring import RULES
from feedmux.core.stats import NoSum
from feedmux.model.errors import MalformedMessage

EDGE: dict[str, Any] = {
    "server": {"clients": 3, "draining": False, "closed_by_code": {"1001": 1}, "loop_lag": [0]},
    "hub": {"topics": 2},
    "latency": {"receive_to_send": [0], "venue_to_send": [0]},
    "states": {"live": 2},
}
FEED: dict[str, Any] = {
    "feeds": [
        {
            "venue": "bybit",
            "states": {"live": 2, "stale": 1},
            "links": [{"connected": True, "down_for": 0.0}],
        },
    ]
}


def test_parts_of_one_kind_are_let_through() -> None:
    census.check(EDGE, EDGE, census.OF_EDGE, RULES)
    census.check(EDGE | {"novel": {"figure": 1}}, EDGE, census.OF_EDGE, RULES)
    census.check(FEED, {"feeds": []}, census.OF_FEED, RULES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": 5},
        {"server": {"clients": {"a": 1}}},
        {"server": {"clients": "three"}},
        {"server": {"draining": "no"}},
        {"server": {"loop_lag": "late"}},
        {"server": []},
        {"latency": {"receive_to_send": [1, 2]}},
        {"states": ["live"]},
    ],
    ids=str,
)
def test_figures_of_a_worker_that_do_not_add_up_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((NoSum, MalformedMessage)):
        census.check(EDGE | wrong, EDGE, census.OF_EDGE, RULES)


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        {"a": 1},
        [5],
        [{"venue": "bybit"}],
        [{"links": 5}],
        [{"links": [5]}],
        [{"links": [], "states": {"a": ""}}],
    ],
    ids=str,
)
def test_figures_of_a_feed_that_cannot_be_read_are_refused(wrong: object) -> None:
    with pytest.raises((NoSum, MalformedMessage)):
        census.check({"feeds": wrong}, FEED, census.OF_FEED, RULES)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(MalformedMessage, match="there is no hub"):
        census.check({"server": {}, "latency": {}, "states": {}}, EDGE, census.OF_EDGE, RULES)


def test_topics_are_counted_by_the_feed_and_not_once_for_each_worker() -> None:
    total = census.once(census.whole([EDGE, EDGE, FEED], RULES))
    assert total["hub"]["topics"] == 3
    assert total["states"] == {"live": 2, "stale": 1}
    assert total["server"]["clients"] == 6


def test_of_a_feed_that_is_away_all_topics_wait_for_the_next() -> None:
    total = census.once(census.whole([EDGE, EDGE, census.blind(FEED, 2.5)], RULES))
    assert (total["hub"]["topics"], total["states"]) == (3, {"reconnecting": 3})
    assert total["feeds"][0]["links"] == [{"connected": False, "down_for": 2.5}]


def test_before_a_feed_has_counted_anything_the_workers_count() -> None:
    assert census.once(EDGE) is EDGE
