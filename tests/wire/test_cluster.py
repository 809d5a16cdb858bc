from __future__ import annotations

import pytest

from feedmux.model.errors import MalformedMessage
from feedmux.wire.cluster import Said, Word, read, read_mark
from feedmux.wire.record import Drop, Lost, Want, encode
from support.envelopes import TICKER, TRADES


def test_the_layout_is_what_the_head_says() -> None:
    assert Said(Word.BYE, "né", 258, since=3).encode() == (
        b"\x02\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x03n\xc3\xa9"
    )


def test_records_are_read_in_order() -> None:
    records = encode(Want(TICKER, 7)) + encode(Drop(TRADES))
    assert Said(Word.ASKS, "a", 1, records).read_records() == [Want(TICKER, 7), Drop(TRADES)]
    assert Said(Word.ALL, "a", 1).read_records() == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "shorter than its header"),
        (Said(Word.HERE, "", 1).encode()[:-1], "shorter than its header"),
        (b"\x63" + bytes(17), "is not a valid Word"),
        (Said(Word.HERE, "abc", 1).encode()[:-1], "its name has 3 bytes; it ends before"),
        (Said(Word.HERE, "abc", 1).encode()[:-1] + b"\xff", "can't decode"),
    ],
)
def test_what_is_no_message_is_named(message: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        read(message)


@pytest.mark.parametrize("records", [b"x" * 20, encode(Want(TICKER))[:-1] + b"\xff"])
def test_what_is_no_record_is_named(records: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Said(Word.ASKS, "a", 1, records).read_records()


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="it has 256 bytes; the bound is 255"):
        Said(Word.HERE, "x" * 256, 1).encode()


def test_a_mark_is_read_and_nothing_else_is_one() -> None:
    assert read_mark(encode(Lost(7))) == Lost(7)
    for other in (b"", b"garbage", encode(Lost(7))[:-1], encode(Lost(7)) * 2, encode(Want(TICKER))):
        with pytest.raises(MalformedMessage):
            read_mark(other)
