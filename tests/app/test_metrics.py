from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from feedmux.app import census
from feedmux.app.exposition import prometheus
from feedmux.app.metrics import BOUNDS_NS, Snapshot, health, stats
from feedmux.core.stats import greatest
from feedmux.model.access_errors import TokenCode
from support.census import FEED, LINK, SERVER, broker, histogram, whole_figures

NO_VENUE = "bybit.linear: no connection for 70 s"
HUB = {"subscriptions": 6, "topics": 2}


def snapshot(
    *feeds: dict[str, Any], server: dict[str, Any] | None = None, sent_ns: tuple[int, ...] = ()
) -> Snapshot:
    return Snapshot(
        server=SERVER | {"loop_lag": histogram()} | (server or {}),
        hub=HUB,
        latency={"receive_to_send": histogram(*sent_ns), "venue_to_send": histogram()},
        feeds=feeds or (FEED,),
        states={"live": 2},
    )


def families(now: Snapshot) -> dict[str, Metric]:
    """What Prometheus' own parser reads."""
    return {family.name: family for family in text_string_to_metric_families(prometheus(now).decode())}


def samples(now: Snapshot) -> dict[str, float]:
    """Every sample, by its name and the values of its labels."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in families(now).values()
        for sample in family.samples
    }


def test_every_figure_is_shown() -> None:
    shown = {name: value for name, value in samples(snapshot()).items() if "_seconds_" not in name}
    assert shown == {
        "feedmux_clients": 3,
        "feedmux_clients_lifetime_total": 10,
        "feedmux_streams": 6,
        "feedmux_messages_sent_total": 1000,
        "feedmux_conflated_total": 7,
        "feedmux_gaps_sent_total": 2,
        "feedmux_lost_total": 30,
        "feedmux_clients_by_pace ok": 2,
        "feedmux_clients_by_pace conflating": 1,
        "feedmux_clients_by_pace stalled": 0,
        "feedmux_waiting_bytes": 4096,
        "feedmux_slow_closes_total": 4,
        "feedmux_closed_total 1001": 2,
        "feedmux_closed_total 4008": 4,
        "feedmux_refused_handshakes_total 401": 6,
        "feedmux_failed_requests_total": 0,
        "feedmux_half_open": 5,
        "feedmux_refused_half_open_total": 2,
        "feedmux_handshakes_timed_out_total": 8,
        "feedmux_tls_failed_total": 1,
        "feedmux_topics live": 2,
        "feedmux_venue_up bybit.linear": 1,
        "feedmux_venue_last_message_age_seconds bybit.linear": 0.25,
        "feedmux_venue_messages_total bybit.linear": 600,
        "feedmux_venue_values_total bybit.linear": 500,
        "feedmux_venue_malformed_total bybit.linear": 5,
        "feedmux_venue_reconnects_total bybit.linear": 1,
    }


def test_gaps_are_shown_when_the_server_counts_them() -> None:
    now = snapshot(server={"gaps_sent": 9})
    assert samples(now)["feedmux_gaps_sent_total"] == 9
    assert stats(now, max_clients=9)["slow_clients"]["gaps_sent"] == 9


def test_every_family_says_what_it_is() -> None:
    for family in families(snapshot()).values():
        assert family.documentation, family.name
        assert family.type in {"counter", "gauge", "histogram"}


def test_stats_show_local_programs_where_there_may_be_any() -> None:
    shown = stats(census.snapshot(whole_figures()), max_clients=9)["local"]
    assert (shown["clients"], shown["entries"]) == (2, 40)
    figures = {name: value for name, value in whole_figures().items() if name != "local"}
    assert stats(census.snapshot(figures), max_clients=9)["local"] is None


def test_nothing_slow_was_closed_yet() -> None:
    assert samples(snapshot(server={"closed_by_code": {}}))["feedmux_slow_closes_total"] == 0


def test_a_histogram_is_in_seconds_and_its_buckets_add_up() -> None:
    now = snapshot(sent_ns=(1_000, 20_000, 1_000_000, 1_500_000_000, 60_000_000_000))
    family = families(now)["feedmux_receive_to_send_seconds"]
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    rest = {s.name.rpartition("_")[2]: s.value for s in family.samples if not s.name.endswith("_bucket")}
    assert rest == {"count": 5, "sum": 61.501021}
    counts = list(buckets.values())
    assert counts == sorted(counts)
    assert list(map(float, buckets)) == sorted(map(float, buckets))
    assert (buckets["8.192e-06"], buckets["0.001048576"], buckets["2.147483648"]) == (1, 3, 4)
    assert list(buckets.items())[-1] == ("+Inf", 5)
    assert max(float(le) for le in buckets if le != "+Inf") < 60


def test_buckets_end_where_a_step_of_the_histogram_ends() -> None:
    ends = {greatest(index) + 1 for index in range(592)}
    assert set(BOUNDS_NS) <= ends
    assert list(BOUNDS_NS) == sorted(set(BOUNDS_NS))


def test_stats_show_percentiles_in_seconds() -> None:
    shown = stats(snapshot(sent_ns=(1_000_000,) * 99 + (2**30 - 1,)), max_clients=9)["seconds"]
    assert list(shown) == ["receive_to_send", "venue_to_send", "loop_lag"]
    sent = shown["receive_to_send"]
    assert sent["count"] == 100
    assert sent["p50"] == sent["p99"] == pytest.approx(0.001, rel=1 / 16)
    assert sent["p99_9"] == sent["p100"] == round((2**30 - 1) / 1e9, 6)
    assert shown["loop_lag"] == {"count": 0, "p50": None, "p99": None, "p99_9": None, "p100": None}


def test_stats_name_slow_clients_and_what_a_venue_sent_that_is_not_ours() -> None:
    body = stats(snapshot(), max_clients=9)
    assert body["slow_clients"] == {
        "now": 1,
        "by_pace": {"ok": 2, "conflating": 1, "stalled": 0},
        "conflated": 7,
        "waiting_bytes": 4096,
        "gaps_sent": 2,
        "lost": 30,
        "closed": 4,
    }
    assert (body["feeds"][0]["malformed"], body["feeds"][0]["foreign"]) == (5, 2)
    assert "links" not in body["feeds"][0]


def test_stats_show_who_stands_in_the_door() -> None:
    shown = stats(snapshot(), max_clients=9)
    assert shown["refused_by_status"] == {"401": 6}
    assert shown["handshakes"] == {
        "half_open": 5,
        "refused_half_open": 2,
        "handshakes_timed_out": 8,
        "tls_failed": 1,
    }


def test_a_venue_whose_link_is_down_is_not_up_and_its_age_may_be_unknown() -> None:
    down = LINK | {"connected": False, "down_for": 2.0}
    never = down | {"last_message_ago": None}
    now = snapshot(
        FEED | {"links": [LINK, down]},
        FEED | {"market": "spot", "links": [never]},
    )
    shown = samples(now)
    assert shown["feedmux_venue_up bybit.linear"] == shown["feedmux_venue_up bybit.spot"] == 0
    assert shown["feedmux_venue_last_message_age_seconds bybit.linear"] == 0.25
    assert "feedmux_venue_last_message_age_seconds bybit.spot" not in shown
    status, body = health(now)
    assert (status, body["status"]) == (200, "degraded")
    assert body["venues"]["bybit.spot"] == {"state": "disconnected", "last_message_ago": None}


def test_a_venue_with_one_market_goes_by_its_own_name() -> None:
    deribit = FEED | {"venue": "deribit", "market": "", "links": [LINK | {"down_for": 3.0}]}
    now = snapshot(FEED, deribit)
    assert samples(now)["feedmux_venue_up deribit"] == 0
    body = health(now)[1]
    assert list(body["venues"]) == ["bybit.linear", "deribit"]
    assert body["reasons"] == ["deribit: no connection for 3 s"]
    clients = stats(now, max_clients=9)["upstream"]["clients"]
    assert {name: client["category"] for name, client in clients.items()} == {
        "linear": "linear", "deribit": "deribit",
    }  # fmt: skip


def test_a_venue_that_does_not_let_us_in_says_why() -> None:
    link = LINK | {"connected": False, "down_for": 3.0, "trouble": "auth failed (402)"}
    now = snapshot(FEED, FEED | {"venue": "alpaca", "market": "", "links": [link]})
    assert health(now)[1]["reasons"] == ["alpaca: no connection for 3 s: auth failed (402)"]


@pytest.mark.parametrize(("down_for", "status"), [(59.0, 200), (60.0, 503)])
def test_health_calls_for_help_when_no_venue_was_there_for_a_minute(down_for: float, status: int) -> None:
    now = snapshot(FEED | {"links": [LINK | {"connected": False, "down_for": down_for}]})
    assert health(now)[0] == status


def test_a_label_of_any_text_stays_one_line() -> None:
    odd = 'a"b\\c\nd'
    read = families(snapshot(server={"closed_by_code": {odd: 1}}))["feedmux_closed"]
    assert [sample.labels["code"] for sample in read.samples] == [odd]


BROKER = {
    "feedmux_amqp_up public": 1,
    "feedmux_amqp_up private": 0,
    "feedmux_amqp_consumers public": 1,
    "feedmux_amqp_consumers private": 0,
    "feedmux_amqp_messages_total public": 80,
    "feedmux_amqp_messages_total private": 20,
    "feedmux_amqp_messages_total role": 2,
    "feedmux_amqp_messages_total unknown": 1,
    "feedmux_amqp_dropped_total unwanted": 25,
    "feedmux_amqp_dropped_total no_snapshot": 5,
    "feedmux_amqp_reconnects_total": 4,
    "feedmux_amqp_published_total": 70,
    "feedmux_amqp_holes_total": 6,
    "feedmux_amqp_spills_total": 7,
    "feedmux_amqp_evicted_total": 8,
    "feedmux_amqp_stored_objects": 9,
    "feedmux_amqp_stored_bytes": 1024,
    "feedmux_amqp_last_message_age_seconds": 0.75,
}


def with_broker(**figures: Any) -> Snapshot:
    return census.snapshot(whole_figures(**figures))


def test_every_figure_of_rabbitmq_is_shown_and_nothing_where_there_is_none() -> None:
    shown = samples(with_broker(brokers=[broker(private_down=3.0)]))
    assert {name: value for name, value in shown.items() if "_amqp_" in name} == BROKER
    assert not [name for name in samples(snapshot()) if "_amqp_" in name or name.startswith("rango_")]


def test_before_the_first_message_of_rabbitmq_nobody_knows_its_age() -> None:
    silent = broker() | {"last_message_age_s": None}
    assert "feedmux_amqp_last_message_age_seconds" not in samples(with_broker(brokers=[silent]))
    assert health(with_broker(brokers=[silent]))[1]["brokers"]["rabbitmq"]["last_message_ago"] is None


def test_tokens_are_counted_by_every_code_there_is() -> None:
    shown = samples(with_broker())
    assert (shown["feedmux_token_keys"], shown["feedmux_tokens_accepted_total"]) == (2, 11)
    refused = {name: value for name, value in shown.items() if name.startswith("feedmux_tokens_refused")}
    assert len(refused) == len(TokenCode)
    assert {value for name, value in refused.items() if "EXPIRED" in name} == {12}
    assert sum(refused.values()) == 12
    assert not [name for name in samples(with_broker(tokens=None)) if "token" in name]


@pytest.mark.parametrize(
    ("public", "private", "down_for", "status", "reasons"),
    [
        (0.0, 0.0, 0.0, 200, []),
        (12.4, 0.0, 0.0, 200, ["rabbitmq: the public side has not been consumed for 12 s"]),
        (0.0, 900.0, 0.0, 200, ["rabbitmq: the private side has not been consumed for 900 s"]),
        (13.0, 12.0, 0.0, 200, ["rabbitmq: nothing has been consumed for 12 s"]),
        (99.0, 60.0, 0.0, 200, ["rabbitmq: nothing has been consumed for 60 s"]),
        (99.0, 59.0, 70.0, 200, [NO_VENUE, "rabbitmq: nothing has been consumed for 59 s"]),
        (99.0, 60.0, 70.0, 503, [NO_VENUE, "rabbitmq: nothing has been consumed for 60 s"]),
    ],
)
def test_health_calls_for_help_only_when_neither_a_venue_nor_rabbitmq_is_there(
    public: float, private: float, down_for: float, status: int, reasons: list[str]
) -> None:
    feed = FEED | {"links": [LINK | {"connected": down_for == 0, "down_for": down_for}]}
    found, body = health(with_broker(feeds=[feed], brokers=[broker(public, private)]))
    assert (found, body["reasons"]) == (status, reasons)
    assert body["status"] == ("degraded" if reasons else "healthy")
    consumed = [side for side, down in (("public", public), ("private", private)) if not down]
    state = "connected" if len(consumed) == 2 else "disconnected"
    assert body["brokers"] == {"rabbitmq": {"state": state, "consumed": consumed, "last_message_ago": 0.75}}


@pytest.mark.parametrize(("down_for", "status"), [(59.0, 200), (60.0, 503)])
def test_rabbitmq_alone_decides_where_there_are_no_venues(down_for: float, status: int) -> None:
    assert health(with_broker(feeds=[], brokers=[broker(down_for, down_for)]))[0] == status
    assert health(with_broker(feeds=[], brokers=[broker(down_for, 0.0)]))[0] == 200


def test_stats_show_rabbitmq_and_tokens_whole() -> None:
    body = stats(with_broker(), max_clients=9)
    assert body["brokers"] == [broker()]
    assert body["tokens"] == {"keys": 2, "accepted": 11, "refused": {"TOKEN_EXPIRED": 12}}
    assert (stats(snapshot(), max_clients=9)["brokers"], stats(snapshot(), max_clients=9)["tokens"]) == (
        [],
        None,
    )
