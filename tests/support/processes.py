"""Real processes for stories: a venue, a gateway, any command; and clients that remember."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from websockets.asyncio.client import connect

from support.client import Client, Message
from support.deaf import Deaf
from support.running import DEADLINE_S, Running
from support.tap import Tap
from support.terminal import Terminal
from support.waiting import eventually

__all__ = ["DEADLINE_S", "Client", "Gateway", "Message", "Running", "Stage", "Venue", "stage"]


class Venue:
    """A simulated Bybit in a process of its own, and its control endpoint."""

    def __init__(self, running: Running, url: str) -> None:
        self.running = running
        self.url = url

    async def do(self, verb: str, **fields: object) -> Message:
        """Turn one of the simulator's switches; its answer."""
        return await ask(f"{self.url.split('/v5/')[0]}/control", {"do": verb, **fields})

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


class DeribitVenue(Venue):
    """A simulated Deribit in a process of its own, and its control endpoint."""

    async def do(self, verb: str, **fields: object) -> Message:
        """Turn one of the simulator's switches; its answer."""
        return await ask(f"{self.url.removesuffix('/ws/api/v2')}/control", {"do": verb, **fields})

    async def has(self, *channels: str) -> None:
        """Wait until exactly these channels are subscribed, each of them once."""
        expected = dict.fromkeys(channels, 1)

        async def subscribed() -> Message:
            found: Message = (await self.report())["channels"]
            return found

        await eventually(subscribed, expected.__eq__, f"the venue has {sorted(channels)}")


class AlpacaVenue(Venue):
    """A simulated Alpaca in a process of its own, and its control endpoint."""

    async def do(self, verb: str, **fields: object) -> Message:
        """Turn one of the simulator's switches; its answer."""
        return await ask(f"{self.url.partition('/v2/')[0]}/control", {"do": verb, **fields})

    async def sessions(self) -> list[Message]:
        """Every connection: its feed, whose key it has, and what it is subscribed to."""
        found: list[Message] = (await self.report())["sessions"]
        return found

    async def has(self, **channels: list[str]) -> None:
        """Wait until one connection is subscribed to exactly this; what follows trades is not counted."""

        async def subscribed() -> list[Message]:
            following = {"corrections", "cancelErrors"}
            return [
                {
                    name: sorted(symbols)
                    for name, symbols in one["subscriptions"].items()
                    if name not in following
                }
                for one in await self.sessions()
            ]

        expected = [{name: sorted(symbols) for name, symbols in channels.items()}]
        await eventually(subscribed, expected.__eq__, f"the venue has {channels}")


async def ask(control: str, message: Message) -> Message:
    """Say something to a simulator's control endpoint; its answer."""
    async with connect(control, compression=None) as socket:
        await socket.send(json.dumps(message))
        answer: Message = json.loads(await socket.recv())
    assert answer["ok"], answer
    return answer


class Answer(NamedTuple):
    """What an HTTP request was answered; ``body`` is decoded when it is JSON."""

    status: int
    body: Any
    headers: dict[str, str]


class Gateway:
    """A gateway in a process of its own."""

    def __init__(self, running: Running, port: int, host: str = "127.0.0.1") -> None:
        self.running = running
        self.host, self.port = host, port
        self.url = f"ws://{host}:{port}/ws"

    async def get(self, path: str, method: str = "GET", *headers: str) -> Answer:
        """Ask over plain HTTP."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
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


class Stage:
    """Everything a story needs; what it started is gone when it ends."""

    def __init__(self) -> None:
        self._running: list[Running] = []
        self._clients: list[Client] = []
        self._taps: list[Tap] = []
        self._deaf: list[Deaf] = []
        self._terminals: list[Terminal] = []

    async def run(self, *args: str, env: dict[str, str] | None = None, cwd: str | None = None) -> Running:
        """Run any command of ``feedmux``."""
        running = await Running.start(*args, env=env, cwd=cwd)
        self._running.append(running)
        return running

    def owns(self, running: Running) -> None:
        """End it with the others."""
        self._running.append(running)

    async def terminal(
        self, *args: str, cwd: str | None = None, env: dict[str, str] | None = None
    ) -> Terminal:
        """Run any command of ``feedmux`` in a terminal."""
        terminal = await Terminal.run(*args, cwd=cwd, env=env)
        self._terminals.append(terminal)
        return terminal

    async def venue(self, *options: str) -> Venue:
        """Start a simulated Bybit."""
        running = await self.run("sim", "bybit", "--port", "0", *options)
        match = await running.line(r"(ws://127\.0\.0\.1:\d+/v5/public/linear)")
        return Venue(running, match[1])

    async def deribit(self, *options: str) -> DeribitVenue:
        """Start a simulated Deribit."""
        running = await self.run("sim", "deribit", "--port", "0", *options)
        match = await running.line(r"simulated Deribit: (ws://\S+)")
        return DeribitVenue(running, match[1])

    async def alpaca(self, *options: str) -> AlpacaVenue:
        """Start a simulated Alpaca."""
        running = await self.run("sim", "alpaca", "--port", "0", *options)
        match = await running.line(r"simulated Alpaca: (ws://\S+)")
        return AlpacaVenue(running, match[1])

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
        match = await running.line(r"Listening on wss?://127\.0\.0\.1:(\d+)/ws")
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
        processes: list[Running | Terminal] = [*self._terminals, *reversed(self._running)]
        for running in processes:
            await running.dispose()
        for running in processes:
            assert "Traceback" not in running.text, f"{running.name}:\n{running.text}"


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage for one story."""
    set_up = Stage()
    try:
        yield set_up
    finally:
        await set_up.strike()
