"""Every program of docs/client.md, run as it stands there, beside a simulated Deribit."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_options import DEMO, DeribitOptions
from support.documents import ROOT, Block, blocks
from support.running import Running, environment

pytestmark = pytest.mark.e2e

PAGE = ROOT / "docs" / "client.md"
DERIBIT, EXCHANGE = "wss://test.deribit.com/ws/api/v2", "ws://127.0.0.1:9001/my-exchange"
PRINTS = "async for message in link:\n            print(message)"
SAYS = {
    PRINTS: [r"^\{.*'channel': 'trades.BTC-PERPETUAL.100ms'"],
    "case Interrupted": [
        r"^ticker\.BTC-PERPETUAL\.100ms$",
        r"^something|^from here|^whole again: \(.*refused: \{\}$",
    ],
    "except CallFailed as error:\n            print": [r"^\d{13}$", r"^refused: -?\d+ .+"],
    "rpc.batch": [r"^time: \d{13} ticker: .+"],
    "from_environment": [r"^last price: [\d.]+$", r"^placed: open$", r"^cancelled: cancelled$"],
    "allowance.deribit()": [r"^used: \{'other': 0\.\d+"],
    "class MyExchange": [r"confirmed=\('prices',\)", r"'topic': 'prices'"],
    "BlockingLink": [r"^\d{13}$", r"'channel': 'trades.BTC-PERPETUAL.100ms'"],
    "request_timeout_s=-1": [r"request_timeout_s: -1 does not work", r"Correct the value"],
}
"""What a program that has this text writes."""

GOES_ON = {PRINTS, "case Interrupted"}


def of_the_page() -> list[Block]:
    return [block for block in blocks() if block.path == PAGE and block.language == "python"]


async def exchange(connection: ServerConnection) -> None:
    """A platform whose answers carry ``req_id``."""
    async for text in connection:
        request = json.loads(text)
        accepted = request["op"] != "auth" or request["args"] == ["my key", "my secret"]
        await connection.send(json.dumps({"req_id": request["req_id"], "success": accepted}))
        if request["op"] == "subscribe":
            await connection.send(json.dumps({"topic": "prices", "data": [1]}))


@asynccontextmanager
async def platforms() -> AsyncIterator[tuple[DeribitSim, str]]:
    sim = DeribitSim(DeribitOptions(rate=50))
    await sim.start()
    try:
        async with serve(exchange, "127.0.0.1", 0) as server:
            yield sim, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/my-exchange"
    finally:
        await sim.stop()


def test_the_table_here_knows_every_program() -> None:
    assert [sum(mark in block.text for mark in SAYS) for block in of_the_page()] == [1] * len(of_the_page())


@pytest.mark.parametrize("mark", SAYS)
async def test_a_program_of_the_page_does_what_it_says(mark: str) -> None:
    (block,) = [block for block in of_the_page() if mark in block.text]
    async with platforms() as (sim, other):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            block.text.replace(DERIBIT, sim.url()).replace(EXCHANGE, other),
            env=environment({"DERIBIT_CLIENT_ID": DEMO.client_id, "DERIBIT_CLIENT_SECRET": DEMO.secret}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        program = Running(process, block.name)
        try:
            await program.line(SAYS[mark][0])
            if mark == "case Interrupted":
                sim.cut()
            for pattern in SAYS[mark][1:]:
                await program.line(pattern)
            if mark not in GOES_ON:
                assert await program.end() == 0
        finally:
            await program.dispose()
        assert "Traceback" not in program.text
