"""The metrics that Rango's dashboards know, by their names.

Source: openware/rango, pkg/metrics/metrics.go, commit 1a3b15e (2024-03-13). What is different is what was
wrong there: unsubscribing from a prefixed stream counts down what subscribing counted up.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from feedmux.app.subscriptions import Subscriptions, bounded


def families(clients: int, counted: Subscriptions) -> Iterator[Metric]:
    """Yield Rango's two families; of the sum of several processes the largest topics again."""
    yield GaugeMetricFamily("rango_hub_clients_count", "Number of clients currently connected", clients)
    family = GaugeMetricFamily(
        "rango_hub_subscriptions_count", "Number of user subscribed to a topic", labels=["type", "topic"]
    )
    for kind, counts in counted.items():
        for name, count in sorted(bounded(counts).items()):
            family.add_metric([kind, name], count)
    yield family
