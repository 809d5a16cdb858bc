"""A proxy between a gateway and its venue that breaks connections and remembers what it let pass."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from feedmux.sim.faults import FaultProxy

Frame = dict[str, Any]

_TEXT = 1
_HEAD_END = b"\r\n\r\n"


class Tap(FaultProxy):
    """A fault proxy in this process; it keeps the bytes of each connection apart."""

    def __init__(self, venue_url: str) -> None:
        parts = urlsplit(venue_url)
        assert parts.hostname is not None
        assert parts.port is not None
        super().__init__(parts.hostname, parts.port)
        self._path = parts.path
        self._passed: dict[asyncio.Task[Any] | None, bytearray] = {}

    @property
    def url(self) -> str:
        """What a gateway is told instead of the venue's URL."""
        return f"ws://127.0.0.1:{self.port}{self._path}"

    def allow(self, lane: str, piece: bytes) -> bytes:
        """Remember what goes to the gateway: each direction of each connection has a task of its own."""
        passed = super().allow(lane, piece)
        if lane == "down":
            self._passed.setdefault(asyncio.current_task(), bytearray()).extend(passed)
        return passed

    def connections(self) -> list[list[Frame]]:
        """What the venue said on each connection so far, in whole messages."""
        return [[msgspec.json.decode(payload) for payload in payloads] for payloads in self.payloads()]

    def payloads(self) -> list[list[bytes]]:
        """The same as it was written."""
        return [_messages(bytes(passed)) for passed in self._passed.values()]


def _messages(passed: bytes) -> list[bytes]:
    """The messages behind the answer to the upgrade."""
    end = passed.find(_HEAD_END)
    if end < 0:
        return []
    behind = passed[end + len(_HEAD_END) :]
    return [payload for opcode, payload, _ in frames(behind) if opcode == _TEXT]


def frames(received: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The whole frames of a server, which are not masked: opcode, payload, where the next one begins.

    Source: RFC 6455, section 5.2.
    """
    at = 0
    while len(received) >= at + 2:
        length = received[at + 1] & 0x7F
        wide = {126: 2, 127: 8}.get(length, 0)
        start = at + 2 + wide
        if wide:
            length = int.from_bytes(received[at + 2 : start], "big")
        if len(received) < start + length:
            return
        opcode, at = received[at] & 0x0F, start + length
        yield opcode, received[start:at], at
