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
    gained, by the same token     as before              as before              all nodes, anew
    taken by another node         it is closed           through Redis          nobody

So while Redis is away the node that had the lease goes on to serve its own clients, in epochs that are nobody
else's; to other nodes it says nothing any more. Another node may connect to the venue meanwhile: two
connections, but never two writers that a reader believes. Where the tenure goes on, other nodes have missed
what was not said: the later life of the writer tells them.

What its node wants survives all this, as does each topic's last position: a change of what is read from is
a gap, and a value in another epoch (:mod:`feedmux.bus.reader_end`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from feedmux.bus import redis_figures
from feedmux.bus.inproc import InprocBus
from feedmux.bus.redis_channels import RedisBusConfig
from feedmux.bus.redis_compat import MakeFeed
from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_lease import RedisLease
from feedmux.bus.redis_partitions import Leases
from feedmux.bus.redis_reader import RedisReader
from feedmux.bus.redis_writer import RedisWriter
from feedmux.core.counted import resumed
from feedmux.core.demand import Demand
from feedmux.core.presence import MOST_TOPICS, Share, short
from feedmux.core.stats import add_up
from feedmux.model.event import Envelope
from feedmux.model.ports import Clock, Publisher, Statistics
from feedmux.model.topic import Topic

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
        holder: the name of this process; no other one has it, of whatever node.
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
        self.at_rest: Mapping[str, Any] = {}
        """What the feed says of itself where it does not run."""
        self._counted: Mapping[str, Any] = {}
        self._written: Mapping[str, Any] = redis_figures.WRITTEN
        self._names: tuple[str, ...] | None = ()
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
            self._tasks = None
            self._lease.leave()

    def close(self) -> None:
        """Give back what is wanted, and the feed's connections; the lease is given back after that."""
        self._closed.set()

    # What the node wants

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder``, of this node, wants ``topic``."""
        if self._demand.add(topic, holder):
            self._names = None
        self._reader.want(topic, asker)

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""
        if self._demand.remove(topic, holder):
            self._names = None
            self._reader.drop(topic)

    def forget(self, holder: str) -> None:
        """``holder`` died."""
        for topic in self._demand.forget(holder):
            self._names = None
            self._reader.drop(topic)

    # What becomes of the lease

    def gained(self, token: int) -> None:
        """Run the feed, or go on to write."""
        if self._tasks is None or self._closed.is_set():
            return
        life = self._lease.new_life()
        if life is None:
            self._use_up()
            return
        if self._tenure is not None and self._tenure.token != token:
            self._leave("another tenure began")
        if self._tenure is None:
            self._tenures += 1
            self._tenure = _Tenure(token, self._make_feed, self._begin, self._lease)
            self._tasks.create_task(self._tenure.feed.run())
            self._reader.attach(self._tenure.bus, life)
        writer = RedisWriter(
            self._redis,
            self._bus,
            life=life,
            since=token,
            monotonic=self._clock.monotonic,
            may_write=self._lease.may_write,
        )
        self._tenure.serve(writer)
        self._tasks.create_task(writer.run())

    def seen(self) -> int:
        """The highest epoch or life that others used."""
        return self._reader.newest

    def lost(self) -> None:
        """Say nothing to other nodes any more."""
        if self._tenure is not None:
            self._tenure.hush()

    def taken(self) -> None:
        """Another node runs the feed."""
        self._leave("another node took over")

    # What it says of itself

    def statistics(self) -> Statistics:
        """Those of the feed, and what a cluster adds; see :mod:`feedmux.bus.redis_figures`."""
        tenure, wanted = self._tenure, len(self._demand)
        reader: Mapping[str, Any] = self._reader.statistics()
        writer: Mapping[str, Any] = tenure.statistics() if tenure is not None else {}
        written = self._written if tenure is None else add_up(self._written, tenure.written)
        feed = redis_figures.distant(self.at_rest, wanted, reader)
        through = redis_figures.carried(self._tenures, reader, written)
        found = redis_figures.shared(
            feed if tenure is None else tenure.feed.statistics(),
            self._counted,
            self._reader.states(),
            through,
        )
        return {
            **found,
            "cluster": {
                **self._lease.statistics(),
                "runs": tenure is not None,
                "wanted": wanted,
                "elsewhere": writer.get("topics", 0),
                "lag_s": reader["lag_s"] if tenure is None else None,
                "trouble": redis_figures.trouble_of(reader) or redis_figures.trouble_of(writer),
                "reader": reader,
                "writer": writer,
            },
        }

    def share(self) -> Share:
        """What other nodes are told of it."""
        if self._names is None:
            names = {short(topic) for topic, _ in self._demand.wants()}
            self._names = tuple(sorted(names)[:MOST_TOPICS])
        lag: Any = self._reader.statistics()["lag_s"]
        return Share(
            holds=self._lease.may_write(),
            wanted=len(self._demand),
            topics=self._names,
            lag_s=None if lag is None or self._tenure is not None else lag["p50"],
        )

    def _leave(self, reason: str) -> None:
        tenure, self._tenure = self._tenure, None
        if tenure is not None:
            tenure.is_over = True
            tenure.hush()
            self._counted = resumed(tenure.feed.statistics(), self._counted)
            self._written = add_up(self._written, tenure.written)
            tenure.feed.close()
            self._reader.detach(reason)

    def _begin(self, tenure: _Tenure, topic: Topic) -> int:
        """An epoch for the feed of a tenure. If there is none, what it says next is not heard any more:
        the tenure is over and the feed about to end, or it has used up thousands of them."""
        if not tenure.is_over:
            epoch = self._lease.begin(topic)
            if epoch is not None:
                return epoch
            self._use_up()
        return self._lease.beyond

    def _use_up(self) -> None:
        LOG.warning(NO_EPOCHS, self._bus.lease)
        self._lease.renounce()
        self._leave("it has no epochs left until Redis gives it more")


class _Tenure:
    """The time in which the feed runs here: a publisher for it, to our own node and to others.

    Args:
        token: of the lease.
        make_feed: makes the feed.
        begin: begins epochs of a tenure.
        lease: which one.
    """

    def __init__(
        self,
        token: int,
        make_feed: MakeFeed,
        begin: Callable[[_Tenure, Topic], int],
        lease: RedisLease,
    ) -> None:
        self.token, self._lease = token, lease
        self.is_over = False
        self.bus = InprocBus()
        self._writer: RedisWriter | None = None
        self._to_others: Callable[[Envelope], None] | None = None
        self._to_us = self.bus.publish
        self._written: Mapping[str, Any] = redis_figures.WRITTEN
        self.feed = make_feed(self, partial(begin, self))
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
        self._written = self.written
        writer, self._writer, self._to_others = self._writer, None, None
        if writer is not None:
            writer.abandon()

    def close(self) -> None:
        """End, and tell others that another node may follow."""
        writer, self._writer, self._to_others = self._writer, None, None
        if writer is not None:
            writer.close()
        self.feed.close()

    @property
    def written(self) -> Mapping[str, Any]:
        """What was counted of what other nodes read."""
        if self._writer is None:
            return self._written
        return add_up(self._written, redis_figures.written(self._writer.statistics()))

    def statistics(self) -> Statistics:
        """What other nodes read."""
        return self._writer.statistics() if self._writer is not None else {}
