"""Turn statistics into what ``/health``, ``/stats`` and ``/metrics`` answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

DOWN_AFTER_S = 60.0
"""A venue that could not be reached for this long counts as gone: one longest wait between tries."""

COUNTERS = {
    "clients_lifetime": "Clients that were admitted since the start",
    "messages_sent": "Data messages written to clients",
    "conflated": "Values replaced by newer ones because their client was slow",
    "refused_half_open": "Connections that were reset because too many were half open",
    "handshakes_timed_out": "Connections that did not send their request in time",
    "tls_failed": "TLS handshakes that were begun and came to nothing",
}
GAUGES = {
    "clients": "Clients that are connected",
    "half_open": "Connections that are no WebSockets yet",
    "streams": "Subscriptions of all clients",
    "stalled": "Clients whose socket is full",
    "waiting_bytes": "Bytes that wait for slow clients",
}


HANDSHAKES = ("half_open", "refused_half_open", "handshakes_timed_out", "tls_failed")


class Snapshot(NamedTuple):
    """The statistics of a node's parts at one moment.

    Args:
        server: of the edge.
        hub: of the hub.
        feeds: of each venue's feed.
        states: how many held topics there are, by state.
    """

    server: Mapping[str, Any]
    hub: Mapping[str, Any]
    feeds: Sequence[Mapping[str, Any]]
    states: Mapping[str, int]


def health(now: Snapshot) -> tuple[int, dict[str, Any]]:
    """Judge a node (docs/troubleshooting.md has the table).

    Returns:
        The HTTP status, 503 only when the node cannot do its job, and the body.
    """
    reasons = list(_reasons(now))
    gone = [feed for feed in now.feeds if _down_for(feed) >= DOWN_AFTER_S]
    unable = bool(now.server["draining"]) or (bool(gone) and len(gone) == len(now.feeds))
    body = {
        "status": "degraded" if reasons else "healthy",
        "redis": "not configured",
        "pubsub_listener": "ok",
        "connections": now.server["clients"],
        "reasons": reasons,
        "venues": {f"{feed['venue']}.{feed['market']}": _venue(feed) for feed in now.feeds},
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
            "clients": {feed["market"]: _upstream(feed) for feed in now.feeds},
        },
        "pubsub": {"total_subscriptions": hub["subscriptions"], "active_channels": hub["topics"]},
        "slow_clients": {key: server[key] for key in ("stalled", "conflated", "waiting_bytes")},
        "closed_by_code": server["closed_by_code"],
        "handshakes": {key: server[key] for key in HANDSHAKES},
        "topics_by_state": dict(now.states),
        "feeds": [{k: v for k, v in feed.items() if k != "links"} for feed in now.feeds],
    }


def prometheus(now: Snapshot) -> bytes:
    """The body of ``/metrics``: Prometheus' text format, version 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Collector(now))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, now: Snapshot) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"feedmux_{name}", text, value=self._now.server[name])
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"feedmux_{name}", text, value=self._now.server[name])
        closed = CounterMetricFamily(
            "feedmux_closed", "Clients that were closed, by close code", labels=["code"]
        )
        for code, count in self._now.server["closed_by_code"].items():
            closed.add_metric([code], count)
        yield closed
        states = GaugeMetricFamily("feedmux_topics", "Held topics, by state", labels=["state"])
        for state, count in self._now.states.items():
            states.add_metric([state], count)
        yield states
        yield from self._feeds()

    def _feeds(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("feedmux_venue_up", "Whether every link to a venue is open", labels=["venue"])
        published = CounterMetricFamily(
            "feedmux_venue_values", "Values that a feed published", labels=["venue"]
        )
        malformed = CounterMetricFamily(
            "feedmux_venue_malformed", "Messages of a venue that could not be read", labels=["venue"]
        )
        for feed in self._now.feeds:
            name = f"{feed['venue']}.{feed['market']}"
            up.add_metric([name], int(_down_for(feed) == 0))
            published.add_metric([name], feed["published"])
            malformed.add_metric([name], feed["malformed"])
        yield up
        yield published
        yield malformed


def _reasons(now: Snapshot) -> Iterable[str]:
    if now.server["draining"]:
        yield "draining: new clients are turned away"
    for feed in now.feeds:
        down = _down_for(feed)
        if down:
            yield f"{feed['venue']}.{feed['market']}: no connection for {down:.0f} s"
    stale = now.states.get("stale", 0)
    if stale:
        yield f"{stale} topics are stale"


def _down_for(feed: Mapping[str, Any]) -> float:
    return max((link["down_for"] for link in feed["links"]), default=0.0)


def _venue(feed: Mapping[str, Any]) -> dict[str, Any]:
    ages = [link["last_message_ago"] for link in feed["links"] if link["last_message_ago"] is not None]
    return {
        "state": "disconnected" if _down_for(feed) else "connected",
        "last_message_ago": round(min(ages), 3) if ages else None,
    }


def _upstream(feed: Mapping[str, Any]) -> dict[str, Any]:
    links = feed["links"]
    return {
        "connected": all(link["connected"] for link in links),
        "category": feed["market"],
        "subscribed_count": sum(link["subscribed_count"] for link in links),
        "messages_received": sum(link["messages"] for link in links),
        "reconnect_count": sum(link["cuts"] for link in links),
        "last_message_ago": _venue(feed)["last_message_ago"],
    }
