"""Count what goes wrong by its kind, and say so seldom: what comes a thousand times a second is said once."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from feedmux.model.ports import Clock

REST_S: Final = 60.0
"""Seconds in which nothing more is said of a kind."""


class Complaints:
    """Counts by kind, and a line in the log for the first of each kind in a minute.

    Args:
        log: where the lines go, as warnings.
        clock: time.
    """

    __slots__ = ("_clock", "_log", "_rest_until", "_said", "counts")

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._rest_until: dict[str, float] = {}
        self._said: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        """How often, by kind."""

    def note(self, kind: str, text: str) -> bool:
        """Count one, and say it unless something of its kind was said a moment ago.

        Args:
            kind: one of few: each is remembered.
            text: a sentence for people, without anything that may be secret.

        Returns:
            Whether it was said.
        """
        self.counts[kind] += 1
        now = self._clock.monotonic()
        if now < self._rest_until.get(kind, now):
            return False
        self._rest_until[kind] = now + REST_S
        unsaid = self.counts[kind] - self._said[kind] - 1
        self._said[kind] = self.counts[kind]
        self._log.warning("%s%s", text, f" (and {unsaid} more of the kind before)" if unsaid else "")
        return True
