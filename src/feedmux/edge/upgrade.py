"""The ordinary request for a WebSocket, answered in a fraction of the time that any other takes.

Libraries and browsers ask in the same few words. A head that consists of nothing else, and of nothing
that would have to be negotiated or doubted, is answered here; every other one is left to the
protocol library, which knows all rules. What is accepted here, it accepts too, with the same key:
tests/edge/test_upgrade_laws.py.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import Final

_MAX_BYTES: Final = 4096
_MAX_HEADERS: Final = 64

# Source: RFC 9110 §5.1 (token) and §5.5 (value, here without obsolete text), RFC 9112 §3 and §5.
_HEAD: Final = re.compile(rb"GET ([!-~]+) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)+)\r\n")
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base64, in the one form that has no bits left over."""

_CONNECTION: Final = frozenset({b"upgrade", b"keep-alive, upgrade"})
_NOT_ORDINARY: Final = (b"sec-websocket-protocol", b"content-length", b"transfer-encoding")
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Source: RFC 6455 §1.3."""
_ANSWER: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


def answer(head: bytes, path: bytes) -> bytes | None:
    """Return the 101 to an ordinary request for a WebSocket.

    Args:
        head: a request's head, with the empty line at its end.
        path: where WebSockets are; a query behind it does not matter.

    Returns:
        None when this is anything but that, right or wrong.
    """
    match = _HEAD.fullmatch(head) if len(head) <= _MAX_BYTES else None
    if match is None or match[1].partition(b"?")[0] != path:
        return None
    lines = match[2].split(b"\r\n")[:-1]
    parts = [line.partition(b":") for line in lines]
    fields = {name.lower(): value.strip(b" \t") for name, _, value in parts}
    if len(fields) < len(lines) or len(lines) > _MAX_HEADERS or any(name in fields for name in _NOT_ORDINARY):
        return None
    return _ANSWER % _accepted(fields[b"sec-websocket-key"]) if _is_upgrade(fields) else None


def _is_upgrade(fields: dict[bytes, bytes]) -> bool:
    return (
        fields.get(b"upgrade", b"").lower() == b"websocket"
        and fields.get(b"connection", b"").lower() in _CONNECTION
        and fields.get(b"sec-websocket-version") == b"13"
        and _KEY.fullmatch(fields.get(b"sec-websocket-key", b"")) is not None
    )


def _accepted(key: bytes) -> bytes:
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
