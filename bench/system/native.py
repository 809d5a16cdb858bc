"""Processes of a measurement: started on one core, spoken to over pipes, ended for certain."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.build import tool

SERVER_CORE = 0
LOAD_CORE = 1
_TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))


class BenchError(Exception):
    """A measurement that could not be made; the text says why."""


@contextlib.contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Let what is started inside inherit these cores; machines with fewer cores share."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core_number(core) for core in cores})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def server_cores() -> list[int]:
    """All that a server of several processes may use: every core but the load's, or the first."""
    return [core for core in range(len(_CORES)) if core != LOAD_CORE] or [SERVER_CORE]


def every_core() -> list[int]:
    """All that there are, the load's too."""
    return list(range(len(_CORES)))


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, from the system's books."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def core_seconds(core: int) -> float:
    """Time that one of our cores was busy with anything, interrupts included."""
    return busy_seconds(core_number(core))


def core_number(core: int) -> int:
    """The system's number of one of our cores; machines with fewer cores share."""
    return _CORES[core % len(_CORES)]


def busy_seconds(number: int) -> float:
    """Time that the core with this number was busy with anything, interrupts included."""
    name = f"cpu{number} "
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(name):
            user, nice, system, _idle, _wait, irq, softirq = (int(field) for field in line.split()[1:8])
            return (user + nice + system + irq + softirq) / _TICKS
    raise BenchError(f"/proc/stat does not know {name}")


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} has no resident size")


class Native:
    """One native tool: JSON lines out, command lines in. It ends when its standard input does.

    Args:
        name: the tool.
        arguments: its command line.
        core: where it runs; or on which of several.
        descriptors: descriptors that it inherits.
        program: what to start, where that is not the native tool of this name but one that behaves like it.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[object],
        *,
        core: int | Sequence[int],
        descriptors: Sequence[int] = (),
        program: Sequence[str] = (),
    ) -> None:
        self.name = name
        command = [*(program or [tool(name)]), *(str(argument) for argument in arguments)]
        with pinned(*([core] if isinstance(core, int) else core)):
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=descriptors
            )
        self._waiting = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def tell(self, command: str) -> None:
        """Send one command line."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def line(self, timeout_s: float) -> dict[str, Any]:
        """The next JSON line.

        Raises:
            BenchError: it did not come in time, or the tool ended.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._waiting:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise BenchError(f"{self.name} said nothing for {timeout_s:g} s")
                got = os.read(self._process.stdout.fileno(), 65536)
                if not got:
                    raise BenchError(f"{self.name} ended with status {self._process.wait()}")
                self._waiting += got
        line, _, self._waiting = self._waiting.partition(b"\n")
        value: dict[str, Any] = json.loads(line)
        return value

    def statistics(self) -> dict[str, Any]:
        """What the tool counted so far."""
        self.tell("stats")
        return self.line(5)

    def end(self) -> None:
        """End it by closing its input, in the end by force."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Venue(Native):
    """The native venue.

    Args:
        client_bytes: about how long the message to a client is to be.
        credit: the reading end of the closed loop's pipe, where there is one.
        arguments: further options of its command line.
    """

    def __init__(
        self, *, client_bytes: int = 250, credit: int | None = None, arguments: Sequence[object] = ()
    ) -> None:
        pipe = () if credit is None else (credit,)
        options = ["--client-bytes", client_bytes, *(["--credit-fd", credit] if pipe else []), *arguments]
        super().__init__("venue", options, core=LOAD_CORE, descriptors=pipe)
        self.port: int = self.line(5)["port"]


class Floor(Native):
    """The C loop, a server like the gateway in what it sends.

    Args:
        client_bytes: about how long a message is to be.
        relay: the port of a venue that gives the ticks; None: its own clock does.
        symbols: what it has; on its own clock one message of each per tick, in one send.
        topics: instead, so many topics S000USDT, S001USDT, ... with clients of their own each.
        batch: as a relay, send what it read at once as one tick.
    """

    path = "/ws"

    def __init__(
        self,
        *,
        client_bytes: int = 250,
        relay: int | None = None,
        symbols: Sequence[str] = ("BTCUSDT",),
        topics: int = 0,
        batch: bool = False,
    ) -> None:
        which = ["--topics", topics] if topics else ["--symbols", ",".join(symbols)]
        options: list[object] = ["--client-bytes", client_bytes, *which]
        if relay is not None:
            options += ["--relay", relay, *(["--batch"] if batch else [])]
        super().__init__("floor", options, core=SERVER_CORE)
        self.port: int = self.line(5)["port"]


class Load(Native):
    """The native load client; ready when constructed and :meth:`ready` has returned.

    Args:
        port: the server's.
        clients: how many.
        credit: the writing end of the closed loop's pipe, where there is one.
        arguments: further options of its command line.
        yielding: leave the core to others that want it, so that they are not slowed by what is beside them.
    """

    def __init__(
        self,
        port: int,
        *,
        clients: int,
        credit: int | None = None,
        arguments: Sequence[object] = (),
        yielding: bool = False,
    ) -> None:
        pipe = () if credit is None else (credit,)
        options = [
            "--port",
            port,
            "--clients",
            clients,
            *(["--credit-fd", credit] if pipe else []),
            *arguments,
        ]
        program = ["nice", "-n", "19", tool("load")] if yielding else []
        super().__init__("load", options, core=LOAD_CORE, descriptors=pipe, program=program)
        self.clients = clients

    def ready(self, timeout_s: float = 65.0) -> dict[str, Any]:
        """Wait until every client is subscribed.

        Raises:
            BenchError: some are not.
        """
        line = self.line(timeout_s)
        if line["failed"] or line["connected"] != self.clients:
            raise BenchError(f"of {self.clients} clients {line['connected']} subscribed: {line}")
        return line
