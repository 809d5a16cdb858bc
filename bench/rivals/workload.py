"""What every server is asked to do: which messages, for whom, how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """One traffic, the same for each server.

    Args:
        name: its short name, as in the results.
        question: what it asks, in one line.
        symbols: one message of each in every tick; everybody subscribes to all of them.
        topics: instead of symbols, so many topics of which messages are taken at random.
        each: how many of the topics each client subscribes to, at random.
        client_bytes: about how long a message is.
    """

    name: str
    question: str
    symbols: Sequence[str] = ("BTCUSDT",)
    topics: int = 0
    each: int = 0
    client_bytes: int = 420

    @property
    def topic_names(self) -> list[str]:
        """What the clients choose from, as they name it when they subscribe."""
        symbols = [f"S{number:03d}USDT" for number in range(self.topics)] or self.symbols
        return [f"trade:{symbol}" for symbol in symbols]

    @property
    def load_arguments(self) -> list[object]:
        """What the load is told about it."""
        return ["--topics", ",".join(self.topic_names), *(["--each", self.each] if self.each else [])]


ONE = Workload("one", "one topic, a message per tick")
BATCHED = Workload(
    "batched",
    "16 topics, a message of each per tick, everybody subscribed to all",
    symbols=tuple(f"S{number:03d}USDT" for number in range(16)),
)
MANY = Workload(
    "many", "100 topics, messages at random, 20 topics per client", topics=100, each=20, client_bytes=250
)
