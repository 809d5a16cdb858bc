"""What the parts of a gateway count, as plain values that travel, and their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from feedmux.app import process
from feedmux.app.metrics import Snapshot
from feedmux.core.stats import Rules, add_up

Figures = Mapping[str, Any]

_PASSES: Final = frozenset(
    {
        "clients", "sockets", "deadlines", "streams", "clients_by_pace", "slow", "waiting_bytes", "half_open",
        "draining",
    }
)  # fmt: skip
"""What a server has only while it lives; everything else of it is counted since the start."""


def whole(parts: Sequence[Figures], rules: Rules) -> Figures:
    """Add parts up by the rules of those who counted.

    Raises:
        NoSum: two of them are not of one kind.
        MalformedMessage: a histogram is none.
    """
    total: dict[str, Any] = {}
    for part in parts:
        total = add_up(total, part, rules)
    return total


def snapshot(figures: Figures) -> Snapshot:
    """Read the figures of a whole gateway; what nobody counted yet is empty."""
    return Snapshot(
        server=figures["server"],
        hub=figures["hub"],
        latency=figures["latency"],
        feeds=figures.get("feeds", []),
        states=figures["states"],
        process=figures.get("process", {}),
        subscriptions=figures.get("subscriptions"),
    )


def remains(part: Figures) -> Figures:
    """What stays counted of an edge that has ended."""
    server = {name: figure for name, figure in part["server"].items() if name not in _PASSES}
    left = {"server": server, "latency": part["latency"]}
    return {**left, "process": process.remains(part["process"])} if "process" in part else left


def blind(part: Figures, for_s: float) -> Figures:
    """What is known of a feed process that has been away for so long: none of its links is there."""
    feeds = [
        {**feed, "links": [{**link, "connected": False, "down_for": for_s} for link in feed["links"]]}
        for feed in part["feeds"]
    ]
    return {"feeds": feeds}
