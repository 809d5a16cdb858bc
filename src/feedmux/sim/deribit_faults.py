"""What goes wrong with the answers of a simulated Deribit, when it is told so.

A rule waits for requests, all of them or those of one method, and is used up after so many. The
first rule of a kind that fits is used.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from feedmux.model.errors import InvalidSetting

MAX_RULES = 1000


class Fault(Enum):
    """What happens to an answer."""

    DELAY = "delay"
    """It comes later."""
    DROP = "drop_answer"
    """It never comes, although what was asked for is done."""
    REPEAT = "repeat_answer"
    """It comes twice."""
    LIMIT = "limit"
    """It is ``too_many_requests``, and the connection is closed."""


class Treatment(msgspec.Struct, frozen=True):
    """How an answer is sent.

    Args:
        copies: how often.
        delay_s: how much later.
    """

    copies: int
    delay_s: float


class _Rule:
    def __init__(self, fault: Fault, method: str | None, count: int | None, seconds: float) -> None:
        self.fault = fault
        self.method = method
        self.left = count
        self.seconds = seconds


class AnswerFaults:
    """The rules that wait."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def add(
        self, fault: Fault, *, method: str | None = None, count: int | None = 1, seconds: float = 0.0
    ) -> None:
        """Let a fault wait.

        Args:
            fault: which.
            method: for which method, like ``public/test``; None for any.
            count: how often; None until :meth:`clear`.
            seconds: of a delay.

        Raises:
            InvalidSetting: a number is outside its range, or too many faults wait.
        """
        if count is not None and count < 1:
            raise InvalidSetting("count", count, "1 or more, or null for ever")
        if not 0 <= seconds <= 3600:
            raise InvalidSetting("seconds", seconds, "from 0 to 3600")
        if len(self._rules) >= MAX_RULES:
            raise InvalidSetting("count", len(self._rules), f"at most {MAX_RULES} faults that wait")
        self._rules.append(_Rule(fault, method, count, seconds))

    def clear(self) -> None:
        """Forget every rule."""
        self._rules = []

    def limits(self, method: str) -> bool:
        """Whether this request is one too many."""
        return self._use(Fault.LIMIT, method) is not None

    def treat(self, method: str) -> Treatment:
        """How the answer to this request is sent."""
        delay = self._use(Fault.DELAY, method)
        copies = 2 if self._use(Fault.REPEAT, method) else 1
        if self._use(Fault.DROP, method) is not None:
            copies = 0
        return Treatment(copies, 0.0 if delay is None else delay.seconds)

    def _use(self, fault: Fault, method: str) -> _Rule | None:
        for rule in self._rules:
            if rule.fault is fault and rule.method in {None, method}:
                if rule.left is not None:
                    rule.left -= 1
                    if not rule.left:
                        self._rules.remove(rule)
                return rule
        return None
