"""Redis under a measurement, the one that the tests use; and nodes of a cluster around it."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from bench.report import say
from bench.system.native import BenchError

ROOT = Path(__file__).parents[2]


class Redis(Protocol):
    """A server of our own."""

    port: int

    @property
    def pid(self) -> int: ...

    @property
    def url(self) -> str: ...

    def ask(self, *command: str | bytes) -> object: ...
    def kill(self) -> None: ...
    async def restart(self) -> None: ...


@contextlib.contextmanager
def redis() -> Iterator[Redis]:
    """A Redis of our own: this machine's, or Debian's unpacked into ``build/debian``.

    Raises:
        BenchError: it is not here and cannot be fetched; the text says how to install it.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from support.redis import RedisServer, redis_program

    try:
        program = redis_program(say)
    except pytest.fail.Exception as error:
        raise BenchError(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(program, Path(folder) / "redis")
        try:
            server.start()
            yield server
        finally:
            server.kill()


def version(server: Redis) -> str:
    """Which Redis it is."""
    said = server.ask("INFO", "server")
    assert isinstance(said, bytes), "INFO is answered with a text"
    lines = dict(line.partition(":")[::2] for line in said.decode().splitlines())
    return lines["redis_version"]
