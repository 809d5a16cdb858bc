"""What a link could leave behind in its process: tasks, descriptors, timers, memory."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from bench.stability.marks import Mark, none
from bench.stability.waiting import until
from bench.system.native import rss_bytes

_PATIENCE_S = 5.0


class Traces(NamedTuple):
    """How many there are of each."""

    tasks: int
    descriptors: int
    timers: int


def traces() -> Traces:
    """Count them now; costs a look at every object."""
    gc.collect()
    now = asyncio.get_running_loop().time()
    timers = [each for each in gc.get_objects() if type(each) is asyncio.TimerHandle]
    waiting = [each for each in timers if not each.cancelled() and each.when() > now]
    return Traces(len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir())), len(waiting))


async def left_since(before: Traces) -> Traces:
    """How many more there are than before, once it is clear that they stay."""
    await until(lambda: not any(_more(before, traces())), within_s=_PATIENCE_S, every_s=0.05)
    return _more(before, traces())


def none_left(left: Traces) -> list[Mark]:
    """The demand that nothing is."""
    return [none(f"{name} left", count) for name, count in left._asdict().items()]


def _more(before: Traces, now: Traces) -> Traces:
    return Traces(*(max(0, new - old) for new, old in zip(now, before, strict=True)))


class Memory:
    """Samples of what this process holds, and how much more it was in the second half of them."""

    def __init__(self) -> None:
        self._resident: list[int] = []
        self._blocks: list[int] = []

    def sample(self) -> None:
        """Look now, without what is garbage."""
        gc.collect()
        self._resident.append(rss_bytes(os.getpid()))
        self._blocks.append(sys.getallocatedblocks())

    @property
    def resident_growth(self) -> float:
        """Of the resident size, as a share."""
        return growth(self._resident)

    @property
    def block_growth(self) -> float:
        """Of the interpreter's own blocks, as a share: it sees what the resident size rounds away."""
        return growth(self._blocks)

    def figures(self) -> dict[str, object]:
        """What there is to store."""
        return {
            "samples": len(self._resident),
            "first_rss_bytes": self._resident[0],
            "last_rss_bytes": self._resident[-1],
            "first_blocks": self._blocks[0],
            "last_blocks": self._blocks[-1],
        }


def growth(samples: Sequence[int]) -> float:
    """How much the second half lies above the first, as a share of that."""
    half = len(samples) // 2
    return mean(samples[-half:]) / mean(samples[:half]) - 1
