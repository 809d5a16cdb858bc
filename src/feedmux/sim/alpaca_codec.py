"""How a simulated Alpaca writes and reads: JSON in text frames, or msgpack in binary ones.

Prices and times are values of their own here, because the two ways differ: in JSON a price that is
whole has no point and a time is RFC 3339 without trailing zeros; in msgpack a price is always a
double and a time is the timestamp extension, in four bytes when it is whole seconds, else in eight.
Source: the venue writes with Go's encoding/json and with vmihailenco/msgpack, as its client reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from feedmux.sim.frames import binary_frame, text_frame

UNITS = 10_000
"""Units of a price in one dollar."""
_NANOS = 1_000_000_000
_TIMESTAMP = -1
"""The type of the timestamp extension. Source: the msgpack specification, 2017-08."""


class Price:
    """An amount of dollars, in ten-thousandths; immutable by custom."""

    __slots__ = ("units",)

    def __init__(self, units: int) -> None:
        self.units = units


class Stamp:
    """A time, in Unix nanoseconds; immutable by custom."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns


class Request(msgspec.Struct, rename="camel"):
    """What a client of market data may say; what is not named here is passed over.

    Args:
        action: ``auth``, ``subscribe`` or ``unsubscribe``; anything else is an error.
        key: who logs in.
        secret: what proves it; never printed.

    The others are channels, with symbols; ``news`` and what follows it belong to other feeds.
    """

    action: str
    key: str = ""
    secret: str = ""
    trades: list[str] | None = None
    quotes: list[str] | None = None
    bars: list[str] | None = None
    updated_bars: list[str] | None = None
    daily_bars: list[str] | None = None
    statuses: list[str] | None = None
    lulds: list[str] | None = None
    news: list[str] | None = None
    orderbooks: list[str] | None = None
    imbalances: list[str] | None = None

    def __repr__(self) -> str:
        """Hide the secret."""
        return f"Request({self.action!r}, ***)"

    def changes(self) -> dict[str, list[str]]:
        """The channels of market data that are named, by the venue's names."""
        named = {
            "trades": self.trades,
            "quotes": self.quotes,
            "bars": self.bars,
            "updatedBars": self.updated_bars,
            "dailyBars": self.daily_bars,
            "statuses": self.statuses,
            "lulds": self.lulds,
        }
        return {channel: symbols for channel, symbols in named.items() if symbols is not None}


class Unreadable(Exception):
    """A message that is none; its text is of no use to the client, who is told 400."""


class Codec(Protocol):
    """One way to write and to read."""

    @property
    def name(self) -> str:
        """``json`` or ``msgpack``."""

    def item(self, fields: dict[str, object], /) -> bytes:
        """One member of a message."""

    def array(self, items: Sequence[bytes], /) -> bytes:
        """The payload of a message with these members."""

    def frame(self, payload: bytes, /) -> bytes:
        """A whole frame with that payload."""

    def read(self, message: str | bytes, /) -> Request:
        """What a message asks for.

        Raises:
            Unreadable: it is in another form, or holds something else.
        """


def rfc3339(ns: int) -> str:
    """A time as the venue writes it: UTC, as many digits of the second as are needed, up to nine."""
    seconds, fraction = divmod(ns, _NANOS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{text}{digits}Z"


def timestamp(ns: int) -> msgspec.msgpack.Ext:
    """A time as a msgpack extension, in its shortest form."""
    seconds, fraction = divmod(ns, _NANOS)
    packed = fraction << 34 | seconds
    return msgspec.msgpack.Ext(_TIMESTAMP, packed.to_bytes(4 if packed < 1 << 32 else 8, "big"))


def _plain(value: object) -> object:
    if isinstance(value, Stamp):
        return rfc3339(value.ns)
    assert isinstance(value, Price), value
    whole, rest = divmod(value.units, UNITS)
    return value.units / UNITS if rest else whole


def _packed(value: object) -> object:
    if isinstance(value, Stamp):
        return timestamp(value.ns)
    assert isinstance(value, Price), value
    return value.units / UNITS


class JsonCodec:
    """Text frames with JSON."""

    name = "json"

    def __init__(self) -> None:
        self.item = msgspec.json.Encoder(enc_hook=_plain).encode
        self._decode = msgspec.json.Decoder(Request).decode

    def array(self, items: Sequence[bytes]) -> bytes:
        return b"[%b]" % b",".join(items)

    def frame(self, payload: bytes) -> bytes:
        return text_frame(payload)

    def read(self, message: str | bytes) -> Request:
        try:
            return self._decode(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable from error


class MsgpackCodec:
    """Binary frames with msgpack."""

    name = "msgpack"

    def __init__(self) -> None:
        self.item = msgspec.msgpack.Encoder(enc_hook=_packed).encode
        self._decode = msgspec.msgpack.Decoder(Request).decode

    def array(self, items: Sequence[bytes]) -> bytes:
        count = len(items)
        head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
        return head + b"".join(items)

    def frame(self, payload: bytes) -> bytes:
        return binary_frame(payload)

    def read(self, message: str | bytes) -> Request:
        try:
            return self._decode(message if isinstance(message, bytes) else message.encode())
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable from error


JSON: Codec = JsonCodec()
MSGPACK: Codec = MsgpackCodec()
