"""One client of a mock server, and what can be done to its connection."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from feedmux.sim.script import Disconnect

_RESET: Final = struct.pack("ii", 1, 0)
_KEPT: Final = 1000


class Upgrade(msgspec.Struct, frozen=True):
    """A request to connect.

    Args:
        path: with its query.
        headers: by name, in any case; several of one name raise when asked for singly.
        refused: with which status it was refused; None: it was not.
    """

    path: str
    headers: Mapping[str, str]
    refused: int | None

    def __repr__(self) -> str:
        return f"<Upgrade {self.path.partition('?')[0]} refused={self.refused}>"


class MockConnection(ServerConnection):
    """A connection that counts control frames, and can break on purpose."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pings: deque[bytes] = deque(maxlen=_KEPT)
        self.pongs: deque[bytes] = deque(maxlen=_KEPT)
        self.vanished = False

    async def end(self, step: Disconnect) -> None:
        """End as the step says; returns when it is done."""
        if step.how == "vanish":
            self.vanished = True
        elif step.how == "reset":
            self._reset()
            await self.wait_closed()
        else:
            await self.close(step.code or 1000, step.reason)

    def let_go(self) -> None:
        """Let a connection that vanished end, without a close frame."""
        if self.vanished:
            self.transport.abort()

    def _reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    # What the transport and the protocol call.

    def data_received(self, data: bytes) -> None:
        """Take bytes, unless it vanished."""
        if not self.vanished:
            super().data_received(data)

    def send_data(self) -> None:
        """Send what the protocol has, unless it vanished: then that is lost."""
        if self.vanished:
            self.protocol.data_to_send()
        else:
            super().send_data()

    def process_event(self, event: Event) -> None:
        """Note control frames."""
        if isinstance(event, Frame):
            if event.opcode is Opcode.PING:
                self.pings.append(bytes(event.data))
            elif event.opcode is Opcode.PONG:
                self.pongs.append(bytes(event.data))
        super().process_event(event)


class MockClient:
    """A client as the server sees it; also after it has gone.

    Args:
        connection: its connection, open.
        number: the how manyth it is, from 1.
    """

    def __init__(self, connection: MockConnection, number: int) -> None:
        assert connection.request is not None
        self.connection, self.number = connection, number
        self.path = connection.request.path
        self.headers: Mapping[str, str] = connection.request.headers

    @property
    def is_open(self) -> bool:
        """Whether it is connected, and the server has not vanished for it."""
        return self.connection.state is State.OPEN and not self.connection.vanished

    @property
    def subprotocol(self) -> str | None:
        """What was agreed on."""
        return self.connection.subprotocol

    @property
    def pings(self) -> tuple[bytes, ...]:
        """The payloads of its latest pings; they are answered by themselves."""
        return tuple(self.connection.pings)

    @property
    def pongs(self) -> tuple[bytes, ...]:
        """The payloads of its latest pongs."""
        return tuple(self.connection.pongs)

    @property
    def close_code(self) -> int | None:
        """How the connection was closed; None while it is open."""
        return self.connection.close_code

    @property
    def close_reason(self) -> str | None:
        """What was said with it."""
        return self.connection.close_reason

    async def ping(self, payload: bytes | None = None) -> None:
        """Send a ping and wait for its pong; ``wait_for`` or ``timeout`` bound it.

        Raises:
            ConnectionClosed: (of websockets) the connection ended first.
        """
        await (await self.connection.ping(payload))

    def __repr__(self) -> str:
        return f"<MockClient {self.number} {self.path.partition('?')[0]}>"
