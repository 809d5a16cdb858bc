"""Nodes that share a feed through a real Redis, in this process; and a feed that does what a test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from feedmux.bus.redis_channels import RedisBusConfig
from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_lease import RedisLeases
from feedmux.bus.redis_source import RedisSource
from feedmux.client.clock import SystemClock
from feedmux.core.demand import Demand
from feedmux.core.lease import Terms
from feedmux.core.lease_record import SCRIPT, Act, Ask
from feedmux.model.event import Envelope, EventKind, Position, State, Status
from feedmux.model.ports import BeginEpoch, Publisher, Statistics
from feedmux.model.topic import Topic
from feedmux.sim.faults import FaultProxy
from support.buses import uncovered_holes
from support.published import Published
from support.redis import RedisServer
from support.redis_ear import SOON
from support.waiting import until

TERMS: Final = Terms(ttl_s=1.5, renew_s=0.2, look_s=0.05, margin_s=0.3)
LAPSES: Final = Terms(ttl_s=60.0, renew_s=0.2, look_s=0.05, margin_s=58.3)
"""The holder counts on a second only, and Redis gives the lease to nobody else as long as a test takes."""
QUICK: Final = RedisConfig(host="127.0.0.1", backoff=SOON, answer_timeout_s=0.5, ping_interval_s=0.3)
BUS: Final = RedisBusConfig(prefix="feedmux:test", beat_s=0.2)


def has_run_for_long(server: RedisServer, key: str = BUS.lease) -> None:
    """Let Redis know a lease that is over, so that nobody waits until it has forgotten none."""
    server.ask("EVAL", SCRIPT, "1", key, *Ask(Act.RENEW, "somebody", 1, 0, 1).arguments())


class ScriptedFeed:
    """A feed that numbers what a test publishes; each want is answered with a status and a snapshot."""

    def __init__(self, publisher: Publisher, begin: BeginEpoch) -> None:
        self.publisher, self.begin = publisher, begin
        self.demand: Demand[Topic, str] = Demand()
        self.positions: dict[Topic, tuple[int, int]] = {}
        self.runs = False
        self.failure: Exception | None = None
        self._closed = asyncio.Event()

    async def run(self) -> None:
        self.runs = True
        await self._closed.wait()
        self.runs = False
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self._closed.set()

    def fail(self, failure: Exception) -> None:
        """End as a feed does that has a defect."""
        self.failure = failure
        self._closed.set()

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        self.demand.add(topic, holder)
        if topic not in self.positions:
            self.positions[topic] = (self.begin(topic), 0)
        self._say(topic, EventKind.STATUS, msgspec.json.encode(Status(State.LIVE)))
        self._say(topic, EventKind.SNAPSHOT)

    def drop(self, topic: Topic, holder: str) -> None:
        self.demand.remove(topic, holder)

    def forget(self, holder: str) -> None:
        self.demand.forget(holder)

    def advance(self, topic: Topic) -> None:
        """Publish the next value."""
        epoch, seq = self.positions[topic]
        self.positions[topic] = (epoch, seq + 1)
        self._say(topic, EventKind.UPDATE)

    def restart(self, topic: Topic) -> None:
        """Begin another epoch, as after a cut of the venue's connection."""
        self.positions[topic] = (self.begin(topic), 0)
        self._say(topic, EventKind.STATUS, msgspec.json.encode(Status(State.LIVE)))

    def statistics(self) -> Statistics:
        return {"published": 0}

    def _say(self, topic: Topic, kind: EventKind, payload: bytes = b"{}") -> None:
        epoch, seq = self.positions[topic]
        self.publisher.publish(Envelope(topic, epoch, seq, kind, 0, 0, "", payload))


