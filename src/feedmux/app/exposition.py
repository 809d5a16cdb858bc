"""Write statistics as Prometheus reads them; loaded with the first scrape, so that no start waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from feedmux.app import metrics_access, metrics_amqp, metrics_cluster, metrics_process, metrics_rango
from feedmux.app.cluster_health import down_for, venue_name
from feedmux.app.metrics import (
    BOUNDS_NS,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    VENUE_COUNTERS,
    Snapshot,
    histograms,
    last_message_ago,
    slow_closes,
)
from feedmux.core.stats import Histogram


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
        yield CounterMetricFamily("feedmux_slow_closes", slow, value=slow_closes(self._now))
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
        for name, histogram in histograms(self._now):
            yield _family(f"feedmux_{name}_seconds", HISTOGRAMS[name], histogram)
        if self._now.subscriptions is not None:
            yield from metrics_rango.families(self._now.server["clients"], self._now.subscriptions)
        yield from metrics_cluster.families(self._now.nodes, self._now.feeds)
        for broker in self._now.brokers:
            yield from metrics_amqp.families(broker)
        if self._now.tokens is not None:
            yield from metrics_access.tokens(self._now.tokens)
        yield from metrics_access.scrapes(self._now.scrapes)
        yield from metrics_process.families(self._now.process)

    def _feeds(self) -> Iterator[Metric]:
        feeds = {venue_name(feed): feed for feed in self._now.feeds}
        up = GaugeMetricFamily("feedmux_venue_up", "Whether every link to a venue is open", labels=["venue"])
        age = GaugeMetricFamily(
            "feedmux_venue_last_message_age_seconds", "Time since a venue's last message", labels=["venue"]
        )
        for venue, feed in feeds.items():
            up.add_metric([venue], int(down_for(feed) == 0))
            if (seconds := last_message_ago(feed)) is not None:
                age.add_metric([venue], seconds)
        yield up
        yield age
        for name, (key, text) in VENUE_COUNTERS.items():
            counter = CounterMetricFamily(f"feedmux_venue_{name}", text, labels=["venue"])
            for venue, feed in feeds.items():
                counter.add_metric([venue], feed[key])
            yield counter


def _family(name: str, text: str, histogram: Histogram) -> Metric:
    """A histogram for Prometheus, whose buckets count what is not above their bounds: off by 1 ns."""
    below = zip(BOUNDS_NS, histogram.below(*BOUNDS_NS), strict=True)
    buckets: list[tuple[str, float]] = [(repr(bound / 1e9), count) for bound, count in below]
    buckets.append(("+Inf", histogram.count))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum / 1e9)
