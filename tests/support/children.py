"""Processes that a test starts, each with one end of a socket pair, and ends in any case."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent


class Child:
    """One process running a script of this folder; its lines are read as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[bytes] = []

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


class Children:
    """Starts processes; their owner awaits :meth:`close`."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, script: str, *arguments: str) -> tuple[Child, socket.socket]:
        """Run ``script`` with a socket's descriptor as its first argument.

        Returns:
            The process, and our end of the socket.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(SUPPORT / script),
                str(theirs.fileno()),
                *arguments,
                pass_fds=(theirs.fileno(),),
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        child = Child(process)
        self._children.append(child)
        self._tasks.append(asyncio.create_task(child.read()))
        return child, ours

    async def close(self) -> None:
        for child in self._children:
            if child.process.returncode is None:
                child.process.kill()
            await child.process.wait()
        await asyncio.gather(*self._tasks)
