from __future__ import annotations

import msgspec

from feedmux.bus.reader_end import ReaderEnd
from feedmux.model.event import Envelope, EventKind, State, Status
from feedmux.model.topic import Topic

FIRST, SECOND = (Topic("public", "bybit", "linear", "ticker", name) for name in ("A", "B"))


class Ear:
    """Hears everything and keeps nothing."""

    def receive(self, envelope: Envelope, /) -> None: ...


def status(topic: Topic, payload: bytes) -> Envelope:
    return Envelope(topic, 1, 0, EventKind.STATUS, 0, 0, "", payload)


def said(state: State) -> bytes:
    return msgspec.json.encode(Status(state))


def test_topics_are_counted_by_what_was_said_of_them_last() -> None:
    reader = ReaderEnd(Ear())
    assert reader.states() == {}
    reader.want(FIRST)
    reader.want(SECOND)
    assert reader.states() == {"pending": 2}
    reader.received(status(FIRST, said(State.LIVE)))
    assert reader.states() == {"live": 1, "pending": 1}
    reader.received(status(FIRST, said(State.STALE)))
    reader.drop(SECOND)
    assert reader.states() == {"stale": 1}


def test_a_status_that_cannot_be_read_changes_nothing() -> None:
    reader = ReaderEnd(Ear())
    reader.want(FIRST)
    reader.received(status(FIRST, said(State.LIVE)))
    for payload in (b"", b"{", b'{"state": "odd"}', b"\xff", b'{"state": "live", "reason": "\xff"}'):
        reader.received(status(FIRST, payload))
    assert reader.states() == {"live": 1}
