"""Count who holds what, and note what the venue carries, under names that several topics may share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from feedmux.core.demand import Demand
from feedmux.model.event import State
from feedmux.model.topic import Topic

_CARRIED: Final = frozenset({State.LIVE, State.STALE, State.RECONNECTING})
"""The states of a topic that its venue has confirmed."""


class Entry(NamedTuple):
    """What stands under one name.

    Args:
        holders: how many hold a topic of this name; who holds two of them counts twice.
        is_carried: whether the venue confirmed one of them.
    """

    holders: int
    is_carried: bool


NOTHING: Final = Entry(0, False)


class Ledger:
    """Demand as others may read it. What a venue refused is held by nobody, whoever asks for it.

    Args:
        name: the name under which a topic stands; several may have the same.
    """

    __slots__ = ("_demand", "_name", "_states", "_topics", "_turned")

    def __init__(self, name: Callable[[Topic], str]) -> None:
        self._name = name
        self._demand: Demand[Topic, str] = Demand()
        self._states: dict[Topic, State] = {}
        self._topics: dict[str, dict[Topic, None]] = {}
        self._turned: dict[str, None] = {}

    def add(self, topic: Topic, holder: str) -> None:
        """``holder`` wants ``topic``; repeating it changes nothing."""
        if self._demand.add(topic, holder):
            self._states[topic] = State.PENDING
            self._topics.setdefault(self._name(topic), {})[topic] = None
        self._turn(topic)

    def remove(self, topic: Topic, holder: str) -> bool:
        """``holder`` no longer wants ``topic``; it need not have wanted it.

        Returns:
            True when it was the last holder.
        """
        self._turn(topic)
        is_last = self._demand.remove(topic, holder)
        if is_last:
            self._let_go(topic)
        return is_last

    def forget(self, holder: str) -> list[Topic]:
        """``holder`` died.

        Returns:
            The topics whose last holder it was.
        """
        for topic in self._demand.topics(holder):
            self._turn(topic)
        ended = self._demand.forget(holder)
        for topic in ended:
            self._let_go(topic)
        return ended

    def tell(self, topic: Topic, state: State) -> None:
        """``topic`` is said to be in this state; nothing is noted of one that nobody holds."""
        if self._states.get(topic, state) is not state:
            self._states[topic] = state
            self._turn(topic)

    def entries(self) -> dict[str, Entry]:
        """All that stands here; what turned until now counts as seen."""
        self._turned.clear()
        return {name: entry for name in self._topics if (entry := self._entry(name)) != NOTHING}

    def turned(self) -> dict[str, Entry]:
        """What may have changed since this was asked last; :data:`NOTHING` under a name that nobody holds."""
        names = list(self._turned)
        self._turned.clear()
        return {name: self._entry(name) for name in names}

    def __contains__(self, topic: object) -> bool:
        """Whether somebody holds it."""
        return topic in self._states

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._topics)

    def _turn(self, topic: Topic) -> None:
        if topic in self._states:
            self._turned[self._name(topic)] = None

    def _let_go(self, topic: Topic) -> None:
        del self._states[topic]
        name = self._name(topic)
        topics = self._topics[name]
        del topics[topic]
        if not topics:
            del self._topics[name]

    def _entry(self, name: str) -> Entry:
        states = {topic: self._states[topic] for topic in self._topics.get(name, ())}
        held = [topic for topic, state in states.items() if state is not State.REFUSED]
        holders = sum(len(self._demand.holders(topic)) for topic in held)
        return Entry(holders, any(states[topic] in _CARRIED for topic in held))
