from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.envelope import (
    MAX_ENVELOPE_BYTES,
    MAX_KEY_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_TOPIC_BYTES,
    decode,
    decode_all,
    encode,
)
from support.envelopes import TICKER, update

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "envelope.md"
EXAMPLE = Envelope(TICKER, 7, 3, EventKind.UPDATE, 0, 0, "k", b"{}")
VALID = encode(EXAMPLE)


def patched(offset: int, data: bytes) -> bytes:
    return VALID[:offset] + data + VALID[offset + len(data) :]


def test_the_example_in_the_document_is_what_we_write() -> None:
    block = re.search(r"```text\n([0-9a-f \n]+)```", DOCUMENT.read_text())
    assert block is not None
    assert bytes.fromhex(block[1]) == VALID
    assert decode(VALID) == EXAMPLE


def test_fields_stand_where_the_document_says() -> None:
    envelope = Envelope(TICKER, 2**63, 2**64 - 1, EventKind.STATUS, -5, 2**62, "key", b"[1]")
    data = encode(envelope)
    expected = {
        (0, 2): int.from_bytes(b"fm", "little"),
        (2, 3): 1,
        (3, 4): 4,
        (4, 6): len(TICKER.text),
        (6, 8): 3,
        (8, 12): 3,
        (12, 16): 0,
        (16, 24): 2**63,
        (24, 32): 2**64 - 1,
        (40, 48): 2**62,
    }
    for (start, stop), number in expected.items():
        assert int.from_bytes(data[start:stop], "little") == number, start
    assert int.from_bytes(data[32:40], "little", signed=True) == -5
    assert data[48:] == TICKER.text.encode() + b"key" + b"[1]"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter than the header"),
        (VALID[:47], "shorter than the header"),
        (VALID[:-1], "its header says 86"),
        (VALID + b" ", "its header says 86"),
        (patched(0, b"FM"), "begins with"),
        (patched(2, b"\x02"), "expected version 1"),
        (patched(12, b"\x01"), "begins with"),
        (patched(3, b"\x00"), "0 is no kind of event"),
        (patched(3, b"\x05"), "5 is no kind of event"),
        (patched(6, b"\x01\x04"), "the key has 1025 bytes"),
        (patched(8, b"\x01\x00\x00\x01"), "the payload has 16777217 bytes"),
        (patched(48, b"\xff"), "not ASCII"),
        (patched(48, b":"), "is not a topic"),
        (patched(83, b"\xff"), "not UTF-8"),
    ],
)
def test_what_is_no_envelope_is_rejected_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        decode(data)


def test_a_topic_in_another_spelling_is_rejected() -> None:
    text = b"public:%62ybit:linear:ticker:BTCUSDT:"
    header = bytearray(VALID[:48])
    header[4:6] = len(text).to_bytes(2, "little")
    with pytest.raises(MalformedMessage, match="is not a topic"):
        decode(bytes(header) + text + b"k{}")


@pytest.mark.parametrize(
    "envelope",
    [
        update(Topic(PUBLIC, "x" * MAX_TOPIC_BYTES, "", "", ""), 1),
        update(Topic(PUBLIC, "\ud800", "", "", ""), 1),
        Envelope(TICKER, 1, 1, EventKind.UPDATE, 0, 0, "k" * (MAX_KEY_BYTES + 1), b""),
        Envelope(TICKER, 1, 1, EventKind.UPDATE, 0, 0, "\ud800", b""),
        update(TICKER, 1, bytes(MAX_PAYLOAD_BYTES + 1)),
        update(TICKER, -1),
        update(TICKER, 2**64),
        update(TICKER, 1, epoch=2**64),
        Envelope(TICKER, 1, 1, EventKind.UPDATE, 2**63, 0, "", b""),
    ],
    ids=["topic", "surrogate", "key", "key surrogate", "payload", "seq -1", "seq", "epoch", "time"],
)
def test_what_does_not_fit_is_not_written(envelope: Envelope) -> None:
    with pytest.raises(MalformedMessage):
        encode(envelope)


def test_the_largest_envelope_fits() -> None:
    topic = Topic(PUBLIC, "v", "m", "k", "")
    topic = msgspec.structs.replace(topic, instrument="i" * (MAX_TOPIC_BYTES - len(topic.text)))
    largest = Envelope(topic, 1, 1, EventKind.SNAPSHOT, 0, 0, "k" * MAX_KEY_BYTES, b"x" * MAX_PAYLOAD_BYTES)
    data = encode(largest)
    assert len(data) == MAX_ENVELOPE_BYTES
    assert decode(data) == largest


def test_equal_topic_texts_give_one_topic() -> None:
    assert decode(VALID).topic is decode(bytearray(VALID)).topic


def test_envelopes_that_stand_one_after_the_other_are_told_apart() -> None:
    envelopes = [update(TICKER, seq, b"x" * size) for seq, size in enumerate((0, 1, 5000, 0, 2))]
    assert decode_all(b"".join(map(encode, envelopes))) == envelopes
    assert decode_all(VALID) == [EXAMPLE]


@pytest.mark.parametrize(
    ("joined", "reason"),
    [
        (b"", "0 bytes are shorter than the header of 48"),
        (VALID + VALID[:47], "47 bytes are shorter than the header of 48"),
        (VALID + VALID[:-1], "it has 85 bytes; its header says 86"),
        (VALID[:-1], "it has 85 bytes; its header says 86"),
        (VALID + patched(12, b"x"), "expected version 1 after b'fm'"),
    ],
)
def test_one_that_is_cut_off_or_damaged_spoils_all(joined: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        decode_all(joined)
