"""The metrics of Redis, and of the nodes that share feeds through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from feedmux.app.cluster_health import Figures, venue_name

_COUNTERS: Final = {
    "takeovers": "Times that this node got a venue's lease",
    "published": "Events that were sent to other nodes",
    "received": "Events that came from other nodes",
    "marks": "Marks that told other nodes that something is missing",
    "lost": "Marks of other nodes, each of which tells a hole",
    "refused": "Channels that Redis refused to publish on or to listen to, each time",
}


def families(nodes: Sequence[Figures], feeds: Sequence[Figures]) -> Iterator[Metric]:
    """Yield the families; none where Redis is not used."""
    if not nodes:
        return
    connected = int(all(node["connected"] for node in nodes))
    yield GaugeMetricFamily(
        "feedmux_cluster_redis_connected", "Whether Redis can be asked for leases", connected
    )
    shared = {venue_name(feed): feed for feed in feeds if "cluster" in feed}
    held = GaugeMetricFamily(
        "feedmux_cluster_lease_held", "Whether this node has a venue's lease", labels=["venue"]
    )
    wanted = GaugeMetricFamily(
        "feedmux_cluster_topics",
        "Topics that are wanted here, and elsewhere as far as this node serves them",
        labels=["venue", "where"],
    )
    lag = GaugeMetricFamily(
        "feedmux_cluster_lag_seconds",
        "Median age of values from other nodes when they come, by two clocks",
        labels=["venue"],
    )
    for venue, feed in shared.items():
        share = feed["cluster"]
        held.add_metric([venue], int(share["held"]))
        wanted.add_metric([venue, "here"], share["wanted"])
        wanted.add_metric([venue, "elsewhere"], share["elsewhere"])
        if share["lag_s"] is not None:
            lag.add_metric([venue], share["lag_s"]["p50"])
    yield from (held, wanted, lag)
    for name, text in _COUNTERS.items():
        counter = CounterMetricFamily(f"feedmux_cluster_{name}", text, labels=["venue"])
        for venue, feed in shared.items():
            counter.add_metric([venue], feed["redis"][name])
        yield counter
