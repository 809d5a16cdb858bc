from __future__ import annotations

import pytest

from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import Topic
from feedmux.wire.frame import text_frame
from feedmux.wire.rango_format import RangoFormat
from feedmux.wire.rango_topic import stream_topic


def stream(name: str, uid: str = "U") -> Topic:
    topic = stream_topic(name, uid)
    assert topic is not None
    return topic


TRADES, BOOK, SYS = stream("eurusd.trades"), stream("eurusd.ob-inc"), stream("admin.eurusd.ob-inc")
ORDER, ODD = stream("order"), stream('a"<b>.☃')
SNAPSHOT, UPDATE, STATUS, GAP = EventKind.SNAPSHOT, EventKind.UPDATE, EventKind.STATUS, EventKind.GAP


def event(topic: Topic, kind: EventKind, payload: str) -> Envelope:
    return Envelope(topic, 1, 42, kind, 0, 0, "", payload.encode())


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        (event(TRADES, UPDATE, '{"trades":[]}'), '{"eurusd.trades":{"trades":[]}}'),
        (event(BOOK, UPDATE, '{"sequence":2}'), '{"eurusd.ob-inc":{"sequence":2}}'),
        (event(BOOK, SNAPSHOT, '{"sequence":1}'), '{"eurusd.ob-snap":{"sequence":1}}'),
        (event(SYS, UPDATE, "1"), '{"eurusd.ob-inc":1}'),
        (event(SYS, SNAPSHOT, "1"), '{"eurusd.ob-snap":1}'),
        (
            event(ORDER, UPDATE, '{"id":9007199254740993,"p":1000.0}'),
            '{"order":{"id":9007199254740993,"p":1000.0}}',
        ),
        (event(TRADES, SNAPSHOT, "1"), '{"eurusd.trades":1}'),
        (event(ODD, UPDATE, '{ "b":"<&>", "a":null }'), '{"a\\"\\u003cb\\u003e.☃":{ "b":"<&>", "a":null }}'),
        (
            event(SYS, STATUS, '{"state":"stale","reason":"it is gone"}'),
            '{"system.status":{"reason":"it is gone","state":"stale","stream":"admin.eurusd.ob-inc"}}',
        ),
        (
            event(TRADES, STATUS, '{"state":"refused"}'),
            '{"system.status":{"state":"refused","stream":"eurusd.trades"}}',
        ),
        (
            event(TRADES, GAP, '{"from":813,"to":830,"reason":"slow"}'),
            '{"system.status":{"reason":"18 messages are missing: this client reads too slowly",'
            '"state":"gap","stream":"eurusd.trades"}}',
        ),
        (
            event(ORDER, GAP, '{"from":813,"to":813,"reason":"lapped"}'),
            '{"system.status":{"reason":"1 message is missing: this server did not keep up with the source",'
            '"state":"gap","stream":"order"}}',
        ),
        (
            event(ORDER, GAP, '{"from":813,"to":null,"reason":"link"}'),
            '{"system.status":{"reason":"An unknown number of messages is missing: '
            'the connection to the source was interrupted","state":"gap","stream":"order"}}',
        ),
    ],
)
def test_each_event_is_one_message_and_its_body_is_untouched(envelope: Envelope, message: str) -> None:
    layout = RangoFormat()
    for _ in range(2):  # what is kept for the topic changes nothing
        assert layout.frame(envelope) == text_frame(message.encode())


LIVE, STALE = event(TRADES, STATUS, '{"state":"live"}'), event(TRADES, STATUS, '{"state":"stale"}')


def test_that_a_stream_is_live_is_told_to_those_who_were_told_of_trouble() -> None:
    layout = RangoFormat()
    assert layout.frame(LIVE) is None
    assert layout.frame(STALE) is not None
    assert layout.frame(event(BOOK, STATUS, '{"state":"live"}')) is None
    assert layout.frame(LIVE) == text_frame(b'{"system.status":{"state":"live","stream":"eurusd.trades"}}')
    assert layout.frame(LIVE) is None


def test_a_stream_that_nobody_held_starts_without_a_past() -> None:
    layout = RangoFormat()
    layout.frame(STALE)
    layout.forget(TRADES)
    assert layout.frame(LIVE) is None


def test_what_is_pending_is_not_told() -> None:
    assert RangoFormat().frame(event(TRADES, STATUS, '{"state":"pending"}')) is None


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (UPDATE, "1"),
        (SNAPSHOT, "1"),
        (GAP, '{"from":1,"to":2,"reason":"slow"}'),
        (STATUS, '{"state":"stale"}'),
    ],
)
def test_a_client_that_cannot_bear_statuses_gets_all_the_rest_holes_included(
    kind: EventKind, payload: str
) -> None:
    built = RangoFormat(statuses=False).frame(event(TRADES, kind, payload))
    assert (built is None) == (kind is STATUS)


def test_some_fields_alone_cannot_be_had() -> None:
    layout = RangoFormat()
    assert layout.only(frozenset({"price"})) is layout
    assert layout.fields == frozenset()


def test_topics_do_not_share_what_is_kept_for_them_and_it_can_be_forgotten() -> None:
    layout = RangoFormat()
    frames = [
        layout.frame(event(topic, kind, "1")) for topic in (BOOK, SYS, ORDER) for kind in (UPDATE, SNAPSHOT)
    ]
    assert layout.statistics() == {"prefixes": 6}
    layout.forget(BOOK)
    layout.forget(BOOK)
    assert layout.statistics() == {"prefixes": 4}
    assert layout.frame(event(BOOK, UPDATE, "1")) == frames[0]
