"""A client without a library: it can send what no library would."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

DEADLINE_S = 15.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes, *, last: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """Write one frame as a client does: masked, with a mask of zeros (RFC 6455 §5.2)."""
    size, mask = len(payload), 0x80 if masked else 0
    head = bytes([(0x80 if last else 0) | reserved | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 65536:
        head += struct.pack("!BH", mask | 126, size)
    else:
        head += struct.pack("!BQ", mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


class RawSocket:
    """An upgraded connection that reads frames and answers none of them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._writer.write(data)

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        async with asyncio.timeout(DEADLINE_S):
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size >= 126:
                width = 2 if size == 126 else 8
                size = int.from_bytes(await self._reader.readexactly(width), "big")
            return first & 0xF, await self._reader.readexactly(size)

    async def closed(self) -> str:
        """Read on until the server closes; its code."""
        while True:
            opcode, payload = await self.receive()
            if opcode == CLOSE:
                return str(int.from_bytes(payload[:2], "big"))

    async def message(self) -> Any:
        """The next message that is an answer; a close is one, too: its code, as a number."""
        while True:
            opcode, payload = await self.receive()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")
            if opcode == TEXT and "op" in (answer := json.loads(payload)):
                return answer


@asynccontextmanager
async def raw_socket(port: int, *, receive_buffer_bytes: int = 0) -> AsyncIterator[RawSocket]:
    """Connect and upgrade."""
    sock = socket.socket()
    if receive_buffer_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    try:
        writer.write(UPGRADE)
        async with asyncio.timeout(DEADLINE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()


async def http_status(port: int, request: bytes) -> str:
    """Send a request as it is; the status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE_S):
            return (await reader.readline()).decode().split(" ")[1]
    finally:
        writer.transport.abort()
