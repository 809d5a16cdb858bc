"""What Rango's operators would see: one stream of RabbitMQ to many clients, and clients that only stay.

Three questions, of ``feedmux rango`` behind a real RabbitMQ, which shares the load's core with publisher
and load:

- *steady*: 100 messages of 420 bytes a second to 1,000 clients of ``global.tickers``: how late, and what
  CPU time?
- *highest rate*: how many messages a second, before some are late by a second or lost?
- *idle*: 19,000 clients of that stream and a message every five seconds, as in Rango's published benchmark:
  memory of a client, and the process's share of a core; and 30,000 at two workers.

Rango's own figures are given beside ours as marks. They are from elsewhere, so no ratio is made of them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from bench.report import Cell, say, spread, table
from bench.system.broker import Publisher, rabbitmq
from bench.system.gateway import Gateway
from bench.system.native import Load, cpu_seconds, rss_bytes
from bench.system.rates import highest_rate
from bench.system.run import Sample, calm, clean, measure

STREAM = "global.tickers"
CLIENTS = 1_000
RATES = {"steady": 100, "fast": 400}
"""Messages a second."""
IDLE_CLIENTS = 19_000
IDLE_AT_WORKERS = (15_000, 15_000)
IDLE_RATE = 0.2
MARKS: dict[str, Any] = {
    "steady": {"deliveries_per_s": 100_000, "p99_ms": 25, "cpu_us_per_delivery": 8.1},
    "ceiling_deliveries_per_s": [131_000, 186_000],
    "idle": {
        "bytes_per_client_measured": 22_900,
        "bytes_per_client_published": [15_000, 17_500],
        "cores": 0.08,
    },
}
"""Of openware/rango 1a3b15e (2024-03-13), to be ahead of. They are given: this bench does not run it.
``published`` and the share of a core are Openware's: openware.com/sdk/2.6/guides/operator/benchmark-rango."""
_WARMING = 100
_CALM_S = 2.0


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure rounds of the first two, and the last one once."""
    with rabbitmq() as port:
        samples: dict[str, list[Sample]] = {"steady": [], "fast": []}
        for number in range(2 if quick else 5):
            for name, rate in RATES.items():
                sample = calm(partial(_once, port, rate, seconds))
                samples[name].append(sample)
                say(
                    f"rango round {number + 1}, {name}: {sample['deliveries_per_s']:,.0f} deliveries/s, "
                    f"p99 {sample['p99_ns'] / 1e6:.2f} ms, {sample['cpu_us_per_delivery']:.2f} µs each"
                )
        found = highest_rate(
            "rango",
            partial(_once, port, seconds=seconds),
            first=200,
            highest=4_000,
            steps=0 if quick else 3,
            per_message=CLIENTS,
        )
        idle = {
            "one process": _idle(port, [2_000 if quick else IDLE_CLIENTS], workers=1),
            "two workers": _idle(port, [2_000] if quick else IDLE_AT_WORKERS, workers=2),
        }
    figures = {
        "clients": CLIENTS,
        "marks": MARKS,
        **{name: _figures(taken) for name, taken in samples.items()},
        "highest_rate": found,
        "idle": idle,
        "clean": all(clean(one) for taken in samples.values() for one in taken),
        "samples": samples,
    }
    _print(figures)
    return figures


def _figures(taken: Sequence[Sample]) -> dict[str, Any]:
    names = ("deliveries_per_s", "cpu_us_per_delivery", "frames_per_read")
    marks = {f"{mark}_ms": spread([one[f"{mark}_ns"] / 1e6 for one in taken]) for mark in ("p50", "p99")}
    return {**{name: spread([one[name] for one in taken]) for name in names}, **marks}


def _once(port: int, rate: float, seconds: float) -> Sample:
    with (
        _gateway(port) as server,
        Publisher(port, f"public.{STREAM}") as publisher,
        _load(server, CLIENTS, "--seconds", seconds, "--warmup", 1) as load,
    ):
        return measure(server, publisher, f"rate {rate:g}", load=load, seconds=seconds)


def _gateway(port: int, workers: int = 1) -> Gateway:
    return Gateway(None, {"RABBITMQ_PORT": str(port), "MAX_CLIENTS_TOTAL": "40000"}, workers=workers)


def _load(server: Gateway, clients: int, *more: object) -> Load:
    path = ["--path", "/public?stream=", "--no-subscribe", "--keyed", "--topics", STREAM]
    return Load(server.port, clients=clients, arguments=[*path, *more])


def _idle(port: int, groups: Sequence[int], *, workers: int) -> dict[str, Any]:
    """Memory of so many clients, and CPU time while a message comes every five seconds."""
    with _gateway(port, workers) as server, Publisher(port, f"public.{STREAM}") as publisher:
        with _load(server, _WARMING, "--idle") as load:
            load.ready()
        serving = [pid for name, pid in server.children().items() if name != "the feed process"]
        pids = serving or [server.pid]
        before = sum(map(_settled, pids))
        with contextlib.ExitStack() as stack:
            for number, count in enumerate(groups):
                load = stack.enter_context(
                    _load(server, count, "--idle", "--sources", 4 + number, "--deadline", 110)
                )
                load.ready(120)
            after = sum(map(_settled, pids))
            publisher.tell(f"rate {IDLE_RATE}")
            since, used = time.monotonic(), sum(map(cpu_seconds, pids))
            time.sleep(20.0)
            share = (sum(map(cpu_seconds, pids)) - used) / (time.monotonic() - since)
            published = publisher.statistics()["messages"]
    clients = sum(groups)
    say(
        f"rango idle, {clients:,} clients at {workers} process(es): "
        f"{(after - before) / clients:,.0f} bytes each, {share:.3f} cores"
    )
    return {
        "clients": clients,
        "bytes_per_client": (after - before) / clients,
        "rss_bytes": {"before": before, "after": after},
        "cores": share,
        "messages": published,
    }


def _settled(pid: int) -> int:
    """The resident size once it stays within 0.5 % for two seconds."""
    size, since, until = rss_bytes(pid), time.monotonic(), time.monotonic() + 20
    while time.monotonic() - since < _CALM_S and time.monotonic() < until:
        time.sleep(0.2)
        now = rss_bytes(pid)
        if abs(now - size) > size * 0.005:
            size, since = now, time.monotonic()
    return rss_bytes(pid)


def _print(figures: dict[str, Any]) -> None:
    rows: list[Sequence[Cell]] = []
    for name in RATES:
        one = figures[name]
        rows.append([
            name, int(one["deliveries_per_s"]["median"]), one["p50_ms"]["median"], one["p99_ms"]["median"],
            one["cpu_us_per_delivery"]["median"], one["frames_per_read"]["median"],
        ])  # fmt: skip
    columns = ["Rango's work", "deliveries/s", "p50 ms", "p99 ms", "CPU µs each", "frames/read"]
    table(f"{CLIENTS:,} clients of {STREAM}, 420 bytes", columns, rows)
    for name, one in figures["idle"].items():
        say(f"{one['clients']:,} idle clients, {name}: {one['bytes_per_client']:,.0f} bytes each, "
            f"{one['cores']:.3f} cores while a message comes every five seconds")  # fmt: skip
    found = figures["highest_rate"]
    say(f"highest rate: {found['messages_per_s']:,g} msg/s, {found['deliveries_per_s']:,g} deliveries/s")
    theirs = MARKS["steady"]
    say(
        f"marks, of Rango: {theirs['deliveries_per_s']:,} deliveries/s at a p99 of {theirs['p99_ms']} ms, "
        f"{theirs['cpu_us_per_delivery']} µs each; idle 22,900 bytes, 0.08 cores"
    )
