"""Programs of others in processes of their own, and what runs the JavaScript among them."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

import peers
from support.running import environment

PEERS = Path(next(iter(peers.__path__)))
_PORTS = range(20_000, 32_000)
"""Below those that the system gives to connections: none takes the port of one that was killed."""
_TRIES = 10


def node() -> str:
    """Node.js with the packages of ``tests/peers``; without them there is nothing to try."""
    found = shutil.which("node")
    if found is None:
        pytest.fail("node is not here: install Node.js 18 or newer with npm, then run `make e2e`")
    if not (PEERS / "node_modules" / "ws").is_dir():
        pytest.fail("tests/peers/node_modules is not here: run `make e2e`, or `npm ci` in tests/peers")
    return found


class Program:
    """A process that is neither a gateway nor ours to trust: it says JSON lines, or one line of text."""

    def __init__(self, process: Process) -> None:
        self.process = process

    @classmethod
    @asynccontextmanager
    async def run(cls, *command: str) -> AsyncIterator[Self]:
        """Start it in ``tests/peers``; it is gone with the block."""
        path = os.pathsep.join((environment()["PYTHONPATH"], str(PEERS.parent)))
        process = await asyncio.create_subprocess_exec(
            *command, cwd=PEERS, env=environment({"PYTHONPATH": path}), stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def line(self) -> str:
        """The next line that it says; it must not end without."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = (await self.process.stdout.readline()).decode()
        assert line, (await self.process.stderr.read()).decode()[-4000:]
        return line

    def tell(self, line: str) -> None:
        """Say something to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")


def free_port() -> int:
    """A port that nobody listens on, for programs that cannot let the system choose."""
    for port in random.sample(_PORTS, _TRIES):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port is free between {_PORTS.start} and {_PORTS.stop}")
