"""A client that is only a socket: every byte it sends and reads is the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from typing import Any, Self

from support.frames import CLOSE, PING, PONG, TEXT, Frame, FrameReader, masked

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
DEADLINE = 10.0


class Raw:
    """One TCP connection to 127.0.0.1; a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._frames: deque[Frame] = deque()
        self.head = b""
        self.ended = False

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int = 0) -> Self:
        """Connect; ``receive_buffer`` bytes of SO_RCVBUF, 0 leaves them to the system."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    @classmethod
    async def upgraded(cls, port: int, *, path: str = "/ws", receive_buffer: int = 0) -> Self:
        """Connect and become a WebSocket."""
        raw = await cls.connect(port, receive_buffer=receive_buffer)
        await raw.send(UPGRADE.replace(b"/ws", path.encode(), 1))
        head = await raw.upgrade_answer()
        assert head.startswith(b"HTTP/1.1 101 "), head
        return raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, without a word."""
        self._sock.close()

    @property
    def fd(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    async def send(self, data: bytes) -> None:
        """Send everything."""
        async with asyncio.timeout(DEADLINE):
            await self._loop.sock_sendall(self._sock, data)

    async def send_frame(self, opcode: int, payload: bytes = b"") -> None:
        """Send one masked frame."""
        await self.send(masked(opcode, payload))

    async def ask(self, op: str, *args: object) -> None:
        """Send one request of the protocol."""
        await self.send_frame(TEXT, request(op, *args))

    async def read(self, size: int = 65536) -> bytes:
        """Read something; nothing means that the server has ended, also by a reset."""
        async with asyncio.timeout(DEADLINE):
            try:
                data = await self._loop.sock_recv(self._sock, size)
            except ConnectionResetError:
                data = b""
        self.ended = self.ended or not data
        return data

    async def read_to_end(self) -> bytes:
        """Everything until the server ends the stream."""
        data = b""
        while piece := await self.read():
            data += piece
        return data

    async def upgrade_answer(self) -> bytes:
        """Read the head of the answer to an upgrade; what follows it counts as frames."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = await self.read()
            assert piece, data
            data += piece
        self.head, _, rest = data.partition(b"\r\n\r\n")
        self._frames += self._reader.feed(rest)
        return self.head

    def read_nowait(self, size: int = 65536) -> list[Frame]:
        """The frames that are here already."""
        with contextlib.suppress(BlockingIOError):
            self._frames += self._reader.feed(self._sock.recv(size))
        frames = list(self._frames)
        self._frames.clear()
        return frames

    async def frame(self) -> Frame:
        """The next frame.

        Raises:
            EOFError: the stream has ended.
        """
        while not self._frames:
            data = await self.read()
            if not data:
                raise EOFError(f"{self._reader.rest} bytes of a frame are left")
            self._frames += self._reader.feed(data)
        return self._frames.popleft()

    async def message(self) -> dict[str, Any]:
        """The next message; pings of the server are answered."""
        while (frame := await self.frame()).opcode != TEXT:
            assert frame.opcode == PING, frame
            await self.send_frame(PONG, frame.payload)
        message: dict[str, Any] = json.loads(frame.payload)
        return message

    async def closed(self) -> Frame:
        """The server's close, past everything before it; pings are answered."""
        while (frame := await self.frame()).opcode != CLOSE:
            if frame.opcode == PING:
                await self.send_frame(PONG, frame.payload)
        return frame

    async def subscribe(self, *args: str) -> dict[str, Any]:
        """Subscribe and return the answer, which has to be the next message."""
        await self.ask("subscribe", *args)
        return await self.message()


def request(op: str, *args: object) -> bytes:
    """The text of a request; without args it has none."""
    return json.dumps({"op": op, "args": list(args)} if args else {"op": op}).encode()
