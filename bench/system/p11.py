"""P11: the hop through Redis from one node to another, with the nodes around it and without.

Two subjects of ours, and the seed's scheme beside them:

- *nodes*: two gateways, one venue. The same messages are heard by a client of the node that has the venue's
  connection (the owner) and by one of the other (the follower), on one clock;
- *bus*: the ends that these nodes use, in two processes, without anything around them: what the nodes add is
  what remains;
- *redis-py* and *plain*: one ``PUBLISH`` for each message, whose answer is awaited before the next, and a
  reader that takes one message at a time and reads and writes its JSON. This is how the seed uses Redis, not
  the seed itself: no client is served.

Asked of each: how late is a message at 1,000 and 10,000 a second, what CPU time does it cost each process,
Redis included, and what is the highest rate that loses nothing? The rates are searched first; nine tenths of
them are then held in every round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from bench.bus.port import MESSAGE_BYTES, TOPICS
from bench.report import Cell, say, spread, table
from bench.rivals.buses import OURS, Bus, buses, missing
from bench.system.ears import FOLLOWER, OWNER
from bench.system.hops import last_line
from bench.system.native import BenchError, every_core, pinned
from bench.system.nodes import overhear, race
from bench.system.rates import highest_rate
from bench.system.redis import Redis, redis, version
from bench.system.rounds import Samples, alternate_parts
from bench.system.run import Sample, calm, clean, disturbed, symbols

NODES = "nodes"
RATES = {"1,000/s": 1_000, "10,000/s": 10_000}
"""Messages a second."""
HELD = "nine tenths of the highest"
TARGETS = {"added_p99_us": 4_000.0, "at": "1,000/s", "messages_per_s": 100_000}
ADDED, ALL = "added", ""
_OURS = (NODES, OURS.name)
_PROCESSES = ((OWNER, "writer"), ("redis",), (FOLLOWER, "reader"))
"""Who writes, carries and reads, with nodes and without."""
_NAMED = [process for names in _PROCESSES for process in names]
_HELD_SHARE = 0.9
_FIRST_RATES = {NODES: 25_000, OURS.name: 25_000}
_FIRST_RATE = 2_000
_HIGHEST_RATE = 400_000
_TICKS_PER_S = 2_000
_PATIENCE_S = 90.0

Subjects = dict[str, Callable[[], Sample]]


def run(*, seconds: float, quick: bool, rivals: Sequence[str] | None = None) -> dict[str, Any]:
    """Search the highest rates, then measure all parts in alternating rounds."""
    present = buses(rivals)
    with pinned(*every_core()), redis() as server:
        found = _search(server, present, seconds, steps=1 if quick else 3)
        parts = {name: _at(server, present, rate, seconds) for name, rate in RATES.items()}
        parts[HELD] = _held(server, present, found, seconds)
        samples = alternate_parts(
            "p11", parts, rounds=1 if quick else 5, add=partial(_add, attempts=1 if quick else 3)
        )
        redis_version = version(server)
    figures = {
        "message_bytes": MESSAGE_BYTES,
        "topics": TOPICS,
        "cores": len(every_core()),
        "targets": TARGETS,
        "redis": redis_version,
        "versions": {bus.name: bus.version for bus in present},
        "designs": {bus.name: bus.design for bus in present},
        "left_out": missing(rivals),
        "added_us": {part: _latencies(samples[part][NODES])[ADDED] for part in RATES},
        "latency_us": _by_subject(samples, _latencies),
        "cpu_us": _by_subject(samples, partial(_per_process, figure="cpu_us")),
        "busy": _by_subject(samples, partial(_per_process, figure="busy")),
        "highest_rate": found,
        "messages_per_cpu_s": {name: _per_cpu_second(taken) for name, taken in samples[HELD].items()},
        "clean": all(map(clean, _of_ours(samples))),
        "samples": samples,
    }
    _print(figures, samples)
    return figures


# ---- what is measured ------------------------------------------------------------------------------------


def _subjects(server: Redis, present: Sequence[Bus], seconds: float) -> dict[str, Callable[[float], Sample]]:
    """What takes a rate, by name."""
    topics = [f"trade:{symbol}" for symbol in symbols(TOPICS)]
    through = partial(race, server, topics=topics, client_bytes=MESSAGE_BYTES, seconds=seconds)
    return {NODES: through, **{bus.name: partial(cross, server, bus, seconds=seconds) for bus in present}}


def _search(server: Redis, present: Sequence[Bus], seconds: float, *, steps: int) -> dict[str, Any]:
    """The highest rate at which each loses nothing, and all that were tried."""
    return {
        name: highest_rate(
            f"p11 {name}",
            trial,
            first=_FIRST_RATES.get(name, _FIRST_RATE),
            highest=_HIGHEST_RATE,
            steps=steps,
            per_message=1,
        )
        for name, trial in _subjects(server, present, seconds).items()
    }


def _at(server: Redis, present: Sequence[Bus], rate: float, seconds: float) -> Subjects:
    """All of them at a rate, two clients listening to the nodes."""
    topics = [f"trade:{symbol}" for symbol in symbols(TOPICS)]
    subjects = {name: partial(trial, rate) for name, trial in _subjects(server, present, seconds).items()}
    heard = partial(overhear, server, rate, topics, client_bytes=MESSAGE_BYTES, seconds=seconds)
    return {**subjects, NODES: heard}


def _held(
    server: Redis, present: Sequence[Bus], found: Mapping[str, Mapping[str, Any]], seconds: float
) -> Subjects:
    """All of them a little below what each can."""
    subjects = _subjects(server, present, seconds)
    rates = {name: found[name]["messages_per_s"] * _HELD_SHARE for name in subjects}
    return {name: partial(trial, rates[name]) for name, trial in subjects.items() if rates[name]}


def cross(server: Redis, bus: Bus, rate: float, *, seconds: float) -> Sample:
    """Let messages cross from one process to another; none of them stays, however it ends.

    Raises:
        BenchError: it could not be measured.
    """
    burst = 1 if rate <= _TICKS_PER_S else round(rate / _TICKS_PER_S)
    words: list[object] = [bus.python, "-m", "bench.bus", bus.module, "--redis", server.port]
    words += ["--redis-pid", server.pid, "--rate", rate, "--burst", burst, "--seconds", seconds]
    sample: Sample = json.loads(last_line([str(word) for word in words], 4 * seconds + _PATIENCE_S))
    return {
        **sample,
        "deliveries_per_s": sample["received_per_s"],
        "gap_messages": sample["reports"],
        "closed": 0,
    }


def _add(samples: Samples, name: str, subject: Callable[[], Sample], *, attempts: int) -> None:
    try:
        samples[name].append(calm(subject, attempts))
    except BenchError as error:
        if name in _OURS:
            say(f"p11: {name} is measured once more: {error}")
            samples[name].append(subject())
            return
        say(f"p11: {name} is left out: {error}")
        del samples[name]


# ---- what it comes to ------------------------------------------------------------------------------------


def _of_ours(samples: Mapping[str, Samples]) -> Iterator[Sample]:
    for part in samples.values():
        for name in _OURS:
            yield from part.get(name, [])


def _by_subject(samples: Mapping[str, Samples], tell: Callable[[Sequence[Sample]], Any]) -> dict[str, Any]:
    """What is told of the samples of each subject in each part."""
    return {part: {name: tell(taken) for name, taken in each.items()} for part, each in samples.items()}


def _latencies(taken: Sequence[Sample]) -> dict[str, dict[str, dict[str, float]]]:
    """Microseconds by who heard it and percentile."""
    heard = [
        {**one.get("each", {ALL: one}), **({ADDED: one[ADDED]} if ADDED in one else {})} for one in taken
    ]
    return {
        who: {mark: spread([one[who][f"{mark}_ns"] / 1e3 for one in heard]) for mark in ("p50", "p99")}
        for who in heard[0]
    }


def _per_process(taken: Sequence[Sample], figure: str) -> dict[str, dict[str, float]]:
    """A figure of the books, by process."""
    return {process: spread([one[figure][process] for one in taken]) for process in taken[0][figure]}


def _per_cpu_second(taken: Sequence[Sample]) -> dict[str, float]:
    """How many messages a second of each process' CPU time is enough for."""
    return {
        process: 1e6 / used["median"]
        for process, used in _per_process(taken, "cpu_us").items()
        if used["median"]
    }


