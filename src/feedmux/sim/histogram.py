"""Times in buckets that add up: the twin of the load client's ``histogram``, to merge several of them.

128 buckets for each power of two, as in an HDR histogram: below 128 ns a value is exact, above it is
known to 0.8 %. So the percentiles of ten processes are those of all their values, not a mean of ten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec

STEPS = 128


class Histogram(msgspec.Struct, frozen=True):
    """How many values fell into each bucket.

    Args:
        counts: bucket to count; a bucket without values is absent.
        largest: the largest value, exact, in nanoseconds; 0 when there is none.
    """

    counts: dict[int, int]
    largest: int = 0

    @classmethod
    def merged(cls, several: Iterable[Self]) -> Self:
        """All values of several histograms."""
        counts: dict[int, int] = {}
        largest = 0
        for one in several:
            largest = max(largest, one.largest)
            for bucket, count in one.counts.items():
                counts[bucket] = counts.get(bucket, 0) + count
        return cls(counts, largest)

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    def percentile(self, share: float) -> int | None:
        """The value below which ``share`` (0 to 1) of all values are; None when there is none."""
        wanted = max(1, int(share * self.count + 0.5))
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return min(value_of(bucket), self.largest)
        return None


def bucket_of(value: int) -> int:
    """The bucket of a value in nanoseconds."""
    if value < STEPS:
        return value
    power = value.bit_length() - 1
    return (power - 6) * STEPS + (value >> (power - 7)) - STEPS


def value_of(bucket: int) -> int:
    """The middle of a bucket, in nanoseconds."""
    if bucket < STEPS:
        return bucket
    power = bucket // STEPS + 6
    low = (bucket % STEPS + STEPS) << (power - 7)
    return low + ((1 << (power - 7)) >> 1)
