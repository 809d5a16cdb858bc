"""What a whole gateway counts, with RabbitMQ and tokens, as its parts would say it."""

from __future__ import annotations

from typing import Any, Final

from feedmux.app import process
from feedmux.core.stats import Histogram

SERVER: Final[dict[str, Any]] = {
    "clients": 3,
    "clients_lifetime": 10,
    "streams": 6,
    "messages_sent": 1000,
    "conflated": 7,
    "gaps_sent": 2,
    "lost": 30,
    "slow": 1,
    "clients_by_pace": {"ok": 2, "conflating": 1, "stalled": 0},
    "waiting_bytes": 4096,
    "closed_by_code": {"1001": 2, "4008": 4},
    "failed_requests": 0,
    "half_open": 5,
    "refused_half_open": 2,
    "handshakes_timed_out": 8,
    "refused_by_status": {"401": 6},
    "tls_failed": 1,
    "draining": False,
}
LINK: Final[dict[str, Any]] = {
    "connected": True,
    "down_for": 0.0,
    "subscribed_count": 2,
    "last_message_ago": 0.25,
}
FEED: Final[dict[str, Any]] = {
    "venue": "bybit",
    "market": "linear",
    "states": {"live": 2},
    "published": 500,
    "messages": 600,
    "malformed": 5,
    "foreign": 2,
    "cuts": 1,
    "links": [LINK],
}

SHARE: Final[dict[str, Any]] = {
    "held": True,
    "runs": True,
    "token": 1000,
    "holder": "node-a",
    "wanted": 2,
    "elsewhere": 3,
    "lag_s": None,
    "trouble": "",
}
SHARED: Final[dict[str, Any]] = FEED | {
    "redis": {
        "takeovers": 1,
        "published": 90,
        "received": 80,
        "marks": 2,
        "dropped": 3,
        "lost": 4,
        "refused": 5,
    },
    "cluster": SHARE,
}
"""A feed that several nodes share, and that runs here."""


def node(**others: Any) -> dict[str, Any]:
    """A node to which Redis is as it should be; ``others`` take the place of what is here."""
    return {
        "name": "node-a",
        "connected": True,
        "down_for": 0.0,
        "trouble": "",
        "has_rival": False,
        "takeover_s": 6.0,
    } | others


def elsewhere(down_for: float = 0.0, **share: Any) -> dict[str, Any]:
    """A feed that runs on another node, from which nothing came for so many seconds."""
    link = LINK | {"connected": not down_for, "down_for": down_for}
    lag = {"p50": 0.001, "p99": 0.004}
    here = {"held": False, "runs": False, "holder": "node-b", "elsewhere": 0, "lag_s": lag}
    return SHARED | {"links": [link], "cluster": SHARE | here | share}


def side(name: str, down_for: float = 0.0) -> dict[str, Any]:
    """One side of RabbitMQ; consumed, unless it has been down."""
    up = down_for == 0
    return {"side": name, "connected": up, "down_for": down_for, "consumers": int(up)}


def broker(public_down: float = 0.0, private_down: float = 0.0) -> dict[str, Any]:
    """A RabbitMQ whose sides have been down for so many seconds."""
    links = [side("public", public_down), side("private", private_down)]
    return {
        "venue": "rabbitmq",
        "market": "",
        "connected": sum(link["connected"] for link in links),
        "consumers": sum(link["consumers"] for link in links),
        "reconnects": 4,
        "topics": 3,
        "states": {"live": 3},
        "published": 70,
        "consumed": {"public": 80, "private": 20, "role": 2, "unknown": 1},
        "dropped": {"unwanted": 25, "no_snapshot": 5},
        "holes": 6,
        "spilled": 7,
        "evicted": 8,
        "stored_objects": 9,
        "stored_bytes": 1024,
        "last_message_age_s": 0.75,
        "links": links,
    }


def histogram(*values_ns: int) -> list[int]:
    """A histogram as it travels."""
    found = Histogram()
    for value in values_ns:
        found.record(value)
    return found.plain()


def edge_figures(**others: Any) -> dict[str, Any]:
    """What a worker counts; ``others`` take the place of what is here."""
    return {
        "server": SERVER | {"loop_lag": histogram()},
        "scrapes": {"in_flight": 0, "by_code": {"200": 0, "500": 0, "503": 0}},
        "tokens": {"keys": 2, "accepted": 11, "refused": {"TOKEN_EXPIRED": 12}},
        "hub": {"subscriptions": 6, "topics": 5, "received": 100, "ignored_old": 1},
        "latency": {"receive_to_send": histogram(1_000), "venue_to_send": histogram()},
        "states": {"live": 5},
        "subscriptions": {"public": {"eurusd.trades": 2}, "private": {"order": 1}, "prefixed": {}},
        "process": process.figures(),
        "local": {"is_offered": True, "clients": 2, "clients_lifetime": 3, "entries": 40, "bytes": 5000},
    } | others


def feed_figures(**others: Any) -> dict[str, Any]:
    """What a feed process counts."""
    found = {"feeds": [SHARED], "brokers": [broker()], "nodes": [node()], "process": process.figures()}
    return found | others


def whole_figures(**others: Any) -> dict[str, Any]:
    """What a gateway of one process counts."""
    return {**edge_figures(), **feed_figures()} | others
