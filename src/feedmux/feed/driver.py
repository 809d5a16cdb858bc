"""Turn demand into subscriptions at one venue, and the venue's messages into envelopes.

Theory of operation
-------------------
The driver is the writer of every topic of its venue and market (:class:`Source`). Demand decides
what is asked for; *shards* (one link each) ask; each topic's :class:`TopicWriter` numbers what
comes and keeps the last value.

============  =======================  ==================================================
state         event                    what is published
============  =======================  ==================================================
(unknown)     wanted                   ``pending``; the topic joins a shard with room
pending       confirmed                ``live``, then values from seq 1
any           wanted again             its state, and a snapshot if there is one
live, stale   connection cut           ``reconnecting``
reconnecting  confirmed                a gap where values were missed, then ``live`` in a
                                       new epoch; what was known before is void
live          silent too long          ``stale``
stale         speaks                   ``live``, the epoch stands
live          a later candle           the one before it, once more and closed, where the
                                       venue does not say so and it is known
live          unreadable message       a ticker: ``reconnecting`` and asked for anew;
                                       others: a gap and a new epoch; one that names no
                                       topic: the connection is replaced
any           refused by the venue     ``refused``; remembered, so that asking again
                                       does not reach the venue for a while
any           last holder leaves       nothing; given back after the linger
============  =======================  ==================================================

A name that cannot be an instrument never goes upstream.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any, Final

import msgspec

from feedmux.core.demand import Demand
from feedmux.core.sequence import Epochs
from feedmux.core.stats import Rule, Rules, add_up
from feedmux.core.ticker import Unmerged
from feedmux.feed.shard import COUNTS, LinkMaker, Shard, ShardConfig
from feedmux.feed.writer import MakeMerge, RenderedMerge, TopicWriter
from feedmux.model.event import Envelope, EventKind, State, Status
from feedmux.model.ports import BeginEpoch, Clock, Publisher, Statistics
from feedmux.model.topic import Mode, Topic, place_name
from feedmux.model.venue import Candle, Data, Merge, Value, Venue

_TICK_S = 0.2
_COUNTS: Final = ("gaps", "refused", "repeated", "resynchronised")

RULES: Final[Rules] = {"venue": Rule.SAME, "market": Rule.SAME, "links": Rule.JOIN}
"""Of :meth:`Driver.statistics`."""


class DriverConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a feed treats demand.

    Args:
        linger_s: how long a topic that nobody holds stays subscribed.
        refused_memory_s: how long a refusal is remembered.
        shard: what is expected of each connection.
    """

    linger_s: float = 5.0
    refused_memory_s: float = 60.0
    shard: ShardConfig = ShardConfig()


def at_rest(venue: Venue) -> dict[str, Any]:
    """What :meth:`Driver.statistics` says where no feed runs: nothing is there, and nothing was counted."""
    return {
        "venue": venue.name,
        "market": venue.market,
        "topics": 0,
        "lingering": 0,
        "states": {},
        "remembered_refusals": 0,
        "published": 0,
        **dict.fromkeys((*_COUNTS, *COUNTS), 0),
        "links": [],
    }


