"""What a recording is: one line of JSON for each thing that passed a link.

::

    {"ts":"2026-11-21T09:30:00.123456Z","dir":"in","type":"text","data":"{\"op\":\"pong\"}"}
    {"ts":…,"dir":"out","type":"binary","data":"3q2+7w==","binary":true}
    {"ts":…,"dir":"in","type":"close","data":"{\"code\":1001,\"reason\":\"maintenance\"}"}

``ts`` is ISO 8601 in UTC, to the microsecond. ``binary`` says that ``data`` is base64: of every binary
message, and of a text message that was no UTF-8. Lines end with a line feed; none stands within one.

Source: the recordings of zen_websocket 0.7.1 (2026), which can be read, and read these.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from feedmux.model.errors import MalformedRecording, TornRecording


class Direction(StrEnum):
    """Which way it went."""

    IN = "in"
    OUT = "out"


class Kind(StrEnum):
    """What it was."""

    TEXT = "text"
    BINARY = "binary"
    CLOSE = "close"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that passed a link.

    Args:
        at_ns: when, Unix nanoseconds, a multiple of 1,000.
        direction: which way.
        kind: what it was.
        payload: the message as it was on the wire; nothing of a close.
        code: of a close, if it had one.
        reason: of a close.
    """

    at_ns: int
    direction: Direction
    kind: Kind
    payload: bytes = b""
    code: int | None = None
    reason: str = ""


class _Line(msgspec.Struct, omit_defaults=True, frozen=True):
    ts: str
    dir: Direction
    type: Kind
    data: str
    binary: bool = False


class _Close(msgspec.Struct, frozen=True):
    code: int | None = None
    reason: str | None = ""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(_Line)
_CLOSE_DECODER: Final = msgspec.json.Decoder(_Close)


def encode(entry: Entry) -> bytes:
    """Return the line of an entry, with its line feed."""
    return _ENCODER.encode(_line(entry)) + b"\n"


def decode(line: bytes, *, path: str, number: int) -> Entry:
    """Read one line.

    Args:
        line: with its line feed, unless the file ends without.
        path: the file, for errors.
        number: which line it is, from 1, for errors.

    Raises:
        TornRecording: it ends without a line feed, and in the middle.
        MalformedRecording: it is no entry.
    """
    try:
        return _entry(_DECODER.decode(line))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raised = MalformedRecording if line.endswith(b"\n") else TornRecording
        raise raised(path, number, str(error)) from error


def timestamp(at_ns: int) -> str:
    """Return Unix nanoseconds as ISO 8601 in UTC, cut to the microsecond."""
    second, rest = divmod(at_ns, 1_000_000_000)
    return f"{_second(second)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:19]


def _line(entry: Entry) -> _Line:
    data, binary = "", False
    if entry.kind is Kind.CLOSE:
        data = _ENCODER.encode(_Close(entry.code, entry.reason)).decode()
    else:
        binary = entry.kind is Kind.BINARY
        try:
            data = b64encode(entry.payload).decode() if binary else entry.payload.decode()
        except UnicodeDecodeError:
            data, binary = b64encode(entry.payload).decode(), True
    return _Line(timestamp(entry.at_ns), entry.direction, entry.kind, data, binary)


def _entry(line: _Line) -> Entry:
    at_ns = _nanoseconds(line.ts)
    if line.type is Kind.CLOSE:
        close = _CLOSE_DECODER.decode(line.data)
        return Entry(
            at_ns=at_ns, direction=line.dir, kind=line.type, code=close.code, reason=close.reason or ""
        )
    payload = b64decode(line.data, validate=True) if line.binary else line.data.encode()
    return Entry(at_ns=at_ns, direction=line.dir, kind=line.type, payload=payload)


def _nanoseconds(text: str) -> int:
    """Read a time.

    Raises:
        ValueError: it is none, or does not say where.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} is a time without its zone; expected one that ends with Z")
    return (moment - _EPOCH) // _MICROSECOND * 1000
