"""Objects as a producer sends them, and a client that applies what it is given."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import OBJECT, PUBLIC, Topic

BOOK = Topic(PUBLIC, "rabbitmq", "", OBJECT, "eurusd.ob-inc")


def part(seq: int, payload: bytes, kind: EventKind = EventKind.UPDATE, epoch: int = 1) -> Envelope:
    """A part of :data:`BOOK`; its times tell it apart."""
    return Envelope(BOOK, epoch, seq, kind, 10 * seq, 10 * seq + 1, "", payload)


def base(seq: int, *levels: str, epoch: int = 1, sequence: int | None = None) -> Envelope:
    """A snapshot with asks that are written as ``price@amount``."""
    asks = [level.split("@") for level in levels]
    body = {"asks": asks, "bids": [], "sequence": seq if sequence is None else sequence}
    return part(seq, json.dumps(body).encode(), EventKind.SNAPSHOT, epoch)


def ask(seq: int, level: str, epoch: int = 1, sequence: int | None = None) -> Envelope:
    """An increment of one ask, ``price@amount``."""
    body = {"asks": level.split("@"), "sequence": seq if sequence is None else sequence}
    return part(seq, json.dumps(body).encode(), epoch=epoch)


class Lines:
    """A format that writes each event as a line, so that a client of it can be a :class:`Follower`."""

    fields: frozenset[str] = frozenset()

    def only(self, fields: frozenset[str], /) -> Lines:
        """Another of its kind."""
        return Lines()

    def frame(self, envelope: Envelope, /) -> bytes:
        return b"%d %d %d %b\n" % (envelope.kind, envelope.epoch, envelope.seq, envelope.payload)

    def forget(self, topic: Topic, /) -> None:
        """Nothing is kept."""


LINES = Lines()


class Copy:
    """A client's copy of a book: it applies every body, one after another, and knows of no other way."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[Decimal, tuple[str, str]]] = {"asks": {}, "bids": {}}
        self.others: dict[str, Any] = {}
        self.is_whole = False

    def snapshot(self, payload: bytes) -> None:
        self.sides = {"asks": {}, "bids": {}}
        self.others = {}
        self.is_whole = True
        self._apply(payload)

    def increment(self, payload: bytes) -> None:
        assert self.is_whole, "an increment came without a snapshot"
        former = self.others.get("sequence")
        self._apply(payload)
        assert former is None or self.others["sequence"] == former + 1, (
            "an increment is missing, or came twice"
        )

    def follow(self, parts: Iterable[Envelope]) -> Copy:
        for envelope in parts:
            (self.snapshot if envelope.kind is EventKind.SNAPSHOT else self.increment)(envelope.payload)
        return self

    def _apply(self, payload: bytes) -> None:
        for name, told in json.loads(payload, parse_float=str, parse_int=str).items():
            if name not in self.sides:
                self.others[name] = int(told) if name == "sequence" else told
                continue
            for price, amount in [told] if told and isinstance(told[0], str) else told:
                if Decimal(amount):
                    self.sides[name][Decimal(price)] = (price, amount)
                else:
                    self.sides[name].pop(Decimal(price), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Copy) and (self.sides, self.others) == (other.sides, other.others)

    def __hash__(self) -> int:
        raise TypeError("a copy changes")

    def __repr__(self) -> str:
        return f"<Copy {self.sides} {self.others}>"


class Follower:
    """Reads :class:`Lines`: what a client makes of all that it is sent.

    An increment that it cannot apply is a failure: it was told of no hole, and has one.
    """

    def __init__(self) -> None:
        self.copy = Copy()
        self.epoch = 0

    def read(self, written: Iterable[bytes]) -> list[str]:
        """Apply what was written; each line in short, e.g. ``SNAPSHOT 1:3``."""
        told = []
        for line in b"".join(written).splitlines():
            kind, epoch, seq, payload = line.split(b" ", 3)
            event = EventKind(int(kind))
            told.append(f"{event.name} {int(epoch)}:{int(seq)}")
            if int(epoch) > self.epoch or event is EventKind.GAP:
                self.copy.is_whole = False
            self.epoch = max(self.epoch, int(epoch))
            if event is EventKind.SNAPSHOT:
                self.copy.snapshot(payload)
            elif event is EventKind.UPDATE:
                self.copy.increment(payload)
            elif event is EventKind.STATUS:
                told[-1] = json.loads(payload)["state"]
        return told
