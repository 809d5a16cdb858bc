"""What became of the messages of one work: how many came, how late, and what is missing."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from typing import Any

from bench.bus.port import TOPICS, Work

MARKS = {"p10_ns": 0.1, "p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99, "max_ns": 1.0}


def marks(late_ns: Sequence[int]) -> dict[str, int]:
    """Percentiles of latencies; none of none."""
    late = sorted(late_ns)
    if not late:
        return {}
    return {name: late[min(len(late) - 1, int(len(late) * mark))] for name, mark in MARKS.items()}


class Tally:
    """Sees every message of a work, and when.

    Args:
        work: which.

    Attributes:
        is_over: the end of the work was seen.
        reports: how often it was said that messages are missing.
    """

    def __init__(self, work: Work) -> None:
        self._end = work.end
        self.numbers, self.seen_ns = array("q"), array("q")
        self.is_over = False
        self.reports = 0

    def see(self, number: int) -> None:
        """A message came, whichever it is."""
        self.numbers.append(number)
        self.seen_ns.append(time.monotonic_ns())
        if number == self._end:
            self.is_over = True

    def warned(self) -> None:
        """It is said that messages are missing."""
        self.reports += 1


def figures(work: Work, start_ns: int, numbers: Sequence[int], seen_ns: Sequence[int]) -> dict[str, Any]:
    """The sample of a work.

    Args:
        work: which.
        start_ns: when its first message was due.
        numbers: of what came, in order; what belongs to other works is left out.
        seen_ns: when each of them came.

    Returns:
        ``lost`` never came, ``duplicates`` came again, ``disorder`` came after a later one of its topic;
        latencies (``p50_ns``, ...) are from when a message was due.
    """
    late: list[int] = []
    known: set[int] = set()
    disorder = duplicates = 0
    highest, ended_ns = [-1] * TOPICS, start_ns
    for number, at_ns in zip(numbers, seen_ns, strict=True):
        place = number - work.first
        if not 0 <= place < work.messages:
            continue
        duplicates += place in known
        topic = number % TOPICS
        disorder += place < highest[topic]
        known.add(place)
        highest[topic], ended_ns = max(highest[topic], place), at_ns
        late.append(at_ns - work.due_ns(start_ns, place // work.burst))
    took_s = max(work.seconds, (ended_ns - start_ns) / 1e9)
    return {
        "sent": work.messages,
        "received": len(known),
        "received_per_s": len(known) / took_s,
        "lost": work.messages - len(known),
        "duplicates": duplicates,
        "disorder": disorder,
        **marks(late),
    }
