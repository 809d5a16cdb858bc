"""One measured run: a server, its clients, a command that makes the messages flow."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import msgspec

from bench.system.gateway import Gateway
from bench.system.native import (
    LOAD_CORE,
    SERVER_CORE,
    BenchError,
    Floor,
    Load,
    Venue,
    core_seconds,
    cpu_seconds,
)

Sample = dict[str, Any]
"""The load's result, with the server's CPU time beside it."""

WARMUP_S = 1.0
_QUIET_S = 0.2
_DRAINED_BY_S = 30.0
_FOREIGN = 0.05  # the books have ticks of 10 ms


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants what, and how it comes.

    Args:
        command: ``rate R [BURST]``, ``window W [BURST]`` or ``saturate``.
        clients: how many.
        symbols: whose trades there are.
        tickers: whose tickers there are, beside.
        each: so many random ones of them per client; 0: all.
        client_bytes: about how long a message to a client is.
        seconds: how long is measured; 0: until the load is told.
        venue: further options of the venue.
        load: further options of the load.
    """

    command: str
    clients: int = 1_000
    symbols: tuple[str, ...] = ("BTCUSDT",)
    tickers: tuple[str, ...] = ()
    each: int = 0
    client_bytes: int = 420
    seconds: float = 5.0
    venue: tuple[object, ...] = ()
    load: tuple[object, ...] = ()


class Server(Protocol):
    """A process under measurement."""

    path: str
    port: int

    @property
    def pid(self) -> int:
        """Whose CPU time counts."""


class Source(Protocol):
    """Who makes the messages flow."""

    def tell(self, command: str) -> None:
        """Send one command line."""

    def statistics(self) -> dict[str, Any]:
        """What it counted so far."""


class Running(NamedTuple):
    """A topology that is up: its clients are connecting."""

    server: Server
    source: Source
    load: Load


Topology = Callable[[Workload], AbstractContextManager[Running]]
"""Starts the processes of a workload, and ends them."""


def symbols(count: int) -> tuple[str, ...]:
    """Names of so many instruments."""
    return tuple(f"S{number:03d}USDT" for number in range(count))


@contextlib.contextmanager
def gateway(work: Workload, settings: dict[str, str] | None = None, *, workers: int = 1) -> Iterator[Running]:
    """The gateway between a venue and the load."""
    with (
        _venue(work) as (venue, writing),
        Gateway(venue.port, settings, workers=workers) as server,
        load_of(server, work, credit=writing) as load,
    ):
        yield Running(server, venue, load)


@contextlib.contextmanager
def relay(work: Workload, *, batch: bool = False) -> Iterator[Running]:
    """The C loop between the same venue and the same load; ``batch``: what it reads at once is one tick."""
    with (
        _venue(work) as (venue, writing),
        Floor(
            client_bytes=work.client_bytes,
            symbols=work.symbols,
            topics=len(work.symbols) if work.each else 0,
            relay=venue.port,
            batch=batch,
        ) as server,
        load_of(server, work, credit=writing) as load,
    ):
        yield Running(server, venue, load)


@contextlib.contextmanager
def floor(work: Workload) -> Iterator[Running]:
    """The C loop on its own clock."""
    with (
        Floor(client_bytes=work.client_bytes, symbols=work.symbols) as server,
        load_of(server, work) as load,
    ):
        yield Running(server, server, load)


def load_of(server: Server, work: Workload, *, credit: int | None = None) -> Load:
    """The load of a workload, at a server."""
    topics = [f"trade:{symbol}" for symbol in work.symbols] + [f"ticker:{name}" for name in work.tickers]
    each = ["--each", work.each] if work.each else []
    own: Sequence[object] = getattr(server, "load_arguments", ())
    options = ["--path", server.path, *own, "--topics", ",".join(topics), *each]
    times = ["--seconds", work.seconds, "--warmup", WARMUP_S]
    return Load(server.port, clients=work.clients, credit=credit, arguments=[*options, *times, *work.load])


def run(topology: Topology, work: Workload) -> Sample:
    """Start a topology, measure its workload once, end it."""
    with topology(work) as running:
        server, source, load = running
        return measure(server, source, work.command, load=load, seconds=work.seconds)


