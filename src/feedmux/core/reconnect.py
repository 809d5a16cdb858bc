"""Decide when to connect again, and how long to wait before that.

Theory of operation
===================

::

              start            opened          proved
      idle ─────────▶ connecting ─────▶ open ─────────▶ proven ⟲ proved
                       ▲     │           │                │
                   due │     │ failed    │ lost           │ lost
                       │     ▼           ▼                │
                       waiting ◀──────────────────────────┘

      stop leads from every state to closed; closed stays closed.

An open connection is not yet a good one: a server that accepts and hangs up at once would be
called again at full speed, for ever. So ``open`` counts for nothing, and only ``proved`` (the
first data came) forgets the failures before it. A connection that ends unproven is one more
failure.

The wait before attempt *n* is drawn from ``uniform(0, min(ceiling, initial * multiplier**n))``
where *n* counts the waits since the last proof. The draw from zero ("full jitter") keeps
thousands of clients that were cut together from coming back together.
Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

Invariants: ``wait_s`` lies between 0 and the ceiling, unless it was postponed, and changes only
on the way into ``waiting`` or there; an illegal event changes nothing; the machine never gives up by itself.

Deliberately absent: the clock and the timer (the driver keeps them and says ``due``), the
reasons of a failure, and any judgement which failures are final: none is.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from feedmux.model.checks import require_number
from feedmux.model.errors import IllegalEvent
from feedmux.model.ports import Dice


class State(StrEnum):
    """Where the link is."""

    IDLE = "idle"
    CONNECTING = "connecting"
    OPEN = "open"
    """Connected, and nothing of use came yet."""
    PROVEN = "proven"
    WAITING = "waiting"
    CLOSED = "closed"


class Event(StrEnum):
    """What happened to the link."""

    START = "start"
    OPENED = "opened"
    FAILED = "failed"
    PROVED = "proved"
    LOST = "lost"
    DUE = "due"
    """The wait is over."""
    STOP = "stop"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.IDLE, Event.START): State.CONNECTING,
        (State.IDLE, Event.STOP): State.CLOSED,
        (State.CONNECTING, Event.OPENED): State.OPEN,
        (State.CONNECTING, Event.FAILED): State.WAITING,
        (State.CONNECTING, Event.STOP): State.CLOSED,
        (State.OPEN, Event.PROVED): State.PROVEN,
        (State.OPEN, Event.LOST): State.WAITING,
        (State.OPEN, Event.STOP): State.CLOSED,
        (State.PROVEN, Event.PROVED): State.PROVEN,
        (State.PROVEN, Event.LOST): State.WAITING,
        (State.PROVEN, Event.STOP): State.CLOSED,
        (State.WAITING, Event.DUE): State.CONNECTING,
        (State.WAITING, Event.STOP): State.CLOSED,
        # What was under way when the link was stopped still reports its end.
        (State.CLOSED, Event.FAILED): State.CLOSED,
        (State.CLOSED, Event.LOST): State.CLOSED,
        (State.CLOSED, Event.STOP): State.CLOSED,
    }
)
"""The whole machine: every pair that is not here is illegal."""


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait, before chance has its say.

    Args:
        initial: the longest first wait, seconds, above 0.
        multiplier: by how much each further failure prolongs it, at least 1.
        ceiling: the longest wait of all, seconds, at least ``initial``.

    Raises:
        InvalidSetting: a value is outside its range.
    """

    initial: float = 1.0
    multiplier: float = 2.0
    ceiling: float = 60.0

    def __post_init__(self) -> None:
        require_number("initial", self.initial, "seconds above 0", above=0)
        require_number("multiplier", self.multiplier, "a factor of at least 1", least=1)
        expected = f"seconds, at least initial ({self.initial:g})"
        require_number("ceiling", self.ceiling, expected, least=self.initial)

    def limit(self, failures: int) -> float:
        """Return the longest wait after ``failures`` earlier ones, in seconds."""
        try:
            return min(self.ceiling, self.initial * float(self.multiplier) ** failures)
        except OverflowError:  # 2.0**1024: reached after a night without network
            return self.ceiling


class Reconnect:
    """The machine. Tell it what happened; it says where the link is and how long to wait.

    Args:
        backoff: the bounds of the waits.
        dice: where the jitter comes from.
    """

    __slots__ = ("_backoff", "_dice", "_failures", "_state", "_wait_s")

    def __init__(self, backoff: Backoff, dice: Dice) -> None:
        self._backoff = backoff
        self._dice = dice
        self._state = State.IDLE
        self._failures = 0
        self._wait_s = 0.0

    @property
    def state(self) -> State:
        """Where the link is."""
        return self._state

    @property
    def failures(self) -> int:
        """How many waits there were since the connection last proved itself."""
        return self._failures

    @property
    def wait_s(self) -> float:
        """How long the latest wait lasts, in seconds; 0 before the first."""
        return self._wait_s

    def apply(self, event: Event) -> State:
        """Take one event and return the state it leads to.

        Raises:
            IllegalEvent: the event cannot happen in this state; nothing changed.
        """
        state = TRANSITIONS.get((self._state, event))
        if state is None:
            raise IllegalEvent("reconnect", self._state.value, event.value)
        if state is State.WAITING:
            self._wait_s = self._dice.uniform(0.0, self._backoff.limit(self._failures))
            self._failures += 1
        elif state is State.PROVEN:
            self._failures = 0
        self._state = state
        return state

    def postpone(self, wait_s: float) -> None:
        """Make the present wait at least so long; without one it changes nothing."""
        if self._state is State.WAITING:
            self._wait_s = max(self._wait_s, wait_s)

    def __repr__(self) -> str:
        return f"<Reconnect {self._state} failures={self._failures} wait_s={self._wait_s:.3f}>"
