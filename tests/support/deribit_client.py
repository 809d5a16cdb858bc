"""An independent client of the simulated Deribit, and a simulator to run beside it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_options import DEMO, INSTRUMENTS, Account, DeribitOptions
from feedmux.sim.venue_server import CONTROL_PATH

DEADLINE_S = 5
PERPETUAL = "BTC-PERPETUAL"
OTHER = Account("other", "other-secret")
STILL = DeribitOptions(rate=0, credits=None, accounts=(DEMO, OTHER), instruments=(PERPETUAL,))
"""A market of one instrument, which only moves when it is told to."""
EVERYTHING = msgspec.structs.replace(STILL, instruments=INSTRUMENTS)
LIVELY = DeribitOptions(instruments=(PERPETUAL,), rate=200, credits=None, agg2_s=0.05, candle_speed=600)
Message = dict[str, Any]


class Client:
    """A peer that sees answers and notifications in their order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.notifications: deque[Message] = deque()
        self._ids = 0

    async def receive(self) -> Message:
        """The next message, whatever it is."""
        async with asyncio.timeout(DEADLINE_S):
            message = json.loads(await self.socket.recv())
        assert isinstance(message, dict)
        return message

    async def send(self, method: str, /, **params: object) -> int:
        """Ask, and do not wait."""
        self._ids += 1
        request = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        await self.socket.send(json.dumps(request))
        return self._ids

    async def raw(self, text: str | bytes) -> Message:
        """Send anything; the next message that is no notification."""
        await self.socket.send(text)
        return await self._until(lambda m: "method" not in m)

    async def answer(self, ident: int) -> Message:
        """The answer to a request; notifications before it are kept."""
        return await self._until(lambda m: m.get("id") == ident)

    async def call(self, method: str, /, **params: object) -> Message:
        """Ask; the whole answer."""
        return await self.answer(await self.send(method, **params))

    async def result(self, method: str, /, **params: object) -> Any:
        """Ask; what the answer says."""
        answer = await self.call(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def error(self, method: str, /, **params: object) -> Message:
        """Ask for what is refused; how."""
        answer = await self.call(method, **params)
        assert "error" in answer, answer
        error: Message = answer["error"]
        return error

    async def data(self, channel: str) -> Any:
        """What a channel says next, or said already and nobody looked."""
        return (await self.notified(lambda m: m.get("params", {}).get("channel") == channel))["params"][
            "data"
        ]

    async def several(self, channel: str, count: int) -> list[Any]:
        """What a channel says next, so many times."""
        return [await self.data(channel) for _ in range(count)]

    async def beat(self) -> str:
        """The kind of the next heartbeat frame."""
        kind = (await self.notified(lambda m: m["method"] == "heartbeat"))["params"]["type"]
        assert isinstance(kind, str)
        return kind

    async def notified(self, wanted: Callable[[Message], bool]) -> Message:
        """The first notification that is wanted, kept or to come."""
        for message in self.notifications:
            if wanted(message):
                self.notifications.remove(message)
                return message
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.receive()
                if "method" in message and wanted(message):
                    return message
                if "method" in message:
                    self.notifications.append(message)

    def kept(self, channel: str) -> list[Any]:
        """What a channel said that nobody looked at yet."""
        named = [m for m in self.notifications if m["method"] == "subscription"]
        return [m["params"]["data"] for m in named if m["params"]["channel"] == channel]

    async def _until(self, wanted: Callable[[Message], bool]) -> Message:
        while not wanted(message := await self.receive()):
            if "method" in message:
                self.notifications.append(message)
        return message

    async def log_in(self, account: Account = DEMO, **more: object) -> Message:
        """Authenticate with an account's credentials."""
        result: Message = await self.result(
            "public/auth",
            grant_type="client_credentials",
            client_id=account.client_id,
            client_secret=account.secret,
            **more,
        )
        return result

    async def subscribe(self, *channels: str) -> list[str]:
        """Subscribe to public channels."""
        accepted: list[str] = await self.result("public/subscribe", channels=list(channels))
        return accepted

    async def best(self, instrument: str = PERPETUAL) -> tuple[float, float]:
        """The best bid and ask."""
        book = await self.result("public/get_order_book", instrument_name=instrument, depth=1)
        return book["bids"][0][0], book["asks"][0][0]

    async def closed(self) -> tuple[int, str] | None:
        """Wait for the end; the code and reason of the close frame, None when there was none."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as error:
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd is not None else None


@asynccontextmanager
async def running(options: DeribitOptions = STILL) -> AsyncIterator[DeribitSim]:
    """A simulator in this process."""
    sim = DeribitSim(options)
    await sim.start()
    try:
        yield sim
    finally:
        await sim.stop()


@asynccontextmanager
async def client(sim: DeribitSim, account: Account | None = None) -> AsyncIterator[Client]:
    """A connection, logged in when an account is named."""
    async with connect(sim.url(), ping_interval=None, max_queue=None, compression=None) as socket:
        peer = Client(socket)
        if account is not None:
            await peer.log_in(account)
        yield peer


@asynccontextmanager
async def control(sim: DeribitSim) -> AsyncIterator[Callable[..., Any]]:
    """The control endpoint, as a function of a verb."""
    async with connect(sim.url(CONTROL_PATH), compression=None) as socket:

        async def do(verb: str, **fields: object) -> Message:
            await socket.send(json.dumps({"do": verb, **fields}))
            answer: Message = json.loads(await socket.recv())
            return answer

        yield do


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true of the simulator, which tells nobody when it becomes so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
