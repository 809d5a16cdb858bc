"""Every program of docs/local.md, run as it stands there, beside a simulated Bybit."""

from __future__ import annotations

import asyncio
import inspect
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator

import pytest

from feedmux import client as names
from feedmux.client import local_events
from support.documents import ROOT, Block, blocks, code_spans
from support.local import broker_name, broker_pid
from support.processes import stage
from support.running import DEADLINE_S, Running, environment

PAGE = ROOT / "docs" / "local.md"
SHOWN_URL = "ws://127.0.0.1:9001/v5/public/linear"
SHOWN = [block for block in blocks() if block.path == PAGE and block.language == "python"]
TOPICS = re.compile(r"Client\.topics\(([^)]*)\)")
PROGRAMS = [pytest.param(block, id=block.name) for block in SHOWN if not TOPICS.search(block.text)]
READERS = [pytest.param(block, id=block.name) for block in SHOWN if TOPICS.search(block.text)]


@pytest.fixture
def name() -> Iterator[str]:
    with broker_name() as name:
        yield name


async def started(block: Block, name: str, url: str) -> Running:
    """Run it at another address, and with a broker of its own."""
    assert SHOWN_URL in block.text
    assert 'broker="prices"' in block.text
    return await run(block.text.replace(SHOWN_URL, url).replace('"prices"', repr(name)), block.name)


async def run(program: str, name: str) -> Running:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-X", "dev", "-c", program, env=environment(), stdout=PIPE, stderr=PIPE
    )
    return Running(process, name)


@pytest.mark.parametrize("block", PROGRAMS)
async def test_a_program_prints_trades(block: Block, name: str) -> None:
    async with stage() as set_up:
        venue = await set_up.venue()
        program = await started(block, name, venue.url)
        try:
            await program.line(r'"topic": ?"publicTrade.BTCUSDT"')
        finally:
            await program.dispose()
        assert "Traceback" not in program.text
        assert "Warning" not in program.text
        assert broker_pid(name) is not None


async def test_the_program_that_is_started_twice_has_one_connection_and_one_subscription(name: str) -> None:
    first: Block = PROGRAMS[0].values[0]  # type: ignore[assignment]
    async with stage() as set_up:
        venue = await set_up.venue()
        programs = [await started(first, name, venue.url) for _ in range(2)]
        try:
            async with asyncio.timeout(DEADLINE_S):
                for program in programs:
                    await program.line(r'"topic": ?"publicTrade.BTCUSDT"')
            assert await venue.topics() == ["publicTrade.BTCUSDT"]
            assert await venue.requests() == {"subscribe": 1}
        finally:
            for program in programs:
                await program.dispose()


@pytest.mark.parametrize("block", READERS)
async def test_a_program_prints_what_a_gateway_has(block: Block, name: str) -> None:
    async with stage() as set_up:
        venue = await set_up.venue()
        gateway = await set_up.gateway(venue.url, LOCAL="on", LOCAL_NAME=name)
        program = await run(TOPICS.sub(rf"Client.topics(\1, gateway={name!r})", block.text), block.name)
        try:
            await program.line(r"\{.*'price': '[0-9.]+'.*\}")
            if "Restored" in block.text:
                gateway.running.signal(signal.SIGKILL)
                await program.line("blind: the gateway is gone")
                await gateway.running.end()
                await set_up.gateway(venue.url, LOCAL="on", LOCAL_NAME=name)
                await program.line(r"again after [0-9.]+ s: \('ticker:BTCUSDT',\) \{\}")
        finally:
            await program.dispose()
        assert "Traceback" not in program.text
        assert "Warning" not in program.text


def test_events_are_written_as_they_are() -> None:
    written = {span for span in code_spans(PAGE) if span.startswith(("Socket", "Broker")) and "(" in span}
    kinds: dict[str, Callable[..., object]] = {
        name: value for name, value in vars(local_events).items() if name.startswith(("Socket", "Broker"))
    }
    assert written == {
        f"{name}({', '.join(inspect.signature(kind).parameters)})" for name, kind in kinds.items()
    }
    assert set(kinds) <= set(names.__all__)
