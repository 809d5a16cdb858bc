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
from pathlib import Path
from typing import Any, NamedTuple, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import feedmux
from support.deaf import Deaf
from support.streams import VALUES, of
from support.tap import Tap
from support.waiting import eventually

Message = dict[str, Any]

DEADLINE_S = 15.0
"""How long a story waits for something that must happen; it never waits for time to pass."""


SOURCE = Path(feedmux.__file__).parents[1]
"""Where the package under test is: every process runs this one, whatever else is installed."""


def environment(settings: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a process: ``settings``, and nothing else that configures it."""
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "LANG"}}
    return kept | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"} | (settings or {})


class Running:
    """A ``feedmux`` command in a process of its own.

    ``output`` has all lines as they came, ``stdout`` and ``stderr`` those of one stream.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.output: list[str] = []
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._news = asyncio.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = asyncio.gather(
            self._read(process.stdout, self.stdout), self._read(process.stderr, self.stderr)
        )
        self._reading.add_done_callback(lambda _: self._news.set())

    @classmethod
    async def start(cls, *args: str, env: dict[str, str] | None = None, cwd: str | None = None) -> Self:
        """Run ``feedmux`` with ``args``; settings of this machine do not reach it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "feedmux",
            *args,
            env=environment(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
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
        await asyncio.wait({self._reading}, timeout=deadline_s)
        assert self._reading.done(), f"{self.name} did not end within {deadline_s} s:\n{self.text}"
        return await self.process.wait()

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

    def memory_bytes(self, what: str = "VmRSS") -> int:
        """What it holds now; ``VmHWM`` is the most it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{what}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def cpu_seconds(self) -> float:
        """The processor time that it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            text = line.decode(errors="replace").rstrip("\n")
            lines.append(text)
            self.output.append(text)
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

    async def report(self) -> Message:
        """What the simulator counts."""
        return await self.do("report")

    async def requests(self, market: str = "linear") -> Message:
        """How many requests a market got, by operation."""
        counts: Message = (await self.report())["markets"][market]["requests"]
        return counts

    async def topics(self, market: str = "linear") -> list[str]:
        """What is subscribed at the venue now, over all connections."""
        return sorted((await self.report())["markets"][market]["topics"])

    async def carries(self, *topics: str, market: str = "linear") -> None:
        """Wait until exactly these topics are subscribed, each of them once."""
        expected = dict.fromkeys(topics, 1)

        async def subscribed() -> Message:
            found: Message = (await self.report())["markets"][market]["topics"]
            return found

        await eventually(subscribed, expected.__eq__, f"the venue carries {sorted(topics)}")


class Answer(NamedTuple):
    """What an HTTP request was answered; ``body`` is decoded when it is JSON."""

    status: int
    body: Any
    headers: dict[str, str]


class Gateway:
    """A gateway in a process of its own."""

    def __init__(self, running: Running, port: int) -> None:
        self.running = running
        self.port = port
        self.url = f"ws://127.0.0.1:{port}/ws"

    async def get(self, path: str, method: str = "GET", *headers: str) -> Answer:
        """Ask over plain HTTP."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = (f"{method} {path} HTTP/1.1", "Host: gateway", *headers, "", "")
        writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(DEADLINE_S):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.decode().partition("\r\n\r\n")
        first, *others = head.split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in others)}
        is_json = body and found["content-type"] == "application/json"
        return Answer(int(first.split()[1]), json.loads(body) if is_json else body, found)

    async def upgrade(self) -> Answer:
        """Ask for a WebSocket; meant for one that is not given."""
        return await self.get(
            "/ws",
            "GET",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )

    async def stats(self) -> Any:
        """The body of ``/stats``."""
        return (await self.get("/stats")).body

    async def shows(self, wanted: Callable[[Any], object], what: str) -> Any:
        """Wait until ``/stats`` is as wanted; its body."""
        return await eventually(self.stats, wanted, what)


