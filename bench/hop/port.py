"""What a transport is to the measuring code: a writer's half, a reader's half, and messages between them."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple, Protocol

MESSAGE_BYTES = 420
MESSAGE = Struct("<qQ404s")
"""How many messages came before it (only in the last one), the message's number, filling."""
HEAD = Struct("<qQ")
FILLING = bytes(range(256)) + bytes(range(148))
END = 1 << 63
"""A message with this number or a higher one ends the work whose serial is added to it."""


POOL = 1_024
"""So many messages are made beforehand where their making would be most of what is measured; after the last
one comes the first again."""


def pool() -> list[bytes]:
    """The messages that are made beforehand."""
    return [MESSAGE.pack(0, number, FILLING) for number in range(POOL)]


class Work(NamedTuple):
    """What the two halves do.

    Args:
        serial: of this piece of work.
        how: what the writer does. ``spin``: it writes as soon as a message is due, and looks at the clock
            until then. ``sleep``: it sleeps until then. ``bursts``: like ``spin``, with messages that are
            made beforehand. ``free``: these without a pause.
        reading: what the reader does. ``poll``: it asks again and again. ``many``: likewise, for several at
            once. ``loop``: it sleeps in an asyncio loop. ``wait``: it sleeps in a call.
        rate: messages a second; ``free`` has none.
        burst: so many at once, with one flush after them.
        seconds: how long.
    """

    serial: int
    how: str
    reading: str
    rate: float
    burst: int
    seconds: float

    @property
    def is_timed(self) -> bool:
        """Whether the writer notes when it writes each message."""
        return self.how in {"spin", "sleep"}


class Writer(Protocol):
    """The writer's half, in its own process.

    Attributes:
        write: sends a message; where there is no room, it waits, if that is the transport's way.
        flush: lets the reader see, or wakes it; None where that is no step of its own.
    """

    @property
    def write(self) -> Callable[[bytes], object]: ...

    @property
    def flush(self) -> Callable[[], object] | None: ...


class Reader(Protocol):
    """The reader's half, in its own process.

    Attributes:
        read: the next message; None while there is none.
        read_many: up to so many messages; None where the transport cannot.
        missed: what these raise to report that messages were lost; an empty tuple: they never do.
        descriptor: what an event loop can wait for; -1: nothing.
    """

    @property
    def read(self) -> Callable[[], bytes | None]: ...

    @property
    def read_many(self) -> Callable[[int], list[bytes]] | None: ...

    @property
    def missed(self) -> type[Exception] | tuple[()]: ...

    @property
    def descriptor(self) -> int: ...

    def lost(self) -> int:
        """How many messages it has reported as lost so far."""

    def wake(self) -> None:
        """The descriptor is ready."""

    def rest(self) -> bool:
        """There was nothing to read: the descriptor says when there is; False: there is now."""

    def wait(self) -> bytes:
        """Sleep until there is a message."""


class Transport(Protocol):
    """A module of this package. ``reading`` is that of :class:`Work`."""

    def ends(self) -> tuple[Any, Any]:
        """What the writer's and the reader's process are given; the writer's is sent to a new process."""

    def open_writer(self, end: Any, reading: str) -> Writer: ...

    def open_reader(self, end: Any, reading: str) -> Reader: ...
