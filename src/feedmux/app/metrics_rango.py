"""The metrics that Rango's dashboards know, by their names.

Source: openware/rango, pkg/metrics/metrics.go, commit 1a3b15e (2024-03-13). What is different is what was
wrong there: unsubscribing from a prefixed stream counts down what subscribing counted up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nlargest
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric

from feedmux.model.topic import PUBLIC, Topic

MOST_TOPICS: Final = 200
"""Streams of each type that have a label of their own; the others are counted together."""
OTHER: Final = "other"
_ROLE: Final = "role="

Subscriptions = Mapping[str, Mapping[str, int]]
"""How many subscriptions there are, by type (``public``, ``private``, ``prefixed``) and topic."""


def subscriptions(readers: Mapping[Topic, int], venue: str) -> Subscriptions:
    """Count by type and topic, as many topics as there is room for.

    Args:
        readers: how many read each topic.
        venue: whose topics count.

    Returns:
        Private topics are named without their user: one user's streams are nobody's label.
    """
    found: dict[str, dict[str, int]] = {"public": {}, "private": {}, "prefixed": {}}
    for topic, count in readers.items():
        if topic.venue == venue and count:
            kind, name = _label(topic)
            found[kind][name] = found[kind].get(name, 0) + count
    return {kind: _bounded(counts) for kind, counts in found.items()}


def families(clients: int, counted: Subscriptions) -> Iterator[Metric]:
    """Yield Rango's two families; of the sum of several processes the largest topics again."""
    yield GaugeMetricFamily("rango_hub_clients_count", "Number of clients currently connected", clients)
    family = GaugeMetricFamily(
        "rango_hub_subscriptions_count", "Number of user subscribed to a topic", labels=["type", "topic"]
    )
    for kind, counts in counted.items():
        for name, count in sorted(_bounded(counts).items()):
            family.add_metric([kind, name], count)
    yield family


def _label(topic: Topic) -> tuple[str, str]:
    if topic.scope == PUBLIC:
        return "public", topic.instrument
    if topic.scope.startswith(_ROLE):
        return "prefixed", f"{topic.scope.removeprefix(_ROLE)}.{topic.instrument}"
    return "private", topic.instrument


def _bounded(counts: Mapping[str, int]) -> dict[str, int]:
    """The most read ones, and all others together."""
    if len(counts) <= MOST_TOPICS:
        return dict(counts)
    named: dict[str, Any] = {name: count for name, count in counts.items() if name != OTHER}
    kept = dict(nlargest(MOST_TOPICS - 1, named.items(), key=lambda item: (item[1], item[0])))
    return {**kept, OTHER: sum(counts.values()) - sum(kept.values())}
