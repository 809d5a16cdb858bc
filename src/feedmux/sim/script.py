"""What a mock server does with each client, step by step.

Theory of operation: a script goes on until a step waits for a message; a message that this step does not
want is passed over, and one that it wants lets it go on. Every client has the script from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from feedmux.model.errors import InvalidSetting
from feedmux.sim.pattern import Message, Wanted, Wire, matches

ENDS: Final = {"normal": 1000, "going_away": 1001}
"""The close codes that have a name."""
VIOLENT: Final = ("reset", "vanish")
"""Ends without a close frame: TCP is reset, or nothing is said any more and nothing ends."""

_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_EXPECTED: Final = f"{', '.join((*ENDS, *VIOLENT))}, or a close code that may be sent"


class Step(msgspec.Struct, frozen=True):
    """One step; the root of the others."""


class Say(Step, frozen=True):
    """Send a message."""

    message: Message


class Expect(Step, frozen=True):
    """Wait for a message; see :func:`feedmux.sim.pattern.matches`."""

    wanted: Wanted


class Disconnect(Step, frozen=True):
    """End the connection: ``normal``, ``going_away``, a close code, ``reset`` or ``vanish``."""

    how: str | int = "normal"
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no way to end.

        Raises:
            InvalidSetting: the name is none, or the code may not be sent (RFC 6455 §7.4).
        """
        if self.how not in ENDS and self.how not in VIOLENT and self.how not in _CODES:
            raise InvalidSetting("how", self.how, _EXPECTED)

    @property
    def code(self) -> int | None:
        """The close code; None when no close frame is sent."""
        return self.how if isinstance(self.how, int) else ENDS.get(self.how)


class Script:
    """One client's way through the steps.

    Args:
        steps: what happens, in order.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether no step is left."""
        return self._at >= len(self._steps)

    def begin(self) -> Sequence[Step]:
        """Return what is done before a message is waited for."""
        first = self._at
        while self._at < len(self._steps) and not isinstance(self._steps[self._at], Expect):
            self._at += 1
        return self._steps[first : self._at]

    def take(self, message: Wire) -> Sequence[Step]:
        """Take a message; what is done because of it, until the next one is waited for."""
        step = None if self.is_over else self._steps[self._at]
        if not isinstance(step, Expect) or not matches(step.wanted, message):
            return []
        self._at += 1
        return self.begin()
