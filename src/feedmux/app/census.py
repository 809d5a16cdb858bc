"""What the parts of a gateway count, as plain values that travel, and their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from feedmux.app import process
from feedmux.app.metrics import Snapshot
from feedmux.core.stats import Rules, add_up
from feedmux.model.errors import MalformedMessage
from feedmux.model.event import State

Figures = Mapping[str, Any]

_PASSES: Final = frozenset(
    {
        "clients", "sockets", "deadlines", "streams", "clients_by_pace", "slow", "waiting_bytes", "half_open",
        "draining",
    }
)  # fmt: skip
"""What a server has only while it lives; everything else of it is counted since the start."""
OF_FEED: Final = frozenset({"feeds"})
"""What a feed process counts, at least."""
OF_EDGE: Final = frozenset({"server", "hub", "latency", "states"})
"""What a worker does."""


def check(figures: Figures, like: Figures, needed: frozenset[str], rules: Rules) -> None:
    """Make sure that a part can be added up with another one of its kind, and read afterwards.

    Args:
        figures: the part.
        like: the other one; there may be no other than itself.
        needed: what it must have.
        rules: see :func:`whole`.

    Raises:
        NoSum: it has a figure that does not add up with the other one's.
        MalformedMessage: it lacks something, or a histogram is none.
    """
    missing = needed - set(figures)
    if missing:
        raise MalformedMessage("figures", f"there is no {min(missing)}")
    whole([like, figures], rules)
    try:
        blind({"feeds": figures.get("feeds", [])}, 0.0)
        if "server" in figures:
            remains(figures)
    except (AttributeError, KeyError, TypeError) as error:
        raise MalformedMessage("figures", f"they are of another kind: {error!r}") from error


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


def once(figures: Figures) -> Figures:
    """Count each topic once, as the feed does: every worker that holds it has counted it too."""
    if not {"hub", "feeds"} <= set(figures):
        return figures
    states: Counter[str] = Counter()
    for feed in figures["feeds"]:
        states.update(feed.get("states", {}))
    return {**figures, "hub": {**figures["hub"], "topics": states.total()}, "states": dict(states)}


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
    feeds = []
    for feed in part["feeds"]:
        links = [{**link, "connected": False, "down_for": for_s} for link in feed["links"]]
        topics = sum(feed.get("states", {}).values())
        feeds.append({**feed, "links": links, "states": {str(State.RECONNECTING): topics} if topics else {}})
    return {"feeds": feeds}
