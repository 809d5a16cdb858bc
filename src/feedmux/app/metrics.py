"""Turn statistics into what ``/health`` and ``/stats`` answer; what ``/metrics`` says about which of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from feedmux.app import cluster_health
from feedmux.app.cluster_health import down_for, venue_name
from feedmux.core.stats import Histogram

DOWN_AFTER_S = 60.0
"""A venue that could not be reached for this long counts as gone: one longest wait between tries."""

SLOW = "4008"
"""The close code of a client that was too slow."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What :func:`prometheus` writes."""

COUNTERS = {
    "clients_lifetime": "Clients that were admitted since the start",
    "messages_sent": "Data messages written to clients",
    "conflated": "Values replaced by newer ones because their client was slow",
    "refused_half_open": "Connections that were reset because too many were half open",
    "handshakes_timed_out": "Connections that did not send their request in time",
    "tls_failed": "TLS handshakes that were begun and came to nothing",
    "gaps_sent": "Gap messages that told a slow client what it missed",
    "lost": "Values that a slow client did not get, and that a gap message names",
    "failed_requests": "Plain HTTP requests answered with 500",
}
GAUGES = {
    "clients": "Clients that are connected",
    "half_open": "Connections that are no WebSockets yet",
    "streams": "Subscriptions of all clients",
    "waiting_bytes": "Bytes that wait for slow clients",
}
VENUE_COUNTERS = {
    "messages": ("messages", "Messages that a venue sent"),
    "values": ("published", "Values that a feed published"),
    "malformed": ("malformed", "Messages of a venue that could not be read"),
    "reconnects": ("cuts", "Connections to a venue that were lost, and had to be made again"),
}
HISTOGRAMS = {
    "receive_to_send": "From receiving a value to having written it to its clients, once per batch",
    "venue_to_send": "From the venue's own time of a value to having written it, once per batch",
    "loop_lag": "How late a timer of the event loop came",
}
BOUNDS_NS = tuple(bound for power in range(13, 35) for bound in (1 << power, 3 << (power - 1)))
"""Two for each power of two, from 8 µs to 26 s; all of them begin a step of a histogram."""


HANDSHAKES = ("half_open", "refused_half_open", "handshakes_timed_out", "tls_failed")


class Snapshot(NamedTuple):
    """The statistics of a node's parts at one moment.

    Args:
        server: of the edge.
        hub: of the hub.
        latency: histograms of what passed through.
        feeds: of each venue's feed.
        states: how many held topics there are, by state.
        process: see :mod:`feedmux.app.process`.
        subscriptions: see :mod:`feedmux.app.subscriptions`; None where there is no RabbitMQ.
        brokers: of RabbitMQ; empty where there is none.
        tokens: of who checks them; None where nobody does.
        scrapes: see :mod:`feedmux.app.scrapes`.
        nodes: of Redis, which this node and others share; empty where it is not used.
        local: of what is offered to programs of the same user; None where nothing is.
    """

    server: Mapping[str, Any]
    hub: Mapping[str, Any]
    latency: Mapping[str, Any]
    feeds: Sequence[Mapping[str, Any]]
    states: Mapping[str, int]
    process: Mapping[str, Any] = MappingProxyType({})
    subscriptions: Mapping[str, Mapping[str, int]] | None = None
    brokers: Sequence[Mapping[str, Any]] = ()
    tokens: Mapping[str, Any] | None = None
    scrapes: Mapping[str, Any] = MappingProxyType({})
    nodes: Sequence[Mapping[str, Any]] = ()
    local: Mapping[str, Any] | None = None


def health(now: Snapshot) -> tuple[int, dict[str, Any]]:
    """Judge a node (docs/troubleshooting.md has the table).

    Returns:
        The HTTP status, 503 only when the node cannot do its job, and the body.
    """
    reasons = list(_reasons(now))
    down = [*map(down_for, now.feeds), *map(nothing_for, now.brokers)]
    unable = bool(now.server["draining"]) or (bool(down) and min(down) >= DOWN_AFTER_S)
    body = {
        "status": "degraded" if reasons else "healthy",
        "redis": cluster_health.word(now.nodes),
        "pubsub_listener": cluster_health.listener(now.feeds),
        "connections": now.server["clients"],
        "reasons": reasons,
        "venues": {venue_name(feed): _venue(feed) for feed in now.feeds},
        "brokers": {venue_name(broker): _broker(broker) for broker in now.brokers},
    }
    return (503 if unable else 200), body


