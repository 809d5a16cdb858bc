"""Remember who wants what: demand is a set of holders, never a counter.

A counter that missed one message is wrong for ever; a set forgives a want that is repeated, a drop
that comes twice and a holder that died. Topics that nobody holds take no memory.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

TopicT = TypeVar("TopicT", bound=Hashable)
HolderT = TypeVar("HolderT", bound=Hashable)


class Demand(Generic[TopicT, HolderT]):
    """Topics and their holders.

    ``holders`` is made for the path of every message: one lookup, and the tuple it returns never
    changes, so that it may be walked while holders come and go. Adding and removing copy it.
    """

    __slots__ = ("_holders", "_topics")

    def __init__(self) -> None:
        self._holders: dict[TopicT, tuple[HolderT, ...]] = {}
        self._topics: dict[HolderT, dict[TopicT, None]] = {}

    def add(self, topic: TopicT, holder: HolderT) -> bool:
        """Note that ``holder`` wants ``topic``; repeating it changes nothing.

        Returns:
            True when nobody held the topic before.
        """
        held = self._topics.setdefault(holder, {})
        if topic in held:
            return False
        held[topic] = None
        before = self._holders.get(topic, ())
        self._holders[topic] = (*before, holder)
        return not before

    def remove(self, topic: TopicT, holder: HolderT) -> bool:
        """Note that ``holder`` no longer wants ``topic``; it need not have wanted it.

        Returns:
            True when it was the last holder.
        """
        held = self._topics.get(holder)
        if held is None or topic not in held:
            return False
        del held[topic]
        if not held:
            del self._topics[holder]
        return self._release(topic, holder)

    def forget(self, holder: HolderT) -> list[TopicT]:
        """Note that ``holder`` died.

        Returns:
            The topics whose last holder it was, in the order in which it had wanted them.
        """
        return [topic for topic in self._topics.pop(holder, ()) if self._release(topic, holder)]

    def _release(self, topic: TopicT, holder: HolderT) -> bool:
        left = tuple(other for other in self._holders[topic] if other != holder)
        if left:
            self._holders[topic] = left
        else:
            del self._holders[topic]
        return not left

    def holders(self, topic: TopicT) -> tuple[HolderT, ...]:
        """Who wants ``topic``, in the order in which they came; empty when nobody does."""
        return self._holders.get(topic, ())

    def topics(self, holder: HolderT) -> tuple[TopicT, ...]:
        """What ``holder`` wants, in the order in which it asked."""
        return tuple(self._topics.get(holder, ()))

    def wants(self) -> list[tuple[TopicT, HolderT]]:
        """Every want there is, holder by holder."""
        return [(topic, holder) for holder, held in self._topics.items() for topic in held]

    def __contains__(self, topic: object) -> bool:
        return topic in self._holders

    def __len__(self) -> int:
        """How many topics somebody holds."""
        return len(self._holders)
