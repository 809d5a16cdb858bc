"""A small JSON-RPC server with channels, which does what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from ssl import SSLContext
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from support.waiting import until


class Fault(Exception):
    """An error that a request is answered with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "data": data}


SILENCE = object()
"""A result that is never sent."""


class RpcServer:
    """One server and whoever is connected.

    Attributes:
        requests: every request that came: the number of its connection, its method, its parameters.
        held: by connection, what it is subscribed to.
        unknown: channels that are left out of answers.
        methods: what other methods answer.
        arrays: every array that came, as it came.
        answers: what we were answered when we called: by id, or whole arrays.
        batch: what becomes of the answers to an array before they are sent; None: nothing is sent.
        refusals: statuses and headers that the next upgrades are answered with instead.
        upgrades: when each upgrade was asked for, monotonic seconds.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[int, str, Any]] = []
        self.held: list[dict[str, None]] = []
        self.open: list[ServerConnection] = []
        self.unknown: set[str] = set()
        self.methods: dict[str, Callable[[Any], object]] = {"echo": lambda params: params}
        self.arrays: list[list[Any]] = []
        self.answers: list[Any] = []
        self.batch: Callable[[list[Any]], object] = lambda answers: answers[::-1] or None
        self._calls: set[str] = set()
        self.refusals: deque[tuple[int, dict[str, str]]] = deque()
        self.upgrades: list[float] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2].strip("/"))

    @property
    def wanted(self) -> list[str]:
        """What the latest connection is subscribed to."""
        return list(self.held[-1]) if self.held else []

    def asked(self, method: str) -> list[Any]:
        """The parameters of every request of this method."""
        return [params for _, name, params in self.requests if name == method]

    async def tell(self, message: object) -> None:
        """Send a message to everybody who is connected."""
        for connection in list(self.open):
            with contextlib.suppress(ConnectionClosed):  # it went, and is not known to be gone yet
                await connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def call(self, *calls: dict[str, Any], as_array: bool = False) -> None:
        """Ask the client; the answers are found in :attr:`answers`."""
        self._calls |= {call["id"] for call in calls if "id" in call}
        messages = [{"jsonrpc": "2.0", **call} for call in calls]
        for message in [messages] if as_array else messages:
            await self.tell(message)

    async def publish(self, channel: str, data: object) -> None:
        """Send data of a channel, to everybody."""
        params = {"channel": channel, "data": data}
        await self.tell({"jsonrpc": "2.0", "method": "subscription", "params": params})

    async def cut(self) -> None:
        """Cut every connection without a word."""
        for connection in list(self.open):
            connection.transport.abort()
        await until(lambda: not self.open, "the connections are gone")

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse the upgrade if that is next."""
        del request
        self.upgrades.append(time.monotonic())
        if not self.refusals:
            return None
        status, headers = self.refusals.popleft()
        response = connection.respond(HTTPStatus(status), "refused\n")
        response.headers.update(headers)
        return response

    async def talk(self, connection: ServerConnection) -> None:
        number = len(self.held)
        self.held.append({})
        self.open.append(connection)
        try:
            with contextlib.suppress(ConnectionClosed):
                async for text in connection:
                    await self._answer(connection, number, _value(text))
        finally:
            self.open.remove(connection)

    async def _answer(self, connection: ServerConnection, number: int, request: Any) -> None:
        if self._is_answer(request):
            self.answers.append(request)
        elif isinstance(request, list) and request and isinstance(request[0], dict):
            self.arrays.append(request)
            answers = [await self._answer_one(number, member) for member in request]
            answer = self.batch([answer for answer in answers if answer is not None])
            if answer is not None:
                await connection.send(json.dumps(answer))
        elif not isinstance(request, dict) or "method" not in request:
            await connection.send(json.dumps(request))
        elif (answer := await self._answer_one(number, request)) is not None:
            await connection.send(json.dumps(answer))

    def _is_answer(self, message: Any) -> bool:
        first = message[0] if isinstance(message, list) and message else message
        return isinstance(first, dict) and "method" not in first and first.get("id") in self._calls

    async def _answer_one(self, number: int, request: dict[str, Any]) -> dict[str, object] | None:
        method, params = request["method"], request.get("params")
        self.requests.append((number, method, params))
        answer: dict[str, object] = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            result = self._result(number, method, params)
        except Fault as fault:
            answer["error"] = fault.error
        else:
            if result is SILENCE:
                return None
            answer["result"] = await result if asyncio.iscoroutine(result) else result
        return answer if "id" in request else None

    def _result(self, number: int, method: str, params: Any) -> object:
        if method in self.methods:
            return self.methods[method](params)
        held = self.held[number]
        if method == "public/subscribe":
            there = [channel for channel in params["channels"] if channel not in self.unknown]
            held |= dict.fromkeys(there)
            return there[::-1]
        if method == "public/unsubscribe":
            return [channel for channel in params["channels"] if held.pop(channel, 0) is None]
        raise Fault(-32601, "Method not found")


@asynccontextmanager
async def rpc_server(*, ssl: SSLContext | None = None) -> AsyncIterator[RpcServer]:
    """Serve on a port that the system chooses."""
    server = RpcServer()
    async with serve(
        server.talk,
        "127.0.0.1",
        0,
        process_request=server.admit,
        compression=None,
        close_timeout=1.0,
        ssl=ssl,
    ) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.url = (
            f"{'ws' if ssl is None else 'wss'}://{'127.0.0.1' if ssl is None else 'localhost'}:{port}/"
        )
        yield server


def _value(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return str(text)
