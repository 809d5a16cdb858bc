"""Score connections that do the same work, and choose the one to ask next.

Theory of operation
-------------------
A score is what is left of 100 when these are taken off::

    10 for each request that waits for its answer          at most 40
     1 for each whole 25 ms of the 99th percentile         at most 30
    15 for each error of the last minute                   at most 20

so nobody falls below 10: a bad connection is better than none. The best score is chosen; among
equals the one that was chosen longest ago, and of those that never were, the first. That is
round-robin which does not lose its place when members come and go.

Invariants: nobody with a lower score than another is chosen; of equals that stay equal, each is chosen
once before any is chosen twice. Memory is bounded by the members, while those who left are forgotten.

Deliberately absent: who is open (the driver offers only those), and what an error is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar

import msgspec

ERRORS_LAST_S: Final = 60.0
"""So long an error counts, seconds."""
_ERRORS_KEPT: Final = 100
_SLOWEST_MS: Final = 750.0

Key = TypeVar("Key", bound=Hashable)


class Vitals(msgspec.Struct, frozen=True):
    """How an open connection is.

    Args:
        pending: requests that wait for their answer.
        p99_ms: what one in a hundred of its latest round trips exceeds; None when that is not known.
    """

    pending: int
    p99_ms: float | None = None


def score(vitals: Vitals, errors: int) -> int:
    """Return how healthy a connection is, from 10 to 100.

    Args:
        vitals: how it is.
        errors: how many it had in the last :data:`ERRORS_LAST_S` seconds.
    """
    slow = int(max(0.0, min(_SLOWEST_MS, vitals.p99_ms or 0.0)) // 25)
    return 100 - min(vitals.pending * 10, 40) - slow - min(errors * 15, 20)


class RecentErrors:
    """The errors of one member that still count; of very many the latest hundred."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_ERRORS_KEPT)

    def record(self, now: float) -> None:
        """Count an error.

        Args:
            now: a monotonic time, never before that of an earlier call.
        """
        self._times.append(now)

    def count(self, now: float) -> int:
        """How many happened less than :data:`ERRORS_LAST_S` seconds ago."""
        while self._times and now - self._times[0] >= ERRORS_LAST_S:
            self._times.popleft()
        return len(self._times)


class Choice(Generic[Key]):
    """Choose the best, in turns among equals."""

    __slots__ = ("_chosen", "_turn")

    def __init__(self) -> None:
        self._turn = 0
        self._chosen: dict[Key, int] = {}

    def choose(self, scores: Mapping[Key, int]) -> Key:
        """Return the key of the best score; at least one is given.

        Who is not among ``scores`` is not forgotten, unless :meth:`keep` says so: it may only be away
        for this choice.
        """
        best = max(scores.values())
        chosen = min(
            (key for key, value in scores.items() if value == best), key=lambda key: self._chosen.get(key, 0)
        )
        self._turn += 1
        self._chosen[chosen] = self._turn
        return chosen

    def keep(self, keys: Mapping[Key, object]) -> None:
        """Forget everybody else."""
        if not self._chosen.keys() <= keys.keys():
            self._chosen = {key: turn for key, turn in self._chosen.items() if key in keys}
