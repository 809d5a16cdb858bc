"""One measured run: a server, its clients, a command that makes the messages flow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.system.gateway import Gateway
from bench.system.native import SERVER_CORE, Floor, Load, Venue, core_seconds, cpu_seconds

Sample = dict[str, Any]
"""The load's result, with the server's CPU time beside it."""

_WARMUP_S = 1.0
_FOREIGN = 0.05  # the books have ticks of 10 ms


def measure(
    server: Gateway | Floor, source: Venue | Floor, command: str, *, load: Load, seconds: float
) -> Sample:
    """Wait for the clients, start the flow, take the figures of the measured part.

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
        BenchError: clients failed to subscribe, or no data came.
    """
    ready = load.ready()
    source.tell(command)
    assert load.line(30 + _WARMUP_S)["event"] == "measuring"
    core_from, server_from = core_seconds(SERVER_CORE), cpu_seconds(server.pid)
    sample: Sample = load.line(seconds + 60)
    server_cpu = cpu_seconds(server.pid) - server_from
    core = core_seconds(SERVER_CORE) - core_from
    deliveries = sample["deliveries"]
    return {
        **{name: value for name, value in sample.items() if name != "event"},
        "cpu_us_per_delivery": server_cpu / deliveries * 1e6 if deliveries else None,
        "server_busy": server_cpu / sample["seconds"] if sample["seconds"] else None,
        "foreign_share": max(0.0, core - server_cpu) / seconds,
        "connect_seconds": ready["seconds"],
        "source": source.statistics(),
    }


def gateway_run(
    command: str,
    *,
    clients: int,
    seconds: float,
    client_bytes: int = 420,
    settings: dict[str, str] | None = None,
) -> Sample:
    """The gateway between a venue and the load."""
    with (
        _credit() as (reading, writing),
        Venue(client_bytes=client_bytes, credit=reading) as venue,
        Gateway(venue.port, settings) as gateway,
        Load(gateway.port, clients=clients, credit=writing, arguments=_times(seconds)) as load,
    ):
        return measure(gateway, venue, command, load=load, seconds=seconds)


def relay_run(command: str, *, clients: int, seconds: float, client_bytes: int = 420) -> Sample:
    """The C loop between the same venue and the same load."""
    with (
        _credit() as (reading, writing),
        Venue(client_bytes=client_bytes, credit=reading) as venue,
        Floor(client_bytes=client_bytes, relay=venue.port) as floor,
        Load(floor.port, clients=clients, credit=writing, arguments=_times(seconds)) as load,
    ):
        return measure(floor, venue, command, load=load, seconds=seconds)


def floor_run(command: str, *, clients: int, seconds: float, client_bytes: int = 420) -> Sample:
    """The C loop on its own clock."""
    with (
        Floor(client_bytes=client_bytes) as floor,
        Load(floor.port, clients=clients, arguments=_times(seconds)) as load,
    ):
        return measure(floor, floor, command, load=load, seconds=seconds)


def clean(sample: Sample) -> bool:
    """Whether nothing was lost, reordered, or cut."""
    return not any(sample[name] for name in ("lost", "disorder", "gap_messages", "closed"))


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


def _times(seconds: float) -> Sequence[object]:
    return ["--seconds", seconds, "--warmup", _WARMUP_S]


@contextlib.contextmanager
def _credit() -> Iterator[tuple[int, int]]:
    """The pipe of the closed loop: the load writes, the venue reads."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)
