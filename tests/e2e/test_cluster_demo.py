"""`feedmux demo --cluster`: two nodes and a Redis, one node that dies, and nothing that stays behind."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from support.debian import DebianProgram
from support.processes import Running, Stage
from support.terminal import CTRL_C
from support.waiting import until

PRICE = r"\d+\.\d+"
NODE = r"^ *(node-\d) +ws://127\.0\.0\.1:(\d+)/ws +pid (\d+)"
PATIENCE_S = 40.0
"""Processes are started, and a lease is waited for."""
REDIS = r"cluster status --set redis_url=unix://(\S+)/redis\.sock"


@pytest.fixture(name="env")
def _env(redis_program: DebianProgram) -> dict[str, str]:
    return redis_program.in_path


def processes(demo: Running, folder: Path) -> list[int]:
    """Its nodes, its Redis, and who waits for its end, as far as they live."""
    pids = [int(found[3]) for line in demo.stdout if (found := re.search(NODE, line))]
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in (place / "cmdline").read_text():
                pids.append(int(place.name))
        except OSError:  # it has ended meanwhile
            continue
    return [pid for pid in dict.fromkeys(pids) if Path(f"/proc/{pid}").exists()]


async def begun(stage: Stage, env: dict[str, str]) -> tuple[Running, Path]:
    """The demo in a pipe, and the folder of its Redis."""
    demo = await stage.run("demo", "--cluster", "--port", "0", env=env)
    found = await demo.line(REDIS)
    return demo, Path(found[1])


async def test_a_node_takes_over_from_one_that_is_killed_and_all_are_gone_at_the_end(
    stage: Stage, env: dict[str, str]
) -> None:
    demo, folder = await begun(stage, env)
    owner = (await demo.line(r"s  (node-\d) has the venue's connection$", PATIENCE_S))[1]
    await demo.line(rf"^ticker BTCUSDT +{PRICE}")
    assert len(processes(demo, folder)) == 4
    status = await stage.run("cluster", "status", "--set", f"redis_url=unix://{folder}/redis.sock")
    assert await status.end() == 0
    await status.line(rf"^{owner} .* bybit\.linear *$")
    os.kill(int((await demo.line(NODE.replace(r"node-\d", owner)))[3]), signal.SIGKILL)
    await demo.line(rf"{owner}, which had the connection, was ended by SIGKILL")
    other = {"node-1": "node-2", "node-2": "node-1"}[owner]
    await demo.line(rf"{other} has the venue's connection$", PATIENCE_S)
    await demo.line(rf"{other}'s clients: `reconnecting` after {PRICE} s, prices after {PRICE} s")
    seen = len(demo.output)
    await until(lambda: any(re.search(f"^ticker .* {PRICE}", line) for line in demo.output[seen:]), "prices")
    assert await demo.stop(signal.SIGINT) == 0
    assert demo.stderr == []
    assert not folder.exists()
    assert processes(demo, folder) == []


async def test_nothing_stays_behind_a_demo_that_is_killed(stage: Stage, env: dict[str, str]) -> None:
    demo, folder = await begun(stage, env)
    demo.signal(signal.SIGKILL)
    await until(lambda: not processes(demo, folder), "all have ended")
    await until(lambda: not folder.exists(), "the folder is gone")


async def test_in_a_terminal_it_shows_nodes_and_prices_and_leaves_it_tidy(
    stage: Stage, env: dict[str, str]
) -> None:
    demo = await stage.terminal("demo", "--cluster", "--port", "0", env=env)
    await demo.shows(r"pid \d+ +has the venue's connection", PATIENCE_S)
    await demo.shows(r"pid \d+ +reads through Redis")
    await demo.shows(r"1 connection from all nodes")
    await demo.shows(rf"ticker BTCUSDT +{PRICE}.* live")
    folder = Path((await demo.shows(REDIS))[1])
    demo.press(CTRL_C)
    assert await demo.end() == 0
    await until(lambda: not folder.exists(), "the folder is gone")


async def test_without_a_cluster_nobody_is_killed(stage: Stage) -> None:
    demo = await stage.run("demo", "--kill-after", "3")
    assert await demo.end() == 2
    assert demo.text.startswith("feedmux: --kill-after: 3.0 does not work; expected --cluster beside it")
