"""All that a feed published."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.topic import Topic


class Published:
    """A bus's end that keeps what goes into it (:class:`feedmux.model.ports.Publisher`)."""

    def __init__(self) -> None:
        self.events: list[Envelope] = []
        self.then: Callable[[Envelope], None] | None = None
        """What a reader does on hearing of an event, before publishing it returns."""

    def publish(self, envelope: Envelope, /) -> None:
        self.events.append(envelope)
        if self.then is not None:
            self.then(envelope)

    def values(self, topic: Topic) -> list[Envelope]:
        """Snapshots and updates, in order."""
        data = (EventKind.SNAPSHOT, EventKind.UPDATE)
        return [event for event in self.events if event.topic == topic and event.kind in data]

    def statuses(self, topic: Topic) -> list[dict[str, str]]:
        """What was said of the topic's state."""
        return [
            msgspec.json.decode(event.payload, type=dict[str, str])
            for event in self.events
            if event.topic == topic and event.kind is EventKind.STATUS
        ]

    def states(self, topic: Topic) -> list[State]:
        """The states, in order."""
        return [State(status["state"]) for status in self.statuses(topic)]

    def state(self, topic: Topic) -> State | None:
        """The state, as far as it was told."""
        states = self.states(topic)
        return states[-1] if states else None

    def reason(self, topic: Topic) -> str:
        """The reason of the last status."""
        return self.statuses(topic)[-1].get("reason", "")
