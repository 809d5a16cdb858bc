"""A subscribe request of the ``/ws`` protocol while the fate of its streams is open."""

from __future__ import annotations

from typing import Any

from feedmux.model.topic import Topic
from feedmux.wire.options import Wish


class Waiting:
    """A subscribe request that waits; each arg has its topic, or the reason of its rejection.

    Args:
        deadline: when it is answered at the latest, on the monotonic clock.
        wish: its options; None: it has none.

    Attributes:
        args: what the client wrote, with the topic, and the reason where there is none.
        open: topics whose fate is not known.
        building: whether there may be more.
    """

    __slots__ = ("args", "building", "deadline", "open", "wish")

    def __init__(self, deadline: float, wish: Wish | None) -> None:
        self.deadline = deadline
        self.wish = wish
        self.args: list[tuple[Any, Topic | None, str]] = []
        self.open: set[Topic] = set()
        self.building = True

    def refuse(self, topic: Topic, reason: str) -> None:
        """Reject the args that name a topic."""
        self.open.discard(topic)
        self.args = [
            (arg, None, reason) if named == topic else (arg, named, why) for arg, named, why in self.args
        ]

    @property
    def topics(self) -> list[Topic]:
        """What stands, or may."""
        return [topic for _, topic, _ in self.args if topic is not None]

    @property
    def ready(self) -> bool:
        """Whether it can be answered."""
        return not self.open and not self.building
