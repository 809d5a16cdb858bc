"""The seams: what one stage may ask of another, as Protocols.

Control and data run on the same road in opposite directions::

    Source (the topic's writer)  ═Envelope═▶  Bus  ═Envelope═▶  Sink (a hub)
    Source.want / drop / forget  ◀──────────  Bus  ◀──────────  Bus.want / drop
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from feedmux.model.event import Envelope
from feedmux.model.rpc import Reply
from feedmux.model.topic import Topic

Statistics = Mapping[str, object]
"""Counters and gauges of one object, by name; plain numbers, texts, lists and mappings."""


class Clock(Protocol):
    """Time, passed in. Deadlines are monotonic and never leave the process."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    def time_ns(self) -> int:
        """Unix time in nanoseconds."""


class Dice(Protocol):
    """Chance, passed in."""

    def uniform(self, low: float, high: float, /) -> float:
        """A number between ``low`` and ``high``."""


class Timer(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """It need not be called any more."""


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Call something after so many seconds, once; an event loop's ``call_later``."""


class Correlator(Protocol):
    """How requests and answers of one protocol name each other; it keeps no state."""

    def request(self, request_id: int, method: str, params: object, /) -> object:
        """The message that asks."""

    def reply(self, message: object, /) -> Reply | None:
        """What the message answers; None when it is no answer."""


BeginEpoch = Callable[[Topic], int]
"""Begin an epoch of a topic, above the one that it had."""


class Sink(Protocol):
    """Where envelopes go: the reader's end."""

    def receive(self, envelope: Envelope, /) -> None:
        """Take one event; may not block and may not raise."""


class Source(Protocol):
    """A writer of topics, as a bus sees it. Demand is a set of holders, never a counter.

    Every ``want`` is answered on the topic's own road: a status (live, pending, refused) and,
    where there is a value, a snapshot at the writer's position.
    """

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder`` (a process, a node, a local client) wants ``topic``.

        ``asker`` names the client behind it; it only serves to share the venue's budget fairly.
        Repeating it is allowed and is answered again.
        """

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""

    def forget(self, holder: str) -> None:
        """``holder`` died: all that it held goes with it."""


class Runner(Protocol):
    """Something with connections of its own."""

    async def run(self) -> None:
        """Keep them until :meth:`close`; the owner awaits it."""

    def close(self) -> None:
        """End: connections close, :meth:`run` returns."""

    def statistics(self) -> Statistics: ...


class Feed(Source, Runner, Protocol):
    """A source with connections of its own."""


class Node(Runner, Protocol):
    """This gateway as one of those that share feeds."""

    def introduce(self, facts: Callable[[], Mapping[str, object]], /) -> None:
        """Let the others know more of us.

        Args:
            facts: ``address``, ``version`` and ``clients``, as they are when they are asked for.
        """


class Publisher(Protocol):
    """The writer's end of a bus."""

    def publish(self, envelope: Envelope, /) -> None:
        """Carry one event to every holder of its topic; may not block and may not raise."""


class Bus(Protocol):
    """One reader's end of a bus. What it delivers goes to the sink it was made with."""

    def want(self, topic: Topic, asker: int = 0) -> None:
        """Ask for ``topic``; see :meth:`Source.want`."""

    def drop(self, topic: Topic) -> None:
        """No longer ask for ``topic``. What is on its way may still arrive."""

    def statistics(self) -> Statistics: ...


GapFrame = Callable[[int, int, int], bytes]
"""Build the frame that tells of a hole: epoch, first and last missing seq."""


class Parcel(Protocol):
    """A frame on its way to the clients of a row: built once, shared by all of them."""

    @property
    def frame(self) -> bytes: ...

    @property
    def key(self) -> str:
        """A waiting parcel of the same key is replaced by this one; empty: none is."""

    @property
    def row(self) -> Row | None:
        """Where it was offered; None for one that belongs to a single client."""

    @property
    def epoch(self) -> int: ...

    @property
    def seq(self) -> int:
        """The value's place in its epoch, or the first one of a hole; 0: this is no value."""

    @property
    def last(self) -> int:
        """The last place of a hole; 0: this tells of none."""


class Outlet(Protocol):
    """One client of one row: where a frame goes that was built once for all of them."""

    @property
    def paused(self) -> bool:
        """Whether the client reads too slowly, so that what is offered waits."""

    def offer(self, parcel: Parcel, /) -> None:
        """Queue a parcel."""

    def pause(self) -> None:
        """The client's socket is full."""

    def resume(self) -> None:
        """It is not any more: what waits is on its way, in order."""

    def forget(self, row: Row, /) -> None:
        """Let go what waits of a row that the client has left."""


class Row(Protocol):
    """All outlets of one topic and format. Python runs per message; a row loops per delivery.

    It is also the only place that remembers who they belong to: with twenty topics for each of
    ten thousand clients, a second set of members costs more memory than the clients' sessions.
    """

    @property
    def gap(self) -> GapFrame | None:
        """How a hole in this row is told; None: its values may not be lost at all."""

    @property
    def mends(self) -> bool:
        """Whether :attr:`gap` also gives anew all that the hole is of, as it is when this is told.

        So nothing of it has to wait behind a hole; what did would come a second time.
        """

    def add(self, outlet: Outlet, subscriber: Subscriber, /) -> None: ...
    def discard(self, outlet: Outlet, /) -> None: ...
    def offer(self, frame: bytes, key: str, epoch: int, seq: int, /) -> None:
        """Offer one shared frame to every outlet.

        Args:
            frame: the bytes.
            key: see :class:`Parcel`.
            epoch: of the value's position.
            seq: of the value's position; 0 for what is no value.
        """

    def offer_to(self, outlet: Outlet, frame: bytes, epoch: int = 0, seq: int = 0, /) -> None:
        """Offer a frame to one outlet only; nothing replaces it.

        Args:
            outlet: who gets it.
            frame: the bytes.
            epoch: of the value's position.
            seq: of the value's position; 0 for what may not be let go.
        """

    def subscribers(self) -> Iterable[Subscriber]:
        """Who the outlets belong to."""

    def __contains__(self, outlet: object, /) -> bool: ...
    def __len__(self) -> int: ...


class Writer(Protocol):
    """Where an outbox drains to: one client's socket."""

    def write(self, frames: Sequence[bytes], /) -> int:
        """Send frames in order, without waiting.

        Returns:
            How many were taken; a frame under way counts, its rest is the socket's. Fewer than
            all means that the socket is full; the outbox is told when it may go on.
        """

    def overflow(self) -> None:
        """The outbox reached a bound: what is offered from now on is lost, so the client must go.

        Called once, in the middle of a fan-out; act on it later.
        """


class DirectWriter(Writer, Protocol):
    """A writer that lends its descriptor to an outbox, which then writes past it."""

    def rest(self, data: bytes, /) -> bool:
        """Send what is left of a frame under way, ahead of everything else.

        Returns:
            Whether all of it left at once, so that the descriptor may be written to again.
        """

    def broken(self) -> None:
        """The descriptor cannot be written to: the connection is lost."""


class Format(Protocol):
    """What one kind of client is sent: an envelope becomes one frame, shared by all of them."""

    @property
    def fields(self) -> frozenset[str]:
        """The names of ``data`` that are sent; empty: all."""

    def only(self, fields: frozenset[str], /) -> Format:
        """The same format with these fields alone; the same object for equal sets in use."""

    def frame(self, envelope: Envelope, /) -> bytes | None:
        """Build the frame; None when clients of this format are not to get this event."""

    def forget(self, topic: Topic, /) -> None:
        """Nobody holds ``topic`` any more."""


class Subscriber(Protocol):
    """One client of a hub."""

    @property
    def outlet(self) -> Outlet: ...

    @property
    def format(self) -> Format: ...

    def settled(self, topic: Topic, /, *, refused: str | None) -> None:
        """The fate of ``topic`` is known: it is live, or was refused with a reason."""

    def revoked(self, topic: Topic, /) -> None:
        """``topic`` was refused after the client joined it: it is no longer held."""
