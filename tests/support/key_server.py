"""A server that gives keys, or what a bad one, or a bad network, would give."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PIECE_S = 0.01


class KeyServer:
    """Answers every request with ``answer``, whatever that is; may be changed at any time."""

    def __init__(self) -> None:
        self.answer = b""
        self.requests: list[bytes] = []
        self.is_mute = False
        """Reads the request and says nothing."""
        self.dribbles = False
        """Never stops to send one byte after the other."""
        self.port = 0
        self.ended = 0
        """Connections that are over."""

    def give(self, body: str, *, status: str = "200 OK", headers: str = "") -> None:
        """Answer with this from now on."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body.encode())}\r\n{headers}\r\n"
        self.answer = head.encode() + body.encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.is_mute:
                await reader.read()
            while self.dribbles:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(PIECE_S)
            writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the peer has gone: some tests want that
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def key_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[KeyServer]:
    """A key server on a port of its own."""
    state = KeyServer()
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0, ssl=tls)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
