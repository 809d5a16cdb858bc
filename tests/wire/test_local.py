"""Records are written as the document says, and what breaks the protocol is named."""

from __future__ import annotations

import pytest

from feedmux.model.errors import MalformedMessage
from feedmux.wire.local import LocalDecoder, encode
from feedmux.wire.local_records import (
    BROKER,
    CLIENT,
    MAX_ITEMS,
    MAX_MESSAGE_BYTES,
    MAX_TEXT_BYTES,
    Beat,
    Close,
    Failed,
    Hello,
    Message,
    Open,
    Opened,
    Record,
    Send,
    Subscribe,
    Welcome,
)

HELLO = Hello(4711, "bot")
SAID = b"\x0f\x00\x00\x00\x01fmlo\x01\x00\x67\x12\x00\x00\x03\x00bot"


def read(*parts: bytes, accepts: tuple[type[Record], ...] = CLIENT) -> list[Record]:
    decoder = LocalDecoder(accepts)
    found: list[Record] = []
    for part in parts:
        decoder.feed(part)
        found += decoder.records()
    return found


def test_a_hello_is_written_as_the_document_says() -> None:
    assert encode(HELLO) == SAID
    assert read(SAID) == [HELLO]


def test_a_broker_may_say_that_it_does_not_want_a_client_instead_of_the_welcome() -> None:
    refusal = Failed(0, "CAPACITY", "256 clients are there")
    assert read(encode(refusal), accepts=BROKER) == [refusal]
    with pytest.raises(MalformedMessage, match="type 2 was not expected"):
        read(encode(Beat()), accepts=BROKER)


def test_every_field_is_where_it_should_be() -> None:
    opening = (Message(b"\x00\xff", True), Message(b"login"))
    record = Open(2, "wss://x/", "k", (("A", "1"), ("B", "")), ("v2", "v1"), opening, "topic")
    assert encode(record)[5:] == (
        b"\x02\x00\x00\x00\x08\x00wss://x/\x01\x00k"
        b"\x02\x00\x01\x00A\x01\x001\x01\x00B\x00\x00\x02\x00\x02\x00v2\x02\x00v1"
        b"\x02\x00\x01\x02\x00\x00\x00\x00\xff\x00\x05\x00\x00\x00login\x05\x00topic"
    )
    assert read(SAID, encode(record)) == [HELLO, record]
    opened = Opened(2, 2**63, 1, 2**40, 3)
    assert read(encode(Welcome(1, 2, 500, 15_000)), encode(opened), accepts=BROKER)[1:] == [opened]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (encode(Beat()), "type 2 was not expected; expected [1]"),
        (SAID[:5] + b"fmux" + SAID[9:], "it does not begin with the letters fmlo"),
        (SAID[:9] + b"\x02\x00" + SAID[11:], "it speaks version 2; expected 1"),
        (SAID + SAID, "type 1 was not expected"),
        (SAID + encode(Welcome(1, 2, 3, 4)), "type 33 was not expected"),
        (SAID + b"\xff\xff\xff\xff\x05", "a body of 4294967295 bytes; the bound of type 5 is"),
        (SAID + b"\xff\xff\xff\x00\x04", "a body of 16777215 bytes; the bound of type 4 is"),
        (SAID + b"\x01\x00\x00\x00\x02x", "its body has 1 bytes too many"),
        (SAID + b"\x05\x00\x00\x00\x04abcde", "its body ends within a field"),
        (SAID[:-5] + b"\xff\xffbot", "a length of 65535; the bound is 4096"),
        (SAID[:-1] + b"\xff", "it is not UTF-8"),
    ],
)
def test_who_breaks_the_protocol_is_told_how(said: bytes, reason: str) -> None:
    decoder = LocalDecoder(CLIENT)
    decoder.feed(said)
    for _ in range(2):
        with pytest.raises(MalformedMessage) as caught:
            list(decoder.records())
        assert reason in str(caught.value)
        decoder.feed(encode(Beat()))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Close(2**32, 0), "a number does not fit its field"),
        (Close(1, -1), "a number does not fit its field"),
        (Hello(1, "x" * (MAX_TEXT_BYTES + 1)), "it has 4097 bytes; the bound is 4096"),
        (Hello(1, "\ud800"), "it is not Unicode"),
        (Send(1, 0, b"x" * (MAX_MESSAGE_BYTES + 1)), "16777217 bytes; the bound is 16777216"),
        (Open(1, "", subprotocols=("x",) * (MAX_ITEMS + 1)), "65 items; the bound is 64"),
        (Open(1, "", opening=(Message(b"x" * MAX_MESSAGE_BYTES),) * 2), "its body has"),
        (Subscribe(1, 1, 256, 0, "s", b""), "a number does not fit its field"),
    ],
)
def test_what_does_not_fit_is_not_written(record: Record, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        encode(record)


def test_the_longest_message_is_carried() -> None:
    record = Send(1, 1, bytes(MAX_MESSAGE_BYTES))
    assert read(SAID, encode(record)) == [HELLO, record]
