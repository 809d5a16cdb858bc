"""P12: two workers beside one process: what does a delivery cost each of them?

Two workers get twice the clients that one process gets, so each worker has what the one process has, and is
to pay the same for it. Two workloads:

- *one topic*: 1,000 clients for each, 420 bytes, a closed loop with one message under way, so that a flush
  holds one message whoever is late;
- *many topics*: 1,000 clients for each with 20 of 100 topics, 250 bytes, at a fixed rate.

The CPU time is the kernel's account of the processes that serve clients, for all that these got. Workers
read from the ring what the one process decodes itself; what the feed and the parent use is counted apart.

Where a machine has a core for each of them, two workers are also to make 1.8 times the deliveries of one
process (*full speed*: two messages under way). With fewer cores they share them, and the figure says nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from bench.report import Cell, say, spread, table
from bench.system.gateway import Gateway
from bench.system.native import BenchError, cpu_seconds, server_cores
from bench.system.run import Sample, Workload, clean, gateway, start, symbols

WORKERS = 2
CLIENTS = 1_000
TARGETS = {"cpu_ratio": 1.15, "speed_ratio": 1.8}
CORES_NEEDED = WORKERS + 1
"""For the workers and their feed, beside the load's."""
_ONE, _TWO = "one process", "two workers"
_TOPICS, _EACH = 100, 20
_RATE, _BURST = 2_000, 1

Samples = dict[str, list[Sample]]


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure one process and two workers in alternating rounds."""
    single = Workload(command="window 1", client_bytes=420, seconds=seconds)
    works = {
        "one topic": single,
        "many topics": Workload(
            command=f"rate {_RATE} {_BURST}",
            symbols=symbols(_TOPICS),
            each=_EACH,
            client_bytes=250,
            seconds=seconds,
        ),
        "full speed": msgspec.structs.replace(single, command="window 2"),
    }
    samples: dict[str, Samples] = {name: {_ONE: [], _TWO: []} for name in works}
    for number in range(2 if quick else 5):
        for name, work in works.items():
            for subject, measured in _subjects(work).items():
                sample = measured()
                samples[name][subject].append(sample)
                say(f"p12 round {number + 1}, {name}, {subject}: {sample['cpu_us_per_delivery']:.3f} µs of "
                    f"CPU per delivery, {sample['deliveries_per_s']:,.0f} deliveries/s")  # fmt: skip
    figures = {
        "workers": WORKERS,
        "clients_for_each": CLIENTS,
        "rate": _RATE,
        "server_cores": len(server_cores()),
        "targets": TARGETS,
        "cpu_ratio": {name: _ratio(taken, "cpu_us_per_delivery") for name, taken in samples.items()},
        "speed_ratio": _ratio(samples["full speed"], "deliveries_per_s"),
        "clean": all(clean(one) for each in samples.values() for taken in each.values() for one in taken),
        "samples": samples,
    }
    _print(figures, samples)
    return figures


def _subjects(work: Workload) -> Mapping[str, Callable[[], Sample]]:
    several = msgspec.structs.replace(work, clients=WORKERS * CLIENTS)
    return {_ONE: partial(_once, work, 1), _TWO: partial(_once, several, WORKERS)}


def _once(work: Workload, workers: int) -> Sample:
    """Serve a workload once.

    Raises:
        BenchError: it could not be measured.
    """
    with gateway(work, workers=workers) as running:
        assert isinstance(running.server, Gateway)
        serving = running.server.children() or {_ONE: running.server.pid}
        start(running, work.command)
        with _books([*serving.values(), running.server.pid]) as used:
            sample = running.load.line(work.seconds + 60)
        edges = [pid for name, pid in serving.items() if name != "the feed process"]
        if len(edges) != workers:
            raise BenchError(f"{workers} processes were to serve, these do: {', '.join(serving)}")
        return {
            **{name: value for name, value in sample.items() if name != "event"},
            "cpu_s": {name: used[pid] for name, pid in serving.items()},
            "parent_cpu_s": used[running.server.pid],
            "cpu_us_per_delivery": sum(used[pid] for pid in edges) / sample["deliveries"] * 1e6,
        }


@contextlib.contextmanager
def _books(pids: Sequence[int]) -> Iterator[dict[int, float]]:
    """CPU seconds that each process used inside, once it is over."""
    before = {pid: cpu_seconds(pid) for pid in pids}
    used: dict[int, float] = {}
    yield used
    used.update({pid: cpu_seconds(pid) - since for pid, since in before.items()})


def _ratio(samples: Samples, figure: str) -> dict[str, float]:
    """Two workers in terms of one process, round by round."""
    pairs = zip(samples[_TWO], samples[_ONE], strict=True)
    return spread([two[figure] / one[figure] for two, one in pairs])


def _print(figures: Mapping[str, Any], samples: Mapping[str, Samples]) -> None:
    rows: list[Sequence[Cell]] = []
    for name, each in samples.items():
        for subject, taken in each.items():
            cpu, rate = (spread([one[figure] for one in taken])
                         for figure in ("cpu_us_per_delivery", "deliveries_per_s"))  # fmt: skip
            feed = spread([one["cpu_s"].get("the feed process", 0.0) / one["seconds"] for one in taken])
            rows.append([
                f"{name}, {subject}", cpu["median"], cpu["lowest"], cpu["highest"], int(rate["median"]),
                feed["median"], sum(one["lost"] for one in taken),
            ])  # fmt: skip
    columns = ["", "CPU µs each", "lowest", "highest", "deliveries/s", "feed, cores", "lost"]
    title = f"{CLIENTS:,} clients for each, the server on {figures['server_cores']} core(s)"
    table(title, ["P12 workers", *columns[1:]], rows)
    for name, ratio in figures["cpu_ratio"].items():
        say(f"{name}: a delivery costs a worker {ratio['median']:.3f} times what it costs one process "
            f"({ratio['lowest']:.3f} to {ratio['highest']:.3f})")  # fmt: skip
    speed = figures["speed_ratio"]
    say(f"full speed: {speed['median']:.2f} times the deliveries "
        f"({speed['lowest']:.2f} to {speed['highest']:.2f})")  # fmt: skip
    say(f"target: at most {TARGETS['cpu_ratio']} times the CPU time; at least {TARGETS['speed_ratio']} times "
        f"the deliveries where the server has {CORES_NEEDED} cores")  # fmt: skip
