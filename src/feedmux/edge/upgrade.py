"""The ordinary request for a WebSocket, read in a fraction of the time that any other takes.

Libraries and browsers ask in the same few words. A head that consists of nothing else, and of nothing
that would have to be negotiated or doubted, is read here; every other one is left to the
protocol library, which knows all rules. What is accepted here, it accepts too, with the same key,
and an endpoint is shown the same request: tests/edge/test_upgrade_laws.py.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import Final, NamedTuple

from feedmux.edge.endpoint import Opening

_MAX_BYTES: Final = 4096
_MAX_HEADERS: Final = 64

# Source: RFC 9110 §5.1 (token) and §5.5 (value, here without obsolete text), RFC 9112 §3 and §5.
_HEAD: Final = re.compile(rb"GET ([!-~]+) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)+)\r\n")
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base64, in the one form that has no bits left over."""

_CONNECTION: Final = frozenset({"upgrade", "keep-alive, upgrade"})
_NOT_ORDINARY: Final = ("sec-websocket-protocol", "content-length", "transfer-encoding")
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Source: RFC 6455 §1.3."""
_ANSWER: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


class Ordinary(NamedTuple):
    """A request for a WebSocket, and what is said to whoever is let in.

    Args:
        opening: what an endpoint is shown.
        answer: the 101.
    """

    opening: Opening
    answer: bytes


def read(head: bytes) -> Ordinary | None:
    """Read an ordinary request for a WebSocket.

    Args:
        head: a request's head, with the empty line at its end.

    Returns:
        None when this is anything but that, right or wrong.
    """
    match = _HEAD.fullmatch(head) if len(head) <= _MAX_BYTES else None
    if match is None:
        return None
    lines = match[2].decode("ascii").split("\r\n")[:-1]
    parts = [line.partition(":") for line in lines]
    fields = {name.lower(): value.strip(" \t") for name, _, value in parts}
    if len(fields) < len(lines) or len(lines) > _MAX_HEADERS or any(name in fields for name in _NOT_ORDINARY):
        return None
    if not _is_upgrade(fields):
        return None
    return Ordinary(
        Opening.of(match[1].decode("ascii"), fields.items()), _ANSWER % _accepted(fields["sec-websocket-key"])
    )


def _is_upgrade(fields: dict[str, str]) -> bool:
    return (
        fields.get("upgrade", "").lower() == "websocket"
        and fields.get("connection", "").lower() in _CONNECTION
        and fields.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(fields.get("sec-websocket-key", "")) is not None
    )


def _accepted(key: str) -> bytes:
    return b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest())
