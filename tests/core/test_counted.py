from __future__ import annotations

from feedmux.core.counted import counts, resumed

FIRST = {
    "market": "linear",
    "topics": 3,
    "messages": 10,
    "redis": {"lost": 1},
    "links": [1],
    "cluster": {"a": ""},
}
SECOND = {
    "market": "linear",
    "topics": 1,
    "messages": 5,
    "redis": {"lost": 2},
    "links": [],
    "cluster": {"a": "b"},
}


def test_only_counts_go_on() -> None:
    assert resumed(SECOND, FIRST) == SECOND | {"messages": 15, "redis": {"lost": 3}}


def test_where_nothing_was_before_nothing_changes() -> None:
    assert resumed(FIRST, {}) == FIRST


def test_what_is_counted_no_more_stays_counted() -> None:
    assert resumed({"topics": 1}, FIRST) == {"topics": 1, "messages": 10, "redis": {"lost": 1}}


def test_what_passes_is_no_count() -> None:
    assert counts(FIRST) == {"messages": 10, "redis": {"lost": 1}}
