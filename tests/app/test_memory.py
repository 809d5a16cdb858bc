"""Memory that goes back to the system, tried in processes of their own: each has its own heap."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from feedmux.app.memory import LEAST_BYTES, Allocator, Keeper, allocator, keep

pytestmark = pytest.mark.skipif(allocator() is None, reason="the C library is not GNU's")

FRAGMENTED = """
import sys
from feedmux.app.memory import Keeper, allocator

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

keeper = Keeper(allocator())
keeper.look()
many = [bytes(2_000) for _ in range(20_000)]
stays = many[::50]  # in every page range something stays: the C library alone returns nothing
keeper.look()
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
    """Says what it is told, and counts how often it is trimmed."""

    def __init__(self) -> None:
        self.used = 0
        self.trims = 0

    def trim(self) -> None:
        self.trims += 1


def keeper_of(heap: Heap) -> Keeper:
    return Keeper(Allocator(lambda: heap.used, heap.trim))


@pytest.mark.parametrize(
    ("sizes", "trims"),
    [
        ([100_000_000] * 5, 0),
        ([50_000_000, 100_000_000, 200_000_000], 0),
        ([30_000_000, 30_000_000 - LEAST_BYTES + 1], 0),
        ([30_000_000, 30_000_000 - LEAST_BYTES], 1),
        ([100_000_000, 90_000_001], 0),
        ([100_000_000, 95_000_000, 90_000_000, 85_000_000], 1),
        ([100_000_000, 50_000_000, 50_000_000, 50_000_000], 1),
        ([100_000_000, 50_000_000, 100_000_000, 50_000_000], 2),
    ],
)
def test_it_is_given_back_once_after_much_was_let_go(sizes: list[int], trims: int) -> None:
    heap = Heap()
    keeper = keeper_of(heap)
    for heap.used in sizes:
        keeper.look()
    assert heap.trims == trims


async def test_keeping_ends_when_it_is_told_to() -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(keep(stop, 3600))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(task, 5)
