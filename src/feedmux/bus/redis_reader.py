"""The reader's end of :mod:`feedmux.bus.redis_bus`, which tells how it works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from feedmux._native.envelope import decode_all
from feedmux.bus.inproc import InprocBus
from feedmux.bus.local_road import LocalRoad
from feedmux.bus.reader_end import ReaderEnd, WriterRoad
from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_channels import RedisBusConfig
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_refusal import Refusals
from feedmux.core.lease_record import MAX_EPOCH
from feedmux.core.percentiles import Samples
from feedmux.model.errors import FeedmuxError, MalformedMessage
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, Status
from feedmux.model.ports import Sink, Statistics
from feedmux.model.topic import Topic
from feedmux.wire import cluster
from feedmux.wire.cluster import Said, Word
from feedmux.wire.envelope import MAGIC, read_topic

LOG: Final = logging.getLogger(__name__)
MALFORMED: Final = "bus.redis_malformed channel=%s error=%s"
REPLACED: Final = "bus.redis_replaced holder=%s"
_UPDATE: Final = EventKind.UPDATE
_NS: Final = 1_000_000_000
_EACH: Final = 16
"""Of so many messages one is looked at for its age."""
_OF_WRITERS: Final = frozenset({Word.HERE, Word.BYE, Word.AGAIN})
_decode_status: Final = msgspec.json.Decoder(Status).decode
_decode_gap: Final = msgspec.json.Decoder(Gap).decode


class RedisReader(ReaderEnd):
    """A node's end: a :class:`feedmux.model.ports.Bus`.

    Args:
        sink: where everything goes that this node wants.
        redis: where Redis is.
        bus: which bus.
        holder: the name of this node; no other one has it.
        life: rises with each start of the node: Unix nanoseconds.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        sink: Sink,
        redis: RedisConfig,
        bus: RedisBusConfig,
        *,
        holder: str,
        life: int,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(sink)
        self._bus, self._holder, self._life, self._monotonic = bus, holder, life, monotonic
        self._words = bus.words  # compared with every message
        self._link = RedisLink(redis, self)
        self._refusals = Refusals(monotonic, bus.silence_s)
        self._alone_since = monotonic()
        self._ages = Samples()
        self._taken = 0
        self._writer_life = self._since = self._newest = 0
        self._topic_at = len(bus.data)
        self._counts["malformed"] = 0
        self._complained: set[bytes] = set()
        self._heard_at = 0.0
        self._local: LocalRoad | None = None
        self._unheard: set[Topic] = set()  # of which this writer has not said yet how they are

    async def run(self) -> None:
        """Keep the bus until :meth:`close`; the owner awaits it."""
        self._link.subscribe(self._bus.words)
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(self._beat())
            await self._link.run()
            beating.cancel()

    def want(self, topic: Topic, asker: int = 0) -> None:
        """Ask for ``topic``; see :meth:`ReaderEnd.want`."""
        is_new = topic not in self._held
        super().want(topic, asker)
        if topic in self._held and self._local is None:
            self._link.subscribe(self._bus.channel(topic))
            if is_new:
                self._unheard.add(topic)

    def drop(self, topic: Topic) -> None:
        """No longer ask for ``topic``; nothing of it reaches the sink from now on."""
        if topic in self._held:
            self._link.unsubscribe(self._bus.channel(topic))
            self._complained.discard(self._bus.channel(topic))
        self._unheard.discard(topic)
        super().drop(topic)

    def close(self) -> None:
        """Give everything back; the writer forgets this holder. Closing twice is allowed."""
        if self._is_closed:
            return
        if self._link.is_open and self._local is None:
            self.say(Word.BYE)
        super().close()
        self._link.close()

    def statistics(self) -> Statistics:
        """Counters since the start, how many topics are held, and how well the writer is heard.

        ``taken`` came through Redis, ``received`` did so or from a writer of this process. ``lag_s`` is how
        old the latest values were when they came, by the clocks of two nodes.
        """
        now, ages = self._monotonic(), self._ages.summary()
        return {
            **super().statistics(),
            "taken": self._taken,
            "down_for": 0.0 if self._road is not None else now - self._alone_since,
            "heard_ago": now - self._heard_at if self._heard_at else None,
            "lag_s": None if ages is None else {"p50": ages.p50, "p99": ages.p99},
            "trouble": self._refusals.trouble,
            "link": self._link.statistics(),
        }

    @property
    def newest(self) -> int:
        """The highest epoch, or life of a writer, that was heard of; 0: none."""
        return max(self._newest, self._writer_life)

    # A writer in this process

    def attach(self, bus: InprocBus, life: int) -> None:
        """Read from a writer of this process until :meth:`detach`, whatever Redis says meanwhile.

        Args:
            bus: the writer's.
            life: of the writer; an earlier one is not listened to afterwards.
        """
        self._cut("this node takes over")
        self._writer_life = max(self._writer_life, life)
        for topic in self._held:
            self._link.unsubscribe(self._bus.channel(topic))
        self._local = LocalRoad(self, bus, self._holder)
        self._local.on_begin()

    def detach(self, reason: str) -> None:
        """Read through Redis again; a writer with a later life is looked for."""
        local, self._local = self._local, None
        if local is None:
            return
        local.cut(reason)
        self._writer_life += 1  # what ours said before may still be on its way
        for topic in self._held:
            self._link.subscribe(self._bus.channel(topic))
        if self._link.is_open:
            self.opened()

    # What the link tells

    def opened(self) -> None:
        """There is a connection; whether there is a writer, we ask."""
        if self._local is None:
            self.say(Word.LOOK)

    def disconnected(self, error: FeedmuxError) -> None:
        """Whatever was published since is missing."""
        if self._local is None:
            self._cut("the connection to Redis was lost")

    def message(self, channel: bytes, body: bytes) -> None:
        """The writer spoke, or there is an event of a topic."""
        try:
            if channel == self._words:
                self._hear(cluster.read(body))
            elif self._road is not None and self._local is None:
                self._take(channel, body)
        except MalformedMessage as error:
            self._malformed(channel, error)

    def mark(self, channel: bytes, count: int) -> bytes | None:
        """What we asked did not arrive: all of it, once more."""
        return self._all() if self._local is None else None

    def refused(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        """The link has logged it; what we listen to is asked for again."""
        self._refusals.note(channels, error)

    def ended(self, road: WriterRoad, reason: str) -> None:
        """There is no writer any more."""
        super().ended(road, reason)
        if self._road is None:
            self._alone_since = self._monotonic()

    # The writer

    def _hear(self, said: Said) -> None:
        if said.word is Word.REPLACED:
            if said.name == self._holder and said.life > self._life:
                self._replaced()
            return
        if said.word not in _OF_WRITERS or not said.since <= said.life <= MAX_EPOCH:
            raise MalformedMessage("message", f"no writer says {said.word.name} with the life {said.life}")
        if said.life < self._writer_life or self._is_closed or self._local is not None:
            return
        self._heard_at = self._monotonic()
        if said.word is Word.BYE:
            self._cut("the writer ended")
        elif self._road is None or said.life > self._writer_life:
            self._cut("another writer took over")
            self._writer_life, self._since = said.life, said.since
            _AsksRoad(self).on_begin()
        elif said.word is Word.AGAIN:
            self._link.publish(self._bus.asks, self._all())

    def _take(self, channel: bytes, body: bytes) -> None:
        topic = read_topic(channel[self._topic_at :])
        if not body.startswith(MAGIC):
            cluster.read_mark(body)
            self._counts["lost"] += 1
            self.heal_topic(topic, GapReason.LINK)
            return
        envelopes = decode_all(body)
        for envelope in envelopes:
            _check(envelope, topic)
        for envelope in envelopes:
            self._take_event(topic, envelope)

    def _take_event(self, topic: Topic, envelope: Envelope) -> None:
        held = self._held.get(topic)
        if envelope.epoch < (self._since if held is None else max(self._since, held.epoch)):
            self._counts["ignored"] += 1  # of a writer that is none any more
            return
        if held is not None and envelope.epoch > held.epoch:
            self._newest = max(self._newest, envelope.epoch)
        if topic in self._unheard:
            if envelope.kind is not EventKind.STATUS:
                self._counts["ignored"] += 1  # an answer to others
                return
            self._unheard.discard(topic)
        if not self._taken % _EACH:
            self._look_at(envelope)
        self._taken += 1
        self.received(envelope)

    def _look_at(self, envelope: Envelope) -> None:
        if envelope.kind is _UPDATE:
            self._ages.record((self._now_ns() - envelope.receive_ns) / _NS)

    def _malformed(self, channel: bytes, error: MalformedMessage) -> None:
        self._counts["malformed"] += 1
        level = logging.DEBUG if channel in self._complained else logging.WARNING
        self._complained.add(channel)  # once is enough; the count is in statistics()
        LOG.log(level, MALFORMED, channel.decode(), error)

    def _replaced(self) -> None:
        LOG.warning(REPLACED, self._holder)
        self._is_closed = True
        self._cut("another process has our name")
        self._held.clear()
        self._link.close()

    def _cut(self, reason: str) -> None:
        if self._road is not None:
            self._road.cut(reason)

    def begins(self) -> None:
        """There is a writer that has said nothing yet of any topic."""
        self._unheard = set(self._held)

    def _all(self) -> bytes:
        requests = b"".join(held.request for held in self._held.values())
        if self._road is not None:  # else whoever comes is told all that is held then
            self._told.update(self._held)
        return Said(Word.ALL, self._holder, self._life, requests).encode()

    def say(self, word: Word, records: bytes = b"") -> None:
        """Tell the writer something."""
        self._link.publish(self._bus.asks, Said(word, self._holder, self._life, records).encode())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._bus.beat_s)
            if not self._link.is_open or self._local is not None:
                continue
            self._listen_again()
            self.say(Word.LOOK if self._road is None else Word.HERE)
            if self._monotonic() - self._heard_at > self._bus.silence_s:
                self._cut("the writer is silent")

    def _listen_again(self) -> None:
        """Redis may let us now; what is not wanted any more is forgotten."""
        refused = set(self._refusals.again())
        if not refused:
            return
        for channel in (self._bus.words, *map(self._bus.channel, self._held)):
            if channel in refused:
                self._link.subscribe(channel)
        if self._road is not None:
            self._link.publish(self._bus.asks, self._all())


