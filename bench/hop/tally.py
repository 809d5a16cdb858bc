"""What became of the messages of one work: how many came, how late, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from bench.hop.port import END, HEAD, POOL, Work, pool


class Tally:
    """Sees every message of a work, or is told how many were as they should be.

    Args:
        work: which.
        now_ns: when it began.

    Attributes:
        lost: so many messages the transport has reported as lost.
        is_over: the end of the work was seen.
    """

    def __init__(self, work: Work, now_ns: int) -> None:
        self._end = END + work.serial
        self._modulus = END if work.is_timed else POOL
        self._is_timed = work.is_timed
        self._pool = pool()
        self._twice = self._pool * 2
        self._began = self._ended = now_ns
        self._sent = self._next = self._received = self._reports = self._disorder = 0
        self._is_excused = False
        self._seen_ns: list[tuple[int, int]] = []
        self.lost = 0
        self.is_over = False

    def see(self, message: bytes, now_ns: int) -> None:
        """Count a message, whichever it is."""
        before, number = HEAD.unpack_from(message)
        if number >= END:
            if number == self._end and not self.is_over:
                self._sent, self._ended, self.is_over = before, now_ns, True
            return  # else it belongs to the work before
        if self._is_timed:
            self._seen_ns.append((number, now_ns))
        self._disorder += number != self._next and not self._is_excused
        self._is_excused = False
        self._next = number
        self.passed(1)

    def passed(self, count: int) -> None:
        """So many messages were those that should come."""
        self._next = (self._next + count) % self._modulus
        self._received += count

    def warned(self) -> None:
        """The transport says that messages were lost: another one than the next may come."""
        self._is_excused = True
        self._reports += 1

    def expected(self) -> Iterator[bytes]:
        """The messages that should come from now on, without an end; those that are made beforehand."""
        return cycle(self._pool[self._next :] + self._pool[: self._next])

    def are_expected(self, messages: Sequence[bytes]) -> bool:
        """Whether these are the messages that should come now."""
        return messages == self._twice[self._next : self._next + len(messages)]

    def figures(self, written_ns: Sequence[int]) -> dict[str, Any]:
        """The sample of a work that is over; a timed one's messages were written at these times."""
        took_s = (self._ended - self._began) / 1e9
        return {
            "sent": self._sent,
            "received": self._received,
            "received_per_s": self._received / took_s,
            "lost_reported": self.lost,
            "lost_unreported": self._sent - self._received - self.lost,
            "reports": self._reports,
            "disorder": self._disorder,
            **self._latency(written_ns),
        }

    def _latency(self, written_ns: Sequence[int]) -> dict[str, float]:
        late = sorted(seen - written_ns[number] for number, seen in self._seen_ns)
        if not late:
            return {}
        marks = {"p10_ns": 0.1, "p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99, "max_ns": 1.0}
        return {name: late[min(len(late) - 1, int(len(late) * mark))] for name, mark in marks.items()}
