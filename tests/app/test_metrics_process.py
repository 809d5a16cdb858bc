"""Tests of the metrics of processes."""

from __future__ import annotations

from pathlib import Path

from feedmux.app import process
from feedmux.app.metrics_process import families

SEEDS_NAMES = {
    "process_cpu_seconds",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
}


def test_every_name_that_other_libraries_use_is_there() -> None:
    names = {family.name for family in families(process.figures())}
    assert names >= SEEDS_NAMES
    assert {"python_info", "python_gc_collections", "python_threads"} <= names


def test_the_values_are_the_figures() -> None:
    figures = process.figures()
    values = {
        family.name: sample.value
        for family in families(figures)
        for sample in family.samples
        if not sample.labels
    }
    assert values["process_open_fds"] == figures["open_descriptors"]
    assert values["process_cpu_seconds"] == figures["cpu_ms"] / 1000
    assert values["process_start_time_seconds"] == figures["start_seconds"]


def test_where_there_are_no_books_nothing_is_said() -> None:
    assert not [sample for family in families({}) for sample in family.samples]
    assert Path("/proc/self/stat").exists()
