"""Turn statistics into what ``/health``, ``/stats`` and ``/metrics`` answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from feedmux.core.stats import Histogram
from feedmux.model.topic import place_name

DOWN_AFTER_S = 60.0
"""A venue that could not be reached for this long counts as gone: one longest wait between tries."""

SLOW = "4008"
"""The close code of a client that was too slow."""

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
    """

    server: Mapping[str, Any]
    hub: Mapping[str, Any]
    latency: Mapping[str, Any]
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
        "venues": {_name(feed): _venue(feed) for feed in now.feeds},
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
            "closed": _slow_closes(now),
        },
        "seconds": {name: _percentiles(histogram) for name, histogram in _histograms(now)},
        "closed_by_code": server["closed_by_code"],
        "refused_by_status": server["refused_by_status"],
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
            yield CounterMetricFamily(f"feedmux_{name}", text, value=self._now.server.get(name, 0))
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"feedmux_{name}", text, value=self._now.server[name])
        paces = GaugeMetricFamily(
            "feedmux_clients_by_pace", "Clients, by how they take what they are sent", labels=["pace"]
        )
        for pace, count in self._now.server["clients_by_pace"].items():
            paces.add_metric([pace], count)
        yield paces
        slow = "Clients that were closed because they read too slowly"
        yield CounterMetricFamily("feedmux_slow_closes", slow, value=_slow_closes(self._now))
        closed = CounterMetricFamily(
            "feedmux_closed", "Clients that were closed, by close code", labels=["code"]
        )
        for code, count in self._now.server["closed_by_code"].items():
            closed.add_metric([code], count)
        yield closed
        refused = CounterMetricFamily(
            "feedmux_refused_handshakes",
            "Requests for a WebSocket that were right as such and refused, by HTTP status",
            labels=["status"],
        )
        for status, count in self._now.server["refused_by_status"].items():
            refused.add_metric([status], count)
        yield refused
        states = GaugeMetricFamily("feedmux_topics", "Held topics, by state", labels=["state"])
        for state, count in self._now.states.items():
            states.add_metric([state], count)
        yield states
        yield from self._feeds()
        for name, histogram in _histograms(self._now):
            yield _family(f"feedmux_{name}_seconds", HISTOGRAMS[name], histogram)

    def _feeds(self) -> Iterator[Metric]:
        feeds = {_name(feed): feed for feed in self._now.feeds}
        up = GaugeMetricFamily("feedmux_venue_up", "Whether every link to a venue is open", labels=["venue"])
        age = GaugeMetricFamily(
            "feedmux_venue_last_message_age_seconds", "Time since a venue's last message", labels=["venue"]
        )
        for venue, feed in feeds.items():
            up.add_metric([venue], int(_down_for(feed) == 0))
            if (seconds := _last_message_ago(feed)) is not None:
                age.add_metric([venue], seconds)
        yield up
        yield age
        for name, (key, text) in VENUE_COUNTERS.items():
            counter = CounterMetricFamily(f"feedmux_venue_{name}", text, labels=["venue"])
            for venue, feed in feeds.items():
                counter.add_metric([venue], feed[key])
            yield counter


def _histograms(now: Snapshot) -> Iterator[tuple[str, Histogram]]:
    plain = {**now.latency, **now.server}
    for name in HISTOGRAMS:
        yield name, Histogram.from_plain(plain[name])


def _family(name: str, text: str, histogram: Histogram) -> Metric:
    """A histogram for Prometheus, whose buckets count what is not above their bounds: off by 1 ns."""
    below = zip(BOUNDS_NS, histogram.below(*BOUNDS_NS), strict=True)
    buckets: list[tuple[str, float]] = [(repr(bound / 1e9), count) for bound, count in below]
    buckets.append(("+Inf", histogram.count))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum / 1e9)


def _percentiles(histogram: Histogram) -> dict[str, Any]:
    """What a look needs: half of the values took no longer than ``p50``, and so on."""
    shown = {"p50": 50, "p99": 99, "p99_9": 99.9, "p100": 100}
    found = {name: histogram.percentile(percent) for name, percent in shown.items()}
    return {"count": histogram.count} | {
        name: None if value is None else round(value / 1e9, 6) for name, value in found.items()
    }


def _slow_closes(now: Snapshot) -> int:
    return int(now.server["closed_by_code"].get(SLOW, 0))


def _reasons(now: Snapshot) -> Iterable[str]:
    if now.server["draining"]:
        yield "draining: new clients are turned away"
    for feed in now.feeds:
        down = _down_for(feed)
        if down:
            yield f"{_name(feed)}: no connection for {down:.0f} s"
    stale = now.states.get("stale", 0)
    if stale:
        yield f"{stale} topics are stale"


def _name(feed: Mapping[str, Any]) -> str:
    return place_name(feed["venue"], feed["market"])


def _market(feed: Mapping[str, Any]) -> str:
    """The market's name, or the venue's where it is the only one."""
    return str(feed["market"] or feed["venue"])


def _down_for(feed: Mapping[str, Any]) -> float:
    return max((link["down_for"] for link in feed["links"]), default=0.0)


def _last_message_ago(feed: Mapping[str, Any]) -> float | None:
    ages = [link["last_message_ago"] for link in feed["links"] if link["last_message_ago"] is not None]
    return round(min(ages), 3) if ages else None


def _venue(feed: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": "disconnected" if _down_for(feed) else "connected",
        "last_message_ago": _last_message_ago(feed),
    }


def _upstream(feed: Mapping[str, Any]) -> dict[str, Any]:
    links = feed["links"]
    return {
        "connected": all(link["connected"] for link in links),
        "category": _market(feed),
        "subscribed_count": sum(link["subscribed_count"] for link in links),
        "messages_received": feed["messages"],
        "reconnect_count": feed["cuts"],
        "last_message_ago": _last_message_ago(feed),
    }
