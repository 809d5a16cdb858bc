"""What a node says of a feed that it shares: the feed's own figures, wherever it runs, and the cluster's.

Counts go on where a feed of this node before ended; what only the node that runs the feed can count, others
have counted nothing of. Where the feed runs elsewhere, the way on which it is read is the one link there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from feedmux.core.counted import resumed
from feedmux.core.stats import add_up
from feedmux.model.ports import Statistics

WRITTEN: Final = dict.fromkeys(("published", "marks", "dropped", "refused"), 0)
"""What is counted of what other nodes read."""


def written(writer: Statistics) -> dict[str, Any]:
    """Count what a writer did.

    Args:
        writer: statistics of a :class:`feedmux.bus.redis_writer.RedisWriter`.
    """
    link: Any = writer["link"]
    return {name: writer[name] if name == "published" else link[name] for name in WRITTEN}


def carried(takeovers: int, reader: Mapping[str, Any], writers: Mapping[str, Any]) -> dict[str, Any]:
    """Count what went through Redis.

    Args:
        takeovers: how often this node got the lease.
        reader: statistics of the :class:`feedmux.bus.redis_reader.RedisReader`.
        writers: what all writers have :func:`written`, added up.
    """
    read = {"received": reader["taken"], "lost": reader["lost"], "refused": reader["link"]["refused"]}
    return {"takeovers": takeovers, **add_up(writers, read)}


def distant(at_rest: Mapping[str, Any], wanted: int, reader: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a feed that runs on another node, or on none.

    Args:
        at_rest: those of a feed that does not run.
        wanted: how many topics this node wants.
        reader: statistics of what it is read with.
    """
    link = {
        "connected": reader["connected"],
        "down_for": reader["down_for"],
        "category": at_rest.get("market", ""),
        "subscribed_count": wanted,
        "last_message_ago": reader["heard_ago"],
    }
    return {**at_rest, "topics": wanted, "links": [link]}


def shared(
    feed: Mapping[str, Any], before: Mapping[str, Any], states: Mapping[str, int], through: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures of a feed as this node sees it.

    Args:
        feed: its own, or :func:`distant`.
        before: of feeds of this node before it.
        states: how many topics that this node wants are in each state.
        through: what was :func:`carried` through Redis.
    """
    return {**resumed(feed, before), "states": dict(states), "redis": dict(through)}


def trouble_of(end: Mapping[str, Any]) -> str:
    """What is wrong with an end of a bus, in a sentence; empty: nothing, or there is none."""
    if not end:
        return ""
    link = end["link"]
    return str(end["trouble"] if link["connected"] else link["trouble"])
