"""A WebSocket client that reads only when it is told to, and answers no ping."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from typing import Any, Self

from support.tap import frames

Message = dict[str, Any]

_RECEIVE_BYTES = 8192
_REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_TEXT, _CLOSE = 1, 8
_RESET = struct.pack("ii", 1, 0)


class Deaf:
    """One socket with a small receive buffer; what nobody reads stays in the kernel and the gateway."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.messages: list[Message] = []
        self.closed: tuple[int, str] | None = None
        self.ended = False
        self._rest = b""

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connect and upgrade."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, _REQUEST.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await loop.sock_recv(sock, 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return cls(sock)

    async def send(self, request: Message) -> None:
        """Send one short request."""
        text = json.dumps(request).encode()
        assert len(text) < 126
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
        frame = bytes([0x80 | _TEXT, 0x80 | len(text)]) + mask + masked
        await asyncio.get_running_loop().sock_sendall(self.sock, frame)

    async def read(self, most: int = 65_536) -> None:
        """Read once, so many bytes at most: what the socket has, or what comes next."""
        try:
            chunk = await asyncio.get_running_loop().sock_recv(self.sock, most)
        except ConnectionResetError:
            chunk = b""
        self.ended = not chunk
        done = 0
        self._rest += chunk
        for opcode, payload, end in frames(self._rest):
            done = end
            if opcode == _TEXT:
                self.messages.append(json.loads(payload))
            elif opcode == _CLOSE:
                self.closed = (int.from_bytes(payload[:2], "big"), payload[2:].decode())
        self._rest = self._rest[done:]

    async def read_until_end(self, deadline_s: float = 15.0) -> None:
        """Read all that there is, to the end of the connection."""
        async with asyncio.timeout(deadline_s):
            while not self.ended:
                await self.read()

    def reset(self) -> None:
        """Drop the socket with a RST, whatever is still on its way."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()

    def close(self) -> None:
        """Drop the socket."""
        self.sock.close()
