"""P15: what do programs gain that share a connection, and what does the broker's hop cost them?

Readers in processes of their own take trades of one venue: each by a connection of its own, on which the
venue sends it so many, or all of them the same through one broker (``feedmux share``), which the first one
starts. Latency is from the venue's intended time to the message in the reader's ``async for``, or in its
callback where it is direct or in C++.

Beside it: how soon a program has its first message when it has to start the broker, and what broker and
clients use while nothing comes.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.build import tool
from bench.report import Cell, say, spread, table
from bench.system.books import Books
from bench.system.native import BenchError, Native, Venue, every_core, pinned, rss_bytes
from bench.system.rounds import Samples, Subjects, alternate_parts
from bench.system.run import WARMUP_S, Sample, calm, symbols

DIRECT, SHARED, SHARED_CPP = "direct", "shared", "shared, C++"
MESSAGE_BYTES: Final = 420
TOPICS: Final = 16
PARTS: Final[Mapping[str, tuple[int, float]]] = {
    "1 reader, 1,000/s": (1, 1_000.0),
    "1 reader, 10,000/s": (1, 10_000.0),
    "20 readers, 1,000/s": (20, 1_000.0),
}
"""Readers, and messages a second."""
_PATIENCE_S: Final = 60.0
_STARTS: Final = 5
_REST_S: Final = 30.0


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure both ways in alternating rounds."""
    parts: dict[str, Subjects] = {
        part: {way: partial(_read, way, readers, rate, seconds) for way in (DIRECT, SHARED, SHARED_CPP)}
        for part, (readers, rate) in PARTS.items()
    }
    with pinned(*every_core()):
        samples = alternate_parts("p15", parts, rounds=1 if quick else 5, add=_add)
        first_s = {
            way: [_first_message(way) for _ in range(1 if quick else _STARTS)]
            for way in (DIRECT, SHARED, SHARED_CPP)
        }
        at_rest = _rest(seconds if quick else _REST_S)
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
        "broker_bytes": max(
            one.get("broker_bytes", 0)
            for ways in samples.values()
            for taken in ways.values()
            for one in taken
        ),
        "first_message_s": {way: spread(taken) for way, taken in first_s.items()},
        "at_rest": at_rest,
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
    name = _broker_name()
    with Venue(client_bytes=MESSAGE_BYTES) as venue, contextlib.ExitStack() as stack:
        started = [stack.enter_context(_Reader(way, name, venue, seconds)) for _ in range(readers)]
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
        "lost": 0 if way == DIRECT and readers > 1 else sum(one["missing"] for one in results),
        "duplicates": sum(one["messages"] - one["distinct"] for one in results),
        "readers_cpu_us": statistics.mean(cpu[name] for name in pids),
        "broker_cpu_us": cpu.get("broker", 0.0),
        "subscriptions": subscriptions,
        **memory,
        **used,
        "each": results,
    }


def _first_message(way: str) -> float:
    """Seconds from the start of a program, without a broker, to its first message."""
    with Venue(client_bytes=MESSAGE_BYTES) as venue:
        venue.tell("rate 1000")
        began = time.monotonic()
        with _Reader(way, _broker_name(), venue, 0.0) as reader:
            reader.expect("first")
            return time.monotonic() - began


def _rest(seconds: float) -> dict[str, Any]:
    """What a broker and its clients use of a core while nothing comes, and the broker's memory."""
    name = _broker_name()
    ways = {"Python client": SHARED, "C++ client": SHARED_CPP}
    with Venue(client_bytes=MESSAGE_BYTES) as venue, contextlib.ExitStack() as stack:
        started = {who: stack.enter_context(_Reader(way, name, venue, 0.0)) for who, way in ways.items()}
        broker = {one.expect("ready")["broker"] for one in started.values()}.pop()
        time.sleep(WARMUP_S)
        books = Books({"broker": broker, **{who: one.pid for who, one in started.items()}})
        time.sleep(seconds)
        return {"seconds": seconds, "broker_bytes": rss_bytes(broker), **books.close().per(1)}


def _broker_name() -> str:
    return f"bench-{uuid.uuid4().hex[:12]}"


class _Reader(Native):
    """A program that reads; it has every core."""

    def __init__(self, way: str, broker: str, venue: Venue, seconds: float) -> None:
        reading = [venue.port, ",".join(symbols(TOPICS)), WARMUP_S, seconds]
        if way == SHARED_CPP:
            program = [tool("local_reader"), broker, str(Path(sys.executable).with_name("feedmux"))]
        else:
            python = [sys.executable, "-m", "bench.local"]
            program = [*python, DIRECT if way == DIRECT else f"{SHARED}:{broker}"]
        super().__init__("reader", reading, core=every_core(), program=program)

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.terminate()
        super().end()

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
    starts = [[way, *map(found.get, ("median", "lowest", "highest"))] for way, found in
              figures["first_message_s"].items()]  # fmt: skip
    table(
        "From the start of a program to its first message", ["P15, start", "s", "lowest", "highest"], starts
    )
    rest = figures["at_rest"]
    shares = [[who, busy * 100] for who, busy in rest["busy"].items()]
    table(f"While nothing comes for {rest['seconds']:g} s", ["P15, at rest", "% of a core"], shares)
    loaded, resting = (size / 1e6 for size in (figures["broker_bytes"], rest["broker_bytes"]))
    say(f"the broker's memory is {resting:.1f} MB at rest, and at most {loaded:.1f} MB with messages")
