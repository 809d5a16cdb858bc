"""A simulated Deribit in a process of its own, and a network before it that breaks on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bench.stability.process import program
from bench.system.native import BenchError
from feedmux.client.deribit import Credentials
from feedmux.sim.deribit_options import DEMO
from feedmux.sim.faults import FaultProxy

KEY = Credentials(DEMO.client_id, DEMO.secret)
INSTRUMENTS = ("BTC-PERPETUAL", "ETH-PERPETUAL")
NUMBERED = tuple(f"{kind}.{name}.raw" for name in INSTRUMENTS for kind in ("book", "trades"))
"""Channels whose messages say when one is missing."""
STEADY = (*NUMBERED, *(f"ticker.{name}.100ms" for name in INSTRUMENTS))
"""Channels that speak several times a second."""
CHANNELS = (*STEADY, "user.orders.any.any.raw")
_HOST = "127.0.0.1"
_PATH = "/ws/api/v2"


class Venue:
    """The simulator, as a run sees it.

    Args:
        proxy: stands before it.
        control: its control endpoint, which no fault concerns.
    """

    def __init__(self, proxy: FaultProxy, control: ClientConnection) -> None:
        self.proxy = proxy
        self._control = control

    @property
    def url(self) -> str:
        """Where a client connects, through the proxy."""
        return f"ws://{_HOST}:{self.proxy.port}{_PATH}"

    async def do(self, verb: str, **fields: object) -> dict[str, Any]:
        """Turn one of its switches; its answer.

        Raises:
            BenchError: it refuses.
        """
        await self._control.send(json.dumps({"do": verb, **fields}))
        answer: dict[str, Any] = json.loads(await self._control.recv())
        if not answer["ok"]:
            raise BenchError(f"the simulator does not {verb}: {answer}")
        return answer

    async def holds(self) -> dict[str, int]:
        """What is subscribed there, and how often."""
        found: dict[str, int] = (await self.do("report"))["channels"]
        return found


@asynccontextmanager
async def venue(*, rate: float = 50.0, seed: int = 1) -> AsyncIterator[Venue]:
    """Start one, whose tokens live for a minute.

    Args:
        rate: market moves per second and instrument.
        seed: the same seed makes the same prices.
    """
    words = (
        "-m", "feedmux", "sim", "deribit", "--port", "0", "--rate", f"{rate:g}", "--seed", f"{seed}",
        "--instruments", ",".join(INSTRUMENTS), "--expires-in", "60",
    )  # fmt: skip
    async with program(*words, ready=rf"ws://{_HOST}:(\d+){_PATH}") as found:
        proxy = FaultProxy(_HOST, int(found[1]))
        await proxy.start()
        try:
            control = f"ws://{_HOST}:{found[1]}/control"
            async with connect(control, compression=None, ping_interval=None) as connection:
                yield Venue(proxy, connection)
        finally:
            await proxy.stop()
