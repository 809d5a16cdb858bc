"""An independent WebSocket client of the simulated Alpaca, and a simulator to run beside it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from feedmux.model.ports import Clock
from feedmux.sim.alpaca import AlpacaSim
from feedmux.sim.alpaca_options import DEMO, AlpacaOptions
from support.clocks import StandingClock

DEADLINE_S = 5
FAST = AlpacaOptions(rate=200, quote_rate=200)
STILL = AlpacaOptions(rate=0, quote_rate=0)
"""A market in which nothing happens but what a test does."""
Message = dict[str, Any]
CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]


def error(code: int, msg: str) -> list[Message]:
    return [{"T": "error", "code": code, "msg": msg}]


def captured(name: str) -> list[Any]:
    """Real messages, or those of the venue's documents; the test is skipped where there are none."""
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no real messages to compare with")
    return [json.loads(line) for line in (Path(folder) / "alpaca" / name).read_text().splitlines()]


class Client:
    """A peer that sees messages in their order; each is an array."""

    def __init__(self, socket: ClientConnection, *, packed: bool = False) -> None:
        self.socket = socket
        self._packed = packed

    async def send(self, action: str, **more: object) -> None:
        request = {"action": action, **more}
        await self.socket.send(msgspec.msgpack.encode(request) if self._packed else json.dumps(request))

    async def receive(self) -> list[Message]:
        async with asyncio.timeout(DEADLINE_S):
            message = await self.socket.recv()
        if self._packed:
            assert isinstance(message, bytes)
            items = msgspec.msgpack.decode(message)
        else:
            assert isinstance(message, str)
            items = json.loads(message)
        assert isinstance(items, list)
        return items

    async def log_in(self, key: str = DEMO.key, secret: str = DEMO.secret) -> list[Message]:
        assert await self.receive() == CONNECTED
        return await self.ask("auth", key=key, secret=secret)

    async def ask(self, action: str, **more: object) -> list[Message]:
        """Send a request; the next control message is the answer."""
        await self.send(action, **more)
        return await self.answer()

    async def answer(self) -> list[Message]:
        """The next control message; data are passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while (items := await self.receive())[0]["T"] not in {"success", "error", "subscription"}:
                pass
        assert len(items) == 1
        return items

    async def data(self, wanted: Callable[[Message], bool], count: int = 1) -> list[Message]:
        """The next data that are wanted; others are passed over."""
        found: list[Message] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(found) < count:
                found += [item for item in await self.receive() if wanted(item)]
        return found


@asynccontextmanager
async def running(options: AlpacaOptions = FAST, *, clock: Clock | None = None) -> AsyncIterator[AlpacaSim]:
    sim = AlpacaSim(options, clock=clock)
    await sim.start()
    try:
        yield sim
    finally:
        await sim.stop()


@asynccontextmanager
async def client(
    sim: AlpacaSim,
    path: str = "/v2/iex",
    *,
    packed: bool = False,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Client]:
    """A client that is connected and has read nothing."""
    extra = dict(headers or {}) | ({"Content-Type": "application/msgpack"} if packed else {})
    async with connect(sim.url(path), additional_headers=extra, ping_interval=None, max_queue=None) as socket:
        yield Client(socket, packed=packed)


def pass_time(sim: AlpacaSim, clock: StandingClock, seconds: float) -> None:
    """Let time pass that nobody waits for."""
    clock.now += seconds
    for floor in sim.floors.values():
        floor.tick()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true of the simulator, which tells nobody when it becomes so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
