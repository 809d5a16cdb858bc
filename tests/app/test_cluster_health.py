from __future__ import annotations

from typing import Any

import pytest

from feedmux.app import census
from feedmux.app.metrics import Snapshot, health, stats
from support.census import FEED, SHARED, elsewhere, node, whole_figures

LOST = {"connected": False, "down_for": 12.4}


def snapshot(*feeds: dict[str, Any], **of_node: Any) -> Snapshot:
    return census.snapshot(whole_figures(feeds=list(feeds), brokers=[], nodes=[node(**of_node)]))


def test_without_redis_nothing_is_said_of_it() -> None:
    now = census.snapshot(whole_figures(feeds=[FEED], nodes=[]))
    status, body = health(now)
    assert (status, body["status"], body["redis"], body["pubsub_listener"]) == (
        200,
        "healthy",
        "not configured",
        "ok",
    )
    assert stats(now, max_clients=1)["cluster"] is None


@pytest.mark.parametrize(
    ("feed", "of_node", "word", "reasons"),
    [
        (SHARED, {}, "connected", []),
        (elsewhere(), {}, "connected", []),
        (
            SHARED,
            LOST | {"trouble": "it said no"},
            "disconnected",
            ["redis: no connection for 12 s: it said no"],
        ),
        (SHARED, LOST, "disconnected", ["redis: no connection for 12 s"]),
        (SHARED, {"trouble": "NOPERM"}, "refused", ["redis: NOPERM"]),
        (
            SHARED,
            {"has_rival": True},
            "connected",
            ["another process is called node-a, too: give each a NODE_NAME of its own"],
        ),
        (elsewhere(trouble="NOPERM"), {}, "connected", ["bybit.linear: NOPERM"]),
        (elsewhere(trouble="NOPERM"), {"trouble": "NOPERM"}, "refused", ["redis: NOPERM"]),
        (elsewhere(5.9), {}, "connected", []),
        (
            elsewhere(6.1),
            {},
            "connected",
            ["bybit.linear: node-b has the lease and has not been heard for 6 s"],
        ),
        (
            elsewhere(6.1, holder=""),
            {},
            "connected",
            ["bybit.linear: no node that has the lease has been heard for 6 s"],
        ),
    ],
    ids=str,
)
def test_health_names_what_is_wrong(
    feed: dict[str, Any], of_node: dict[str, Any], word: str, reasons: list[str]
) -> None:
    status, body = health(snapshot(feed, **of_node))
    assert (status, body["redis"], body["reasons"]) == (200, word, reasons)
    assert body["status"] == ("degraded" if reasons else "healthy")
    assert body["pubsub_listener"] == ("degraded" if feed["cluster"]["trouble"] else "ok")


def test_a_reader_without_a_writer_for_a_minute_cannot_do_its_job() -> None:
    assert health(snapshot(elsewhere(59.9)))[0] == 200
    assert health(snapshot(elsewhere(60.0)))[0] == 503
    assert health(snapshot(elsewhere(60.0), SHARED | {"market": "spot"}))[0] == 200


def test_stats_show_who_has_the_lease_and_what_is_wanted() -> None:
    shown = stats(snapshot(SHARED, elsewhere() | {"market": "spot"}), max_clients=1)["cluster"]
    assert (shown["node"], shown["redis"]) == ("node-a", "connected")
    here, there = shown["markets"]["bybit.linear"], shown["markets"]["bybit.spot"]
    assert (here["held"], here["token"], here["holder"]) == (True, 1000, "node-a")
    assert here["wanted"] == {"here": 2, "elsewhere": 3}
    assert (here["takeovers"], here["marks"], here["lost"]) == (1, 2, 4)
    assert (there["held"], there["holder"], there["lag_s"]["p50"]) == (False, "node-b", 0.001)
