"""A real server with hub and bus, and a source that says what the test wants it to say."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Self

import msgspec

from feedmux._native.outbox import TopicRow
from feedmux.bus.inproc import InprocBus
from feedmux.client.clock import SystemClock
from feedmux.core.access import Access
from feedmux.core.latency import Latency
from feedmux.edge.endpoint import Endpoint
from feedmux.edge.gate import Gate
from feedmux.edge.house import House, ServerConfig
from feedmux.edge.http import Reply, Route
from feedmux.edge.login import Rights
from feedmux.edge.server import Server
from feedmux.edge.session import Rules, Surroundings, serve
from feedmux.edge.tls import Tls
from feedmux.hub.hub import Hub
from feedmux.model.event import Envelope, EventKind, State, Status
from feedmux.model.ports import Clock
from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.notice import Notices
from feedmux.wire.place import Place, Places
from feedmux.wire.stream import StreamFormat
from support.raw import Raw

PLACES: Final = Places(
    "mudrex", [Place("bybit.linear", "bybit", "linear", "futures", {"1m": "1", "1h": "60"})]
)
ROUTES: Final[dict[str, Route]] = {"/ready": lambda: Reply(200, {"ok": True})}
CONFIG: Final = ServerConfig(host="127.0.0.1", port=0, close_timeout_s=2.0)
FREE: Final = Rules(max_rate=1_000_000_000)


def ticker(instrument: str = "BTCUSDT") -> Topic:
    return Topic(PUBLIC, "bybit", "linear", "ticker", instrument)


def trades(instrument: str = "BTCUSDT") -> Topic:
    return Topic(PUBLIC, "bybit", "linear", "trade", instrument)


class ScriptedSource:
    """The writer of every topic: what it answers to a want is what ``fates`` says.

    Args:
        bus: where it publishes.
    """

    def __init__(self, bus: InprocBus) -> None:
        self._bus = bus
        self._seqs: Counter[Topic] = Counter()
        self.default: State | None = State.LIVE
        self.fates: dict[str, State | None] = {}
        """What becomes of an instrument; None says nothing for now."""
        self.reason = ""
        self.held: set[Topic] = set()
        self.wants: list[Topic] = []

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        self.held.add(topic)
        self.wants.append(topic)
        fate = self.fates.get(topic.instrument, self.default)
        if fate is not None:
            self.say(topic, fate, self.reason)

    def drop(self, topic: Topic, holder: str) -> None:
        self.held.discard(topic)

    def forget(self, holder: str) -> None:
        self.held.clear()

    def say(self, topic: Topic, state: State, reason: str = "") -> None:
        """Publish a status."""
        payload = msgspec.json.encode(Status(state, reason))
        self._publish(topic, EventKind.STATUS, self._seqs[topic], payload, "")

    def tick(self, topic: Topic, **data: Any) -> int:
        """Publish the next ticker and return its seq."""
        return self._value(topic, data, topic.text)

    def trade(self, topic: Topic, data: object = None) -> int:
        """Publish the next trades, which nothing may replace, and return their seq."""
        return self._value(topic, data, "")

    def _value(self, topic: Topic, data: object, key: str) -> int:
        self._seqs[topic] += 1
        self._publish(topic, EventKind.UPDATE, self._seqs[topic], json.dumps(data).encode(), key)
        return self._seqs[topic]

    def _publish(self, topic: Topic, kind: EventKind, seq: int, payload: bytes, key: str) -> None:
        venue_ns, receive_ns = 1_700_000_000_000_000_000, time.time_ns()
        self._bus.publish(Envelope(topic, 1, seq, kind, venue_ns, receive_ns, key, payload))


class Edge:
    """A gateway without a venue; an async context manager.

    Args:
        config: of the server.
        rules: of its sessions.
        routes: what plain HTTP paths answer.
        endpoints: what serves WebSockets beside ``/ws``, by its path.
        catch_all: what serves them everywhere else.
        tls: of its listener.
        clock: time of everything; the machine's if absent.
    """

    def __init__(
        self,
        config: ServerConfig = CONFIG,
        rules: Rules = Rules(),  # noqa: B008
        routes: Mapping[str, Route] = ROUTES,
        *,
        endpoints: Mapping[str, Endpoint] = MappingProxyType({}),
        catch_all: Endpoint | None = None,
        tls: Tls | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        clock = clock or SystemClock()
        bus = InprocBus()
        self.source = ScriptedSource(bus)
        bus.serve(self.source)
        self.latency = Latency()
        call_later = asyncio.get_running_loop().call_later
        self.hub = hub = Hub(TopicRow, clock, call_later, latency=self.latency)
        hub.connect(bus.reader("hub", hub))
        shared = Surroundings(
            hub=hub,
            layout=StreamFormat(PLACES),
            places=PLACES,
            notices=Notices(PLACES.brand),
            rules=rules,
            rights=Rights(access=Access(), clock=clock),
        )
        loop = asyncio.get_running_loop()
        house = House(
            config,
            endpoints={"/ws": Gate(partial(serve, shared)), **endpoints},
            catch_all=catch_all,
            routes=routes,
            clock=clock,
            loop=loop,
            latency=self.latency,
        )
        self.server = Server(house, tls)

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def connect(self, receive_buffer: int = 0) -> Raw:
        """A socket that has not said anything."""
        return await Raw.connect(self.port, receive_buffer=receive_buffer)

    async def client(self, receive_buffer: int = 0) -> Raw:
        """A WebSocket."""
        return await Raw.upgraded(self.port, receive_buffer=receive_buffer)

    async def http(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and read its answer to the end: status, headers, body."""
        with await self.connect() as raw:
            await raw.send(request)
            return parted(await raw.read_to_end())

    def count(self, name: str) -> Any:
        """One of the server's statistics."""
        return self.server.statistics()[name]


def parted(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their lower-case names, and body of an HTTP answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(first.split(" ")[1]), headers, body
