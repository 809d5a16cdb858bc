"""Share a feed among nodes: one of them runs it, the others read what it writes.

Theory of operation
===================

Every node has a :class:`RedisSource` for each feed. Towards its own node it is the feed: it is asked for
topics, and publishes their events. Behind it there is one reader's end, and what that reads from changes with
the lease (:mod:`feedmux.bus.redis_lease`)::

    lease                         the feed runs here     the reader reads       who reads from us
    another node's, or nobody's   no                     through Redis          nobody
    gained, by a new token        a new one              from it, directly      all nodes, through Redis
    lost: its time is over        as before              as before              nobody: not a word is said
    gained, by the same token     as before              as before              all nodes again
    taken by another node         it is closed           through Redis          nobody

So while Redis is away the node that had the lease goes on to serve its own clients, in epochs that are nobody
else's; to other nodes it says nothing any more. Another node may connect to the venue meanwhile: two
connections, but never two writers that a reader believes.

What its node wants survives all this, as does each topic's last position: a change of what is read from is
a gap, and a value in another epoch (:mod:`feedmux.bus.reader_end`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from feedmux.bus.inproc import InprocBus
from feedmux.bus.redis_channels import RedisBusConfig
from feedmux.bus.redis_compat import MakeFeed, RedisCompat
from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_lease import RedisLease
from feedmux.bus.redis_partitions import Leases, leases_of, partition
from feedmux.bus.redis_reader import RedisReader
from feedmux.bus.redis_writer import RedisWriter
from feedmux.core.demand import Demand
from feedmux.core.lease import Terms
from feedmux.model.event import Envelope
from feedmux.model.ports import BeginEpoch, Clock, Publisher, Statistics
from feedmux.model.topic import Topic
from feedmux.wire.mudrex import MudrexFormat
from feedmux.wire.place import Place

LOG: Final = logging.getLogger(__name__)
NO_EPOCHS: Final = "cluster.no_epochs lease=%s"


class RedisSource:
    """One feed of a cluster, as a node sees it: a :class:`feedmux.model.ports.Feed`.

    Args:
        publisher: where its events go in this node.
        make_feed: makes the feed, where it runs in this node.
        redis: where Redis is.
        bus: the bus of this feed.
        leases: those of the node.
        holder: the name of this node.
        life: rises with each start of the node: Unix nanoseconds.
        clock: time.
    """

    def __init__(
        self,
        publisher: Publisher,
        make_feed: MakeFeed,
        *,
        redis: RedisConfig,
        bus: RedisBusConfig,
        leases: Leases,
        holder: str,
        life: int,
        clock: Clock,
    ) -> None:
        self.receive: Final = publisher.publish
        self._make_feed, self._redis, self._bus, self._clock = make_feed, redis, bus, clock
        self._holder = holder
        self._demand: Demand[Topic, str] = Demand()
        self._reader = RedisReader(self, redis, bus, holder=holder, life=life, monotonic=clock.monotonic)
        self._lease = leases.add(bus.lease, self)
        self._tenure: _Tenure | None = None
        self._tenures = 0
        self._closed = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Keep reader, and feed if it runs here, until :meth:`close`; the owner awaits it."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._reader.run())
                await self._closed.wait()
                if self._tenure is not None:
                    self._tenure.close()
                self._reader.close()
        finally:
            self._lease.leave()

    def close(self) -> None:
        """Give back what is wanted, and the feed's connections; the lease is given back after that."""
        self._closed.set()

    # What the node wants

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder``, of this node, wants ``topic``."""
        self._demand.add(topic, holder)
        self._reader.want(topic, asker)

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""
        if self._demand.remove(topic, holder):
            self._reader.drop(topic)

    def forget(self, holder: str) -> None:
        """``holder`` died."""
        for topic in self._demand.forget(holder):
            self._reader.drop(topic)

    # What becomes of the lease

    def gained(self, token: int) -> None:
        """Run the feed, or go on to write."""
        if self._tasks is None or self._closed.is_set():
            return
        if self._tenure is not None and self._tenure.token != token:
            self._leave("another tenure began")
        if self._tenure is None:
            self._tenures += 1
            self._tenure = _Tenure(token, self._make_feed, self._begin, self._lease)
            self._tasks.create_task(self._tenure.feed.run())
            self._reader.attach(self._tenure.bus, token)
        writer = RedisWriter(
            self._redis,
            self._bus,
            life=token,
            monotonic=self._clock.monotonic,
            may_write=self._lease.may_write,
        )
        self._tenure.serve(writer)
        self._tasks.create_task(writer.run())

    def lost(self) -> None:
        """Say nothing to other nodes any more."""
        if self._tenure is not None:
            self._tenure.hush()

    def taken(self) -> None:
        """Another node runs the feed."""
        self._leave("another node took over")

    def statistics(self) -> Statistics:
        """Those of the feed, if it runs here, else what is known of its topics; and what a cluster adds."""
        feed = self._tenure.feed.statistics() if self._tenure is not None else {"links": []}
        return {
            **feed,
            "cluster": {
                **self._lease.statistics(),
                "tenures": self._tenures,
                "wanted": len(self._demand),
                "reader": self._reader.statistics(),
                "writer": self._tenure.statistics() if self._tenure is not None else {},
            },
        }

    def _leave(self, reason: str) -> None:
        tenure, self._tenure = self._tenure, None
        if tenure is not None:
            tenure.hush()
            tenure.feed.close()
            self._reader.detach(reason)

    def _begin(self, topic: Topic) -> int:
        """An epoch for the feed; where the tenure has none left, which takes thousands of them without
        Redis, the feed ends before what it says next is heard."""
        epoch = self._lease.begin(topic)
        if epoch is not None:
            return epoch
        LOG.warning(NO_EPOCHS, self._bus.lease)
        self._leave("it has no epochs left until Redis gives it more")
        return self._lease.beyond


class RedisNode:
    """A node of a cluster: its leases, and the feeds that it shares. Its :meth:`run` ends after theirs.

    Args:
        redis: where Redis is.
        prefix: of all keys and channels.
        name: of this node; no other one has it.
        terms: of the leases.
        clock: time.
        compat: the name of the market that is also published in the Mudrex proxy's words; empty: none.
    """

    def __init__(
        self, redis: RedisConfig, *, prefix: str, name: str, terms: Terms, clock: Clock, compat: str = ""
    ) -> None:
        self._redis, self._prefix, self._name, self._clock = redis, prefix, name, clock
        self._compat = compat
        self._life = clock.time_ns()
        self._leases = leases_of(redis, holder=f"{name}/{self._life}", terms=terms)
        self.run, self.close, self.statistics = self._leases.run, self._leases.close, self._leases.statistics

    def source(self, place: Place, make_feed: MakeFeed, publisher: Publisher) -> RedisSource:
        """Share a market's feed, which all nodes know by the market's name."""
        redis, prefix = partition(self._redis, f"{self._prefix}:{place.name}")
        if place.name == self._compat:
            layout = MudrexFormat(place)
            make_feed = partial(RedisCompat, make_feed=make_feed, redis=redis, layout=layout)
        return RedisSource(
            publisher,
            make_feed,
            redis=redis,
            bus=RedisBusConfig(prefix=prefix),
            leases=self._leases,
            holder=self._name,
            life=self._life,
            clock=self._clock,
        )


class _Tenure:
    """The time in which the feed runs here: a publisher for it, to our own node and to others.

    Args:
        token: of the lease.
        make_feed: makes the feed.
        begin: begins epochs.
        lease: which one.
    """

    def __init__(self, token: int, make_feed: MakeFeed, begin: BeginEpoch, lease: RedisLease) -> None:
        self.token, self._lease = token, lease
        self.bus = InprocBus()
        self._writer: RedisWriter | None = None
        self._to_others: Callable[[Envelope], None] | None = None
        self._to_us = self.bus.publish
        self.feed = make_feed(self, begin)
        self.bus.serve(self.feed)

    def publish(self, envelope: Envelope, /) -> None:
        """Carry an event to our own node, and to the others while the lease is held."""
        self._to_us(envelope)
        if self._to_others is not None:
            self._to_others(envelope)

    def may_write(self) -> bool:
        """Whether the lease is held, by this tenure's token."""
        return self._lease.lease.token == self.token and self._lease.may_write()

    def serve(self, writer: RedisWriter) -> None:
        """Let other nodes read."""
        self.hush()
        self._writer, self._to_others = writer, writer.publish
        writer.serve(self.feed)

    def hush(self) -> None:
        """Let them read no more, and say nothing of it."""
        writer, self._writer, self._to_others = self._writer, None, None
        if writer is not None:
            writer.abandon()

    def close(self) -> None:
        """End, and tell others that another node may follow."""
        writer, self._writer, self._to_others = self._writer, None, None
        if writer is not None:
            writer.close()
        self.feed.close()

    def statistics(self) -> Statistics:
        """What other nodes read."""
        return self._writer.statistics() if self._writer is not None else {}
