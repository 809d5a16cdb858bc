"""What a mock server does with each client, step by step.

Theory of operation: a script goes on until a step waits for a message; a message that this step does not
want is passed over, and one that it wants lets it go on. Every client has the script from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from feedmux.model.checks import is_whole, require_kind
from feedmux.model.errors import InvalidSetting
from feedmux.sim.pattern import Message, Wanted, Wire, matches, require_wanted, wire

ENDS: Final = {"normal": 1000, "going_away": 1001}
"""The close codes that have a name."""
VIOLENT: Final = ("reset", "vanish")
"""Ends without a close frame: TCP is reset, or nothing is said any more and nothing ends."""

_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_EXPECTED: Final = f"{', '.join((*ENDS, *VIOLENT))}, or a close code that may be sent"


_LONGEST_REASON: Final = 123
_REASON: Final = f"a text of at most {_LONGEST_REASON} bytes"


class Step(msgspec.Struct, frozen=True):
    """One step; the root of the others."""


class Say(Step, frozen=True):
    """Send a message."""

    message: Message

    def __post_init__(self) -> None:
        """Refuse what cannot be sent.

        Raises:
            InvalidMessage: see :func:`feedmux.sim.pattern.wire`.
        """
        wire(self.message)


class Expect(Step, frozen=True):
    """Wait for a message; see :func:`feedmux.sim.pattern.matches`."""

    wanted: Wanted

    def __post_init__(self) -> None:
        """Refuse what no message can be recognised by.

        Raises:
            InvalidSetting: see :func:`feedmux.sim.pattern.require_wanted`.
        """
        require_wanted(self.wanted)


class Disconnect(Step, frozen=True):
    """End the connection: ``normal``, ``going_away``, a close code, ``reset`` or ``vanish``."""

    how: str | int = "normal"
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no way to end.

        Raises:
            InvalidSetting: the name is none, or the code or the reason may not be sent (RFC 6455 §5.5, §7.4).
        """
        named = isinstance(self.how, str) and (self.how in ENDS or self.how in VIOLENT)
        if not (named or (is_whole(self.how) and self.how in _CODES)):
            raise InvalidSetting("how", self.how, _EXPECTED)
        require_kind("reason", self.reason, str, _REASON)
        if len(self.reason.encode(errors="replace")) > _LONGEST_REASON:
            raise InvalidSetting("reason", self.reason, _REASON)

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
