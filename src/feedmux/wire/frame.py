"""Build RFC 6455 server frames: unmasked, whole, the same bytes for every client.

Source: RFC 6455 (December 2011), §5.2 base framing, §5.5 control frames, §7.4 close codes.
"""

from __future__ import annotations

import struct
from typing import Final

FIN_TEXT: Final = 0x81
FIN_BINARY: Final = 0x82
FIN_CLOSE: Final = 0x88
FIN_PING: Final = 0x89
FIN_PONG: Final = 0x8A

MAX_CONTROL_PAYLOAD: Final = 125
"""A control frame's payload, in bytes (RFC 6455 §5.5)."""

_medium = struct.Struct("!BBH").pack
_large = struct.Struct("!BBQ").pack


def text_frame(payload: bytes, /) -> bytes:
    """Frame one text message. Allocates header and payload once; share the result.

    Args:
        payload: valid UTF-8 of any length.
    """
    size = len(payload)  # spelt out here, because this runs per message
    if size < 126:
        return bytes((FIN_TEXT, size)) + payload
    if size < 65536:
        return _medium(FIN_TEXT, 126, size) + payload
    return _large(FIN_TEXT, 127, size) + payload


def data_text(prefix: bytes, payload: bytes, milliseconds: int, source: bytes, seq: int, /) -> bytes:
    """Write one data message: prefix + payload + the rest of the object.

    Args:
        prefix: ``{"stream":…,"type":…,"data":``.
        payload: the JSON text of ``data``.
        milliseconds: ``timestamp``.
        source: ``,"source":…``.
        seq: ``seq``.
    """
    return b'%b%b,"timestamp":%d%b,"seq":%d}' % (prefix, payload, milliseconds, source, seq)


def data_frame(prefix: bytes, payload: bytes, milliseconds: int, source: bytes, seq: int, /) -> bytes:
    """Frame one data message; its arguments are those of :func:`data_text`."""
    return text_frame(data_text(prefix, payload, milliseconds, source, seq))


def ping_frame(payload: bytes = b"", /) -> bytes:
    """Frame a ping of at most 125 bytes."""
    return _control(FIN_PING, payload)


def pong_frame(payload: bytes = b"", /) -> bytes:
    """Frame a pong of at most 125 bytes."""
    return _control(FIN_PONG, payload)


def close_frame(code: int, reason: str = "", /) -> bytes:
    """Frame a close; a reason that does not fit is cut at a character's end.

    Args:
        code: 1000 to 4999, as RFC 6455 §7.4 allows it on the wire.
        reason: a sentence for people; at most 123 bytes of UTF-8 are sent.
    """
    text = reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore").encode()
    return _control(FIN_CLOSE, struct.pack("!H", code) + text)


def _control(first: int, payload: bytes) -> bytes:
    assert len(payload) <= MAX_CONTROL_PAYLOAD, "control payloads are at most 125 bytes"
    return bytes((first, len(payload))) + payload
