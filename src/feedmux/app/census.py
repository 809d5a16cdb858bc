"""What the parts of a gateway count, as plain values that travel, and their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from feedmux.app import process, subscriptions
from feedmux.app.metrics import Snapshot
from feedmux.core import counted
from feedmux.core.stats import Rules, add_up
from feedmux.model.errors import MalformedMessage
from feedmux.model.event import State

Figures = Mapping[str, Any]

_PASSES: Final[Mapping[str, frozenset[str]]] = {
    "server": frozenset(
        {
            "clients", "sockets", "deadlines", "streams", "clients_by_pace", "slow", "waiting_bytes",
            "half_open", "draining",
        }
    ),
    "hub": frozenset({"topics", "subscriptions"}),
    "scrapes": frozenset({"in_flight"}),
    "local": frozenset({"clients", "is_offered"}),
}  # fmt: skip
"""What a process has only while it lives; everything else of these is counted since the start."""
_AGES: Final = ("last_message_ago", "last_message_age_s")
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
        once(within({**figures, **blind({"feeds": [], **figures}, 0.0)}))
        remains(figures)
        resumed(figures, like)
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


def resumed(figures: Figures, before: Figures) -> Figures:
    """Let the sources go on counting where those of feed processes before this one ended.

    Args:
        figures: with sources, or without.
        before: what these counted; of sources that are in ``figures`` it matters.
    """
    found = dict(figures)
    for kind in ("feeds", "brokers"):
        earlier = {(source["venue"], source["market"]): source for source in before.get(kind, ())}
        if kind in figures:
            sources = figures[kind]
            found[kind] = [
                counted.resumed(one, earlier.get((one["venue"], one["market"]), {})) for one in sources
            ]
    return found


def within(figures: Figures) -> Figures:
    """Keep what strangers choose the names of within its bound, however many have counted it."""
    if "subscriptions" not in figures:
        return figures
    counted = figures["subscriptions"].items()
    return {**figures, "subscriptions": {kind: subscriptions.bounded(counts) for kind, counts in counted}}


def once(figures: Figures) -> Figures:
    """Count each topic once, as the feed does: every worker that holds it has counted it too."""
    if not {"hub", "feeds"} <= set(figures):
        return figures
    states: Counter[str] = Counter()
    for source in (*figures["feeds"], *figures.get("brokers", ())):
        states.update(source.get("states", {}))
    return {**figures, "hub": {**figures["hub"], "topics": states.total()}, "states": dict(states)}


def is_whole(figures: Figures) -> bool:
    """Whether feed and workers have counted, so that pages can be made of it."""
    return set(figures) >= (OF_EDGE | OF_FEED)


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
        brokers=figures.get("brokers", []),
        nodes=figures.get("nodes", []),
        tokens=figures.get("tokens"),
        scrapes=figures.get("scrapes", {}),
        local=figures.get("local"),
    )


def remains(part: Figures) -> Figures:
    """What stays counted of a process that has ended; of what it had while it lived there is nothing."""
    left: dict[str, Any] = {}
    for name, passing in _PASSES.items():
        if name in part:
            figures = part[name].items()
            left[name] = {key: _nothing_of(value) if key in passing else value for key, value in figures}
    if "latency" in part:
        left["latency"] = part["latency"]
    if "states" in part:
        left["states"] = _nothing_of(part["states"])
    if "subscriptions" in part:
        left["subscriptions"] = {kind: {} for kind in part["subscriptions"]}
    if "tokens" in part:
        left["tokens"] = {key: part["tokens"][key] for key in ("accepted", "refused")}
    if "process" in part:
        left["process"] = process.remains(part["process"])
    return left


def _nothing_of(figure: Any) -> Any:
    if isinstance(figure, Mapping):
        return {name: _nothing_of(value) for name, value in figure.items()}
    return False if isinstance(figure, bool) else 0


def blind(part: Figures, for_s: float) -> Figures:
    """What is known of a feed process that has been away for so long: none of its links is there."""
    found = {"feeds": [_blind(feed, for_s) for feed in part["feeds"]]}
    if "nodes" in part:
        found["nodes"] = [_apart(node, for_s) for node in part["nodes"]]
    if "brokers" not in part:
        return found
    brokers = []
    for broker in part["brokers"]:
        gone = _blind(broker, for_s)
        links = [{**link, "consumers": 0} for link in gone["links"]]
        brokers.append({**gone, "connected": 0, "consumers": 0, "links": links})
    return {**found, "brokers": brokers}


def _blind(source: Figures, for_s: float) -> dict[str, Any]:
    """One source whose process is gone; what it knew the age of is older by that."""
    topics = sum(source.get("states", {}).values())
    states = {str(State.RECONNECTING): topics} if topics else {}
    links = [
        {**_aged(link, for_s), "connected": False, "down_for": link["down_for"] + for_s}
        for link in source["links"]
    ]
    found = {**_aged(source, for_s), "links": links, "states": states}
    if "cluster" in source:
        found["cluster"] = {**source["cluster"], "held": False, "runs": False}
    return found


def _apart(node: Figures, for_s: float) -> dict[str, Any]:
    """A node whose feed process is gone: nobody speaks to Redis."""
    return {
        **node,
        "connected": False,
        "down_for": node["down_for"] + for_s,
        "trouble": "the feed process ended",
    }


def _aged(figures: Figures, by_s: float) -> dict[str, Any]:
    ages = {name: figures[name] + by_s for name in _AGES if figures.get(name) is not None}
    return {**figures, **ages}
