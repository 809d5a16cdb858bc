"""A command in a terminal of its own, as a person sees it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from typing import Self

from support.running import DEADLINE_S, environment

CTRL_C = b"\x03"
ALTERNATE_SCREEN, MAIN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>()][A-Za-z0-9]?)")


class Terminal:
    """A process whose input, output and errors are one pseudo terminal that it controls."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, master: int) -> None:
        self.process = process
        self.name = name
        self.raw = ""
        self._master = master
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        os.set_blocking(master, False)
        asyncio.get_running_loop().add_reader(master, self._read)

    @classmethod
    async def run(
        cls,
        *args: str,
        columns: int = 120,
        lines: int = 30,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
    ) -> Self:
        """Run ``feedmux`` with ``args``."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "feedmux",
            *args,
            env=environment({"TERM": "xterm-256color"} | (env or {})),
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        return cls(process, " ".join(args[:2]), master)

    @property
    def text(self) -> str:
        """All that was written, without colours and movements."""
        return _ESCAPES.sub("", self.raw)

    async def shows(self, pattern: str, deadline_s: float = DEADLINE_S) -> re.Match[str]:
        """Wait until something that matches was written."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    self._news.clear()
                    if match := re.search(pattern, self.text):
                        return match
                    assert not self._ended.is_set(), f"ended without {pattern!r}:\n{self.text}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} within {deadline_s} s:\n{self.text[-2000:]}") from None

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    async def end(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait until it has ended; its exit code."""
        async with asyncio.timeout(deadline_s):
            await self._ended.wait()
            return await self.process.wait()

    async def dispose(self) -> None:
        """Make sure that nothing is left."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            self.raw += os.read(self._master, 65_536).decode(errors="replace")
        except OSError:  # the last process that had the terminal is gone
            asyncio.get_running_loop().remove_reader(self._master)
            self._ended.set()
        self._news.set()


def _take_terminal() -> None:
    """Make the terminal on standard input the one that Ctrl-C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