class Node(Published):
    """A node: its leases, its end of a shared feed, and all that its clients would see.

    Args:
        name: what it is called.
        proxy: its way to Redis, which a test may block.
    """

    def __init__(self, name: str, proxy: FaultProxy, terms: Terms) -> None:
        super().__init__()
        life = time.time_ns()
        self.proxy = proxy
        self.react: Callable[[Envelope], None] = super().publish
        redis = msgspec.structs.replace(QUICK, port=proxy.port, name=name)
        self.feeds: list[ScriptedFeed] = []
        self.leases = RedisLeases(redis, holder=f"{name}/{life}", terms=terms)
        self.source = RedisSource(
            self,
            self._make_feed,
            redis=redis,
            bus=BUS,
            leases=self.leases,
            holder=f"{name}/{life}",
            life=life,
            clock=SystemClock(),
        )
        self.leasing = asyncio.ensure_future(self.leases.run())
        self.sharing = asyncio.ensure_future(self.source.run())

    def publish(self, envelope: Envelope, /) -> None:
        self.react(envelope)

    def _make_feed(self, publisher: Publisher, begin: BeginEpoch) -> ScriptedFeed:
        feed = ScriptedFeed(publisher, begin)
        self.feeds.append(feed)
        return feed

    @property
    def feed(self) -> ScriptedFeed:
        """The one that it runs, or ran last."""
        return self.feeds[-1]

    @property
    def runs(self) -> bool:
        """Whether the feed runs here."""
        return bool(self.feeds) and self.feed.runs and not self.feed.is_closed

    @property
    def holds(self) -> bool:
        """Whether it has the lease."""
        figures: Any = self.source.statistics()
        return bool(figures["cluster"]["held"])

    def updates(self, topic: Topic) -> list[tuple[int, int]]:
        """The positions of the updates that its clients saw."""
        return [(event.epoch, event.seq) for event in self.values(topic) if event.kind is EventKind.UPDATE]

    def gaps(self, topic: Topic) -> list[Envelope]:
        """The holes that its clients were told of."""
        return [event for event in self.events if event.topic == topic and event.kind is EventKind.GAP]

    def holes(self, topic: Topic) -> list[tuple[Position, Position]]:
        """Those that they were not told of."""
        return uncovered_holes([event for event in self.events if event.topic == topic])

    async def sees(self, topic: Topic, state: State) -> None:
        """Wait until this is the state of a topic, as its clients know it."""
        await until(lambda: self.state(topic) is state, f"{topic} is {state}")

    async def gains(self) -> None:
        """Wait until it has the lease and runs the feed."""
        await until(lambda: self.runs and self.holds, "it has the lease")

    async def end(self) -> None:
        """Close it, as a process does that is told to end."""
        self.source.close()
        self.leases.close()
        async with asyncio.timeout(10):
            await asyncio.gather(self.leasing, self.sharing)
        await self.proxy.stop()


class Nodes:
    """Some nodes of one Redis, which are ended together."""

    def __init__(self, server: RedisServer) -> None:
        self.server, self.terms = server, TERMS
        self.all: list[Node] = []

    async def node(self, name: str = "") -> Node:
        """One more."""
        proxy = FaultProxy("127.0.0.1", self.server.port)
        await proxy.start()
        node = Node(name or f"node-{len(self.all)}", proxy, self.terms)
        self.all.append(node)
        return node

    async def owner(self) -> Node:
        """A node that has the lease."""
        node = await self.node()
        await node.gains()
        return node

    async def pair(self, *topics: Topic) -> tuple[Node, Node]:
        """The owner and another node; the clients of both have been given these topics."""
        owner, other = await self.owner(), await self.node()
        for node in (owner, other):
            for topic in topics:
                node.source.want(topic, "hub")
                await node.sees(topic, State.LIVE)
        return owner, other


@asynccontextmanager
async def nodes_of(server: RedisServer) -> AsyncIterator[Nodes]:
    """Nodes of one Redis, which has run for long; all that are left are ended with the block."""
    has_run_for_long(server)
    nodes = Nodes(server)
    try:
        yield nodes
    finally:
        for node in nodes.all:
            if not node.sharing.done():
                await node.end()
