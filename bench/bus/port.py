"""What a way through Redis is to the measuring code: a writer's half, a reader's half, and messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

MESSAGE_BYTES = 420
TOPICS = 16
_DIGITS = 17
_SERIAL = 10**12
_LAST = _SERIAL - 1
_HEADS = [
    b'{"stream":"mudrex.futures.trade.S%03dUSDT","type":"update","data":[{"id":"' % topic
    for topic in range(TOPICS)
]
_TAIL = b'"}],"timestamp":1700000000000,"source":"mudrex"}'
_PAD = b'","pad":"' + b"x" * (MESSAGE_BYTES - len(_HEADS[0]) - len(_TAIL) - len(b'","pad":"') - _DIGITS)
_AT = len(_HEADS[0])


class Work(NamedTuple):
    """What the two halves do.

    Args:
        serial: of this piece of work, from 0.
        rate: messages a second.
        burst: so many at once.
        seconds: how long.
    """

    serial: int
    rate: float
    burst: int
    seconds: float

    @property
    def ticks(self) -> int:
        """How many bursts there are."""
        return max(1, round(self.seconds * self.rate / self.burst))

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return self.ticks * self.burst

    @property
    def first(self) -> int:
        """The number of the first message; the others follow."""
        return self.serial * _SERIAL

    @property
    def end(self) -> int:
        """The number of the message that says that no other one comes."""
        return self.first + _LAST

    def due_ns(self, start_ns: int, tick: int) -> int:
        """When a burst is to be written."""
        return start_ns + round(tick * self.burst / self.rate * 1e9)


def message(number: int) -> tuple[int, bytes]:
    """The topic and the text of a message; topics take turns."""
    topic = number % TOPICS
    return topic, b"%b%017d%b%b" % (_HEADS[topic], number, _PAD, _TAIL)


def number_of(text: bytes) -> int:
    """The number of a message."""
    return int(text[_AT : _AT + _DIGITS])


class Eye(Protocol):
    """What sees what a reader read."""

    def see(self, number: int, /) -> None:
        """A message came."""

    def warned(self) -> None:
        """The way says that messages are missing."""


class Sender(Protocol):
    """The writer's half, in its own process."""

    async def send(self, messages: Sequence[tuple[int, bytes]], /) -> None:
        """Publish messages that are due, as :func:`message` makes them, in the way that is measured."""


OpenWriter = Callable[[int], AbstractAsyncContextManager[Sender]]
OpenReader = Callable[[int, Eye], AbstractAsyncContextManager[None]]


class Way(Protocol):
    """A module of this package. Both functions take Redis' port; inside, messages pass."""

    @property
    def open_writer(self) -> OpenWriter: ...

    @property
    def open_reader(self) -> OpenReader: ...
