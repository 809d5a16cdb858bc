"""The gateway under measurement: its own process on the server's core."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.system.native import SERVER_CORE, BenchError, pinned, server_cores

_START_S = 20.0
_VENUE_PATH = "/v5/public/linear"
_SETTINGS = {
    "HOST": "127.0.0.1",
    "MAX_CLIENTS_TOTAL": "20000",
    "MAX_SUBSCRIPTIONS_PER_CLIENT": "200",
    "LOG_LEVEL": "WARNING",
}


class Gateway:
    """``feedmux serve`` in front of a venue, or ``feedmux rango``; a context manager.

    Args:
        venue_port: where the venue listens; None: there is none, and RabbitMQ is served.
        settings: further environment, e.g. ``{"STATUS_MESSAGES": "off"}``.
        workers: with more than one, a feed process and so many workers, on every core but the load's.
        cores: where it runs instead.
    """

    path = "/ws"

    def __init__(
        self,
        venue_port: int | None,
        settings: dict[str, str] | None = None,
        *,
        workers: int = 1,
        cores: Sequence[int] = (),
    ) -> None:
        self.port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        environment = {
            **os.environ,
            **_SETTINGS,
            "PORT": str(self.port),
            "RANGER_PORT": str(self.port),
            "METRICS_PORT": "0",
            **({} if venue_port is None else {"BYBIT_WS_URL": f"ws://127.0.0.1:{venue_port}{_VENUE_PATH}"}),
            **(settings or {}),
        }
        command = "rango" if venue_port is None else "serve"
        with pinned(*(cores or (server_cores() if workers > 1 else [SERVER_CORE]))):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "feedmux", command, "--workers", str(workers)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def children(self) -> dict[str, int]:
        """The process number of each of its children, by name; none without workers."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        names = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in listed}
        return {words[-2].decode(): pid for pid, words in names.items() if b"feedmux.app.child" in words}

    def stats(self) -> dict[str, Any]:
        """What ``GET /stats`` answers.

        Raises:
            BenchError: it does not answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/stats")
                answer: dict[str, Any] = json.loads(connection.getresponse().read())
            except (OSError, ValueError) as error:
                raise BenchError(f"/stats of the gateway: {error}") from error
        return answer

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise BenchError(f"the gateway ended with {self._process.returncode}:\n{self._said()}")
            if self._is_ready():
                return
            time.sleep(0.05)
        raise BenchError(f"the gateway was not ready after {_START_S:g} s:\n{self._said()}")

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def interpreter_finds_gateway() -> bool:
    """Whether there is a gateway to start."""
    done = subprocess.run(
        [sys.executable, "-c", "import feedmux.app.cli"], capture_output=True, check=False, cwd=Path.cwd()
    )
    return done.returncode == 0
