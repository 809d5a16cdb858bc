"""Memory: what is no longer used goes back to the system, and nobody stops to look for it all the time.

What slow clients have waiting for them lies between what stays, so the C library keeps the pages after
they caught up or left, and the process becomes a little larger with each of them. ``malloc_trim`` hands
back every free page, wherever it lies; while it runs nothing else does, and it takes the longer the larger
the heap is. So it is called when the process has grown since the last time, and so seldom that it never
takes more than a ten-thousandth of the time.

Only the GNU C library can give memory back so; elsewhere nothing is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

log = logging.getLogger("feedmux.memory")

EVERY_S: Final = 10.0
"""How often it looks, seconds."""
LEAST_BYTES: Final = 2_000_000
"""By how much the process has to have grown."""
LEAST_WAIT_S: Final = 30.0
_WAITS: Final = 10_000
"""How many times as long as it took is waited before the next time."""


class Allocator(NamedTuple):
    """What is asked of the system and the C library.

    Args:
        resident: bytes of memory that the process has.
        trim: hands free pages back to the system.
    """

    resident: Callable[[], int]
    trim: Callable[[], None]


def allocator() -> Allocator | None:
    """Find the GNU C library's; None where there is another."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return None
    trim.argtypes = (ctypes.c_size_t,)
    statm, page_bytes = Path("/proc/self/statm"), os.sysconf("SC_PAGE_SIZE")
    return Allocator(lambda: int(statm.read_text().split()[1]) * page_bytes, lambda: trim(0))


class Keeper:
    """Decides when something is given back.

    Args:
        memory: the allocator.
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(self, memory: Allocator, monotonic: Callable[[], float]) -> None:
        self._memory, self._monotonic = memory, monotonic
        self._least = memory.resident()
        self._not_before = 0.0

    def look(self) -> bool:
        """See how large the process is, and give back what is free if it has grown; whether it did."""
        began, resident = self._monotonic(), self._memory.resident()
        self._least = min(self._least, resident)
        if resident - self._least < LEAST_BYTES or began < self._not_before:
            return False
        self._memory.trim()
        ended = self._monotonic()
        self._not_before = ended + max(LEAST_WAIT_S, (ended - began) * _WAITS)
        self._least = self._memory.resident()
        log.debug("%.1f MB went back to the system", (resident - self._least) / 1e6)
        return True


def calm_collector() -> None:
    """Keep Python's collector of circles from stopping everybody.

    A whole collection looks at every object of every client, which takes long enough to be seen in
    everybody's latency, and by default it comes each time the heap has grown by a quarter: in a storm
    of clients, again and again. Clients that go leave no circles, so young objects are all that has
    to be looked at; what was loaded at the start is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 1_000)


async def keep(stop: asyncio.Event, every_s: float = EVERY_S) -> None:
    """Look again and again, until ``stop`` is set."""
    memory = allocator()
    if memory is None:
        return
    keeper = Keeper(memory, time.monotonic)
    while not stop.is_set():
        keeper.look()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
