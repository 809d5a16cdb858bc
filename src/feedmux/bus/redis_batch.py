"""Gather what one turn of the loop sends to Redis: commands in their order, events of a channel together.

A ``PUBLISH`` costs both ends and Redis far more than the bytes that it carries, so the events of a channel
leave in as few messages as :data:`MOST_JOINED_BYTES` allows, one after the other. What cannot be told apart
again has to be published by itself. The order in a channel is that of the asking; events of different
channels may change places with each other, but not with a command.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feedmux.bus.redis_connection import Published, Sent

MOST_JOINED_BYTES: Final = 64 * 1024
"""A message with more has one event."""

Pack = Callable[[tuple[str | bytes, ...]], bytes]


class Batch:
    """What was not sent yet.

    Args:
        pack: makes the bytes of a command.
        publish: the command that publishes.
    """

    __slots__ = ("_commands", "_events", "_pack", "_publish", "_sent", "room", "size")

    def __init__(self, pack: Pack, publish: bytes) -> None:
        self._pack, self._publish = pack, publish
        self._commands: list[bytes] = []
        self._sent: list[Sent] = []
        self._events: dict[bytes, list[bytes]] = {}
        self.size = 0
        """Bytes that were given."""
        self.room = 0
        """From this size on nothing is published any more."""

    def __bool__(self) -> bool:
        return bool(self._commands or self._events)

    def add(self, command: bytes, sent: Sent) -> None:
        """A command, behind everything before."""
        self._seal()
        self._commands.append(command)
        self._sent.append(sent)
        self.size += len(command)

    @property
    def has_room(self) -> bool:
        """Whether something may be published."""
        return self.size < self.room

    def publish(self, channel: bytes, body: bytes) -> bool:
        """A message by itself, behind everything before; False: there was no room."""
        if self.size >= self.room:
            return False
        self.add(self._pack((self._publish, channel, body)), Published(channel, 1))
        return True

    def join(self, channel: bytes, event: bytes) -> bool:
        """An event, which others of its channel may follow in the same message; False: there was no room."""
        if self.size >= self.room:
            return False
        self.size += len(event)
        events = self._events.get(channel)
        if events is None:
            self._events[channel] = [event]
        else:
            events.append(event)
        return True

    def take(self) -> tuple[list[bytes], list[Sent]]:
        """Everything, and what each of it is; it is empty now."""
        self._seal()
        taken = self._commands, self._sent
        self._commands, self._sent, self.size = [], [], 0
        return taken

    def retract(self) -> None:
        """Forget what was to be published."""
        self._events.clear()
        kept = [
            one for one in zip(self._commands, self._sent, strict=True) if not isinstance(one[1], Published)
        ]
        self._commands, self._sent = [command for command, _ in kept], [sent for _, sent in kept]
        self.size = sum(map(len, self._commands))

    def _seal(self) -> None:
        """Write down what was gathered."""
        if not self._events:
            return
        gathered, self._events = self._events, {}
        for channel, events in gathered.items():
            if sum(map(len, events)) <= MOST_JOINED_BYTES:
                self._write(channel, events)
                continue
            start = size = 0
            for at, event in enumerate(events):
                size += len(event)
                if size > MOST_JOINED_BYTES and at > start:
                    self._write(channel, events[start:at])
                    start, size = at, len(event)
            self._write(channel, events[start:])

    def _write(self, channel: bytes, events: list[bytes]) -> None:
        body = events[0] if len(events) == 1 else b"".join(events)
        self._commands.append(self._pack((self._publish, channel, body)))
        self._sent.append(Published(channel, len(events)))
