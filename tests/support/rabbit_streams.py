"""What a source of RabbitMQ is told about the streams: the least that routes a key and keeps an object."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import msgspec

from feedmux.feed.relay import Relay, RelayLimits
from feedmux.feed.stream import ObjectRules
from feedmux.model.event import Envelope, EventKind
from feedmux.model.ports import Clock
from feedmux.model.topic import MESSAGE, OBJECT, PUBLIC, Topic
from support.published import Published


class Routed(NamedTuple):
    """Where a message goes."""

    topic: Topic
    is_snapshot: bool


def stream(name: str, scope: str = PUBLIC) -> Topic:
    """The topic of a stream."""
    return Topic(scope, "rabbitmq", "", OBJECT if name.endswith("-inc") else MESSAGE, name)


def route(routing_key: str) -> Routed | None:
    """Rango's rules for routing keys (1.8)."""
    parts = routing_key.split(".")
    if len(parts) not in {2, 3}:
        return None
    scope, kind = parts[0], parts[-1]
    is_snapshot = kind.endswith("-snap")
    if is_snapshot:
        kind = kind.removesuffix("-snap") + "-inc"
    if scope == "private":
        return Routed(stream(kind, f"uid={parts[1]}"), is_snapshot) if len(parts) == 3 else None
    readers = PUBLIC if scope in {"public", "global"} else f"role={scope}"
    return Routed(stream(f"{parts[-2]}.{kind}", readers), is_snapshot)


def sequence_of(body: bytes) -> int | None:
    """The member ``sequence`` of a body."""
    found = json.loads(body)
    return found.get("sequence") if isinstance(found, dict) else None


class Kept:
    """Keeps parts up to a number and a size, and can fold nothing."""

    def __init__(self, increments: int = 256, size: int = 1_000_000) -> None:
        self._most, self._most_bytes = increments, size
        self._parts: list[Envelope] = []

    @property
    def is_empty(self) -> bool:
        return not self._parts

    @property
    def size_bytes(self) -> int:
        return sum(len(part.payload) for part in self._parts)

    def start(self, envelope: Envelope, /) -> None:
        self._parts = [envelope] if len(envelope.payload) <= self._most_bytes else []

    def add(self, envelope: Envelope, /) -> bool:
        self._parts.append(envelope)
        if len(self._parts) > self._most + 1 or self.size_bytes > self._most_bytes:
            self.clear()
        return bool(self._parts)

    def parts(self) -> tuple[Envelope, ...]:
        return tuple(self._parts)

    def clear(self) -> None:
        self._parts.clear()


RULES: Final = ObjectRules(make=Kept, sequence_of=sequence_of)


def body(sequence: int) -> bytes:
    """A body with a number."""
    return msgspec.json.encode({"asks": [["15.0", "22.1"]], "sequence": sequence})


class Heard(Published):
    """All that a relay published, in short."""

    def take(self) -> list[str]:
        """What was published since the last time: states, and bodies with ``S`` (snapshot) or ``U`` ahead."""
        events, self.events = self.events, []
        return [short(event) for event in events]


def short(event: Envelope) -> str:
    """An event in a word: its state, or the number or the text of its body."""
    if event.kind is EventKind.STATUS:
        return str(json.loads(event.payload)["state"])
    if event.kind is EventKind.GAP:
        return "gap"
    found = json.loads(event.payload)
    number = found["sequence"] if isinstance(found, dict) and "sequence" in found else event.payload.decode()
    return f"{event.kind.name[0]}{number}"


def relay_of(heard: Published, clock: Clock, rules: ObjectRules = RULES, **limits: int) -> Relay:
    """A relay into ``heard``."""
    return Relay(heard, route=route, rules=rules, limits=RelayLimits(**limits), clock=clock)
