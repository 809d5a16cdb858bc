"""The soak: 10,000 clients on two load processes for ten minutes, some of them slow half of the time.

Each client has 20 random ones of 100 topics. 1 % of the clients read nothing and 5 % read a tenth of
what the others get, in every second of twelve phases; a slow client that is closed comes back. One
short phase of each kind goes before, so that what the first slow clients need is there when the ten
minutes begin. What must hold: the server's memory grows by no more than 2 % from the first half to
the second (the same phases are in both), and the p99 of those that are never slow moves by less than
10 %.

The venue sends ticks of 80 trades: a client then finds some 16 messages at once, and
25,000 system calls a second do not drown what is asked here.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.report import Cell, say, spread, table
from bench.system.gateway import Gateway
from bench.system.native import BenchError, Load, Venue, cpu_seconds, rss_bytes
from bench.system.run import WARMUP_S, Workload, load_of, symbols

CLIENTS = 10_000
SECONDS = 600.0
PROCESSES = 2
RATE = 200
BURST = 80
PHASES = 12
MOST_GROWTH = 0.02
MOST_P99_RATIO = 1.10
_WARM_UP_S = 40.0
_SAMPLE_S = 5.0
_SETTLES = 0.15  # of a phase: what a change of phase itself costs is not asked
_LOAD = (
    "--sources", 4, "--deadline", 120, "--slow-waits", "--stop-reading", 0.01,
    "--slow", 0.05, "--slow-factor", 0.1, "--slow-rcvbuf", 4096, "--slow-return", 30,
)  # fmt: skip

Phase = dict[str, Any]


def run(*, clients: int, seconds: float) -> dict[str, Any]:
    """Run all phases; ``passed`` says whether both marks were met."""
    work = _workload(clients)
    with (
        Venue(client_bytes=work.client_bytes, arguments=work.venue) as venue,
        Gateway(venue.port) as gateway,
        _loads(gateway, work) as loads,
    ):
        for load in loads:
            load.ready(130)
        venue.tell(work.command)
        for load in loads:
            assert load.line(30 + WARMUP_S)["event"] == "measuring"
        warm_up = [_phase(number, gateway, loads, _WARM_UP_S, "warm-up") for number in range(2)]
        phases = [_phase(number, gateway, loads, seconds / PHASES) for number in range(PHASES)]
        said, sent = _stats(gateway), venue.statistics()
    figures = _judge(phases) | {
        "clients": work.clients * PROCESSES,
        "seconds": seconds,
        "workload": {"rate": RATE, "burst": BURST, "topics": 100, "each": 20, "message_bytes": 250},
        "gateway": {name: said.get(name) for name in ("slow_clients", "closed_by_code")},
        "venue": sent,
        "warm_up": warm_up,
        "phases": phases,
    }
    _print(figures)
    return figures


def _workload(clients: int) -> Workload:
    return Workload(
        command=f"rate {RATE} {BURST}",
        clients=clients // PROCESSES,
        symbols=symbols(100),
        each=20,
        client_bytes=250,
        seconds=0,
        venue=("--order", "random"),
        load=_LOAD,
    )


@contextlib.contextmanager
def _loads(gateway: Gateway, work: Workload) -> Iterator[list[Load]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(load_of(gateway, work)) for _ in range(PROCESSES)]


def _phase(number: int, gateway: Gateway, loads: Sequence[Load], seconds: float, name: str = "soak") -> Phase:
    slow = number % 2 == 1
    for load in loads:
        load.tell(f"slow {'on' if slow else 'off'}")
    sizes = _watch(gateway.pid, seconds * _SETTLES)
    _next(loads)
    used = cpu_seconds(gateway.pid)
    started = time.monotonic()
    sizes += _watch(gateway.pid, seconds * (1 - _SETTLES))
    busy = (cpu_seconds(gateway.pid) - used) / (time.monotonic() - started)
    results = _next(loads)
    p99 = statistics.mean(result["p99_ns"] for result in results) / 1e6
    said = _stats(gateway)
    say(f"{name} phase {number + 1}, {'slow ones' if slow else 'all read'}: p99 {p99:.1f} ms, RSS "
        f"{statistics.mean(sizes) / 1e6:.1f} MB, server busy {busy:.2f}")  # fmt: skip
    return {
        "slow": slow,
        "p99_ms": p99,
        "rss_bytes": sizes,
        "server_busy": busy,
        "loads": results,
        "slow_clients": said.get("slow_clients"),
        "closed_by_code": said.get("closed_by_code"),
    }


def _stats(gateway: Gateway) -> dict[str, Any]:
    """What the gateway counted; a gateway too busy to say it is no reason to stop."""
    try:
        return gateway.stats()
    except BenchError as error:
        say(str(error))
        return {}


def _watch(pid: int, seconds: float) -> list[int]:
    """The resident size now and each five seconds, for so long."""
    until = time.monotonic() + seconds
    sizes = [rss_bytes(pid)]
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _SAMPLE_S))
        sizes.append(rss_bytes(pid))
    return sizes


def _next(loads: Sequence[Load]) -> list[dict[str, Any]]:
    for load in loads:
        load.tell("next")
    return [load.line(30) for load in loads]


def _judge(phases: Sequence[Phase]) -> dict[str, Any]:
    half = len(phases) // 2
    first, second = (
        statistics.mean(size for phase in part for size in phase["rss_bytes"])
        for part in (phases[:half], phases[half:])
    )
    pairs = zip(phases[::2], phases[1::2], strict=True)
    ratio = spread([slow["p99_ms"] / calm["p99_ms"] for calm, slow in pairs])
    last = phases[-1]["loads"]
    whole = not any(load[name] for load in last for name in ("lost", "disorder", "duplicates", "closed"))
    growth = second / first - 1
    return {
        "rss_growth": growth,
        "rss_bytes": {"first_half": first, "second_half": second},
        "p99_ratio": ratio,
        "clean": whole,
        "marks": {"rss_growth": MOST_GROWTH, "p99_ratio": MOST_P99_RATIO},
        "passed": growth <= MOST_GROWTH and ratio["median"] < MOST_P99_RATIO and whole,
    }


def _print(figures: Mapping[str, Any]) -> None:
    rows: list[Sequence[Cell]] = [
        [
            f"{number + 1}, {'slow ones' if phase['slow'] else 'all read'}", phase["p99_ms"],
            statistics.mean(phase["rss_bytes"]) / 1e6, phase["server_busy"],
            sum(load["deliveries_per_s"] for load in phase["loads"]),
            sum(load["slow"]["returns"] for load in phase["loads"]),
            sum(load["lost"] for load in phase["loads"]),
        ]
        for number, phase in enumerate(figures["phases"])
    ]  # fmt: skip
    columns = [
        "phase",
        "p99 ms",
        "RSS MB",
        "server busy",
        "deliveries/s",
        "slow ones back so far",
        "lost so far",
    ]
    table(f"Soak: {figures['clients']:,} clients, {figures['seconds']:,.0f} s", columns, rows)
    ratio = figures["p99_ratio"]
    say(f"memory, second half to first: {figures['rss_growth']:+.2%} (at most {MOST_GROWTH:+.0%})")
    say(f"p99 with slow ones / without: {ratio['median']:.3f} ({ratio['lowest']:.3f} to "
        f"{ratio['highest']:.3f}; below {MOST_P99_RATIO:g})")  # fmt: skip
    say(f"passed: {'yes' if figures['passed'] else 'no'}")