def _print(figures: Mapping[str, Any], samples: Mapping[str, Samples]) -> None:
    for part, each in samples.items():
        _print_part(part, figures, each)
    for name, found in figures["highest_rate"].items():
        say(f"{name}: the highest rate without loss is {found['messages_per_s']:,.0f} msg/s")
    for name in _OURS:
        each = figures["messages_per_cpu_s"].get(name, {})
        enough = (f"{process} {count:,.0f}" for process, count in each.items() if process in _NAMED)
        say(f"{name}: a second of CPU time is enough for so many messages: {', '.join(enough)}")
    added = figures["added_us"][TARGETS["at"]]["p99"]
    say(f"targets: at {TARGETS['at']} the hop adds at most {TARGETS['added_p99_us']:,.0f} µs to the p99 "
        f"(it was {added['median']:,.0f}); at least {TARGETS['messages_per_s']:,} msg/s; "
        f"{'nothing' if figures['clean'] else 'SOMETHING'} was lost or left out in the rounds")  # fmt: skip


def _print_part(part: str, figures: Mapping[str, Any], samples: Samples) -> None:
    rows: list[Sequence[Cell]] = []
    for name, taken in samples.items():
        cpu = figures["cpu_us"][part][name]
        used = [cpu[process]["median"] for names in _PROCESSES for process in names if process in cpu]
        rate = spread([one["deliveries_per_s"] for one in taken])["median"]
        counts = [sum(one[count] for one in taken) for count in ("lost", "gap_messages")]
        counts.append(sum(disturbed(one) for one in taken))
        for who, late in figures["latency_us"][part][name].items():
            p99 = [late["p99"][mark] / 1e3 for mark in ("median", "lowest", "highest")]
            label = " ".join(filter(None, (name, who)))
            rows.append([label, int(rate), late["p50"]["median"] / 1e3, *p99, *used, *counts])
    columns = [f"P11, {part}", "messages/s", "p50 ms", "p99 ms", "lowest", "highest",
               "writer CPU µs", "Redis", "reader", "lost", "gaps", "disturbed"]  # fmt: skip
    table(f"{MESSAGE_BYTES} bytes, {TOPICS} topics, through Redis", columns, rows)
