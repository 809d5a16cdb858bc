"""The reader's end of a bus between processes, however its data come: what is held, asked for and missed.

Asks go over a :class:`feedmux.bus.road.Road`; whoever brings the data calls :meth:`ReaderEnd.received`
with each envelope, and :meth:`ReaderEnd.heal` where an unknown amount of them is missing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from feedmux.bus.road import Road
from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from feedmux.model.ports import Sink, Statistics
from feedmux.model.topic import Topic
from feedmux.wire.record import Drop, Lost, Record, Want, encode

_ASKS_HIGH_BYTES: Final = 64 * 1024  # above this, asks wait in the reader, one per topic
_STATUS: Final = EventKind.STATUS  # an enum's member costs a search each time it is named
_decode_status: Final = msgspec.json.Decoder(Status).decode
UNHEARD: Final = -1  # the epoch of a topic of which nothing has come yet


class _Held:
    """One topic that a reader holds: how it is asked for, the last position of it, and how it is."""

    __slots__ = ("epoch", "request", "seq", "state")

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.epoch = UNHEARD
        self.seq = 0
        self.state = State.PENDING


class ReaderEnd:
    """A reader process' end: a :class:`feedmux.model.ports.Bus`.

    Args:
        sink: where everything goes that this process wants.
        now_ns: Unix time in nanoseconds, for the gaps and statuses that begin here.
    """

    def __init__(self, sink: Sink, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._sink = sink
        self._now_ns = now_ns
        self._held: dict[Topic, _Held] = {}
        self._told: set[Topic] = set()  # what the writer knows that we hold
        self._asks: dict[Topic, None] = {}  # what it has to be told about
        self._road: WriterRoad | None = None
        self._was_cut = False
        self._is_closed = False
        self._received = 0
        self._counts = {"ignored": 0, "lost": 0, "cuts": 0}

    def want(self, topic: Topic, asker: int = 0) -> None:
        """Ask for ``topic``; repeating it is answered again. Never blocks.

        While there is no writer the answer is a ``pending`` status, given before this returns; a
        topic that cannot be written down is ``refused`` in the same way.
        """
        if self._is_closed:
            return
        try:
            request = encode(Want(topic, asker))
        except MalformedMessage as error:
            self._tell(topic, _Held(b""), EventKind.STATUS, Status(State.REFUSED, str(error)))
            return
        held = self._held.setdefault(topic, _Held(request))
        held.request = request
        if self._road is None:
            status = Status(State.PENDING, "the feed process is not connected yet")
            self._tell(topic, held, EventKind.STATUS, status)
        else:
            self._ask(topic)

    def drop(self, topic: Topic) -> None:
        """No longer ask for ``topic``; nothing of it reaches the sink from now on."""
        if self._held.pop(topic, None) is None:
            return
        if topic in self._told:
            self._ask(topic)
        else:
            self._asks.pop(topic, None)

    def close(self) -> None:
        """Give everything back; the writer forgets this holder. Closing twice is allowed."""
        self._is_closed = True
        self._held.clear()
        if self._road is not None:
            self._road.cut("closed")

    def statistics(self) -> Statistics:
        """Counters since the start, and how many topics are held."""
        is_there, topics = self._road is not None, len(self._held)
        return {"connected": is_there, "topics": topics, "received": self._received, **self._counts}

    def states(self) -> dict[str, int]:
        """How many of the topics that are held are in each state."""
        return dict(Counter(str(held.state) for held in self._held.values()))

    @property
    def has_asks(self) -> bool:
        """Whether something has to be asked when this loop turn ends."""
        return bool(self._asks)

    def _ask(self, topic: Topic) -> None:
        """Tell the writer about ``topic`` when this loop turn ends."""
        if not self._asks:
            asyncio.get_running_loop().call_soon(self.flush)
        self._asks[topic] = None

    def flush(self) -> None:
        """Send what has to be asked, if there is room."""
        if self._road is None or self._road.is_full or not self._asks:
            return
        asks = list(self._asks)
        self._asks.clear()
        self._road.write(b"".join(self._request(topic) for topic in asks))

    def _request(self, topic: Topic) -> bytes:
        held = self._held.get(topic)
        if held is not None:
            self._told.add(topic)
            return held.request
        self._told.discard(topic)
        return encode(Drop(topic))

    # what a road and the data call

    def began(self, road: WriterRoad) -> None:
        """There is a writer: everything that is held is wanted from it."""
        if self._road is not None:
            self._road.cut("another feed process took over")
        self._road = road
        if self._is_closed:
            road.cut("closed")
        elif self._was_cut:
            self.heal(GapReason.LINK)
        else:
            for topic in self._held:
                self._ask(topic)

    def received(self, envelope: Envelope) -> None:
        """An event came."""
        held = self._held.get(envelope.topic)
        if held is None:
            self._counts["ignored"] += 1
            return
        self._received += 1
        if envelope.epoch > held.epoch or (envelope.epoch == held.epoch and envelope.seq > held.seq):
            held.epoch, held.seq = envelope.epoch, envelope.seq
        if envelope.kind is _STATUS:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):  # whoever reads it says so
                held.state = _decode_status(envelope.payload).state
        self._sink.receive(envelope)

    def lost(self, count: int, reason: GapReason) -> None:
        """So many events are missing, or at least one."""
        self._counts["lost"] += count
        self.heal(reason)

    def heal(self, reason: GapReason) -> None:
        """Say that an unknown amount is missing, and want everything again.

        A topic of which nothing has come yet has no hole; it is only wanted again.
        """
        for topic, held in list(self._held.items()):
            if self._held.get(topic) is held:  # else the sink dropped it on hearing of another
                self.heal_topic(topic, reason)

    def heal_topic(self, topic: Topic, reason: GapReason) -> None:
        """The same of one topic, if it is held."""
        held = self._held.get(topic)
        if held is None:
            return
        if held.epoch != UNHEARD:
            self._tell(topic, held, EventKind.GAP, Gap(held.seq + 1, None, reason))
        if topic in self._held:
            self._ask(topic)

    def ended(self, road: WriterRoad, reason: str) -> None:
        """The writer is gone."""
        if self._road is not road:
            return
        self._road = None
        self._told.clear()
        self._asks.clear()
        self._counts["cuts"] += 1
        self._was_cut = True
        status = Status(State.RECONNECTING, reason)
        for topic, held in list(self._held.items()):
            if self._held.get(topic) is held:
                self._tell(topic, held, EventKind.STATUS, status)

    def _tell(self, topic: Topic, held: _Held, kind: EventKind, payload: Gap | Status) -> None:
        """Give the sink an event that begins here, at the last position."""
        if isinstance(payload, Status):
            held.state = payload.state
        text = msgspec.json.encode(payload)
        epoch = max(held.epoch, 0)
        self._sink.receive(Envelope(topic, epoch, held.seq, kind, 0, self._now_ns(), "", text))


class WriterRoad(Road):
    """The reader's end of the writer: asks go, and what the bus has no other way for comes.

    Args:
        reader: whose it is.
        accepts: the records that the writer may send.
    """

    def __init__(self, reader: ReaderEnd, *accepts: type[Record]) -> None:
        super().__init__("the feed process", *accepts, high_bytes=_ASKS_HIGH_BYTES)
        self._reader = reader

    def on_begin(self) -> None:
        self._reader.began(self)

    def on_record(self, record: Record) -> None:
        if isinstance(record, Envelope):
            self._reader.received(record)
        elif isinstance(record, Lost):
            self._reader.lost(record.count, GapReason.SLOW)

    def on_room(self) -> None:
        self._reader.flush()

    def on_end(self, reason: str) -> None:
        self._reader.ended(self, reason)