class Driver:
    """The feed of one venue and market.

    Args:
        venue: the codec.
        publisher: the bus's end that envelopes go into.
        make_link: makes a link for a user of it.
        config: see :class:`DriverConfig`.
        clock: time.
        merging: makes what merges and writes a topic that comes in parts; the codec writes it if absent.
        begin: begins an epoch of a topic, above its last one; Unix milliseconds by ``clock`` if absent.
    """

    def __init__(
        self,
        venue: Venue,
        publisher: Publisher,
        *,
        make_link: LinkMaker,
        config: DriverConfig,
        clock: Clock,
        merging: MakeMerge | None = None,
        begin: BeginEpoch | None = None,
    ) -> None:
        self._venue = venue
        self._publish = publisher.publish
        self._make_link = make_link
        self._make_merge = merging or (lambda topic: RenderedMerge(partial(venue.render, topic)))
        self._config = config
        self._clock = clock
        self._time_ns = clock.time_ns
        self._published = 0
        epochs = Epochs()
        self._begin_epoch = begin or (lambda _: epochs.begin(clock.time_ns()))
        self._latest_epoch = 0
        self._demand: Demand[Topic, str] = Demand()
        self._writers: dict[Topic, TopicWriter] = {}
        self._homes: dict[Topic, Shard] = {}
        self._lingering: dict[Topic, float] = {}
        self._refused: dict[Topic, tuple[float, str]] = {}
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._closed = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._ended: dict[str, Any] = {}
        """What the connections counted that are no longer needed: a sum must not fall with them."""
        self._shards = [self._new_shard()]

    async def run(self) -> None:
        """Keep the links alive until :meth:`close`; the owner awaits it."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for shard in self._shards:
                tasks.create_task(shard.link.run())
            while not self._closed.is_set():
                self._check()
                try:
                    await asyncio.wait_for(self._closed.wait(), _TICK_S)
                except TimeoutError:
                    continue
            for shard in self._shards:
                shard.link.close()

    def close(self) -> None:
        """End: links close, :meth:`run` returns."""
        self._closed.set()

    # What a bus asks of a source

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder`` wants ``topic``; answered with a status and, where there is one, a snapshot."""
        refusal = self._refusal(topic)
        self._demand.add(topic, holder)
        if refusal is not None:
            self._publish_refusal(topic, refusal)
            return
        self._lingering.pop(topic, None)
        writer = self._writers.get(topic)
        if writer is not None:
            self._publish(writer.standing(self._clock.time_ns()))
            snapshot = writer.snapshot()
            if snapshot is not None:
                self._publish(snapshot)
            return
        writer = TopicWriter(topic, self._begin(topic), self._make_merge)
        self._writers[topic] = writer
        shard = self._homes[topic] = self._room_for(topic)
        self._publish(writer.standing(self._clock.time_ns()))
        shard.want(topic, asker)

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""
        if self._demand.remove(topic, holder):
            self._linger(topic)

    def forget(self, holder: str) -> None:
        """``holder`` died."""
        for topic in self._demand.forget(holder):
            self._linger(topic)

    # What a shard tells its desk

    def write(self, event: Data) -> None:
        """Number a value and publish it."""
        writer = self._writers[event.topic]
        receive_ns = self._time_ns()
        envelope: Envelope | Unmerged | None
        if type(event) is Merge:
            envelope = writer.merge(event, receive_ns)
        elif isinstance(event, Value):
            envelope = writer.take(event, receive_ns)
        else:
            assert isinstance(event, Candle)
            self._write_candle(writer, event, receive_ns)
            return
        if type(envelope) is Envelope:
            self._published += 1
            self._publish(envelope)
        elif envelope is Unmerged.DESYNC:
            self.doubt(event.topic, "messages of the venue were lost or out of order")
        elif envelope is None:
            self._counts["repeated"] += 1

    def confirm(self, topic: Topic) -> None:
        """The venue delivers ``topic`` from now on."""
        writer = self._writers[topic]
        if writer.state is State.RECONNECTING:
            self._restart(writer)
        if writer.state is not State.LIVE:
            self._publish(writer.status(State.LIVE, "", self._clock.time_ns()))

    def deny(self, topic: Topic, reason: str) -> None:
        """The venue refused ``topic``: its holders are told, and it is remembered."""
        self._counts["refused"] += 1
        reason = f"{place_name(self._venue.name, self._venue.market)} refused it: {reason}"
        if self._config.refused_memory_s > 0:
            until = self._clock.monotonic() + self._config.refused_memory_s
            self._refused[topic] = (until, reason)
        self._lingering.pop(topic, None)
        refusal = self._writers[topic].status(State.REFUSED, reason, self._clock.time_ns())
        del self._writers[topic], self._homes[topic]
        self._publish(refusal)  # who hears it drops the topic at once

    def doubt(self, topic: Topic, reason: str) -> None:
        """Something of ``topic`` was lost: say so, and make it right again."""
        writer = self._writers[topic]
        self._counts["resynchronised"] += 1
        if topic.mode is Mode.MERGE:
            self._publish(writer.status(State.RECONNECTING, reason, self._clock.time_ns()))
            self._homes[topic].renew(topic)
        else:
            self._restart(writer)
            self._publish(writer.standing(self._clock.time_ns()))

    def cut(self, topics: list[Topic], reason: str) -> None:
        """The connection that carried ``topics`` ended."""
        now_ns = self._clock.time_ns()
        for topic in topics:
            writer = self._writers[topic]
            if writer.state in (State.LIVE, State.STALE):
                self._publish(writer.status(State.RECONNECTING, reason, now_ns))

    def silent(self, topic: Topic, seconds: float) -> None:
        """``topic`` has been silent for longer than its kind may be."""
        writer = self._writers[topic]
        if writer.state is State.LIVE:
            reason = f"no {topic.kind} for {seconds:g} s"
            self._publish(writer.status(State.STALE, reason, self._clock.time_ns()))

    def revive(self, topic: Topic) -> None:
        """A silent topic speaks again."""
        writer = self._writers[topic]
        if writer.state is State.STALE:
            self._publish(writer.status(State.LIVE, "", self._clock.time_ns()))

    def statistics(self) -> Statistics:
        """Counters of the feed, of its connections together, and of each; they add up by :data:`RULES`."""
        counts = self._ended
        for shard in self._shards:
            counts = add_up(counts, shard.counts)
        held = [writer for topic, writer in self._writers.items() if topic not in self._lingering]
        return {
            "venue": self._venue.name,
            "market": self._venue.market,
            "topics": len(self._writers),
            "lingering": len(self._lingering),
            "states": dict(Counter(str(writer.state) for writer in held)),
            "remembered_refusals": len(self._refused),
            "published": self._published,
            **self._counts,
            **counts,
            "links": [shard.statistics() for shard in self._shards],
        }

    def _write_candle(self, writer: TopicWriter, event: Candle, receive_ns: int) -> None:
        envelopes = writer.take_candle(event, receive_ns)
        for envelope in envelopes:
            self._published += 1
            self._publish(envelope)
        self._counts["repeated"] += not envelopes

    def _refusal(self, topic: Topic) -> str | None:
        problem = self._venue.problem(topic)
        if problem is not None:
            return problem
        until, reason = self._refused.get(topic, (0.0, ""))
        return reason if until > self._clock.monotonic() else None

    def _publish_refusal(self, topic: Topic, reason: str) -> None:
        payload = msgspec.json.encode(Status(State.REFUSED, reason))
        now_ns = self._clock.time_ns()
        epoch = self._latest_epoch or self._begin(topic)  # a refusal begins nothing, and is not old either
        self._publish(Envelope(topic, epoch, 0, EventKind.STATUS, 0, now_ns, "", payload))

    def _restart(self, writer: TopicWriter) -> None:
        now_ns = self._clock.time_ns()
        gap = writer.gap(now_ns)
        if gap is not None:
            self._counts["gaps"] += 1
            self._publish(gap)
        writer.restart(self._begin(writer.topic))

    def _begin(self, topic: Topic) -> int:
        self._latest_epoch = max(self._latest_epoch, epoch := self._begin_epoch(topic))
        return epoch

    def _linger(self, topic: Topic) -> None:
        if topic in self._writers:
            self._lingering[topic] = self._clock.monotonic() + self._config.linger_s

    def _check(self) -> None:
        """What time alone brings about; runs a few times a second."""
        now = self._clock.monotonic()
        for topic, deadline in list(self._lingering.items()):
            if deadline > now:
                break
            del self._lingering[topic], self._writers[topic]
            self._homes.pop(topic).drop(topic)
        for topic, (until, _) in list(self._refused.items()):
            if until > now:
                break
            del self._refused[topic]
        for shard in self._shards[1:]:
            if not len(shard):
                self._shards.remove(shard)
                self._ended = add_up(self._ended, shard.counts)
                shard.link.close()
        for shard in self._shards:
            shard.check(now)

    def _room_for(self, topic: Topic) -> Shard:
        cost = self._venue.cost(topic)
        for shard in self._shards:
            if shard.characters + cost <= self._venue.max_characters:
                return shard
        shard = self._new_shard()
        self._shards.append(shard)
        if self._tasks is not None:
            self._tasks.create_task(shard.link.run())
        return shard

    def _new_shard(self) -> Shard:
        return Shard(
            self._venue, self, make_link=self._make_link, config=self._config.shard, clock=self._clock
        )
