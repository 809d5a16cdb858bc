"""Remember the latest samples of a duration, and answer for their percentiles exactly.

A percentile is the sample at the index ``round(p/100 · (count − 1))`` of the sorted samples, halves
rounded up: so it is always a value that occurred. Where millions of values are counted and added up
across processes, :class:`feedmux.core.stats.Histogram` is the right one; this is for one connection,
whose latest hundred round trips say how it is now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from feedmux.model.checks import require_whole

Number = TypeVar("Number", int, float)
_MOST: Final = 1_000_000


class Summary(msgspec.Struct, frozen=True):
    """What samples look like; in the unit in which they were recorded.

    Args:
        p50: the median.
        p99: what one in a hundred exceeds.
        last: the newest sample.
        count: how many samples that was taken from.
    """

    p50: float
    p99: float
    last: float
    count: int


class Samples:
    """The latest samples.

    Args:
        size: how many are remembered, from 1 to a million.

    Raises:
        InvalidSetting: ``size`` is something else.
    """

    __slots__ = ("_latest",)

    def __init__(self, size: int = 100) -> None:
        require_whole("size", size, "a whole number of samples from 1 to a million", least=1, most=_MOST)
        self._latest: deque[float] = deque(maxlen=size)

    def record(self, value: float) -> None:
        """Remember a sample; the oldest goes when there is no room."""
        self._latest.append(value)

    def summary(self) -> Summary | None:
        """Return how they are spread; None before the first. Sorts them: not for every message."""
        if not self._latest:
            return None
        ordered = sorted(self._latest)
        return Summary(
            p50=percentile(ordered, 50),
            p99=percentile(ordered, 99),
            last=self._latest[-1],
            count=len(ordered),
        )

    def __len__(self) -> int:
        return len(self._latest)

    def __repr__(self) -> str:
        return f"<Samples {self.summary()}>"


def percentile(ordered: Sequence[Number], percent: int) -> Number:
    """Return one sample that stands for so many percent.

    Args:
        ordered: at least one sample, the smallest first.
        percent: from 0 to 100.
    """
    return ordered[(percent * (len(ordered) - 1) + 50) // 100]
