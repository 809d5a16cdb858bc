"""A stand-in gateway: speaks the ``/ws`` protocol through another library than ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

STREAMS = {"ticker": "mudrex.futures.ticker.{}", "trade": "mudrex.futures.trade.{}"}


class Gateway:
    """Accept what is asked for and push a price per tick; an async context manager.

    Args:
        refuse: args that are rejected with ``no such symbol``.
        tick_s: seconds between two pushes.
        port: where to listen; 0 lets the system choose.
    """

    def __init__(self, *, refuse: Iterable[str] = (), tick_s: float = 0.01, port: int = 0) -> None:
        self._refuse = frozenset(refuse)
        self._tick_s = tick_s
        self._port = port
        self._server: Server | None = None
        self.requests: list[dict[str, Any]] = []
        self.connections: list[ServerConnection] = []
        self.extra: list[str | bytes] = []
        """What every new connection is sent first, as it stands."""

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", self._port, compression=None)
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self._port}/ws"

    def subscribed(self) -> list[list[str]]:
        """Return the args of every subscribe request so far."""
        return [request["args"] for request in self.requests if request["op"] == "subscribe"]

    async def cut(self, code: int = 1001, reason: str = "maintenance") -> None:
        """Close every connection."""
        for connection in self.connections:
            await connection.close(code, reason)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        streams: list[str] = []
        pushing = asyncio.create_task(self._push(connection, streams))
        try:
            for text in self.extra:
                await connection.send(text)
            async for text in connection:
                request = json.loads(text)
                self.requests.append(request)
                await self._answer(connection, request, streams)
        except ConnectionClosed:
            pass
        finally:
            pushing.cancel()

    async def _answer(
        self, connection: ServerConnection, request: dict[str, Any], streams: list[str]
    ) -> None:
        if request["op"] == "ping":
            await connection.send('{"op": "pong", "timestamp": 1}')
            return
        taken = [arg for arg in request["args"] if arg not in self._refuse]
        rejected = [{"arg": a, "reason": "no such symbol"} for a in request["args"] if a in self._refuse]
        answer = {
            "op": request["op"],
            "success": bool(taken),
            "args": taken,
            "message": "",
            "rejected": rejected or None,
        }
        await connection.send(json.dumps(answer))
        if request["op"] == "subscribe":
            streams += [STREAMS[kind].format(symbol) for kind, symbol in (arg.split(":") for arg in taken)]

    async def _push(self, connection: ServerConnection, streams: list[str]) -> None:
        """Push ``{n}.00`` to every stream, and every tenth time a status."""
        for n in range(10**9):
            await asyncio.sleep(self._tick_s)
            for stream in streams:
                data: object = {"symbol": stream.rpartition(".")[2], "price": f"{n}.00"}
                if "trade" in stream:
                    data = [{"price": f"{n}.00", "quantity": "1", "side": "buy"}]
                message = {
                    "stream": stream,
                    "type": "update",
                    "data": data,
                    "timestamp": n,
                    "source": "mudrex",
                }
                if n % 10 == 5:
                    message |= {"type": "status", "data": {"state": "live"}}
                await connection.send(json.dumps(message))


async def until(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds; fail after 10 s."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it looks at knows no event
            await asyncio.sleep(0.005)
