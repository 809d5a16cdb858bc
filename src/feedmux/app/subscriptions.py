"""How many subscriptions there are to RabbitMQ's streams, by type and topic, within a bound."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest
from typing import Final

from feedmux.model.topic import PUBLIC, Topic

MOST_TOPICS: Final = 200
"""Streams of each type that have a label of their own; the others are counted together."""
LONGEST: Final = 100
"""Characters of a label; clients choose names as they like, and longer ones are among the others."""
OTHER: Final = "other"
_ROLE: Final = "role="

Subscriptions = Mapping[str, Mapping[str, int]]
"""How many subscriptions there are, by type (``public``, ``private``, ``prefixed``) and topic."""


def count(readers: Mapping[Topic, int], venue: str) -> Subscriptions:
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
            name = name if len(name) <= LONGEST else OTHER
            found[kind][name] = found[kind].get(name, 0) + count
    return {kind: bounded(counts) for kind, counts in found.items()}


def bounded(counts: Mapping[str, int]) -> dict[str, int]:
    """Keep the most read ones, and count all others together."""
    if len(counts) <= MOST_TOPICS:
        return dict(counts)
    named = {name: count for name, count in counts.items() if name != OTHER}
    kept = dict(nlargest(MOST_TOPICS - 1, named.items(), key=lambda item: (item[1], item[0])))
    return {**kept, OTHER: sum(counts.values()) - sum(kept.values())}


def _label(topic: Topic) -> tuple[str, str]:
    if topic.scope == PUBLIC:
        return "public", topic.instrument
    if topic.scope.startswith(_ROLE):
        return "prefixed", f"{topic.scope.removeprefix(_ROLE)}.{topic.instrument}"
    return "private", topic.instrument
