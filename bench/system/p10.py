"""P10: one hop through shared memory: 420 bytes from one process to another, beside other ways to get there.

Four questions, each asked of the ring and of its rivals in the same rounds:

- *polling*: how late is a message, 1,000 a second, when its reader asks again and again? And *polling often*:
  how late are they at 100,000 a second, when no cache has time to forget what the hop needs?
- *asleep*: how late is it when writer and reader sleep in between, and what CPU time does it cost?
- *busy*: the same, when 20 come at once, 1,000 times a second;
- *full speed*: how many a second get across?

The ring's writer does not wait for its reader, so its full speed has two answers. One is the rate of a
writer that never pauses, with what was lost. The other is the highest rate that loses nothing, in bursts of
64 with one flush after each: it is searched first, and nine tenths of it are then held in every round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from bench.report import Cell, say, spread, table
from bench.rivals.hops import RING, Hop, hops, missing
from bench.system.hops import cross
from bench.system.native import BenchError
from bench.system.rates import highest_that_holds
from bench.system.rounds import Samples, alternate_parts
from bench.system.run import Sample, calm, disturbed

BYTES = 420
LATENCIES = {"polling": (1_000, 1), "polling often": (100_000, 1), "asleep": (1_000, 1), "busy": (20_000, 20)}
"""Messages a second, and how many of them at once."""
BURST = 64
TARGETS = {"polling_p50_us": 0.6, "asleep_p50_us": 60.0, "messages_per_s": 3_500_000, "lost_unreported": 0}
SPEED = "full speed"
ONE_BY_ONE = "ring, a flush for each"
"""What the rivals do, too: each message is shown, and read, by itself."""
_FIRST_RATE = 1_000_000
_HIGHEST_RATE = 16_000_000
_HIGHEST_QUICK_RATE = 4_000_000
_TRIAL_S = 1.0
_ATTEMPTS = 2  # a machine that is disturbed for a moment fails once, a limit fails twice
_KEPT_UP = 0.98
_HELD_SHARE = 0.9
_READINGS = {"read": "poll", "read_many": "many"}

Subjects = dict[str, Callable[[], Sample]]


def run(*, seconds: float, quick: bool, rivals: Sequence[str] | None = None) -> dict[str, Any]:
    """Search the ring's highest rates, then measure all parts in alternating rounds."""
    present = hops(rivals)
    found = {name: _search(name, min(seconds, _TRIAL_S), quick) for name in _READINGS}
    parts = {name: _latency_subjects(name, present, seconds) for name in LATENCIES}
    parts[SPEED] = _speed_subjects(present, seconds) | _held_subjects(found, seconds)
    samples = alternate_parts(
        "p10", parts, rounds=1 if quick else 5, add=partial(_add, attempts=1 if quick else 3)
    )
    figures = {
        "message_bytes": BYTES,
        "latency_rates": LATENCIES,
        "targets": TARGETS,
        "versions": {hop.name: hop.version for hop in present},
        "designs": {hop.name: hop.design for hop in present},
        "left_out": missing(rivals),
        "latency_us": {part: _latencies(samples[part]) for part in LATENCIES},
        "messages_per_s": {name: _spread(taken, "received_per_s") for name, taken in samples[SPEED].items()},
        "ratio_to": {hop.name: _ratios(samples, hop.name) for hop in present if hop is not RING},
        "highest_rate": found,
        "lost_unreported": sum(sample["lost_unreported"] for sample in _every(samples)),
        "disorder": sum(sample["disorder"] for sample in _every(samples)),
        "samples": samples,
    }
    _print(figures, samples)
    return figures


# ---- what is measured ------------------------------------------------------------------------------------


def _search(reading: str, seconds: float, quick: bool) -> dict[str, Any]:
    """The highest rate at which the ring loses nothing, and all that were tried."""
    tried: list[dict[str, Any]] = []

    def attempt(rate: float) -> bool:
        sample = _paced(reading, rate, seconds)
        lost = sample["lost_reported"] + sample["lost_unreported"]
        held = not lost and sample["received_per_s"] >= _KEPT_UP * rate
        tried.append({"rate": rate, "held": held, "sample": sample})
        say(f"p10 ring, {reading}, {rate:,.0f} msg/s: {'held' if held else 'not held'}, "
            f"{sample['received_per_s']:,.0f} arrived, {lost:,} lost")  # fmt: skip
        return held

    def holds(rate: float) -> bool:
        return any(attempt(rate) for _ in range(_ATTEMPTS))

    highest, steps = (_HIGHEST_QUICK_RATE, 1) if quick else (_HIGHEST_RATE, 5)
    found = highest_that_holds(holds, first=_FIRST_RATE, highest=highest, steps=steps)
    return {"messages_per_s": found, "tried": tried}


def _paced(reading: str, rate: float, seconds: float) -> Sample:
    return cross(RING, _READINGS[reading], "bursts", rate=rate, burst=BURST, seconds=seconds)


def _latency_subjects(part: str, present: Sequence[Hop], seconds: float) -> Subjects:
    rate, burst = LATENCIES[part]

    def way(hop: Hop) -> Callable[[], Sample]:
        reading, how = ("poll", hop.paces) if part.startswith("polling") else (hop.sleeps, "sleep")
        return partial(cross, hop, reading, how, rate=rate, burst=burst, seconds=seconds)

    can = [hop for hop in present if part != "polling often" or hop.paces == "spin"]
    return {hop.name: way(hop) for hop in can}


