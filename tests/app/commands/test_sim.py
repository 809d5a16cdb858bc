from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

pytestmark = pytest.mark.e2e

SOURCE = Path(__file__).parents[3] / "src"
Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start ``feedmux sim bybit``; what still runs at the end of a test is killed."""
    started: list[Process] = []

    async def start_one(*args: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "feedmux", "sim", "bybit", *args,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            stdout=PIPE,
            stderr=PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_it_says_where_it_is_trades_what_it_was_told_and_stops_on_ctrl_c(start: Start) -> None:
    process = await start("--port", "0", "--symbols", "ABCUSDT, XYZUSDT", "--rate", "50", "--ack-first")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        url = (await process.stdout.readline()).decode().split()[2]
        async with connect(url) as socket:
            await socket.send('{"op":"subscribe","args":["tickers.XYZUSDT"],"req_id":"1"}')
            assert json.loads(await socket.recv())["success"] is True
            assert json.loads(await socket.recv())["topic"] == "tickers.XYZUSDT"
            await socket.send('{"op":"subscribe","args":["tickers.BTCUSDT"],"req_id":"2"}')
            async for text in socket:
                answer = json.loads(text)
                if answer.get("req_id") == "2":
                    break
            assert answer["success"] is False
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")


async def test_options_that_cannot_work_are_one_sentence(start: Start) -> None:
    process = await start("--rate", "-1")
    async with asyncio.timeout(20):
        _, err = await process.communicate()
    assert (process.returncode, err) == (2, b"feedmux: rate: -1.0 does not work; expected a number above 0\n")
