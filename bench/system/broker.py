"""RabbitMQ under a measurement, the one that the tests use, and who publishes to it: on the load's core."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.report import say
from bench.system.native import LOAD_CORE, Native, pinned

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def rabbitmq() -> Iterator[int]:
    """A server of our own; its port."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.rabbitmq import RabbitServer, rabbitmq_program

    with tempfile.TemporaryDirectory() as folder, pinned(LOAD_CORE):
        server = RabbitServer(rabbitmq_program(say), Path(folder) / "rabbitmq")
        try:
            server.start()
            yield server.port
        finally:
            server.kill()


class Publisher:
    """A process that publishes 420 bytes again and again, with their intended time and a number.

    It obeys ``rate R``, ``stop`` and ``stats``, as the native venue does.

    Args:
        port: RabbitMQ's.
        key: the routing key of all messages.
    """

    def __init__(self, port: int, key: str) -> None:
        program = [sys.executable, "-m", "bench.system.publisher"]
        self._process = Native("publisher", [port, key], core=LOAD_CORE, program=program)

    def __enter__(self) -> Self:
        self._process.line(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.end()

    def tell(self, command: str) -> None:
        """Send one command line."""
        self._process.tell(command)

    def statistics(self) -> dict[str, Any]:
        """What it counted so far."""
        return self._process.statistics()
