"""``python -m bench.stability``, short: each part meets its marks, and misses them when it is spoilt."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.documents import ROOT
from support.running import SOURCE, Running, environment

ENDS_WITHIN_S = 60.0
SHORT = {
    "undisturbed": ("--minutes", "0.05"),
    "disturbed": ("--minutes", "0.08"),
    "reconnects": ("--reconnects", "1000"),
    "rate": ("--rate", "5000", "--seconds", "1"),
}
SPOILT = {
    "disturbed": (("--minutes", "0.03"), "gaps unsaid"),
    "reconnects": (("--reconnects", "300"), "growth of the resident size"),
    "rate": (("--rate", "1000", "--seconds", "0.2"), "async for: messages lost"),
}
"""By part, how long it is, and a mark that it has to miss."""


@asynccontextmanager
async def stability(*words: str) -> AsyncIterator[Running]:
    """Run it on the package under test."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.stability",
        *words,
        cwd=ROOT,
        env=environment({"PYTHONPATH": str(SOURCE)}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Running(process, "bench.stability")
    try:
        yield running
    finally:
        await running.dispose()


@pytest.mark.parametrize("part", SHORT)
async def test_a_short_run_meets_its_marks(part: str) -> None:
    async with stability(part, *SHORT[part]) as running:
        assert await running.end(ENDS_WITHIN_S) == 0, running.text
    assert running.output[-1] == f"{part}: passed"
    assert running.stderr == []


@pytest.mark.parametrize("part", SPOILT)
async def test_a_run_that_is_spoilt_misses_its_mark(part: str) -> None:
    options, mark = SPOILT[part]
    async with stability(part, *options, "--spoil") as running:
        assert await running.end(ENDS_WITHIN_S) == 1, running.text
    assert running.output[-1] == f"{part}: MISSED"
    assert any(line.strip().startswith(mark) and line.split()[-1] == "NO" for line in running.stdout), (
        running.text
    )


async def test_a_part_that_there_is_not_is_a_sentence() -> None:
    async with stability("forever") as running:
        assert await running.end() == 2
    assert running.stderr[-1].endswith(
        "there is no part 'forever'; there are undisturbed, disturbed, reconnects, rate"
    )
