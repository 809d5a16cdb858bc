"""What sessions ask of whatever joins them with their topics."""

from __future__ import annotations

from typing import Protocol

from feedmux.model.options import DEFAULTS, Options
from feedmux.model.ports import Subscriber
from feedmux.model.topic import Topic


class Switchboard(Protocol):
    """Where topics come from; :class:`feedmux.hub.hub.Hub` is one."""

    def attach(self, topic: Topic, subscriber: Subscriber, *, asker: int) -> bool:
        """Hold ``topic``; True when it is live already, else ``settled`` will be called."""

    def join(
        self, topic: Topic, subscriber: Subscriber, options: Options = DEFAULTS, *, snapshot: bool = True
    ) -> None:
        """Send the topic's frames to the subscriber's outlet from now on."""

    def change(
        self, topic: Topic, subscriber: Subscriber, options: Options, *, snapshot: bool = False
    ) -> None:
        """Serve who has joined by other options from now on."""

    def serves(self, topic: Topic, subscriber: Subscriber, options: Options) -> bool:
        """Whether there is room for the set of fields that the options name."""

    def detach(self, topic: Topic, subscriber: Subscriber) -> None:
        """``subscriber`` no longer holds ``topic``."""
