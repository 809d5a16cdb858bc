"""An independent WebSocket client of the simulated Bybit, and a simulator to run beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions

DEADLINE_S = 5
FAST = SimOptions(rate=200, trade_rate=200, kline_rate=200)
Message = dict[str, Any]


class Client:
    """A peer that sees JSON messages in their order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, op: str, *args: str, **more: object) -> None:
        request = {"op": op, **more} | ({"args": args} if args else {})
        await self.socket.send(json.dumps(request))

    async def receive(self) -> Message:
        async with asyncio.timeout(DEADLINE_S):
            message = json.loads(await self.socket.recv())
        assert isinstance(message, dict)
        return message

    async def until(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is wanted; others are passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while not wanted(message := await self.receive()):
                pass
        return message

    async def answer(self) -> Message:
        return await self.until(lambda m: "success" in m)

    async def ask(self, op: str, *args: str, **more: object) -> Message:
        await self.send(op, *args, **more)
        return await self.answer()

    async def data(self, topic: str, count: int) -> list[Message]:
        return [await self.until(lambda m: m.get("topic") == topic) for _ in range(count)]

    async def before_answer(self) -> list[Message]:
        """The data messages up to the next answer; that is taken too."""
        seen: list[Message] = []
        while "success" not in (message := await self.receive()):
            seen.append(message)
        return seen


@asynccontextmanager
async def running(options: SimOptions = FAST) -> AsyncIterator[BybitSim]:
    sim = BybitSim(options)
    await sim.start()
    try:
        yield sim
    finally:
        await sim.stop()


@asynccontextmanager
async def client(sim: BybitSim, market: str = "linear") -> AsyncIterator[Client]:
    async with connect(sim.url(market), ping_interval=None, max_queue=None) as socket:
        yield Client(socket)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true of the simulator, which tells nobody when it becomes so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def topics_of(sim: BybitSim, market: str) -> Message:
    markets = sim.statistics()["markets"]
    assert isinstance(markets, dict)
    topics = markets[market]["topics"]
    assert isinstance(topics, dict)
    return topics
