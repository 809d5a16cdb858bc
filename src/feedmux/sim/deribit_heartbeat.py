"""The heartbeat of one connection to a simulated Deribit.

Theory of operation
-------------------
::

    state      event                        next
    off        start                        waiting
    waiting    the interval is over         asked      sends heartbeat if idle, and test_request
    asked      the client calls test        waiting
    asked      the interval is over         asked      sends heartbeat if idle, and test_request
    asked      the grace is over            off        closes with 4000
    any        stop                         off

The first interval is a fifth longer than asked for, the others a sixteenth. *Idle* means that
the venue sent nothing since the last beat; ``test_request`` comes on busy connections too. The
grace counts from the first ``test_request`` that was not answered. Only ``public/test`` answers.

Source: probes of 2026-09-23: with an interval of 10 s the first frames after 12.0 to 12.6 s, then
every 10.6 to 10.7 s; closed 10.0 s after the request with code 4000, ``heartbeat close``.
"""

from __future__ import annotations

from enum import Enum

CLOSE_CODE, CLOSE_REASON = 4000, "heartbeat close"
_FIRST, _NEXT = 1.2, 1.0625


class Beat(Enum):
    """What is to be done."""

    HEARTBEAT = "heartbeat"
    TEST_REQUEST = "test_request"
    CLOSE = "close"


class Heartbeat:
    """One connection's heartbeat, off at first.

    Args:
        grace_s: seconds that a ``test_request`` may stay unanswered.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._interval_s: float | None = None
        self._due = 0.0
        self._asked: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it beats."""
        return self._interval_s is not None

    def start(self, interval_s: float, now: float) -> None:
        """Beat from now on; starts anew when it beats already."""
        self._interval_s = interval_s
        self._due = now + interval_s * _FIRST
        self._asked = None

    def stop(self) -> None:
        """Beat no more."""
        self._interval_s = self._asked = None

    def answered(self) -> None:
        """The client called ``public/test``."""
        self._asked = None

    def due(self, now: float, *, idle: bool) -> list[Beat]:
        """What is to be done at ``now``.

        Args:
            now: the monotonic clock, seconds.
            idle: nothing was sent since the last beat.
        """
        if self._interval_s is None:
            return []
        if self._asked is not None and now - self._asked >= self._grace_s:
            self.stop()
            return [Beat.CLOSE]
        if now < self._due:
            return []
        self._due = now + self._interval_s * _NEXT
        self._asked = now if self._asked is None else self._asked
        return [Beat.HEARTBEAT, Beat.TEST_REQUEST] if idle else [Beat.TEST_REQUEST]
