from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from feedmux.app import census, process
from feedmux.app.exposition import prometheus
from feedmux.app.metrics import health, stats
from feedmux.app.subscriptions import MOST_TOPICS
from feedmux.app.wiring import RULES
from feedmux.core.stats import NoSum
from feedmux.model.errors import MalformedMessage
from support.census import broker, edge_figures, feed_figures

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
            "market": "linear",
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


def test_the_states_of_rabbitmqs_streams_count_too() -> None:
    total = census.once(census.whole([edge_figures(), edge_figures(), feed_figures()], RULES))
    assert (total["hub"]["topics"], total["states"]) == (5, {"live": 5})


def test_of_a_worker_that_ended_everything_counted_stays_and_nothing_of_its_present() -> None:
    part = edge_figures()
    left = census.remains(part)
    assert set(left) == set(part)
    server = left["server"]
    for name in ("clients", "streams", "waiting_bytes", "half_open", "slow", "draining"):
        assert not server[name], name
    assert server["clients_by_pace"] == {"ok": 0, "conflating": 0, "stalled": 0}
    for name in ("clients_lifetime", "messages_sent", "closed_by_code", "refused_by_status", "loop_lag"):
        assert server[name] == part["server"][name], name
    assert left["hub"] == {"subscriptions": 0, "topics": 0, "received": 100, "ignored_old": 1}
    assert left["latency"] == part["latency"]
    assert left["tokens"] == {"accepted": 11, "refused": {"TOKEN_EXPIRED": 12}}
    assert left["scrapes"] == part["scrapes"]
    assert left["subscriptions"] == {"public": {}, "private": {}, "prefixed": {}}
    local = {"is_offered": False, "clients": 0, "clients_lifetime": 3, "entries": 40, "bytes": 5000}
    assert left["local"] == local
    offered = census.whole([left, edge_figures()], RULES)["local"]
    assert (offered["is_offered"], offered["clients"], offered["entries"]) == (True, 2, 80)


def test_pages_can_be_made_when_all_workers_have_just_ended() -> None:
    left = census.whole(
        [census.remains(edge_figures()), census.remains(edge_figures()), feed_figures()], RULES
    )
    assert census.is_whole(left)
    now = census.snapshot(left)
    text = prometheus(now).decode()
    assert "feedmux_clients 0.0" in text
    assert "feedmux_clients_lifetime_total 20.0" in text
    assert health(now)[0] == 200
    assert stats(now, max_clients=1)["connections"]["active_connections"] == 0


def test_of_a_feed_process_that_ended_its_processor_time_stays() -> None:
    part = feed_figures()
    assert census.remains(part) == {"process": process.remains(part["process"])}


def test_nothing_falls_when_a_worker_ends() -> None:
    parts = [edge_figures(), edge_figures(), feed_figures()]
    before = counters(census.whole(parts, RULES))
    after = counters(census.whole([census.remains(parts[0]), *parts[1:]], RULES))
    assert before == after


def counters(figures: census.Figures) -> dict[str, float]:
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(prometheus(census.snapshot(figures)).decode())
        for sample in family.samples
        if family.type in {"counter", "histogram"}
    }


def test_of_a_dead_feed_process_rabbitmq_is_away_too_and_its_last_message_older() -> None:
    found = census.blind(feed_figures(brokers=[broker(private_down=10.0)]), 2.5)
    (gone,) = found["brokers"]
    assert (gone["connected"], gone["consumers"], gone["last_message_age_s"]) == (0, 0, 3.25)
    assert [(link["connected"], link["down_for"], link["consumers"]) for link in gone["links"]] == [
        (False, 2.5, 0),
        (False, 12.5, 0),
    ]
    assert gone["states"] == {"reconnecting": 3}
    assert found["feeds"][0]["links"][0]["last_message_ago"] == 2.75
    assert "brokers" not in census.blind(FEED, 1.0)


def test_sources_go_on_counting_where_those_of_an_earlier_process_ended() -> None:
    first, second, third = (feed_figures() for _ in range(3))
    spent = census.resumed(second, census.resumed(first, {}))
    found = census.resumed(third, spent)
    feed, rabbit = found["feeds"][0], found["brokers"][0]
    assert (feed["messages"], feed["cuts"], feed["published"]) == (1800, 3, 1500)
    assert rabbit["consumed"] == {"public": 240, "private": 60, "role": 6, "unknown": 3}
    assert rabbit["reconnects"] == 12
    for name in ("links", "states"):
        assert (feed[name], rabbit[name]) == (third["feeds"][0][name], third["brokers"][0][name])
    assert (rabbit["stored_bytes"], rabbit["topics"]) == (1024, 3)
    assert census.resumed({"hub": 1}, spent) == {"hub": 1}
    assert census.resumed(third, feed_figures(feeds=[], brokers=[])) == third


def test_what_strangers_named_stays_within_its_bound_over_all_workers() -> None:
    parts = [
        edge_figures(subscriptions={"public": {f"{worker}.{n}": 1 for n in range(MOST_TOPICS)}})
        for worker in range(3)
    ]
    public = census.within(census.whole(parts, RULES))["subscriptions"]["public"]
    assert (len(public), sum(public.values())) == (MOST_TOPICS, 3 * MOST_TOPICS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scrapes": {"in_flight": "many"}},
        {"scrapes": 5},
        {"tokens": {}},
        {"subscriptions": {"public": 5}},
        {"subscriptions": 5},
        {"process": 5},
        {"brokers": [{"venue": "rabbitmq"}]},
    ],
    ids=str,
)
def test_other_figures_that_cannot_be_read_are_refused_too(wrong: dict[str, Any]) -> None:
    whole = {**edge_figures(), **feed_figures()}
    with pytest.raises((NoSum, MalformedMessage)):
        census.check(whole | wrong, whole, census.OF_EDGE, RULES)
    with pytest.raises((NoSum, MalformedMessage)):
        census.check(whole | wrong, whole | wrong, census.OF_EDGE, RULES)
