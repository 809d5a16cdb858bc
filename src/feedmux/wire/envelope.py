"""Turn an envelope into the bytes that buses carry, and back.

One layout for every bus that leaves the process, little-endian, 48 bytes of header and then the
topic's text, the key and the payload. docs/reference/envelope.md has it field by field, because
programs in other languages read it too; a change there is a new :data:`VERSION`.

This is the specification of ``feedmux._native.envelope``, which is what buses use.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NoReturn

from feedmux.model.errors import InvalidTopic, MalformedMessage
from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import Topic

MAGIC: Final = b"fm"
VERSION: Final = 1
HEADER: Final = struct.Struct("<2sBBHHIIQQqq")
"""magic, version, kind, topic / key / payload length, reserved, epoch, seq, venue_ns, receive_ns."""

MAX_TOPIC_BYTES: Final = 1024
MAX_KEY_BYTES: Final = 1024
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
MAX_ENVELOPE_BYTES: Final = HEADER.size + MAX_TOPIC_BYTES + MAX_KEY_BYTES + MAX_PAYLOAD_BYTES

_SIZES: Final = struct.Struct("<4xHHI")  # the lengths in a header
_CACHED_TOPICS: Final = 16_384  # parsing a topic costs more than all the rest of an envelope
_KINDS: Final = {kind.value: kind for kind in EventKind}

Buffer = bytes | bytearray | memoryview


def encode(envelope: Envelope) -> bytes:
    """Write an envelope down.

    Raises:
        MalformedMessage: a field is longer than its bound, is outside 64 bits, or is no Unicode.
    """
    topic = topic_bytes(envelope.topic)
    try:
        key = envelope.key.encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage("envelope", f"the key is not Unicode: {error.reason}") from error
    payload = envelope.payload
    _check_lengths(len(key), len(payload))
    try:
        header = HEADER.pack(
            MAGIC,
            VERSION,
            envelope.kind,
            len(topic),
            len(key),
            len(payload),
            0,
            envelope.epoch,
            envelope.seq,
            envelope.venue_ns,
            envelope.receive_ns,
        )
    except struct.error as error:
        raise MalformedMessage("envelope", f"a number does not fit its field: {error}") from error
    return b"".join((header, topic, key, payload))


def decode(buffer: Buffer) -> Envelope:
    """Read an envelope that fills ``buffer`` exactly; the payload is copied out of it.

    Raises:
        MalformedMessage: the bytes are not an envelope of this version.
    """
    if len(buffer) < HEADER.size:
        _reject(f"{len(buffer)} bytes are shorter than the header of {HEADER.size}")
    fields = HEADER.unpack_from(buffer)
    magic, version, kind, topic_size, key_size, payload_size, reserved, *position_and_times = fields
    if magic != MAGIC or version != VERSION or reserved:
        _reject(f"it begins with {bytes(buffer[:4])!r}; expected version {VERSION} after {MAGIC!r}")
    _check_lengths(key_size, payload_size)
    key_at = HEADER.size + topic_size
    payload_at = key_at + key_size
    if len(buffer) != payload_at + payload_size:
        _reject(f"it has {len(buffer)} bytes; its header says {payload_at + payload_size}")
    topic = read_topic(bytes(buffer[HEADER.size : key_at]))
    epoch, seq, venue_ns, receive_ns = position_and_times
    key = _key(buffer, key_at, payload_at) if key_size else ""
    payload = bytes(buffer[payload_at:])
    return Envelope(topic, epoch, seq, _kind(kind), venue_ns, receive_ns, key, payload)


def decode_all(joined: bytes) -> list[Envelope]:
    """Read envelopes that stand one after the other, at least one.

    Raises:
        MalformedMessage: one of them is none of this version, or the last one is cut off.
    """
    found: list[Envelope] = []
    start, end = 0, len(joined)
    while not found or start < end:
        if end - start < HEADER.size:
            _reject(f"{end - start} bytes are shorter than the header of {HEADER.size}")
        stop = start + HEADER.size + sum(_SIZES.unpack_from(joined, start))
        found.append(decode(joined[start:stop]))
        start = stop
    return found


@lru_cache(_CACHED_TOPICS)
def topic_bytes(topic: Topic) -> bytes:
    """Write a topic's canonical text, at most :data:`MAX_TOPIC_BYTES`; cached.

    Raises:
        MalformedMessage: the text is too long, or a field is not Unicode.
    """
    try:
        text = topic.text.encode("ascii")
    except UnicodeEncodeError as error:
        raise MalformedMessage("topic", f"a field is not Unicode: {error.reason}") from error
    if len(text) > MAX_TOPIC_BYTES:
        raise MalformedMessage("topic", f"its text has {len(text)} bytes; the bound is {MAX_TOPIC_BYTES}")
    return text


@lru_cache(_CACHED_TOPICS)
def read_topic(text: bytes) -> Topic:
    """Read a topic's canonical text; cached, so that equal texts give one and the same topic.

    Raises:
        MalformedMessage: the text is too long, or not a topic's canonical spelling.
    """
    if len(text) > MAX_TOPIC_BYTES:
        raise MalformedMessage("topic", f"its text has {len(text)} bytes; the bound is {MAX_TOPIC_BYTES}")
    try:
        return Topic.parse(text.decode("ascii"))
    except UnicodeDecodeError as error:
        raise MalformedMessage("topic", "its text is not ASCII") from error
    except InvalidTopic as error:
        raise MalformedMessage("topic", str(error)) from error


def topic_of(envelope: bytes) -> bytes:
    """Return the topic's text of an envelope that was written down, unchecked; whatever stands there."""
    start = HEADER.size
    return envelope[start : start + int.from_bytes(envelope[4:6], "little")]


def _kind(number: int) -> EventKind:
    try:
        return _KINDS[number]
    except KeyError:
        _reject(f"{number} is no kind of event; expected 1 to {len(_KINDS)}")


def _key(buffer: Buffer, start: int, stop: int) -> str:
    try:
        return str(buffer[start:stop], "utf-8")
    except UnicodeDecodeError:
        _reject("the key is not UTF-8")


def _check_lengths(key: int, payload: int) -> None:
    if key > MAX_KEY_BYTES:
        _reject(f"the key has {key} bytes; the bound is {MAX_KEY_BYTES}")
    if payload > MAX_PAYLOAD_BYTES:
        _reject(f"the payload has {payload} bytes; the bound is {MAX_PAYLOAD_BYTES}")


def _reject(reason: str) -> NoReturn:
    raise MalformedMessage("envelope", reason)
