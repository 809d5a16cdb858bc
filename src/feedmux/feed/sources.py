"""Several sources as one: each topic goes to the one that serves its venue and market."""

from __future__ import annotations

from collections.abc import Mapping

from feedmux.model.ports import Source
from feedmux.model.topic import Topic


class Sources:
    """A :class:`feedmux.model.ports.Source` made of others.

    Args:
        by_market: the sources, by venue and market. Topics of other markets are not asked for:
            the edge rejects them by name.
    """

    def __init__(self, by_market: Mapping[tuple[str, str], Source]) -> None:
        self._by_market = dict(by_market)

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder`` wants ``topic``."""
        self._by_market[topic.venue, topic.market].want(topic, holder, asker)

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""
        self._by_market[topic.venue, topic.market].drop(topic, holder)

    def forget(self, holder: str) -> None:
        """``holder`` died."""
        for source in self._by_market.values():
            source.forget(holder)