def stats(now: Snapshot, *, max_clients: int) -> dict[str, Any]:
    """The body of ``/stats``: the documented keys first, then what is only ours."""
    server, hub = now.server, now.hub
    clients = server["clients"]
    return {
        "connections": {
            "active_connections": clients,
            "total_connections_lifetime": server["clients_lifetime"],
            "total_messages_sent": server["messages_sent"],
            "avg_subscriptions_per_client": round(server["streams"] / clients, 2) if clients else 0,
            "max_limit": max_clients,
        },
        "upstream": {
            "running": any(link["connected"] for feed in now.feeds for link in feed["links"]),
            "clients": {_market(feed): _upstream(feed) for feed in now.feeds},
        },
        "pubsub": {"total_subscriptions": hub["subscriptions"], "active_channels": hub["topics"]},
        "slow_clients": {
            "now": server["slow"],
            "by_pace": server["clients_by_pace"],
            "conflated": server["conflated"],
            "waiting_bytes": server["waiting_bytes"],
            "gaps_sent": server["gaps_sent"],
            "lost": server["lost"],
            "closed": slow_closes(now),
        },
        "seconds": {name: _percentiles(histogram) for name, histogram in histograms(now)},
        "closed_by_code": server["closed_by_code"],
        "refused_by_status": server["refused_by_status"],
        "handshakes": {key: server[key] for key in HANDSHAKES},
        "topics_by_state": dict(now.states),
        "feeds": [{k: v for k, v in feed.items() if k != "links"} for feed in now.feeds],
        "brokers": list(now.brokers),
        "tokens": now.tokens,
        "local": now.local,
        "cluster": cluster_health.stats(now.nodes, now.feeds),
    }


def histograms(now: Snapshot) -> Iterator[tuple[str, Histogram]]:
    """Return each histogram by its name."""
    plain = {**now.latency, **now.server}
    for name in HISTOGRAMS:
        yield name, Histogram.from_plain(plain[name])


def _percentiles(histogram: Histogram) -> dict[str, Any]:
    """What a look needs: half of the values took no longer than ``p50``, and so on."""
    shown = {"p50": 50, "p99": 99, "p99_9": 99.9, "p100": 100}
    found = {name: histogram.percentile(percent) for name, percent in shown.items()}
    return {"count": histogram.count} | {
        name: None if value is None else round(value / 1e9, 6) for name, value in found.items()
    }


def slow_closes(now: Snapshot) -> int:
    """Return how many clients were closed because they were too slow."""
    return int(now.server["closed_by_code"].get(SLOW, 0))


def _reasons(now: Snapshot) -> Iterable[str]:
    if now.server["draining"]:
        yield "draining: new clients are turned away"
    yield from cluster_health.reasons(now.nodes, now.feeds)
    for feed in now.feeds:
        down = down_for(feed)
        if down and not cluster_health.is_elsewhere(feed):
            yield f"{venue_name(feed)}: no connection for {down:.0f} s{_trouble(feed)}"
    for broker in now.brokers:
        yield from _broker_reasons(broker)
    stale = now.states.get("stale", 0)
    if stale:
        yield f"{stale} topics are stale"


def _trouble(feed: Mapping[str, Any]) -> str:
    """What a venue that does not let us in says, behind a colon."""
    return next((f": {link['trouble']}" for link in feed["links"] if link.get("trouble")), "")


def _broker_reasons(broker: Mapping[str, Any]) -> Iterable[str]:
    away = [link for link in broker["links"] if not link["connected"]]
    name = venue_name(broker)
    if away and len(away) == len(broker["links"]):
        yield f"{name}: nothing has been consumed for {nothing_for(broker):.0f} s"
    else:
        for link in away:
            yield f"{name}: the {link['side']} side has not been consumed for {link['down_for']:.0f} s"


def _market(feed: Mapping[str, Any]) -> str:
    """The market's name, or the venue's where it is the only one."""
    return str(feed["market"] or feed["venue"])


def nothing_for(broker: Mapping[str, Any]) -> float:
    """Return for how many seconds neither side of a RabbitMQ has been consumed; 0 while one of them is."""
    return min((link["down_for"] for link in broker["links"]), default=0.0)


def last_message_ago(feed: Mapping[str, Any]) -> float | None:
    """Return the seconds since its venue's last message; None when there was none."""
    ages = [link["last_message_ago"] for link in feed["links"] if link["last_message_ago"] is not None]
    return round(min(ages), 3) if ages else None


def _venue(feed: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": "disconnected" if down_for(feed) else "connected",
        "last_message_ago": last_message_ago(feed),
    }


def _broker(broker: Mapping[str, Any]) -> dict[str, Any]:
    consumed = [link["side"] for link in broker["links"] if link["connected"]]
    age_s = broker["last_message_age_s"]
    return {
        "state": "connected" if len(consumed) == len(broker["links"]) else "disconnected",
        "consumed": consumed,
        "last_message_ago": None if age_s is None else round(age_s, 3),
    }


def _upstream(feed: Mapping[str, Any]) -> dict[str, Any]:
    links = feed["links"]
    return {
        "connected": all(link["connected"] for link in links),
        "category": _market(feed),
        "subscribed_count": sum(link["subscribed_count"] for link in links),
        "messages_received": feed["messages"],
        "reconnect_count": feed["cuts"],
        "last_message_ago": last_message_ago(feed),
    }
