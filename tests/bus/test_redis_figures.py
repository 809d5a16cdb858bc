from __future__ import annotations

from typing import Any

import pytest

from feedmux.bus import redis_figures

REST: dict[str, Any] = {"venue": "bybit", "market": "linear", "topics": 0, "published": 0, "links": []}
READER: dict[str, Any] = {
    "connected": True,
    "down_for": 0.0,
    "heard_ago": 0.5,
    "taken": 90,
    "lost": 2,
    "trouble": "",
    "link": {"connected": True, "trouble": "", "refused": 1},
}
WRITER: dict[str, Any] = {
    "published": 70,
    "trouble": "",
    "link": {"connected": True, "trouble": "", "published": 99, "marks": 3, "dropped": 4, "refused": 5},
}


def test_a_feed_that_runs_elsewhere_has_one_link_which_is_the_way_to_it() -> None:
    found = redis_figures.distant(REST, 7, READER)
    link = {
        "connected": True,
        "down_for": 0.0,
        "category": "linear",
        "subscribed_count": 7,
        "last_message_ago": 0.5,
    }
    assert found == REST | {"topics": 7, "links": [link]}


def test_what_was_carried_is_that_of_all_writers_and_of_the_reader() -> None:
    written = redis_figures.written(WRITER)
    assert written == {"published": 70, "marks": 3, "dropped": 4, "refused": 5}
    assert redis_figures.carried(2, READER, written) == {
        "takeovers": 2,
        "published": 70,
        "marks": 3,
        "dropped": 4,
        "refused": 6,
        "received": 90,
        "lost": 2,
    }
    assert redis_figures.carried(0, READER, redis_figures.WRITTEN)["marks"] == 0


def test_counts_go_on_where_an_earlier_feed_of_this_node_ended() -> None:
    found = redis_figures.shared(REST | {"published": 5}, REST | {"published": 8}, {"live": 1}, {"lost": 2})
    assert found == REST | {"published": 13, "states": {"live": 1}, "redis": {"lost": 2}}


@pytest.mark.parametrize(
    ("ends", "trouble"),
    [
        ([READER, WRITER, {}], ""),
        ([READER, WRITER | {"trouble": "refused"}], "refused"),
        (
            [READER | {"link": {"connected": False, "trouble": "away"}}, WRITER | {"trouble": "refused"}],
            "away",
        ),
        ([READER | {"link": {"connected": True, "trouble": "once refused"}}], ""),
    ],
)
def test_trouble_is_that_of_a_connection_or_what_is_refused_on_one_that_stands(
    ends: list[dict[str, Any]], trouble: str
) -> None:
    assert redis_figures.trouble_of(*ends) == trouble
