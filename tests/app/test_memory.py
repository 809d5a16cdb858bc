"""Memory that goes back to the system, tried in processes of their own: each has its own heap."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from feedmux.app.memory import LEAST_BYTES, LEAST_WAIT_S, Allocator, Keeper, allocator, keep

pytestmark = pytest.mark.skipif(allocator() is None, reason="the C library is not GNU's")

FRAGMENTED = """
import sys
from feedmux.app.memory import Keeper, allocator

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

now = [0.0]
keeper = Keeper(allocator(), lambda: now[0])
many = [bytes(2_000) for _ in range(20_000)]
stays = many[::50]  # in every page range something stays: the C library alone returns nothing
full = resident()
del many[:]
freed = resident()
did = keeper.look()
print(full, freed, resident(), did, keeper.look())
"""


def test_what_slow_clients_left_behind_goes_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FRAGMENTED], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    full, freed, after, *did = done.stdout.split()
    assert did == ["True", "False"]
    assert int(freed) > int(full) * 0.9, "the C library returned it by itself: this tests nothing"
    assert int(after) < int(full) - 25_000_000


class Heap:
    """Is as large as it is told, and counts how often it is trimmed, which takes its time."""

    def __init__(self, takes_s: float = 0.001, keeps: int = 0) -> None:
        self.now = 1000.0
        self.size = 50_000_000
        self.trims = 0
        self._takes_s, self._keeps = takes_s, keeps
        self.keeper = Keeper(Allocator(lambda: self.size, self.trim), lambda: self.now)

    def trim(self) -> None:
        self.trims += 1
        self.now += self._takes_s
        self.size -= 1_500_000 if not self._keeps else 0

    def grow(self, size: int, after_s: float = 60.0) -> None:
        self.now += after_s
        self.size += size
        self.keeper.look()


@pytest.mark.parametrize(
    ("growth", "trims"),
    [
        ([0] * 10, 0),
        ([LEAST_BYTES - 1], 0),
        ([LEAST_BYTES], 1),
        ([LEAST_BYTES // 2] * 2, 1),
        ([-10_000_000, LEAST_BYTES], 1),
        ([LEAST_BYTES, 0, 0, 0], 1),
        ([LEAST_BYTES, LEAST_BYTES - 1, 1], 2),
        ([LEAST_BYTES] * 5, 5),
    ],
)
def test_it_is_given_back_once_after_the_process_has_grown(growth: list[int], trims: int) -> None:
    heap = Heap()
    for size in growth:
        heap.grow(size)
    assert heap.trims == trims


def test_what_does_not_help_is_not_tried_again_before_there_is_more() -> None:
    heap = Heap(keeps=1)
    heap.grow(LEAST_BYTES)
    for _ in range(10):
        heap.grow(0)
    assert heap.trims == 1


@pytest.mark.parametrize(("takes_s", "wait_s"), [(0.001, LEAST_WAIT_S), (0.05, 500.0), (1.0, 10_000.0)])
def test_it_takes_a_ten_thousandth_of_the_time_at_most(takes_s: float, wait_s: float) -> None:
    heap = Heap(takes_s)
    heap.grow(LEAST_BYTES)
    heap.grow(LEAST_BYTES, wait_s - 1)
    assert heap.trims == 1
    heap.grow(0, 2)
    assert heap.trims == 2


async def test_keeping_ends_when_it_is_told_to() -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(keep(stop, 3600))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(task, 5)
