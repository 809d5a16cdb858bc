"""Show a measurement to people: a table that fits 80 columns, and the sentences below it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from feedmux.app.measurement import Measurement, Point, per_second, where

WIDTH: Final = 80
"""The width that every line fits; in a pipe and in a smaller terminal it is assumed."""
UNKNOWN: Final = "–"


def write_table(measured: Measurement) -> None:
    """Write the table and the notes to standard output."""
    console = Console(highlight=False, soft_wrap=False)
    console.width = max(console.width if sys.stdout.isatty() else WIDTH, WIDTH)
    console.print(*_head(measured), sep="\n", markup=False)
    console.print("", _table(measured), "", sep="\n")
    for sentence in _feet(measured):
        console.print(sentence, markup=False)


def _head(measured: Measurement) -> Iterator[str]:
    work = measured.workload
    yield measured.title
    streams = f"{work.each} of {work.topics}" if work.each < work.topics else str(work.topics)
    yield (
        f"{work.server}: {work.clients:,} clients, {streams} streams each, "
        f"{work.seconds:g} s per run, {work.processes} load process{'es' if work.processes > 1 else ''}"
    )


def _table(measured: Measurement) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name, unit in (
        ("messages", "/s"), ("deliveries", "/s"), ("lost", ""), ("p50", "ms"), ("p99", "ms"),
        ("p99.9", "ms"), ("max", "ms"), ("CPU", "µs each"), ("busy", "%"),
    ):  # fmt: skip
        table.add_column(f"{name}\n{unit}", justify="right", no_wrap=True)
    for point in measured.points:
        table.add_row(*_cells(point), style="red" if point.lost else "")
    return table


def _cells(point: Point) -> Iterator[str]:
    yield per_second(point.rate) if point.rate is not None else UNKNOWN
    yield f"{point.deliveries_per_s:,.0f}"
    yield f"{point.lost:,}"
    for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms"):
        yield milliseconds(getattr(point.latency, name)) if point.latency else UNKNOWN
    cpu, busy = point.cpu_us_per_delivery, point.server_busy
    yield f"{cpu:,.2f}" if cpu is not None else UNKNOWN
    yield f"{busy * 100:.0f}" if busy is not None else UNKNOWN


def milliseconds(value: float) -> str:
    """Three digits that matter: 0.312, 4.56, 78.9, 1,234."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:,.{value < 100:d}f}"


def _feet(measured: Measurement) -> Iterator[str]:
    for point in measured.points:
        if point.slow:
            yield (
                f"slow clients {where(point)}: {point.slow.deliveries:,} deliveries, "
                f"{point.slow.conflated:,} conflated, {point.slow.announced:,} in gap messages, "
                f"{point.slow.lost:,} lost, {point.slow.closed:,} closed"
            )
    yield from (f"note: {note}" for note in measured.notes)
