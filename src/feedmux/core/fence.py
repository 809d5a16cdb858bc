"""Keep out what a former writer still says: of each topic, no epoch comes after a newer one.

A lease alone does not keep a former holder quiet: it may be stopped by the system between looking at its
clock and sending, for as long as the system likes. So its readers look at the epoch of what it sends.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

TopicT = TypeVar("TopicT", bound=Hashable)


class Fence(Generic[TopicT]):
    """The newest epoch of each topic."""

    __slots__ = ("_epochs",)

    def __init__(self) -> None:
        self._epochs: dict[TopicT, int] = {}

    def admits(self, topic: TopicT, epoch: int) -> bool:
        """Whether what has this epoch may pass; from then on nothing older does."""
        if epoch < self._epochs.get(topic, 0):
            return False
        self._epochs[topic] = epoch
        return True

    def forget(self, topic: TopicT) -> None:
        """Nobody reads ``topic`` any more; it need not be known."""
        self._epochs.pop(topic, None)

    def __len__(self) -> int:
        """How many topics are known."""
        return len(self._epochs)
