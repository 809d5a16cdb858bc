"""P15: what do programs gain that share a connection, and what does the broker's hop cost them?

Readers in processes of their own take trades of one venue: each by a connection of its own, on which the
venue sends it so many, or all of them the same through one broker (``feedmux share``), which the first one
starts. Latency is from the venue's intended time to the message in the reader's ``async for``, or in its
callback where it is direct.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bench.report import Cell, spread, table
from bench.system.books import Books
from bench.system.native import BenchError, Native, Venue, every_core, pinned, rss_bytes
from bench.system.rounds import Samples, Subjects, alternate_parts
from bench.system.run import WARMUP_S, Sample, calm, symbols

DIRECT, SHARED = "direct", "shared"
MESSAGE_BYTES: Final = 420
TOPICS: Final = 16
PARTS: Final[Mapping[str, tuple[int, float]]] = {
    "1 reader, 1,000/s": (1, 1_000.0),
    "1 reader, 10,000/s": (1, 10_000.0),
    "20 readers, 1,000/s": (20, 1_000.0),
}
"""Readers, and messages a second."""
_PATIENCE_S: Final = 60.0


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure both ways in alternating rounds."""
    parts: dict[str, Subjects] = {
        part: {way: partial(_read, way, readers, rate, seconds) for way in (DIRECT, SHARED)}
        for part, (readers, rate) in PARTS.items()
    }
    with pinned(*every_core()):
        samples = alternate_parts("p15", parts, rounds=1 if quick else 5, add=_add)
    figures = {
        "message_bytes": MESSAGE_BYTES,
        "topics": TOPICS,
        "cores": len(every_core()),
        "latency_us": {
            part: {
                way: {mark: spread([one[f"{mark}_ns"] / 1e3 for one in taken]) for mark in ("p50", "p99")}
                for way, taken in ways.items()
            }
            for part, ways in samples.items()
        },
        "clean": not any(
            one["lost"] for ways in samples.values() for taken in ways.values() for one in taken
        ),
        "samples": samples,
    }
    _print(figures, samples)
    return figures


def _add(samples: Samples, name: str, subject: Callable[[], Sample]) -> None:
    samples[name].append(calm(subject))


def _read(way: str, readers: int, rate: float, seconds: float) -> Sample:
    """One run.

    Raises:
        BenchError: it could not be measured.
    """
    name = f"bench-{uuid.uuid4().hex[:12]}"
    with Venue(client_bytes=MESSAGE_BYTES) as venue, contextlib.ExitStack() as stack:
        options = [DIRECT if way == DIRECT else f"{SHARED}:{name}", venue.port, ",".join(symbols(TOPICS))]
        started = [stack.enter_context(_Reader([*options, WARMUP_S, seconds])) for _ in range(readers)]
        brokers = {one.expect("ready")["broker"] for one in started}
        venue.tell(f"rate {rate * (readers if way == DIRECT else 1):g}")
        for one in started:
            one.expect("measuring")
        pids = {f"reader {number}": one.pid for number, one in enumerate(started)}
        if len(brokers) > 1:
            raise BenchError(f"there are {len(brokers)} brokers")
        broker = brokers.pop()
        books = Books({**pids, **({"broker": broker} if broker else {}), "venue": venue.pid})
        for one in started:
            one.expect("measured", seconds)
        kept = books.close()
        memory = {"broker_bytes": rss_bytes(broker)} if broker else {}
        subscriptions = venue.statistics()["subscriptions"]
        results = [one.expect("result") for one in started]
    due = max(one["distinct"] for one in results)
    used = kept.per(due)
    cpu = used["cpu_us"]
    return {
        "deliveries_per_s": sum(one["messages"] for one in results) / seconds,
        "p50_ns": statistics.median(one["p50_ns"] for one in results),
        "p99_ns": max(one["p99_ns"] for one in results),
        "lost": sum(_missing(one, rate) for one in results) if way == SHARED else 0,
        "duplicates": sum(one["messages"] - one["distinct"] for one in results),
        "readers_cpu_us": statistics.mean(cpu[name] for name in pids),
        "broker_cpu_us": cpu.get("broker", 0.0),
        "subscriptions": subscriptions,
        **memory,
        **used,
        "each": results,
    }


def _missing(result: Sample, rate: float) -> int:
    """How many did not come of those that the venue sent between the first and the last that did."""
    steps = (result["last_ns"] - result["first_ns"]) * rate / 1e9
    missing: int = round(steps) + 1 - result["distinct"]
    return missing


class _Reader(Native):
    """A program that reads; it has every core."""

    def __init__(self, options: Sequence[object]) -> None:
        program = [sys.executable, "-m", "bench.local"]
        super().__init__("reader", options, core=every_core(), program=program)

    def expect(self, event: str, seconds: float = 0.0) -> Sample:
        """The line in which it says this."""
        while (line := self.line(seconds + _PATIENCE_S))["event"] != event:
            continue
        return line


def _print(figures: Mapping[str, Any], samples: Mapping[str, Samples]) -> None:
    for part, ways in samples.items():
        rows: list[Sequence[Cell]] = []
        for way, taken in ways.items():
            late = figures["latency_us"][part][way]
            p99 = [late["p99"][mark] / 1e3 for mark in ("median", "lowest", "highest")]
            used = [
                statistics.median(one[name] for one in taken) for name in ("broker_cpu_us", "readers_cpu_us")
            ]
            rows.append([way, late["p50"]["median"] / 1e3, *p99, *used, sum(one["lost"] for one in taken)])
        columns = [
            f"P15, {part}",
            "p50 ms",
            "p99 ms",
            "lowest",
            "highest",
            "broker CPU µs",
            "reader CPU µs",
            "lost",
        ]
        table(f"{MESSAGE_BYTES} bytes, {TOPICS} topics, venue to reader", columns, rows)
