"""Memory: what is no longer used goes back to the system, and nobody stops to look for it all the time.

What slow clients have waiting for them lies between what stays, so the C library keeps the pages after
they caught up or left, and the process stays as large as it ever was. ``malloc_trim`` hands back every
free page, wherever it lies, but while it runs nothing else does, and it takes the longer the more it
returns. It is called only after much was let go, once.

Only the GNU C library can say how much is in use and give the rest back; elsewhere nothing is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

log = logging.getLogger("feedmux.memory")

EVERY_S: Final = 15.0
"""How often it looks, seconds."""
LEAST_BYTES: Final = 4_000_000
LEAST_PART: Final = 0.1
"""What makes it worth while: so much less in use than at the highest since the last time, both of them."""


class _Info(ctypes.Structure):
    """``struct mallinfo2`` of <malloc.h>; **Source**: mallinfo(3), glibc 2.33."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    )  # fmt: skip


class Allocator(NamedTuple):
    """What is asked of the C library.

    Args:
        used: bytes in use of what it manages itself.
        trim: hands free pages back to the system.
    """

    used: Callable[[], int]
    trim: Callable[[], None]


def allocator() -> Allocator | None:
    """Find the GNU C library's; None where there is another."""
    library = ctypes.CDLL(None)
    try:
        info, trim = library.mallinfo2, library.malloc_trim
    except AttributeError:
        return None
    info.restype = _Info
    trim.argtypes = (ctypes.c_size_t,)
    return Allocator(lambda: int(info().uordblks), lambda: trim(0))


class Keeper:
    """Decides when something is given back.

    Args:
        memory: the allocator.
    """

    def __init__(self, memory: Allocator) -> None:
        self._memory = memory
        self._highest = 0

    def look(self) -> bool:
        """See how much is in use, and give back what is not if that pays; whether it did."""
        used = self._memory.used()
        self._highest = max(self._highest, used)
        let_go = self._highest - used
        if let_go < LEAST_BYTES or let_go < LEAST_PART * self._highest:
            return False
        self._memory.trim()
        self._highest = used
        log.debug("%.1f MB were let go, and go back to the system", let_go / 1e6)
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
    keeper = Keeper(memory)
    while not stop.is_set():
        keeper.look()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
