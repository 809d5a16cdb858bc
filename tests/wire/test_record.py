from __future__ import annotations

import pytest

from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope
from feedmux.wire.envelope import MAX_ENVELOPE_BYTES
from feedmux.wire.envelope import encode as encode_envelope
from feedmux.wire.record import Drop, Hello, Lost, Record, RecordDecoder, Want, encode
from support.envelopes import TICKER, TRADES, update

HELLO = encode(Hello())


def reader_end() -> RecordDecoder:
    return RecordDecoder(Envelope, Lost)


def writer_end() -> RecordDecoder:
    return RecordDecoder(Want, Drop)


def fed(decoder: RecordDecoder, data: bytes) -> list[Record]:
    decoder.feed(data)
    return list(decoder.records())


def raw(kind: int, body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + bytes([kind]) + body


@pytest.mark.parametrize(
    ("record", "data"),
    [
        (Hello(), b"\x06\0\0\0\x01fmux\x01\0"),
        (Lost(258), b"\x08\0\0\0\x03\x02\x01\0\0\0\0\0\0"),
        (Want(TICKER, 2), b"\x2b\0\0\0\x04\x02\0\0\0\0\0\0\0public:bybit:linear:ticker:BTCUSDT:"),
        (Drop(TICKER), b"\x23\0\0\0\x05public:bybit:linear:ticker:BTCUSDT:"),
        (update(TICKER, 1), raw(2, encode_envelope(update(TICKER, 1)))),
    ],
)
def test_records_are_written_as_documented(record: Record, data: bytes) -> None:
    assert encode(record) == data


def test_a_reader_is_told_envelopes_and_losses() -> None:
    decoder = reader_end()
    records: list[Record] = [update(TICKER, 1), Lost(4), update(TICKER, 6)]
    assert fed(decoder, HELLO + b"".join(map(encode, records))) == records


def test_a_writer_is_told_wants_and_drops() -> None:
    decoder = writer_end()
    records: list[Record] = [Want(TICKER, 7), Want(TRADES), Drop(TICKER)]
    assert fed(decoder, HELLO + b"".join(map(encode, records))) == records


def test_nothing_is_open_before_the_hello_is_whole() -> None:
    decoder = reader_end()
    assert not decoder.is_open
    assert fed(decoder, HELLO[:-1]) == []
    assert not decoder.is_open
    assert fed(decoder, HELLO[-1:]) == []
    assert decoder.is_open


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode(Lost(1)), "type 3 was not expected"),
        (raw(1, b"fmux\x02\0"), "is not version 1"),
        (raw(1, b"http\x01\0"), "is not version 1"),
        (raw(1, b"fmux"), "4 bytes; expected 6"),
        (b"GET / HTTP/1.1\r\n\r\n", "type 47 was not expected"),
        (HELLO + HELLO, "type 1 was not expected"),
        (HELLO + encode(Want(TICKER)), "type 4 was not expected"),
        (HELLO + raw(9, b""), "type 9 was not expected"),
        (HELLO + raw(3, b"1234567"), "7 bytes; expected 8"),
        (HELLO + raw(3, b"123456789"), "the bound of type 3 is 8"),
        (HELLO + raw(2, b"fm"), "shorter than the header"),
        (HELLO + (MAX_ENVELOPE_BYTES + 1).to_bytes(4, "little") + b"\x02", "the bound of type 2"),
    ],
)
def test_what_the_peer_may_not_say_is_malformed(data: bytes, reason: str) -> None:
    decoder = reader_end()
    with pytest.raises(MalformedMessage, match=reason):
        fed(decoder, data)
    assert not decoder.is_open
    with pytest.raises(MalformedMessage, match=reason):
        fed(decoder, HELLO)


@pytest.mark.parametrize("body", [b"", b"1234567", b"\0" * 8, b"\0" * 8 + b"nonsense"])
def test_a_want_without_a_topic_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        fed(writer_end(), HELLO + raw(4, body))


def test_records_before_a_fault_are_handed_out() -> None:
    decoder = reader_end()
    decoder.feed(HELLO + encode(Lost(1)) + raw(9, b""))
    records = decoder.records()
    assert next(records) == Lost(1)
    with pytest.raises(MalformedMessage):
        next(records)


def test_who_stops_early_goes_on_later() -> None:
    decoder = writer_end()
    decoder.feed(HELLO + encode(Want(TICKER)) + encode(Want(TRADES)))
    for record in decoder.records():
        assert record == Want(TICKER)
        break
    assert fed(decoder, encode(Drop(TICKER))) == [Want(TRADES), Drop(TICKER)]


@pytest.mark.parametrize("record", [Want(TICKER, 2**63), Lost(-1)])
def test_what_does_not_fit_is_not_written(record: Record) -> None:
    with pytest.raises(MalformedMessage):
        encode(record)
