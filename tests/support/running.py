"""Any ``feedmux`` command, or another program in Python, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Self

import feedmux

DEADLINE_S = 15.0
"""How long a story waits for something that must happen; it never waits for time to pass."""

SOURCE = Path(feedmux.__file__).parents[1]
"""Where the package under test is: every process runs this one, whatever else is installed."""


def environment(settings: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a process: ``settings``, and nothing else that configures it.

    Unless they say otherwise no gateway is one that local programs find: none of this machine's is to read
    what is simulated.
    """
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "LANG"}}
    ours = {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", "LOCAL": "off"}
    return kept | ours | (settings or {})


class Running:
    """A ``feedmux`` command in a process of its own.

    ``output`` has all lines as they came, ``stdout`` and ``stderr`` those of one stream.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.output: list[str] = []
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._news = asyncio.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = asyncio.gather(
            self._read(process.stdout, self.stdout), self._read(process.stderr, self.stderr)
        )
        self._reading.add_done_callback(lambda _: self._news.set())

    @classmethod
    async def start(
        cls,
        *args: str,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        program: tuple[str, str] = ("-m", "feedmux"),
    ) -> Self:
        """Run a program of Python's with ``args``; settings of this machine do not reach it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            *args,
            env=environment(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return cls(process, " ".join(args[:2]))

    async def line(self, pattern: str, deadline_s: float = DEADLINE_S) -> re.Match[str]:
        """The first line of output that matches, now or later."""
        async with asyncio.timeout(deadline_s):
            while True:
                self._news.clear()
                for line in self.output:
                    if match := re.search(pattern, line):
                        return match
                if self._reading.done():
                    raise AssertionError(f"{self.name} ended without {pattern!r}:\n" + "\n".join(self.output))
                await self._news.wait()

    async def end(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait until it has ended by itself; its exit code."""
        await asyncio.wait({self._reading}, timeout=deadline_s)
        assert self._reading.done(), f"{self.name} did not end within {deadline_s} s:\n{self.text}"
        return await self.process.wait()

    async def stop(self, number: int = signal.SIGTERM, deadline_s: float = DEADLINE_S) -> int:
        """Send a signal and wait for the end."""
        self.signal(number)
        return await self.end(deadline_s)

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def dispose(self) -> None:
        """Make sure that nothing is left."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    @property
    def text(self) -> str:
        """All output so far."""
        return "\n".join(self.output)

    def memory_bytes(self, what: str = "VmRSS") -> int:
        """What it holds now; ``VmHWM`` is the most it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{what}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def cpu_seconds(self) -> float:
        """The processor time that it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            text = line.decode(errors="replace").rstrip("\n")
            lines.append(text)
            self.output.append(text)
            self._news.set()