def start(running: Running, command: str) -> dict[str, Any]:
    """Wait for the clients, let the messages flow and the warm-up pass; returns what the load said first.

    Raises:
        BenchError: clients failed to subscribe, or no data came.
    """
    ready = running.load.ready()
    running.source.tell(command)
    while running.load.line(30 + WARMUP_S)["event"] != "measuring":
        continue
    return ready


def measure(server: Server, source: Source, command: str, *, load: Load, seconds: float) -> Sample:
    """Start the flow and take the figures of the measured part.

    Args:
        server: whose CPU time counts.
        source: who is told ``command``.
        command: ``rate R``, ``window W`` or ``saturate``.
        load: started, not yet awaited.
        seconds: what it was told to measure.

    Returns:
        ``server_busy`` is the server's share of its core, ``foreign_share`` that of everything else
        on it: what is not near 0 has disturbed the run.

    Raises:
        BenchError: see :func:`start`.
    """
    ready = start(Running(server, source, load), command)
    books = _Books(server.pid)
    sample = load.line(seconds + 60)
    return {
        **books.close(sample),
        "server": server.statistics() if isinstance(server, Floor) and server is not source else None,
        "version": getattr(server, "version", None),
        "connect_seconds": ready["seconds"],
        "source": source.statistics(),
    }


def part(running: Running, seconds: float) -> Sample:
    """Measure for ``seconds`` what is under way; the workload's own seconds were 0."""
    running.load.tell("next")
    running.load.line(10)
    books = _Books(running.server.pid)
    time.sleep(seconds)
    running.load.tell("next")
    return books.close(running.load.line(10))


def drain(running: Running) -> None:
    """Stop the flow and wait until nothing comes any more, so that no backlog weighs on what follows."""
    running.source.tell("stop")
    deadline = time.monotonic() + _DRAINED_BY_S
    while time.monotonic() < deadline:
        running.load.tell("next")
        running.load.line(10)
        time.sleep(_QUIET_S)
        running.load.tell("next")
        if not running.load.line(10)["deliveries"]:
            return
    raise BenchError(f"what was sent had not arrived {_DRAINED_BY_S:g} s after the end")


class _Books:
    """The system's books of a server and its core, from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._from = core_seconds(SERVER_CORE), core_seconds(LOAD_CORE), cpu_seconds(pid), time.monotonic()

    def close(self, said: Sample) -> Sample:
        """Put them beside what the load said."""
        core, other, server, since = self._from
        took = time.monotonic() - since
        used = cpu_seconds(self._pid) - server
        deliveries = said["deliveries"] + said.get("slow", {}).get("deliveries", 0)
        return {
            **{name: value for name, value in said.items() if name != "event"},
            "cpu_us_per_delivery": used / deliveries * 1e6 if deliveries else None,
            "server_busy": used / took,
            "foreign_share": max(0.0, core_seconds(SERVER_CORE) - core - used) / took,
            "load_core_busy": (core_seconds(LOAD_CORE) - other) / took,
        }


def clean(sample: Sample) -> bool:
    """Whether nothing was lost, reordered, or cut."""
    return not any(sample[name] for name in ("lost", "disorder", "duplicates", "gap_messages", "closed"))


def disturbed(sample: Sample) -> bool:
    """Whether something else used the server's core: such a run is repeated, or said to be so."""
    return float(sample["foreign_share"]) > _FOREIGN


def calm(run: Callable[[], Sample], attempts: int = 3) -> Sample:
    """Run until nothing disturbs it, at most ``attempts`` times; the last sample counts."""
    sample = run()
    for _ in range(attempts - 1):
        if not disturbed(sample):
            break
        sample = run()
    return sample


@contextlib.contextmanager
def _venue(work: Workload) -> Iterator[tuple[Venue, int | None]]:
    """The venue, and where there is a closed loop the writing end of its pipe, for the load."""
    if not work.command.startswith("window"):
        with Venue(client_bytes=work.client_bytes, arguments=work.venue) as venue:
            yield venue, None
        return
    reading, writing = os.pipe()
    try:
        with Venue(client_bytes=work.client_bytes, credit=reading, arguments=work.venue) as venue:
            yield venue, writing
    finally:
        os.close(reading)
        os.close(writing)
