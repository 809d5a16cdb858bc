"""Tests of what the system's books say of a process."""

from __future__ import annotations

import resource
import time
from functools import reduce
from itertools import permutations
from pathlib import Path

from feedmux.app import process
from feedmux.core.stats import add_up


def test_the_figures_are_those_of_this_process(tmp_path: Path) -> None:
    before = process.figures()
    held = [(tmp_path / str(number)).open("w") for number in range(50)]
    until = time.process_time() + 0.05
    while time.process_time() < until:
        continue
    after = process.figures()
    for file in held:
        file.close()
    assert after["open_descriptors"] == before["open_descriptors"] + 50
    assert after["cpu_ms"] > before["cpu_ms"]
    assert after["most_descriptors"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert 0 < after["resident_bytes"] < after["virtual_bytes"] <= after["virtual_limit_bytes"]


def test_the_start_is_a_time_of_today() -> None:
    started = process.figures()["start_seconds"]
    assert 0 <= time.time() - started < 86_400
    assert process.figures()["start_seconds"] == started


def test_several_processes_add_up() -> None:
    one = {**process.figures(), "start_seconds": 10.0, "cpu_ms": 1000, "open_descriptors": 5}
    two = {**process.figures(), "start_seconds": 20.0, "cpu_ms": 2000, "open_descriptors": 7}
    total = add_up(one, two, process.RULES)
    assert (total["start_seconds"], total["cpu_ms"], total["open_descriptors"]) == (10.0, 3000, 12)
    assert total["python"] == one["python"]
    assert total["virtual_limit_bytes"] == one["virtual_limit_bytes"]
    collected = one["collector"]["0"]["collections"] + two["collector"]["0"]["collections"]
    assert total["collector"]["0"]["collections"] == collected


def test_the_sum_of_processor_time_is_the_same_in_every_order() -> None:
    """A counter that seems to fall, were it by the last bit, counts as one that began anew."""
    parts = [{"cpu_ms": number} for number in (100, 200, 300, process.figures()["cpu_ms"])]
    sums = {reduce(add_up, order)["cpu_ms"] for order in permutations(parts)}
    assert len(sums) == 1
    assert all(isinstance(number, int) for number in sums)


def test_of_a_process_that_has_ended_only_what_was_counted_stays() -> None:
    left = process.remains(process.figures())
    assert set(left) == {"cpu_ms", "collector"}
    assert process.remains({}) == {}
