"""The example of two strategies with one Alpaca connection: it is cut, restored, 406 is waited out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from feedmux.sim.alpaca import AlpacaSim
from feedmux.sim.alpaca_options import DEMO
from support.alpaca_client import STILL, client, error, running
from support.local import broker_name
from support.running import Running
from support.waiting import until

EXAMPLE = Path(__file__).parents[2] / "examples" / "alpaca_shared.py"
FULL = error(406, "connection limit exceeded")


@pytest.fixture
def name() -> Iterator[str]:
    with broker_name() as name:
        yield name


@asynccontextmanager
async def strategy(
    sim: AlpacaSim, name: str, symbol: str, *, secret: str = DEMO.secret
) -> AsyncIterator[Running]:
    """The example in a process of its own; it is gone with the block."""
    process = await Running.start(
        symbol, "--url", sim.url(), "--broker", name,
        env={"APCA_API_KEY_ID": DEMO.key, "APCA_API_SECRET_KEY": secret},
        program=("-u", str(EXAMPLE)),
    )  # fmt: skip
    try:
        yield process
    finally:
        await process.dispose()


def read(sim: AlpacaSim) -> list[list[str]]:
    """The trades that each logged-in connection reads."""
    sessions: Any = sim.statistics()["sessions"]
    return [sorted(one["subscriptions"].get("trades", [])) for one in sessions if one["key"]]


def refusals(sim: AlpacaSim) -> int:
    feeds: Any = sim.statistics()["feeds"]
    return int(feeds["iex"]["errors"].get("406", 0))


async def both_read(sim: AlpacaSim) -> None:
    await until(lambda: read(sim) == [["AAPL", "MSFT"]], "one connection reads for both", 30)


async def each_is_told(sim: AlpacaSim, price: int, **strategies: Running) -> None:
    """Each strategy reads the trade of its own symbol, and no other."""
    for symbol in strategies:
        assert sim.publish(symbol, price) == 1
    for symbol, process in strategies.items():
        await process.line(rf"^{symbol} {price} 100$")
        others = {each.split()[0] for each in process.stdout if re.search(r"^[A-Z]+ \d+ 100$", each)}
        assert others == {symbol}


async def test_two_strategies_read_through_the_one_connection_that_there_may_be(name: str) -> None:
    async with running(STILL) as sim, strategy(sim, name, "AAPL") as one:
        await one.line("^connected$")
        await one.line(r"^all strategies read \['AAPL'\]$")
        async with strategy(sim, name, "MSFT") as other:
            await other.line("^shares a connection$")
            await both_read(sim)
            await each_is_told(sim, 11, AAPL=one, MSFT=other)
            assert sim.statistics()["connections_ever"] == 1
            async with client(sim) as stranger:
                assert await stranger.log_in() == FULL

            await until(lambda: sim.statistics()["connections"] == 1, "the stranger is gone")

            # the connection is cut; its ghost keeps the place for longer than the broker waits for a login
            sim.limit(linger_s=6)
            assert sim.cut() == 1
            for process in (one, other):
                await process.line("^lost: ")
                await process.line("^Alpaca still counts another connection: waiting$")
            await both_read(sim)
            assert refusals(sim) > 2
            await each_is_told(sim, 22, AAPL=one, MSFT=other)
        await until(lambda: read(sim) == [["AAPL"]], "what only the dead one wanted is released")


async def test_whoever_dies_while_406_is_waited_out_the_other_logs_in(name: str) -> None:
    async with running(STILL) as sim, strategy(sim, name, "AAPL") as one:
        await one.line(r"^all strategies read \['AAPL'\]$")
        async with strategy(sim, name, "MSFT") as other:
            await both_read(sim)
            sim.limit(linger_s=3600)
            sim.cut()
            await other.line("^Alpaca still counts another connection: waiting$")
            one.process.kill()
            await asyncio.wait_for(one.process.wait(), 15)
            sim.limit(connections=2)
            await until(lambda: any("MSFT" in trades for trades in read(sim)), "the other one logs in")
            sim.publish("MSFT", 33)
            await other.line("^MSFT 33 100$")


async def test_a_wrong_secret_ends_it_with_a_sentence(name: str) -> None:
    async with running(STILL) as sim, strategy(sim, name, "AAPL", secret="wrong") as one:
        assert await one.end() == 1
        assert one.stderr == ["Alpaca does not let us in: auth failed"]


async def test_without_credentials_it_says_what_is_missing() -> None:
    process = await Running.start("AAPL", program=("-u", str(EXAMPLE)))
    try:
        assert await process.end() == 1
        assert process.stderr == ["APCA_API_KEY_ID and APCA_API_SECRET_KEY are to be set"]
    finally:
        await process.dispose()
