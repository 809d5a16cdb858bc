"""A ring between real processes: what may be seen in it, and what may never be.

==========  =================================================================  ==========
outcome     a reader                                                           is
==========  =================================================================  ==========
whole       got a record as it was written, newer than all before              acceptable
lapped      was told that it missed something                                  acceptable
torn        got bytes that were never one record                               FORBIDDEN
stale       got a record again, or an older one                                FORBIDDEN
invalid     was told that the memory is damaged, and it is not                 FORBIDDEN
unsaid      missed records that nobody told it of                              FORBIDDEN
==========  =================================================================  ==========

The last test removes the second look at the position from the source, builds that, and finds the
forbidden ones: what the others would find if the ring were wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL
from typing import NamedTuple

import pytest

from support.children import Child, Children
from support.documents import ROOT
from support.waiting import until

pytestmark = pytest.mark.e2e

RECORDS = int(os.environ.get("FEEDMUX_RING_RECORDS", "1000000"))
ACCEPTABLE = {"whole", "lapped"}
COUNTED = {"lost", "first", "last"}
PATIENCE_S = 120


class Scene(NamedTuple):
    """A run.

    Args:
        capacity: the ring's, bytes.
        units: of how many its records are at most.
        records: how many are written.
        pace: after how many of them the readers are given a moment.
    """

    capacity: int
    units: int
    records: int
    pace: int = 500


SCENES = {
    "wrap-around": Scene(1 << 20, 23, RECORDS),
    "lapped": Scene(4096, 23, RECORDS),
    "lengths torn by the lap": Scene(2048, 50, RECORDS),
    "large records torn by the lap": Scene(1 << 16, 1500, RECORDS // 20, 6),
}
WAYS = ("poll", "many", "borrow", "sleep", "attach")


class Run:
    """One writer process and its readers."""

    def __init__(self, scene: Scene) -> None:
        self.children, self.scene = Children(), scene
        self.readers: dict[str, tuple[Child, socket.socket]] = {}

    async def begin(self, ways: tuple[str, ...]) -> None:
        capacity, units, records, pace = self.scene
        numbers = map(str, (capacity, len(ways), records, units, pace))
        self.writer, self.control = await self.children.start("ring_writer.py", *numbers)
        self.control.setblocking(True)
        _, descriptors, *_ = socket.recv_fds(self.control, 1, 1 + 2 * len(ways))
        for place, way in enumerate(ways):
            child, control = await self.children.start("ring_reader.py", way, str(units))
            socket.send_fds(control, [b"f"], [descriptors[0], *descriptors[1 + 2 * place : 3 + 2 * place]])
            self.readers[way] = child, control
        for descriptor in descriptors:
            os.close(descriptor)
        await until(lambda: all(child.lines for child, _ in self.readers.values()), "all are ready")
        self.control.send(b"g")

    async def say(self, word: bytes, *ways: str) -> None:
        """Wait until readers have said so."""
        for way in ways:
            child, _ = self.readers[way]
            await until(lambda child=child: word in b"".join(child.lines), f"{way}: {word!r}", PATIENCE_S)  # type: ignore[misc]

    async def written(self, *ways: str) -> int:
        """Let the writer go on until these readers have seen enough; tell all which record was the last."""
        await self.say(b"enough", *ways)
        self.control.send(b"s")
        await until(lambda: self.writer.lines, "everything is written", deadline=PATIENCE_S)
        written: int = json.loads(self.writer.lines[0])["records"]
        for child, control in self.readers.values():
            if child.process.returncode is None:
                control.send(str(written - 1).encode())
        return written

    async def outcomes(self, way: str) -> dict[str, int]:
        child, _ = self.readers[way]
        await until(lambda: b"{" in b"".join(child.lines), f"{way} has ended", deadline=PATIENCE_S)
        outcomes: dict[str, int] = json.loads(child.lines[-1])
        return outcomes

    async def close(self) -> None:
        for control in (self.control, *(control for _, control in self.readers.values())):
            control.close()
        await self.children.close()


@asynccontextmanager
async def running(scene: Scene, *ways: str) -> AsyncIterator[Run]:
    """Start the writer and one reader for each way; all of them are gone with the block."""
    run = Run(scene)
    try:
        await run.begin(ways)
        yield run
    finally:
        await run.close()


def forbidden(outcomes: dict[str, int], written: int | None = None) -> dict[str, int]:
    """What may never be, of what was seen."""
    seen = {name: n for name, n in outcomes.items() if name not in ACCEPTABLE | COUNTED}
    unsaid = outcomes["last"] - outcomes["first"] + 1 - outcomes["whole"] - outcomes["lost"]
    if not outcomes["whole"]:
        unsaid = 0 if outcomes.get("lapped") else written or 0
    elif not outcomes.get("lapped"):  # then it must have been everything
        unsaid = unsaid or outcomes["first"] or (0 if written is None else written - 1 - outcomes["last"])
    if unsaid:
        seen["unsaid"] = unsaid
    return seen


@pytest.mark.parametrize("ways", [("poll", "sleep"), ("many", "borrow")], ids="-".join)
@pytest.mark.parametrize("name", SCENES)
async def test_only_what_is_acceptable_is_ever_seen(name: str, ways: tuple[str, ...]) -> None:
    async with running(SCENES[name], *ways) as run:
        written = await run.written(*ways)
        assert written >= SCENES[name].records
        for way in ways:
            outcomes = await run.outcomes(way)
            assert not forbidden(outcomes, written), (way, outcomes)


async def test_who_attaches_while_records_are_written_sees_only_whole_ones() -> None:
    async with running(SCENES["wrap-around"], "attach", "poll") as run:
        await run.written("attach")
        outcomes = await run.outcomes("attach")
        assert set(outcomes) - COUNTED <= ACCEPTABLE, outcomes


async def test_a_reader_that_is_killed_disturbs_nobody() -> None:
    async with running(SCENES["wrap-around"], "sleep", "poll", "many") as run:
        for way in ("sleep", "many"):
            killed, _ = run.readers[way]
            killed.send(SIGKILL)
            await killed.process.wait()
        written = await run.written("poll")
        outcomes = await run.outcomes("poll")
        assert not forbidden(outcomes, written), outcomes


@pytest.mark.parametrize("turn", range(5))
async def test_a_writer_that_is_killed_leaves_whole_records_and_nothing_else(turn: int) -> None:
    async with running(Scene(1 << 16, 1500, 10**9, 6), "poll", "sleep") as run:
        for _ in range(turn * 200):  # a little later each time
            await asyncio.sleep(0)
        run.writer.send(SIGKILL)
        await run.writer.process.wait()
        for _, control in run.readers.values():
            control.shutdown(socket.SHUT_WR)
        for way in run.readers:
            outcomes = await run.outcomes(way)
            assert not forbidden(outcomes), (way, outcomes)


def without_the_second_look(folder: Path) -> Path:
    """Build the package with a reader that believes what it copied."""
    package = folder / "feedmux"
    shutil.copytree(ROOT / "src" / "feedmux", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    source = package / "_native" / "ring.pyx"
    text = source.read_text()
    look = (
        "        if self._is_late():\n            raise self._fall_back()\n"
        "        self._step()\n        return record\n"
    )
    assert text.count(look) == 1, "the second look is written in another way now: change this test"
    source.write_text(text.replace(look, "        self._step()\n        return record\n"))
    program = (
        "from setuptools import setup, Extension; from Cython.Build import cythonize;"
        f"native = {str(package / '_native')!r};"
        "setup(name='x', script_args=['-q', 'build_ext', '--inplace'], ext_modules=cythonize(["
        "Extension('feedmux._native.ring', [native + '/ring.pyx'], include_dirs=[native + '/ring'],"
        "define_macros=[('_GNU_SOURCE', '1')], extra_compile_args=['-O3', '-std=c11'])], quiet=True))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


async def test_without_the_second_look_at_the_position_the_forbidden_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(without_the_second_look(tmp_path)))
    async with running(SCENES["large records torn by the lap"], "poll") as run:
        await run.say(b"torn", "poll")
