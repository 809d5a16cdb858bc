"""Real processes for stories: a venue, a gateway, any command; and a client that remembers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Message = dict[str, Any]

DEADLINE_S = 15.0
"""How long a story waits for something that must happen; it never waits for time to pass."""


class Running:
    """A ``feedmux`` command in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.output: list[str] = []
        self._news = asyncio.Event()
        assert process.stdout is not None
        self._reading = asyncio.create_task(self._read(process.stdout))

    @classmethod
    async def start(cls, *args: str, env: dict[str, str] | None = None, cwd: str | None = None) -> Self:
        """Run ``feedmux`` with ``args``; settings of this machine do not reach it."""
        clean = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "LANG", "PYTHONPATH"}}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "feedmux", *args,
            env=clean | {"PYTHONUNBUFFERED": "1"} | (env or {}), cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        return cls(process, " ".join(args[:2]))

    async def line(self, pattern: str, deadline_s: float = DEADLINE_S) -> re.Match[str]:
        """The first line of output that matches, now or later."""
        async with asyncio.timeout(deadline_s):
            while True:
                self._news.clear()
                for line in self.output:
                    if match := re.search(pattern, line):
                        return match
                if self._reading.done():
                    raise AssertionError(f"{self.name} ended without {pattern!r}:\n" + "\n".join(self.output))
                await self._news.wait()

    async def end(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait until it has ended by itself; its exit code."""
        async with asyncio.timeout(deadline_s):
            code = await self.process.wait()
            await self._reading
        return code

    async def stop(self, number: int = signal.SIGTERM, deadline_s: float = DEADLINE_S) -> int:
        """Send a signal and wait for the end."""
        self.signal(number)
        return await self.end(deadline_s)

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def dispose(self) -> None:
        """Make sure that nothing is left."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    @property
    def text(self) -> str:
        """All output so far."""
        return "\n".join(self.output)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.output.append(line.decode(errors="replace").rstrip("\n"))
            self._news.set()
        self._news.set()


class Venue:
    """A simulated Bybit in a process of its own, and its control endpoint."""

    def __init__(self, running: Running, url: str) -> None:
        self.running = running
        self.url = url

    async def do(self, verb: str, **fields: object) -> Message:
        """Turn one of the simulator's switches; its answer."""
        host = self.url.split("/v5/")[0]
        async with connect(f"{host}/control", compression=None) as control:
            await control.send(json.dumps({"do": verb, **fields}))
            answer: Message = json.loads(await control.recv())
        assert answer["ok"], answer
        return answer

    async def topics(self, market: str = "linear") -> list[str]:
        """What is subscribed at the venue now, over all connections."""
        report = await self.do("report")
        return sorted(report["markets"][market]["topics"])


class Gateway:
    """A gateway in a process of its own."""

    def __init__(self, running: Running, port: int) -> None:
        self.running = running
        self.port = port
        self.url = f"ws://127.0.0.1:{port}/ws"

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask over plain HTTP; status and decoded body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        async with asyncio.timeout(DEADLINE_S):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    async def stats(self) -> Any:
        """The body of ``/stats``."""
        return (await self.get("/stats"))[1]


class Client:
    """A WebSocket client that keeps all that it was sent."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []
        self.closed: tuple[int, str] | None = None
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def ask(self, request: object) -> Message:
        """Send a request; the next answer to one of its kind."""
        seen = len(self.messages)
        await self.send(request)
        op = request.get("op") if isinstance(request, dict) else None
        return await self.wait(lambda m: m.get("op") in {op, "error", "pong"}, seen=seen)

    async def subscribe(self, *args: str) -> Message:
        """Subscribe; the answer."""
        return await self.ask({"op": "subscribe", "args": list(args)})

    async def send(self, request: object) -> None:
        """Send JSON, or a text or bytes as they are."""
        await self.socket.send(request if isinstance(request, str | bytes) else json.dumps(request))

    async def wait(
        self, wanted: Callable[[Message], bool], *, seen: int = 0, deadline_s: float = DEADLINE_S
    ) -> Message:
        """The first message from number ``seen`` on that is ``wanted``, now or later."""
        async with asyncio.timeout(deadline_s):
            while True:
                self._news.clear()
                for message in self.messages[seen:]:
                    if wanted(message):
                        return message
                if self.closed is not None:
                    raise AssertionError(f"closed with {self.closed} before it came; got {self.messages[-5:]}")
                await self._news.wait()

    async def status(self, state: str, *, seen: int = 0, deadline_s: float = DEADLINE_S) -> Message:
        """The next status message with this state."""
        return await self.wait(
            lambda m: m.get("type") == "status" and m["data"]["state"] == state, seen=seen, deadline_s=deadline_s
        )

    async def data(self, stream: str, *, seen: int = 0) -> Message:
        """The next value of a stream."""
        return await self.wait(
            lambda m: m.get("stream") == stream and m["type"] in {"snapshot", "update"}, seen=seen
        )

    async def end(self, deadline_s: float = DEADLINE_S) -> tuple[int, str]:
        """Wait until the server has closed; code and reason."""
        async with asyncio.timeout(deadline_s):
            await self._reading
        assert self.closed is not None
        return self.closed

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                self.messages.append(json.loads(text))
                self._news.set()
        except ConnectionClosed:
            pass
        self.closed = (self.socket.close_code or 1006, self.socket.close_reason or "")
        self._news.set()

    async def close(self) -> None:
        """Go away."""
        await self.socket.close()
        await self._reading


class Stage:
    """Everything a story needs; what it started is gone when it ends."""

    def __init__(self) -> None:
        self._running: list[Running] = []
        self._clients: list[Client] = []

    async def run(self, *args: str, env: dict[str, str] | None = None, cwd: str | None = None) -> Running:
        """Run any command of ``feedmux``."""
        running = await Running.start(*args, env=env, cwd=cwd)
        self._running.append(running)
        return running

    async def venue(self, *options: str) -> Venue:
        """Start a simulated Bybit."""
        running = await self.run("sim", "bybit", "--port", "0", *options)
        match = await running.line(r"(ws://127\.0\.0\.1:\d+/v5/public/linear)")
        return Venue(running, match[1])

    async def gateway(self, venue_url: str, *options: str, **settings: object) -> Gateway:
        """Start a gateway on that venue; further settings by their environment names."""
        env = {"HOST": "127.0.0.1", "PORT": "0", "BYBIT_WS_URL": venue_url, "BYBIT_RECONNECT_DELAY_INITIAL": "0.1"}
        running = await self.run("serve", *options, env=env | {key: str(value) for key, value in settings.items()})
        match = await running.line(r"Listening on ws://127\.0\.0\.1:(\d+)/ws")
        return Gateway(running, int(match[1]))

    async def client(self, gateway: Gateway, **options: Any) -> Client:
        """Connect a client."""
        socket = await connect(gateway.url, compression=None, max_queue=None, **options)
        client = Client(socket)
        self._clients.append(client)
        return client

    async def strike(self) -> None:
        """End everything, and show what the processes said when one of them wrote a traceback."""
        for client in self._clients:
            await client.close()
        for running in reversed(self._running):
            await running.dispose()
        for running in self._running:
            assert "Traceback" not in running.text, f"{running.name}:\n{running.text}"


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage for one story."""
    set_up = Stage()
    try:
        yield set_up
    finally:
        await set_up.strike()
