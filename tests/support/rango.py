"""A hub, a bus and an exchange, and clients of Rango's dialect: everything but sockets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from feedmux.bus.inproc import InprocBus
from feedmux.core.outbox import Outbox, OutboxLimits, TopicRow
from feedmux.edge.login import Rights
from feedmux.edge.rango_session import RangoSession, Surroundings
from feedmux.edge.session import Rules, Session
from feedmux.hub.hub import Hub
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.errors import Refused
from feedmux.model.event import Envelope, EventKind, State, Status
from feedmux.model.topic import Topic
from feedmux.wire.frame import text_frame
from feedmux.wire.rango_format import RangoFormat
from feedmux.wire.rango_topic import route
from support.frames import FrameReader
from support.hubs import ScriptedTime

ALICE: Final = Identity("ALICE", "member")
ADMIN: Final = Identity("ADMIN", "admin")


class Roles:
    """Who may read what: each prefix and the roles that open it."""

    def __init__(self, **prefixes: str) -> None:
        self.prefixes = prefixes

    def may_read(self, identity: Identity, scope: str) -> bool:
        kind, _, name = scope.partition("=")
        if kind == "uid":
            return name == identity.uid
        return identity.role in self.prefixes.get(name, "").split()


class BadToken(Refused):
    code = "TOKEN_BAD_SIGNATURE"


class Exchange:
    """The writer of every topic; it keeps an object's snapshot and increments and gives them to who comes."""

    def __init__(self, bus: InprocBus) -> None:
        self._bus = bus
        self._seqs: Counter[Topic] = Counter()
        self._objects: dict[Topic, list[Envelope]] = {}
        self.states: dict[str, tuple[State, str]] = {}
        """What is answered for an instrument, if it is not live."""
        self.held: set[Topic] = set()

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        self.held.add(topic)
        self.say(topic, *self.states.get(topic.instrument, (State.LIVE, "")))
        for envelope in self._objects.get(topic, []):
            self._bus.publish(envelope)

    def drop(self, topic: Topic, holder: str) -> None:
        self.held.discard(topic)

    def forget(self, holder: str) -> None:
        self.held.clear()

    def say(self, topic: Topic, state: State, reason: str = "") -> None:
        """Publish a status."""
        payload = msgspec.json.encode(Status(state, reason))
        self._bus.publish(Envelope(topic, 1, self._seqs[topic], EventKind.STATUS, 0, 0, "", payload))

    def publish(self, routing_key: str, body: object) -> None:
        """Publish a message as RabbitMQ carries it."""
        routed = route(routing_key)
        assert routed is not None, routing_key
        topic, is_snapshot = routed
        self._seqs[topic] += 1
        kind = EventKind.SNAPSHOT if is_snapshot else EventKind.UPDATE
        envelope = Envelope(topic, 1, self._seqs[topic], kind, 0, 0, "", json.dumps(body).encode())
        if is_snapshot:
            self._objects[topic] = [envelope]
        elif topic in self._objects:
            self._objects[topic].append(envelope)
        self._bus.publish(envelope)


class Client:
    """A connection without a socket, and what was sent through it."""

    def __init__(self) -> None:
        self.outbox = Outbox(self, lambda _: None, OutboxLimits())
        self.reminders: list[float] = []
        self.closed: tuple[int, str] | None = None
        self.session: RangoSession | Session
        self.when_told: Callable[[], None] | None = None
        self._reader = FrameReader()
        self._told: list[str] = []

    def write(self, frames: Sequence[bytes], /) -> int:
        for frame in frames:
            self._told += [read.payload.decode() for read in self._reader.feed(frame)]
        return len(frames)

    def overflow(self) -> None:
        raise AssertionError("nothing here is that much")

    def answer(self, payload: bytes, /) -> None:
        if self.closed is None:
            self.outbox.drain()
            self.write([text_frame(payload)])
            if self.when_told is not None:
                self.when_told()

    def remind(self, delay: float, /) -> None:
        self.reminders.append(delay)

    def close(self, code: int, reason: str) -> None:
        assert self.closed is None
        self.closed = code, reason
        self.session.end()

    @property
    def told(self) -> list[Any]:
        """What came since the last time: JSON, or a text that is none."""
        self.outbox.drain()
        told, self._told = self._told, []
        return [text if text == "pong" else json.loads(text) for text in told]

    def say(self, message: object) -> list[Any]:
        """Send a message; what comes of it at once."""
        self.session.take(message if isinstance(message, bytes) else json.dumps(message).encode())
        return self.told

    def subscribe(self, *streams: object) -> list[Any]:
        return self.say({"event": "subscribe", "streams": streams})

    def unsubscribe(self, *streams: object) -> list[Any]:
        return self.say({"event": "unsubscribe", "streams": streams})

    def log_in(self, token: str) -> list[Any]:
        return self.say({"event": "auth", "token": token})


class Scene:
    """A hub, a bus and an exchange, and clients who come."""

    def __init__(self, *, enforces_expiry: bool = True, **rules: int) -> None:
        self.time = ScriptedTime()
        bus = InprocBus()
        self.exchange = Exchange(bus)
        bus.serve(self.exchange)
        self.hub = Hub(TopicRow, self.time, self.time.call_later)
        self.hub.connect(bus.reader("hub", self.hub))
        self.tokens: dict[str, Identity] = {}
        self.rights = Rights(
            access=Roles(admin="admin", staff="admin member"),
            clock=self.time,
            authenticate=self.authenticate,
            enforces_expiry=enforces_expiry,
            warning_s=60.0,
        )
        self.shared = Surroundings(
            hub=self.hub,
            layout=RangoFormat(),
            rules=Rules(**{"max_rate": 1000, **rules}),
            rights=self.rights,
        )

    def authenticate(self, token: str) -> Identity:
        if token not in self.tokens:
            raise BadToken("the token", "its signature is wrong")
        return self.tokens[token]

    def come(self, identity: Identity = ANONYMOUS, *streams: str) -> Client:
        """A client connects; what it is told first is still to be read."""
        client = Client()
        client.session = RangoSession(
            client, outlet=client.outbox, shared=self.shared, identity=identity, streams=streams
        )
        client.session.begin()
        return client

    def client(self, identity: Identity = ANONYMOUS, *streams: str) -> Client:
        """A client that has read what it was told first."""
        client = self.come(identity, *streams)
        assert "success" in client.told[-1]
        return client

    def later(self, seconds: float, *clients: Client) -> None:
        """Time goes by, and connections look at their deadlines."""
        self.time.goes(seconds)
        for client in clients:
            client.session.expire(self.time.monotonic())
