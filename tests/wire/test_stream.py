from __future__ import annotations

import pytest

from feedmux._native import text
from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import Topic
from feedmux.wire import frame
from feedmux.wire.frame import text_frame
from feedmux.wire.stream import DataFrame, StreamFormat
from support.places import PLACES

TICKER = PLACES.parse("ticker:BTCUSDT")
KLINE = PLACES.parse("kline:1h:BTCUSDT")
VENUE_NS = 1_700_000_000_123_999_999
RECEIVE_NS = 1_700_000_000_456_000_000


def event(kind: EventKind, payload: bytes, topic: Topic = TICKER, venue_ns: int = VENUE_NS) -> Envelope:
    return Envelope(topic, 1_699_999_999_000, 42, kind, venue_ns, RECEIVE_NS, "key", payload)


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        (event(EventKind.UPDATE, b'{"symbol":"BTCUSDT"}'),
         b'{"stream":"mudrex.futures.ticker.BTCUSDT","type":"update","data":{"symbol":"BTCUSDT"},'
         b'"timestamp":1700000000123,"source":"mudrex","seq":42}'),
        (event(EventKind.SNAPSHOT, b'{"symbol":"BTCUSDT"}'),
         b'{"stream":"mudrex.futures.ticker.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT"},'
         b'"timestamp":1700000000123,"source":"mudrex","seq":42,"epoch":1699999999000}'),
        (event(EventKind.UPDATE, b"[1]", KLINE),
         b'{"stream":"mudrex.futures.kline.60.BTCUSDT","type":"update","data":[1],'
         b'"timestamp":1700000000123,"source":"mudrex","seq":42}'),
        (event(EventKind.GAP, b'{"from":813,"to":830,"reason":"slow"}', venue_ns=0),
         b'{"stream":"mudrex.futures.ticker.BTCUSDT","type":"gap",'
         b'"data":{"from":813,"to":830,"reason":"slow"},'
         b'"timestamp":1700000000456,"source":"mudrex","epoch":1699999999000}'),
        (event(EventKind.STATUS, b'{"state":"stale","reason":"no ticker for 30 s"}', venue_ns=0),
         b'{"stream":"mudrex.futures.ticker.BTCUSDT","type":"status",'
         b'"data":{"state":"stale","reason":"no ticker for 30 s"},'
         b'"timestamp":1700000000456,"source":"mudrex","epoch":1699999999000}'),
    ],
    ids=["update", "snapshot", "kline", "gap", "status"],
)  # fmt: skip
@pytest.mark.parametrize("twin", [frame.data_frame, text.data_frame], ids=["python", "native"])
def test_each_kind_of_event_is_one_message(twin: DataFrame, envelope: Envelope, message: bytes) -> None:
    layout = StreamFormat(PLACES, data_frame=twin)
    for _ in range(2):  # what is kept for the topic changes nothing
        assert layout.frame(envelope) == text_frame(message)


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("twin", [frame.data_text, text.data_text], ids=["python", "native"])
def test_where_there_are_no_websockets_a_frame_is_the_message_itself(
    twin: DataFrame, kind: EventKind
) -> None:
    framed = StreamFormat(PLACES)
    plain = StreamFormat(PLACES, data_frame=twin, text_frame=bytes)
    fields = frozenset({"price"})
    for envelope in (event(kind, b'{"price":"1","size":"2"}'), event(kind, b"[1]", KLINE)):
        message = plain.frame(envelope)
        assert message is not None
        assert framed.frame(envelope) == text_frame(message)
        projected = plain.only(fields).frame(envelope)
        assert projected is not None
        assert framed.only(fields).frame(envelope) == text_frame(projected)


@pytest.mark.parametrize("kind", EventKind)
def test_a_client_that_cannot_bear_statuses_gets_all_the_rest(kind: EventKind) -> None:
    built = StreamFormat(PLACES, statuses=False).frame(event(kind, b"{}"))
    assert (built is None) == (kind is EventKind.STATUS)


def test_topics_do_not_share_what_is_kept_for_them_and_it_can_be_forgotten() -> None:
    layout = StreamFormat(PLACES)
    first = layout.frame(event(EventKind.UPDATE, b"{}"))
    assert layout.frame(event(EventKind.UPDATE, b"{}", KLINE)) != first
    assert layout.statistics() == {"prefixes": 2, "field_sets": 0}
    layout.forget(TICKER)
    layout.forget(TICKER)
    assert layout.statistics() == {"prefixes": 1, "field_sets": 0}
    assert layout.frame(event(EventKind.UPDATE, b"{}")) == first
