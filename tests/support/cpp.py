"""Compile the programs of tests/cpp, each way once, and run them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from support.documents import ROOT
from support.running import DEADLINE_S, environment

INCLUDE: Final = ROOT / "include"
PROGRAMS: Final = ROOT / "tests" / "cpp"
LANGUAGE: Final = "-std=c++17"
WARNINGS: Final = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
PLAIN: Final = ("-O2",)
ADDRESS: Final = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
THREAD: Final = ("-O1", "-g", "-fsanitize=thread")
WAYS: Final = {
    way: (*WARNINGS, *flags) for way, flags in (("plain", PLAIN), ("address", ADDRESS), ("thread", THREAD))
}
_CACHE: Final = ROOT / "build" / "cpp"


def compiler() -> str:
    """The C++ compiler; without it there is nothing to try."""
    found = shutil.which("g++")
    if found is None:
        pytest.fail("g++ is not here: install it (Debian: apt-get install g++)")
    return found


def compiled(source: Path, *flags: str, include: Path = INCLUDE) -> Path:
    """Compile a program; what was compiled before, of the same text, is not compiled again.

    Raises:
        AssertionError: the compiler has something to say.
    """
    mark = hashlib.sha256(repr((flags, str(include), source.read_bytes())).encode())
    for header in sorted(include.rglob("*.h*")):
        mark.update(header.read_bytes())
    program = _CACHE / f"{source.stem}-{mark.hexdigest()[:16]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        made = program.with_suffix(f".{os.getpid()}")
        command = [compiler(), LANGUAGE, *flags, f"-I{include}", str(source), "-o", str(made), "-pthread"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert said.returncode == 0, said.stderr
        made.rename(program)
    return program


def program_of(name: str, way: str = "plain") -> Path:
    """A program of tests/cpp."""
    return compiled(PROGRAMS / f"{name}.cpp", *WAYS[way])


def feedmux_program(folder: Path, *options: str) -> Path:
    """A program ``feedmux`` that runs this package; ``share`` gets the options, too."""
    settings = environment()
    lines = ("#!/bin/sh", f"export PYTHONPATH='{settings['PYTHONPATH']}'")
    extra = " ".join(options)
    program = folder / "feedmux"
    program.write_text("\n".join((*lines, f'exec {sys.executable} -m feedmux "$@" {extra}')) + "\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


class Puppet:
    """A C++ client in a process of its own; see tests/cpp/puppet.cpp. ``lines`` has what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[tuple[str, ...]] = []
        self.errors = ""
        self._unheard: list[tuple[str, ...]] = []
        self._news = asyncio.Event()
        self._reading = asyncio.gather(self._read(), self._complain())

    @classmethod
    @asynccontextmanager
    async def run(
        cls, program: Path, *arguments: str | Path, settings: dict[str, str] | None = None
    ) -> AsyncIterator[Puppet]:
        """Start it; it is gone with the block, and no sanitizer has found anything."""
        process = await asyncio.create_subprocess_exec(
            program, *map(str, arguments), env=environment(settings), stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        puppet = cls(process)
        try:
            yield puppet
            if process.returncode is None:
                await puppet.quit()
            assert process.returncode in {0, 1, -9}, (process.returncode, puppet.errors)
            assert "Sanitizer" not in puppet.errors, puppet.errors
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await puppet._reading

    def tell(self, *fields: object) -> None:
        """Let it do something; the answer comes later."""
        assert self.process.stdin is not None
        self.process.stdin.write("\t".join(map(str, fields)).encode() + b"\n")

    async def do(self, *fields: object) -> tuple[str, ...]:
        """Let it do something; the answer, without its first field."""
        self.tell(*fields)
        return (await self.hears(str(fields[0])))[1:]

    async def hears(self, *fields: object, within_s: float = DEADLINE_S) -> tuple[str, ...]:
        """A line that begins like this, now or later; the same one is not heard twice."""
        wanted = tuple(map(str, fields))
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self._news.clear()
                    for place, line in enumerate(self._unheard):
                        if line[: len(wanted)] == wanted:
                            return self._unheard.pop(place)
                    assert not self._reading.done(), f"it ended without {wanted}"
                    await self._news.wait()
        except (TimeoutError, AssertionError) as error:
            raise AssertionError(f"{wanted} was not said: {self.lines[-40:]}\n{self.errors}") from error

    def said(self, *fields: object) -> list[tuple[str, ...]]:
        """All lines so far that begin like this."""
        wanted = tuple(map(str, fields))
        return [line for line in self.lines if line[: len(wanted)] == wanted]

    async def quit(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(DEADLINE_S):
            await self.process.wait()
        await self._reading

    def naps(self) -> int:
        """How often one of its threads went to sleep so far."""
        books = [path.read_text() for path in Path(f"/proc/{self.process.pid}/task").glob("*/status")]
        return sum(int(re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", book, re.M)[0]) for book in books)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = tuple(line.decode(errors="replace").rstrip("\n").split("\t"))
            self.lines.append(said)
            self._unheard.append(said)
            self._news.set()
        self._news.set()

    async def _complain(self) -> None:
        assert self.process.stderr is not None
        self.errors = (await self.process.stderr.read()).decode(errors="replace")


async def output_of(
    program: Path | str, *arguments: object, given: str = "", settings: dict[str, str] | None = None
) -> list[str]:
    """Run a program to its end; the lines that it wrote.

    Raises:
        AssertionError: it failed.
    """
    stdin = PIPE if given else DEVNULL
    process = await asyncio.create_subprocess_exec(
        program, *map(str, arguments), env=environment(settings), stdin=stdin, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate(given.encode() if given else None)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (process.returncode, out.decode(), err.decode())
    return out.decode().splitlines()