def _speed_subjects(present: Sequence[Hop], seconds: float) -> Subjects:
    ring: Subjects = {
        f"ring, {name}": partial(cross, RING, reading, "free", burst=BURST, seconds=seconds)
        for name, reading in _READINGS.items()
    }
    ring[ONE_BY_ONE] = partial(cross, RING, "poll", "free", seconds=seconds)
    rivals = {
        hop.name: partial(cross, hop, hop.races, "free", seconds=seconds)
        for hop in present
        if hop is not RING
    }
    return ring | rivals


def _held_subjects(found: Mapping[str, Mapping[str, Any]], seconds: float) -> Subjects:
    return {
        f"ring, {name}, held": partial(_paced, name, one["messages_per_s"] * _HELD_SHARE, seconds)
        for name, one in found.items()
        if one["messages_per_s"]
    }


def _add(samples: Samples, name: str, subject: Callable[[], Sample], *, attempts: int) -> None:
    try:
        samples[name].append(calm(subject, attempts))
    except BenchError as error:
        if name.startswith(RING.name):
            raise
        say(f"p10: {name} is left out: {error}")
        del samples[name]


# ---- what it comes to ------------------------------------------------------------------------------------


def _every(samples: Mapping[str, Samples]) -> Iterator[Sample]:
    """All samples of the ring."""
    for part in samples.values():
        for name, taken in part.items():
            if name.startswith(RING.name):
                yield from taken


def _spread(taken: Sequence[Sample], figure: str, scale: float = 1.0) -> dict[str, float]:
    return spread([sample[figure] * scale for sample in taken])


def _latencies(samples: Samples) -> dict[str, dict[str, dict[str, float]]]:
    """Microseconds by name and percentile."""
    return {
        name: {mark: _spread(taken, f"{mark}_ns", 1e-3) for mark in ("p50", "p99")}
        for name, taken in samples.items()
    }


def _ratios(samples: Mapping[str, Samples], rival: str) -> dict[str, dict[str, float]]:
    """The ring in terms of a rival, round by round: how late a message is, and how many a second arrive."""

    def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], figure: str) -> dict[str, float]:
        return spread([one[figure] / other[figure] for one, other in zip(ours, theirs, strict=True)])

    found = {
        f"{part}_p50": ratio(samples[part][RING.name], samples[part][rival], "p50_ns")
        for part in LATENCIES
        if rival in samples[part]
    }
    if rival in samples[SPEED]:
        speed = ratio(samples[SPEED][ONE_BY_ONE], samples[SPEED][rival], "received_per_s")
        found["messages_per_s"] = speed
    return found


def _print(figures: Mapping[str, Any], samples: Mapping[str, Samples]) -> None:
    for part in LATENCIES:
        _print_latencies(part, samples[part])
    _print_speed(samples[SPEED])
    for name, ratios in figures["ratio_to"].items():
        words = (f"{figure} {one['median']:.3f} ({one['lowest']:.3f} to {one['highest']:.3f})"
                 for figure, one in ratios.items())  # fmt: skip
        say(f"ring / {name}: {', '.join(words)}")
    for name, found in figures["highest_rate"].items():
        say(f"ring, {name}: the highest rate without loss is {found['messages_per_s']:,.0f} msg/s")
    say(f"targets: polling p50 at most {TARGETS['polling_p50_us']} µs, from sleep into asyncio at most "
        f"{TARGETS['asleep_p50_us']:g} µs, at least {TARGETS['messages_per_s']:,} msg/s; "
        f"lost without a word: {figures['lost_unreported']} (must be 0)")  # fmt: skip


def _print_latencies(part: str, samples: Samples) -> None:
    rows: list[Sequence[Cell]] = []
    # Who polls uses all the time that there is.
    cpu = () if part.startswith("polling") else ("writer_cpu_us", "reader_cpu_us")
    for name, taken in samples.items():
        p50, p99 = (_spread(taken, f"{mark}_ns", 1e-3) for mark in ("p50", "p99"))
        rows.append([
            name, p50["median"], p50["lowest"], p50["highest"], p99["median"], p99["lowest"], p99["highest"],
            *(_spread(taken, figure)["median"] for figure in cpu),
            _lost(taken), sum(disturbed(sample) for sample in taken),
        ])  # fmt: skip
    costs = ("writer CPU", "reader CPU") if cpu else ()
    columns = [f"P10 {part}, µs", "p50", "lowest", "highest", "p99", "lowest", "highest", *costs,
               "lost without a word", "disturbed"]  # fmt: skip
    table(f"{LATENCIES[part][0]:,} messages a second, {BYTES} bytes, one hop", columns, rows)


def _print_speed(samples: Samples) -> None:
    rows: list[Sequence[Cell]] = []
    for name, taken in samples.items():
        rate = _spread(taken, "received_per_s")
        rows.append([
            name, int(rate["median"]), int(rate["lowest"]), int(rate["highest"]),
            _spread(taken, "writer_cpu_us")["median"], _spread(taken, "reader_cpu_us")["median"],
            sum(sample["lost_reported"] for sample in taken), _lost(taken),
            sum(disturbed(sample) for sample in taken),
        ])  # fmt: skip
    columns = [f"P10 {SPEED}", "messages/s", "lowest", "highest", "writer CPU µs", "reader CPU µs",
               "lost, reported", "lost without a word", "disturbed"]  # fmt: skip
    table(f"One writer, one reader, {BYTES} bytes", columns, rows)


def _lost(taken: Sequence[Sample]) -> int:
    return sum(sample["lost_unreported"] for sample in taken)
