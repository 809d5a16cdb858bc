"""Several sources as one: each topic goes to the one that serves its venue and market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from feedmux.model.ports import Feed, Node, Runner, Source
from feedmux.model.topic import Topic

if TYPE_CHECKING:
    from feedmux.feed.rabbitmq import RabbitMq


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


class Feeds(NamedTuple):
    """Where a gateway's data comes from.

    Args:
        drivers: of the venues' markets, by venue and market.
        broker: of RabbitMQ; None: it is not asked.
        node: what shares the drivers' feeds with other gateways, until they have ended; None: nobody does.
    """

    drivers: Mapping[tuple[str, str], Feed]
    broker: RabbitMq | None
    node: Node | None = None

    @property
    def all(self) -> tuple[Runner, ...]:
        """Each of them is run, and closed in the end."""
        return (*self.drivers.values(), *(one for one in (self.broker, self.node) if one is not None))

    def source(self, broker_venue: str) -> Source:
        """All of them as one; RabbitMQ is that of the topics of ``broker_venue``."""
        broker = {(broker_venue, ""): self.broker} if self.broker is not None else {}
        return Sources({**self.drivers, **broker})

    def figures(self) -> dict[str, list[Mapping[str, Any]]]:
        """What they count: ``feeds``, and ``brokers`` and ``nodes`` where there is one."""
        found = {"feeds": [driver.statistics() for driver in self.drivers.values()]}
        others = {"brokers": self.broker, "nodes": self.node}
        return found | {name: [one.statistics()] for name, one in others.items() if one is not None}
