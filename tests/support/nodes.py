"""Nodes of a cluster around one Redis and one venue, their clients, and what has to hold for each of them.

Who has the lease is read from Redis, so that a story asks no node about itself.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from support import truth
from support.cluster import QUICK
from support.family import TICKER, TRADES
from support.processes import DEADLINE_S, Client, Gateway, Message, Stage, Venue
from support.redis import RedisServer
from support.streams import VALUES, Run, is_slice, judge
from support.tap import Tap
from support.waiting import until

CANDLES: Final = "mudrex.futures.kline.1.BTCUSDT"
TOPICS: Final = {TICKER: "tickers.BTCUSDT", TRADES: "publicTrade.BTCUSDT", CANDLES: "kline.1.BTCUSDT"}
ARGS: Final = ("ticker:BTCUSDT", "trade:BTCUSDT", "kline:1m:BTCUSDT")
LIVELY: Final = ("--rate", "25", "--trade-rate", "25", "--kline-rate", "10")
LINEAR: Final = "bybit.linear"


class Node(Gateway):
    """One node, and its clients.

    Args:
        gateway: its process.
        name: what it is called in the cluster.
    """

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(gateway.running, gateway.port)
        self.name = name
        self.clients: list[Client] = []

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        self.running.signal(number)


class Nodes:
    """All nodes of a cluster; their venue stands behind a tap that remembers what it said.

    Args:
        stage: of the story.
        redis: what they share.
        venue: the one that all of them know.
        tap: before the venue.
        settings: of all nodes.
    """

    def __init__(
        self, stage: Stage, redis: RedisServer, venue: Venue, tap: Tap, settings: dict[str, Any]
    ) -> None:
        self.stage, self.redis, self.venue, self.tap = stage, redis, venue, tap
        self._settings = settings
        self._count = 0
        self.all: list[Node] = []

    @classmethod
    async def start(
        cls, stage: Stage, redis: RedisServer, count: int = 2, *, clients: int = 2, **settings: Any
    ) -> Nodes:
        """Start so many nodes, each with so many clients that read everything; one of them has the lease."""
        was_there(redis)
        venue = await stage.venue(*LIVELY)
        nodes = cls(stage, redis, venue, await stage.tap(venue), settings)
        await asyncio.gather(*(nodes.join() for _ in range(count)))
        await nodes.owner()
        await asyncio.gather(*(nodes.client(node, *ARGS) for node in nodes.all for _ in range(clients)))
        if clients:
            await nodes.flow()
        return nodes

    async def join(self, **settings: Any) -> Node:
        """Start one more node."""
        self._count += 1
        name = f"n{self._count}"
        known = {"NODE_NAME": name, "REDIS_URL": self.redis.url, "BYBIT_RECONNECT_DELAY_MAX": 0.5}
        found = await self.stage.gateway(self.tap.url, **{**known, **QUICK, **self._settings, **settings})
        node = Node(found, name)
        self.all.append(node)
        return node

    async def client(self, node: Node, *args: str) -> Client:
        """Connect one more client of a node; it subscribes to these."""
        client = await self.stage.client(node)
        node.clients.append(client)
        if args:
            answer = await client.subscribe(*args)
            assert answer["success"], answer
        return client

    # Who has the lease

    def holder(self, market: str = LINEAR) -> str:
        """The name of the node that has the lease, as Redis knows it; empty: nobody."""
        holder, ends_ms = self.lease(market, "holder", "until")
        return holder.partition("/")[0] if float(ends_ms or 0) > time.time() * 1000 else ""

    def lease(self, market: str, *fields: str) -> list[str]:
        """What Redis keeps of a lease."""
        answer = self.redis.ask("HMGET", lease_key(market), *fields)
        assert isinstance(answer, list)
        return [field.decode() if isinstance(field, bytes) else "" for field in answer]

    async def owner(self, *others: Node, market: str = LINEAR) -> Node:
        """The node that has the lease, as soon as one has it that is none of the ``others``."""
        former = {node.name for node in others}

        def found() -> Node | None:
            holder = self.holder(market)
            return next((n for n in self.all if n.name == holder and n.name not in former), None)

        await until(found, "a node has the lease", DEADLINE_S)
        node = found()
        assert node is not None, "it lost the lease at once"
        return node

    def others(self, *nodes: Node) -> list[Node]:
        """All nodes but these."""
        return [node for node in self.all if node not in nodes]

    # What clients get

    @property
    def clients(self) -> list[Client]:
        """Those of all nodes."""
        return clients_of(self.all)

    async def flow(
        self, clients: Iterable[Client] | None = None, count: int = 5, deadline_s: float = DEADLINE_S
    ) -> None:
        """Wait until each of these clients, or each there is, got so many values more of each stream."""
        whom = self.clients if clients is None else clients
        await asyncio.gather(
            *(
                client.data(stream, seen=client.seen, count=count, deadline_s=deadline_s)
                for client in whom
                for stream in TOPICS
            )
        )

    def check(self, clients: Iterable[Client] | None = None) -> list[dict[str, list[Run]]]:
        """Judge all that these clients, or all, were shown against what the venue said.

        Returns:
            for each client its runs of values, by stream.

        Raises:
            AssertionError: a value is missing, repeated, out of order, or old; or came while the stream was
                not live; or is none that the venue sent; or two clients were shown different values.
        """
        said = [frames for frames in self.tap.connections() if any("topic" in frame for frame in frames)]
        shown = {stream: [truth.shown(frames, topic) for frames in said] for stream, topic in TOPICS.items()}
        known: dict[tuple[str, int | None, int], object] = {}
        found = []
        for client in self.clients if clients is None else clients:
            runs = {stream: judge(client.messages, stream, holes=True) for stream in TOPICS}
            found.append(runs)
            for stream, several in runs.items():
                for run in several:
                    values = [value["data"] for value in run.values]
                    venues = any(is_slice(values, whole) for whole in shown[stream])
                    assert venues, f"not the venue's: {stream}"
                    for value in run.values:
                        place = (stream, run.epoch, value["seq"])
                        assert known.setdefault(place, value["data"]) == value["data"], place
            trades = [trade["id"] for run in runs[TRADES] for value in run.values for trade in value["data"]]
            assert len(trades) == len(set(trades)), "a trade came twice"
        return found

    async def is_one(self) -> None:
        """Wait until the venue is connected to once, and carries each topic once."""
        await self.venue.carries(*TOPICS.values())

        async def connections() -> int:
            return int((await self.venue.report())["markets"]["linear"]["connections"])

        assert await connections() == 1


def clients_of(nodes: Iterable[Node]) -> list[Client]:
    """The clients of some nodes."""
    return [client for node in nodes for client in node.clients]


def lease_key(market: str = LINEAR) -> str:
    """Where Redis keeps who has a market's connection."""
    return f"feedmux:{market}:lease"


def was_there(redis: RedisServer, *markets: str) -> None:
    """Let Redis look as if the cluster had used it before: else nobody acquires for one time to live."""
    info = redis.ask("INFO", "server")
    assert isinstance(info, bytes)
    run = re.search(rb"run_id:(\w+)", info)
    assert run is not None
    for market in markets or (LINEAR,):
        redis.ask("HSET", lease_key(market), "run", run[1])


def silence_s(client: Client, stream: str = TICKER) -> float:
    """The longest time between two values of a stream, seconds."""
    stamped = zip(client.times, client.messages, strict=False)
    times = [at for at, message in stamped if message.get("stream") == stream and message["type"] in VALUES]
    return max((later - at for at, later in pairwise(times)), default=0.0)


def told(messages: Iterable[Message], stream: str) -> list[str]:
    """What one stream was said to be, in order, a run of values as one word: ``snapshot``, ``values``."""
    words: list[str] = []
    for message in messages:
        if message.get("stream") != stream:
            continue
        kind = message["type"]
        word = message["data"]["state"] if kind == "status" else "values" if kind in VALUES[1:] else kind
        if word != "values" or words[-1:] != ["values"]:
            words.append(word)
    return words
