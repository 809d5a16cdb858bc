"""What ``/health`` and ``/stats`` say of Redis, and of the nodes that share feeds through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from feedmux.model.topic import place_name

Figures = Mapping[str, Any]

_SHOWN: Final = ("held", "runs", "token", "holder", "lag_s", "trouble")


def venue_name(feed: Figures) -> str:
    """Return the name of a feed's venue and market."""
    return place_name(feed["venue"], feed["market"])


def down_for(feed: Figures) -> float:
    """Return for how many seconds the worst of its links is down; 0 when all are up."""
    return max((link["down_for"] for link in feed["links"]), default=0.0)


def is_elsewhere(feed: Figures) -> bool:
    """Whether another node has the venue's connection, or none has."""
    return "cluster" in feed and not feed["cluster"]["runs"]


def word(nodes: Sequence[Figures]) -> str:
    """How Redis is, in a word."""
    if not nodes:
        return "not configured"
    if not all(node["connected"] for node in nodes):
        return "disconnected"
    return "refused" if any(node["trouble"] for node in nodes) else "connected"


def listener(feeds: Sequence[Figures]) -> str:
    """How well other nodes can be heard, in a word."""
    ends = [feed["cluster"] for feed in feeds if "cluster" in feed]
    return "degraded" if any(end["trouble"] for end in ends) else "ok"


def reasons(nodes: Sequence[Figures], feeds: Sequence[Figures]) -> Iterator[str]:
    """Yield what is wrong, a sentence each."""
    for node in nodes:
        yield from _reasons(node)
        for feed in feeds:
            if "cluster" in feed:
                yield from _reasons_of_feed(node, feed)


def _reasons(node: Figures) -> Iterator[str]:
    trouble = node["trouble"]
    if not node["connected"]:
        yield f"redis: no connection for {node['down_for']:.0f} s" + (f": {trouble}" if trouble else "")
    elif trouble:
        yield f"redis: {trouble}"
    if node["has_rival"]:
        yield f"another process is called {node['name']}, too: give each a NODE_NAME of its own"


def _reasons_of_feed(node: Figures, feed: Figures) -> Iterator[str]:
    share, name = feed["cluster"], venue_name(feed)
    if node["connected"] and share["trouble"] not in {"", node["trouble"]}:
        yield f"{name}: {share['trouble']}"
    down = down_for(feed)
    if not is_elsewhere(feed) or down <= node["takeover_s"]:
        return
    if node["connected"] and share["holder"]:
        yield f"{name}: {share['holder']} has the lease and has not been heard for {down:.0f} s"
    else:
        yield f"{name}: no node that has the lease has been heard for {down:.0f} s"


def stats(nodes: Sequence[Figures], feeds: Sequence[Figures]) -> dict[str, Any] | None:
    """What ``/stats`` shows; None where Redis is not used."""
    if not nodes:
        return None
    return {
        "node": nodes[0]["name"],
        "redis": word(nodes),
        "down_for": round(nodes[0]["down_for"], 3),
        "trouble": nodes[0]["trouble"],
        "has_rival": nodes[0]["has_rival"],
        "markets": {venue_name(feed): _market(feed) for feed in feeds if "cluster" in feed},
    }


def _market(feed: Figures) -> dict[str, Any]:
    share = feed["cluster"]
    return {
        **{name: share[name] for name in _SHOWN},
        "wanted": {"here": share["wanted"], "elsewhere": share["elsewhere"]},
        **feed["redis"],
    }