class Client:
    """A WebSocket client that keeps all that it was sent."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []
        self.closed: tuple[int, str] | None = None
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def seen(self) -> int:
        """How many messages came so far: where to look on from."""
        return len(self.messages)

    async def ask(self, request: object) -> Message:
        """Send a request; the next answer to one of its kind."""
        seen = self.seen
        await self.send(request)
        op = request.get("op") if isinstance(request, dict) else None
        return await self.wait(lambda m: m.get("op") in {op, "error", "pong"}, seen=seen)

    async def subscribe(self, *args: str) -> Message:
        """Subscribe; the answer."""
        return await self.ask({"op": "subscribe", "args": list(args)})

    async def unsubscribe(self, *args: str) -> Message:
        """Give streams back; the answer."""
        return await self.ask({"op": "unsubscribe", "args": list(args)})

    async def send(self, request: object) -> None:
        """Send JSON, or a text or bytes as they are."""
        await self.socket.send(request if isinstance(request, str | bytes) else json.dumps(request))

    async def wait(
        self, wanted: Callable[[Message], object], *, seen: int = 0, deadline_s: float = DEADLINE_S
    ) -> Message:
        """The first message from number ``seen`` on that is ``wanted``, now or later.

        Every message is shown to ``wanted`` once, in order.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    self._news.clear()
                    while seen < len(self.messages):
                        message = self.messages[seen]
                        seen += 1
                        if wanted(message):
                            return message
                    if self.closed is not None:
                        raise AssertionError(f"closed with {self.closed} before it came; {self._latest}")
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {deadline_s} s; {self._latest}") from None

    async def status(
        self, state: str, stream: str | None = None, *, seen: int = 0, deadline_s: float = DEADLINE_S
    ) -> Message:
        """The next status message with this state, of one stream or of any."""
        return await self.wait(
            lambda m: (
                m.get("type") == "status" and m["data"]["state"] == state and stream in {None, m["stream"]}
            ),
            seen=seen,
            deadline_s=deadline_s,
        )

    async def data(self, stream: str, *, seen: int = 0, count: int = 1) -> Message:
        """The next value of a stream, or the last of the next ``count``."""
        numbers = iter(range(count, 0, -1))
        return await self.wait(
            lambda m: m.get("stream") == stream and m["type"] in VALUES and next(numbers) == 1, seen=seen
        )

    def of(self, stream: str) -> list[Message]:
        """All messages of one stream so far."""
        return of(self.messages, stream)

    async def end(self, deadline_s: float = DEADLINE_S) -> tuple[int, str]:
        """Wait until the server has closed; code and reason."""
        await asyncio.wait({self._reading}, timeout=deadline_s)
        assert self.closed is not None, f"not closed within {deadline_s} s; {self._latest}"
        return self.closed

    @property
    def _latest(self) -> str:
        return f"the latest of {len(self.messages)} messages: {self.messages[-5:]}"

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
        self._taps: list[Tap] = []
        self._deaf: list[Deaf] = []

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

    async def tap(self, venue: Venue) -> Tap:
        """Put a proxy before the venue, to break connections and to know what passed."""
        tap = Tap(venue.url)
        await tap.start()
        self._taps.append(tap)
        return tap

    async def gateway(self, venue_url: str, *options: str, **settings: object) -> Gateway:
        """Start a gateway on that venue; further settings by their environment names."""
        env = {
            "HOST": "127.0.0.1",
            "PORT": "0",
            "BYBIT_WS_URL": venue_url,
            "BYBIT_RECONNECT_DELAY_INITIAL": "0.1",
        }
        running = await self.run(
            "serve", *options, env=env | {key: str(value) for key, value in settings.items()}
        )
        match = await running.line(r"Listening on ws://127\.0\.0\.1:(\d+)/ws")
        return Gateway(running, int(match[1]))

    async def client(self, gateway: Gateway, **options: Any) -> Client:
        """Connect a client."""
        socket = await connect(gateway.url, compression=None, max_queue=None, **options)
        client = Client(socket)
        self._clients.append(client)
        return client

    async def deaf(self, gateway: Gateway, *args: str) -> Deaf:
        """Connect a client that reads only when it is told to, and let it subscribe."""
        deaf = await Deaf.connect(gateway.port)
        self._deaf.append(deaf)
        await deaf.send({"op": "subscribe", "args": list(args)})
        return deaf

    async def strike(self) -> None:
        """End everything, and show what the processes said when one of them wrote a traceback."""
        await asyncio.gather(*(client.close() for client in self._clients), return_exceptions=True)
        for deaf in self._deaf:
            deaf.close()
        for tap in self._taps:
            tap.resume()
            await tap.stop()
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
