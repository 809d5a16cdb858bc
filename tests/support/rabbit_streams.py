"""Streams of RabbitMQ, bodies with numbers, and what a relay makes of them, in a word each."""

from __future__ import annotations

import json
from typing import Final

import msgspec

from feedmux.core.increments import ObjectLimits
from feedmux.feed.relay import Relay, RelayLimits
from feedmux.feed.stream import ObjectRules
from feedmux.model.event import Envelope, EventKind
from feedmux.model.ports import Clock
from feedmux.model.topic import MESSAGE, OBJECT, PUBLIC, Topic
from feedmux.wire.rango_topic import route
from support.published import Published


def stream(name: str, scope: str = PUBLIC) -> Topic:
    """The topic of a stream."""
    return Topic(scope, "rabbitmq", "", OBJECT if name.endswith("-inc") else MESSAGE, name)


def rules(**limits: int) -> ObjectRules:
    """Objects as they are kept, within these limits."""
    return ObjectRules(limits=ObjectLimits(**limits))


RULES: Final = rules()


def body(sequence: int) -> bytes:
    """A book, or a change of one, with a number."""
    return msgspec.json.encode({"asks": [["15.0", "22.1"]], "bids": [["14.9", "1.0"]], "sequence": sequence})


def thing(sequence: int) -> bytes:
    """A body with a number that is no book and cannot be folded."""
    return msgspec.json.encode({"rows": [1, 2], "sequence": sequence})


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


def relay_of(heard: Published, clock: Clock, kept: ObjectRules = RULES, **limits: int) -> Relay:
    """A relay into ``heard``."""
    return Relay(heard, route=route, rules=kept, limits=RelayLimits(**limits), clock=clock)
