"""``python -m bench p10``: a hop through the ring beside other ways between processes, with short runs.

What is slow on a busy machine may be slow here: these tests look at what was counted, not at how fast it was.
"""

from __future__ import annotations

import ast
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.descent import children, is_gone
from support.documents import ROOT
from support.running import Running
from support.waiting import until

Bench = Callable[..., Awaitable[Running]]

HOP = ROOT / "bench" / "hop"
P10 = ("-m", "bench")
PATIENCE_S = 120
QUICK = ("--quick", "--seconds", "0.1")


@pytest_asyncio.fixture(name="bench")
async def _bench(tmp_path: Path) -> AsyncIterator[Bench]:
    started: list[Running] = []

    async def start(*arguments: str, program: tuple[str, str] = P10) -> Running:
        results = ("--results", str(tmp_path)) if program is P10 else ()
        started.append(await Running.start(*arguments, *results, program=program, cwd=str(ROOT)))
        return started[-1]

    yield start
    for running in started:
        await running.dispose()


def stored(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*-quick.json")
    figures: dict[str, Any] = json.loads(file.read_text())["benches"]["p10"]
    return figures


async def test_the_ring_is_measured_beside_a_pair_of_sockets(bench: Bench, tmp_path: Path) -> None:
    running = await bench("p10", *QUICK, "--rivals", "seqpacket")
    assert await running.end(PATIENCE_S) == 0, running.text
    figures = stored(tmp_path)
    assert set(figures["versions"]) == {"ring", "seqpacket"}
    assert figures["left_out"] == []
    for part, (rate, _) in figures["latency_rates"].items():
        for name in ("ring", "seqpacket"):
            (sample,) = figures["samples"][part][name]
            assert sample["received"] == sample["sent"] == rate / 10
            assert 0 < sample["p50_ns"] <= sample["p99_ns"] <= sample["max_ns"]
            assert figures["latency_us"][part][name]["p50"]["median"] == pytest.approx(
                sample["p50_ns"] / 1000
            )
            assert sample["writer_cpu_us"] > 0
            assert sample["reader_cpu_us"] > 0
    speed = figures["samples"]["full speed"]
    assert {"ring, read", "ring, read_many", "ring, a flush for each", "seqpacket"} <= set(speed)
    for name, (sample,) in speed.items():
        assert sample["received"] + sample["lost_reported"] == sample["sent"] > 0, name
        assert figures["messages_per_s"][name]["median"] == sample["received_per_s"] > 0
    assert speed["seqpacket"][0]["lost_reported"] == 0, "its writer waits"
    assert figures["lost_unreported"] == figures["disorder"] == 0
    assert "lost without a word: 0" in running.text


async def test_a_way_that_nobody_knows_is_named(bench: Bench) -> None:
    running = await bench("p10", *QUICK, "--rivals", "seqpacket,pigeon")
    assert await running.end(PATIENCE_S) == 1
    assert "p10 could not be measured: there is no way between processes 'pigeon'" in running.text
    assert "stored in" not in running.text


@pytest.mark.parametrize(
    "words",
    ["ring poll spin", "ring wait sleep", "ring loop free", "queue wait free", "seqpacket loop sleep"],
)
async def test_one_pair_counts_every_message(bench: Bench, words: str) -> None:
    options = ("--seconds", "0.05", "--warmup", "0.05", "--cores", "0,0")
    running = await bench(*words.split(), *options, program=("-m", "bench.hop"))
    assert await running.end(PATIENCE_S) == 0, running.text
    sample = json.loads(running.stdout[-1])
    assert sample["sent"] > 0
    assert sample["received"] + sample["lost_reported"] == sample["sent"]
    assert sample["lost_unreported"] == sample["disorder"] == 0


LONG = """
from bench.rivals.hops import RING
from bench.system.hops import cross
cross(RING, "wait", "sleep", seconds=600)
"""


async def test_ctrl_c_ends_the_pair_that_is_being_measured(bench: Bench) -> None:
    running = await bench(program=("-c", LONG))
    pid = running.process.pid
    await until(lambda: len(children(pid)) >= 3, "a reader, a writer and what tidies up after them")
    started = children(pid)
    await running.stop(signal.SIGINT)
    await until(lambda: all(is_gone(one) for one in started), "all of them are gone")


def test_only_the_ring_knows_feedmux() -> None:
    known = {}
    for file in HOP.glob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        known[file.stem] = any((node.module or "").startswith("feedmux") for node in nodes)
    assert [name for name, knows in known.items() if knows] == ["ring"]


async def test_what_the_measuring_code_counts_is_right(bench: Bench) -> None:
    running = await bench(program=("-m", "bench.hopcheck"))
    assert await running.end(PATIENCE_S) == 0, running.text
    assert len(running.stdout) == 5
    assert all(line.endswith("holds") for line in running.stdout)
