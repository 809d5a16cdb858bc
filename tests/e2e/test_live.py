"""What `make live` runs: on simulators that stand in for the venues, and where there is no way to them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.documents import ROOT
from support.processes import Stage
from support.running import SOURCE, Running, environment

ENDS_WITHIN_S = 60.0
CONTRACT = "tests/contract/test_venue.py::test_every_kind_is_confirmed_and_brings_values_without_a_hole"


@asynccontextmanager
async def live(bybit: str, deribit: str, *words: str) -> AsyncIterator[Running]:
    """Run it on other venues than the real ones."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.stability.live",
        "--bybit",
        bybit,
        "--deribit",
        deribit,
        *words,
        cwd=ROOT,
        env=environment({"PYTHONPATH": str(SOURCE)}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Running(process, "bench.stability.live")
    try:
        yield running
    finally:
        await running.dispose()


async def test_without_a_way_to_the_venues_it_says_so_and_runs_nothing() -> None:
    async with live("wss://no-such-host.invalid/v5/public", "wss://127.0.0.1:9/ws/api/v2") as running:
        assert await running.end() == 2
    assert running.stderr == []
    assert running.stdout[0].startswith("no way to no-such-host.invalid:443: ")
    assert running.stdout[1].startswith("no way to 127.0.0.1:9: ")
    assert running.stdout[2:] == ["There is no network to the venues, so nothing was run."]


async def test_one_venue_that_says_nothing_is_enough(stage: Stage) -> None:
    async with silence() as port:
        url = f"wss://127.0.0.1:{port}/v5/public"
        async with live(url, (await stage.deribit()).url, "--patience", "0.3") as running:
            assert await running.end() == 2
    assert running.stdout == [
        f"no way to 127.0.0.1:{port}: no answer within 0.3 s",
        "There is no network to the venues, so nothing was run.",
    ]


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """A host that takes connections and does not say a word."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_with_a_way_the_contracts_hold_there_and_links_endure(stage: Stage) -> None:
    bybit, deribit = await stage.venue(), await stage.deribit()
    markets = bybit.url.removesuffix("/linear")
    async with live(markets, deribit.url, "--minutes", "0.02", "--suite", CONTRACT) as running:
        assert await running.end(ENDS_WITHIN_S) == 0, running.text
    for part in ("contracts", "bybit", "deribit"):
        assert f"{part}: passed" in running.stdout
    # The contracts were asked of these venues, and not of simulators of their own.
    assert (await bybit.requests("inverse"))["subscribe"] > 0
    assert (await deribit.report())["requests"]["public/subscribe"] > 1


def test_no_other_target_and_no_check_before_landing_needs_the_venues() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    depends = [line for line in lines if ":" in line and not line.startswith(("\t", "#", ".PHONY"))]
    assert [line for line in depends if "live" in line] == ["live: $(STAMP)"]
    assert "live" not in (ROOT / ".ci" / "run").read_text()