class _AsksRoad(WriterRoad):
    """The way on which asks go; it has no socket of its own."""

    def __init__(self, reader: RedisReader) -> None:
        super().__init__(reader)
        self._redis = reader
        self._word = Word.ALL

    def on_begin(self) -> None:
        """Whoever holds something asks for all of it when this loop turn ends; who does not, says so."""
        self._redis.begins()
        super().on_begin()
        if not self.is_over and not self._redis.has_asks:
            self.write(b"")

    def write(self, data: bytes) -> None:
        """Send asks; the first ones are all that there are."""
        word, self._word = self._word, Word.ASKS
        self._redis.say(word, data)


def _check(envelope: Envelope, topic: Topic) -> None:
    """Make sure that an envelope is one of the topic whose channel it came on, and that a word can be read.

    Raises:
        MalformedMessage: it is not.
    """
    if envelope.topic is not topic and envelope.topic != topic:
        raise MalformedMessage("envelope", f"it is one of {envelope.topic.text}")
    if envelope.epoch > MAX_EPOCH:
        raise MalformedMessage("envelope", f"no writer has the epoch {envelope.epoch}")
    try:
        if envelope.kind is EventKind.STATUS:
            _decode_status(envelope.payload)
        elif envelope.kind is EventKind.GAP:
            _decode_gap(envelope.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage("envelope", str(error)) from error
