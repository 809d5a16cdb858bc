"""What every connection to a simulated Alpaca can do: write, stand still, close and be reset."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from feedmux.sim.frames import reset


class AlpacaConnection:
    """The writing side of one connection.

    Args:
        connection: its WebSocket, open.
        ident: its number, different for every connection ever.
    """

    def __init__(self, connection: ServerConnection, ident: int) -> None:
        self.connection = connection
        self.ident = ident
        self.key: str | None = None
        self.closing: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        self._is_stalled = False

    def stall(self, on: bool) -> None:
        """Neither read nor write, or go on with what was held back."""
        transport = self.connection.transport
        if on and not self._is_stalled:
            transport.pause_reading()
        elif self._is_stalled and not on:
            transport.resume_reading()
        self._is_stalled = on
        if not on:
            held, self._held = self._held, []
            for frame in held:
                self._write(frame)

    def close(self, code: int, reason: str) -> None:
        """Close the connection, after what was sent."""
        if self.closing is None:
            name = f"alpaca-sim-close-{self.ident}"
            self.closing = asyncio.create_task(self.connection.close(code, reason), name=name)

    def abort(self) -> None:
        """Reset the TCP connection: the client sees no close frame."""
        reset(self.connection)

    def _write(self, frame: bytes) -> None:
        if self._is_stalled:
            self._held.append(frame)
        elif self.closing is None and self.connection.state is State.OPEN:
            self.connection.transport.write(frame)
            self._wrote()

    def _wrote(self) -> None:
        """A frame is on its way."""
