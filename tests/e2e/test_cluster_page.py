"""The lines of docs/cluster.md that add a node, done as they stand there, beside a real Redis and a venue."""

from __future__ import annotations

import asyncio
import re

from support.cluster import QUICK
from support.documents import ROOT, Command, blocks, code_spans, commands
from support.family import LIVELY, TICKER
from support.processes import Gateway, Stage
from support.redis import RedisServer
from support.running import Running

PAGE = ROOT / "docs" / "cluster.md"
SHOWN = "redis://127.0.0.1:6379"


def lines() -> tuple[Command, Command]:
    """The second and the third line; the first one installs."""
    (block,) = [block for block in blocks() if block.path == PAGE and "make install" in block.text]
    install, check, serve = commands(block)
    assert install.words == ["make", "install"]
    assert check.environment == serve.environment == {"REDIS_URL": SHOWN}
    return check, serve


async def run(stage: Stage, command: Command, redis: RedisServer, **settings: str) -> Running:
    """Run a line, with our own Redis in the place of the one that it shows."""
    assert command.program == "feedmux"
    env = {"REDIS_URL": redis.url, "HOST": "127.0.0.1", "PORT": "0", "LEASE_TTL": "1"}
    return await stage.run(*command.args, env=env | settings)


async def test_three_lines_make_a_node_and_three_more_another_one(stage: Stage, redis: RedisServer) -> None:
    check, serve = lines()
    checked = await run(stage, check, redis)
    assert await checked.end() == 0, checked.text
    venue = await stage.venue(*LIVELY)
    settings = {"BYBIT_WS_URL": venue.url} | {name: str(value) for name, value in QUICK.items()}
    nodes = []
    for _ in range(2):
        running = await run(stage, serve, redis, **settings)
        nodes.append(
            Gateway(running, int((await running.line(r"Listening on ws://127\.0\.0\.1:(\d+)/ws"))[1]))
        )
    clients = [await stage.client(node) for node in nodes]
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT") for client in clients))
    await asyncio.gather(*(client.data(TICKER, count=5) for client in clients))
    await venue.carries("tickers.BTCUSDT")
    assert (await venue.report())["connections_ever"] == 1


def test_what_the_page_takes_its_figures_from_is_there() -> None:
    text = PAGE.read_text()
    named = [span for span in code_spans(PAGE) if span.startswith("tests/")]
    named += [found[1] for found in re.finditer(r"\]\(\.\./(bench/results/[^)]+)\)", text)]
    assert len(named) >= 3
    assert all((ROOT / span).exists() for span in named)
