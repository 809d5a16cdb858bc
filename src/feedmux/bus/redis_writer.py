"""The writer's end of :mod:`feedmux.bus.redis_bus`, which tells how it works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from feedmux._native.envelope import encode
from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_channels import RedisBusConfig
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_refusal import Refusals
from feedmux.bus.writer_end import ReaderRoad, WriterEnd
from feedmux.model.errors import FeedmuxError, MalformedMessage
from feedmux.model.event import Envelope
from feedmux.model.ports import Statistics
from feedmux.model.topic import Topic
from feedmux.wire import cluster
from feedmux.wire.cluster import Said, Word
from feedmux.wire.envelope import read_topic
from feedmux.wire.record import Drop, Lost, Record, Want
from feedmux.wire.record import encode as encode_record

LOG: Final = logging.getLogger(__name__)
MALFORMED: Final = "bus.redis_malformed channel=%s error=%s"
_OF_READERS: Final = frozenset({Word.LOOK, Word.HERE, Word.BYE, Word.ALL, Word.ASKS})


class RedisWriter(WriterEnd["_Remote"]):
    """The writer's end: a :class:`feedmux.model.ports.Publisher` for other nodes.

    Args:
        redis: where Redis is.
        bus: which bus.
        life: above that of every writer of this bus before, also of one with the same lease.
        since: the token of its lease: nothing that it says has an older epoch; ``life`` if absent.
        monotonic: seconds on a clock that never goes back.
        may_write: whether the lease is still held; asked before everything that leaves. Nothing of a writer
            that may not write is believed any more, so that nothing is marked as missing either.
    """

    def __init__(
        self,
        redis: RedisConfig,
        bus: RedisBusConfig,
        *,
        life: int,
        since: int | None = None,
        monotonic: Callable[[], float],
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__()
        self._bus, self._life, self._monotonic = bus, life, monotonic
        self._since = life if since is None else since
        self._wanted: dict[Topic, bytes] = {}
        """The channels of what somebody holds."""
        self._link = RedisLink(redis, self, may_publish=may_write)
        self._refusals = Refusals(monotonic, bus.silence_s)
        self._heard_at: dict[str, float] = {}
        self._malformed = 0

    async def run(self) -> None:
        """Keep the bus until :meth:`close`; the owner awaits it."""
        self._link.subscribe(self._bus.asks)
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(self._beat())
            await self._link.run()
            beating.cancel()

    def publish(self, envelope: Envelope, /) -> None:
        """Carry one event to every holder of its topic; it leaves when this loop turn ends."""
        channel = self._wanted.get(envelope.topic)
        if channel is not None:
            self._published += 1
            data = self._fit(envelope, encode)
            if data is not None:
                self._link.join(channel, data)

    def close(self) -> None:
        """Say goodbye to all readers; what was published still leaves."""
        if not self._is_closed:
            super().close()
            self._say(Word.BYE)
            self._link.close()

    def abandon(self) -> None:
        """End without a word, because another node may write now; readers are forgotten."""
        if not self._is_closed:
            super().close()
            self._link.abandon()

    def statistics(self) -> Statistics:
        """Counters since the start; ``readers`` by holder."""
        return {
            **super().statistics(),
            "malformed": self._malformed,
            "trouble": self._refusals.trouble,
            "link": self._link.statistics(),
        }

    # What the link tells

    def opened(self) -> None:
        """Readers may have said what we did not hear."""
        self._say(Word.HERE)
        self._say(Word.AGAIN)
        now = self._monotonic()
        self._heard_at = dict.fromkeys(self._heard_at, now)

    def disconnected(self, error: FeedmuxError) -> None:
        """Nothing to do: what is missing is marked when there is a connection again."""

    def message(self, channel: bytes, body: bytes) -> None:
        """A reader spoke."""
        try:
            said = cluster.read(body)
            self._hear(said, said.read_records())
        except MalformedMessage as error:
            level = logging.DEBUG if self._malformed else logging.WARNING
            self._malformed += 1  # once is enough; the count is in statistics()
            LOG.log(level, MALFORMED, channel.decode(), error)

    def mark(self, channel: bytes, count: int) -> bytes | None:
        """Events of a topic are missing, or what we said of ourselves."""
        if channel == self._bus.words:
            return Said(Word.HERE, "", self._life, since=self._since).encode()
        return encode_record(Lost(count))

    def refused(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        """The link has logged it; where readers speak, we try to listen again."""
        self._refusals.note(channels, error)

    # Readers

    def _hear(self, said: Said, records: Sequence[Record]) -> None:
        if self._is_closed:
            return
        if said.word not in _OF_READERS:
            raise MalformedMessage("message", f"no reader says {said.word.name}")
        if said.word is Word.LOOK:
            self._say(Word.HERE)
            return
        road = self._roads.get(said.name)
        if road is not None and said.life < road.life:
            self._say(Word.REPLACED, road.peer, road.life)
            return
        if said.word is Word.BYE:
            if road is not None:
                road.cut("it ended")
            return
        if road is None or said.life > road.life:
            if said.word is not Word.ALL:
                self._say(Word.AGAIN)
                return
            road = _Remote(self, said.name, said.life)
            self._say(Word.REPLACED, said.name, said.life)
            road.on_begin()
        self._heard_at[said.name] = self._monotonic()
        self._take(road, records, are_all=said.word is Word.ALL)

    def _take(self, road: _Remote, records: Sequence[Record], *, are_all: bool) -> None:
        if are_all:
            wanted = {record.topic for record in records if isinstance(record, Want)}
            for topic in self._demand.topics(road):
                if topic not in wanted:
                    self.asked(road, Drop(topic))
        for record in records:
            assert isinstance(record, Want | Drop)
            self.asked(road, record)

    def asked(self, road: _Remote, record: Want | Drop) -> None:
        """It wants a topic, which may be answered before this returns, or no longer does."""
        topic = record.topic
        if isinstance(record, Want) and topic not in self._wanted:
            self._wanted[topic] = self._bus.channel(topic)
        super().asked(road, record)
        self._let_go(topic)

    def ended(self, road: _Remote) -> None:
        """It is gone: all that it held goes with it."""
        if self._roads.get(road.peer) is road:
            self._heard_at.pop(road.peer, None)
        held = self._demand.topics(road)
        super().ended(road)
        self._let_go(*held)

    def _let_go(self, *topics: Topic) -> None:
        """Forget the channels of what nobody holds any more."""
        for topic in topics:
            if topic not in self._demand:
                self._wanted.pop(topic, None)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._bus.beat_s)
            if not self._link.is_open:
                continue
            self._try_again()
            self._say(Word.HERE)
            latest = self._monotonic() - self._bus.silence_s
            for name in [name for name, heard_at in self._heard_at.items() if heard_at < latest]:
                self._roads[name].cut("it is silent")

    def _try_again(self) -> None:
        """Redis may let us now; what it did not let through is missing."""
        for channel in self._refusals.again():
            if channel == self._bus.asks:
                self._link.subscribe(channel)
                self._say(Word.AGAIN)
            elif self._is_wanted(channel) and (body := self.mark(channel, 1)) is not None:
                self._link.publish(channel, body)

    def _is_wanted(self, channel: bytes) -> bool:
        data = self._bus.data
        return channel.startswith(data) and bool(self._demand.holders(read_topic(channel[len(data) :])))

    def _say(self, word: Word, name: str = "", life: int = 0) -> None:
        if self._link.is_open:
            said = Said(word, name, life) if life else Said(word, "", self._life, since=self._since)
            self._link.publish(self._bus.words, said.encode())


class _Remote(ReaderRoad):
    """A reader on another node; its road has no socket of its own."""

    def __init__(self, writer: RedisWriter, holder: str, life: int) -> None:
        super().__init__(writer, holder, high_bytes=0)
        self.life = life
