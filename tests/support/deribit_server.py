"""A small Deribit that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import random
from collections import deque
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from support.waiting import until

Message = dict[str, Any]

BUSY = {"code": 10028, "message": "too_many_requests"}
INVALID_TOKEN = {"code": 13009, "message": "unauthorized"}
INVALID_CREDENTIALS = {"code": 13004, "message": "invalid_credentials"}
MAINTENANCE = {"code": 11051, "message": "system_maintenance"}


class DeribitServer:
    """Answers as Deribit was seen to; pushes what it is told to whoever has subscribed to it.

    Attributes:
        unknown: instruments that it leaves out of its answers.
        errors: by method, errors that the next requests are answered with instead.
        deaf: methods whose requests are not answered at all.
        expires_in_s: how long the tokens live that it gives; how they are used is not looked at.
        requests: all that was asked, in order.
        connections: those that are open.
        opened: how many there ever were.
    """

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self.errors: dict[str, deque[Message]] = {}
        self.deaf: set[str] = set()
        self.expires_in_s = 900
        self.requests: list[Message] = []
        self.connections: dict[ServerConnection, set[str]] = {}
        self.opened = 0
        self._dice = random.Random(1)
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen on a port that the system chooses."""
        self._server = await serve(self._serve, "127.0.0.1", 0, compression=None, close_timeout=0.5)

    async def stop(self) -> None:
        """End all connections."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/ws/api/v2"

    def asked(self, method: str) -> list[Message]:
        """The parameters of every request for a method, in order."""
        return [request["params"] for request in self.requests if request["method"] == method]

    def subscribed(self) -> set[str]:
        """What is subscribed now, over all connections."""
        return set().union(*self.connections.values())

    async def carries(self, *channels: str) -> None:
        """Wait until exactly these are subscribed."""
        await until(lambda: self.subscribed() == set(channels), f"{channels} are subscribed")

    async def push(self, channel: str, data: object) -> None:
        """Send data of a channel to whoever has it."""
        params = {"channel": channel, "data": data}
        for connection, channels in list(self.connections.items()):
            if channel in channels:
                await self._send(connection, {"method": "subscription", "params": params})

    async def tell(self, message: Message | str) -> None:
        """Send a message to everybody, as it stands if it is a text."""
        for connection in list(self.connections):
            await self._send(connection, message)

    async def cut(self) -> None:
        """Break every connection without a word."""
        for connection in list(self.connections):
            connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> None:
        self.opened += 1
        self.connections[connection] = set()
        try:
            async for text in connection:
                request = json.loads(text)
                self.requests.append(request)
                if request["method"] not in self.deaf:
                    await self._answer(connection, request)
        except ConnectionClosed:
            pass
        finally:
            del self.connections[connection]

    async def _answer(self, connection: ServerConnection, request: Message) -> None:
        errors = self.errors.get(request["method"])
        outcome: Message = (
            {"error": errors.popleft()} if errors else {"result": self._do(connection, request)}
        )
        await self._send(connection, {"id": request["id"], **outcome, "usIn": 1, "usOut": 2, "usDiff": 1})

    def _do(self, connection: ServerConnection, request: Message) -> object:
        channels: list[str] = request["params"].get("channels", [])
        has = self.connections[connection]
        match request["method"]:
            case "public/auth":
                number = len(self.asked("public/auth"))
                return {
                    "access_token": f"access-{number}",
                    "refresh_token": f"refresh-{number}",
                    "expires_in": self.expires_in_s,
                    "scope": "connection mainaccount",
                    "token_type": "bearer",
                }
            case "public/subscribe" | "private/subscribe":
                granted = [name for name in channels if not self.unknown.intersection(name.split("."))]
                self._dice.shuffle(granted)
                has.update(granted)
                return granted
            case "public/unsubscribe":
                gone = [name for name in channels if name in has]
                has.difference_update(gone)
                return gone
            case "public/test":
                return {"version": "1.2.26"}
        return "ok"

    async def _send(self, connection: ServerConnection, message: Message | str) -> None:
        text = message if isinstance(message, str) else json.dumps({"jsonrpc": "2.0", **message})
        try:
            await connection.send(text)
        except ConnectionClosed:
            return
