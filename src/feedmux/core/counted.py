"""Let a source go on counting where those before it ended: a sum over a process must not fall.

A source is a feed of a venue's market, or RabbitMQ. Its figures are of two kinds: what is there now, and
what was counted since it began. Where a feed ends and another one follows, in another process or because
another node had the lease meanwhile, the first kind is the new one's, and the second one adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from feedmux.core.stats import add_up

PASSES: Final = frozenset(
    {
        "venue", "market", "topics", "lingering", "states", "remembered_refusals", "links", "cluster",
        "connected", "consumers", "streams", "stored_objects", "stored_bytes", "last_message_age_s",
    }
)  # fmt: skip
"""What a source says that is no count since its start."""


def counts(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What of a source's figures was counted since it began."""
    return {name: figure for name, figure in figures.items() if name not in PASSES}


def resumed(figures: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Let a source go on counting.

    Args:
        figures: of the source that is there.
        before: of those that were there before it, added up; empty: there was none.

    Raises:
        NoSum: they are not of one kind.
    """
    earlier = counts(before)
    return {**figures, **add_up(earlier, {name: figures[name] for name in earlier if name in figures})}
