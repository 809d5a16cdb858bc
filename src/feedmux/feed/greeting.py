"""Greet a venue on each new connection, and know when it may be asked for topics.

Theory of operation
===================
Most venues take greetings and requests at once, and what they answer to a greeting changes nothing. A venue
that speaks first (:class:`feedmux.model.venue.Manners`) is a door with a guard::

    state    event                         what follows
    away     opened                        outside; at most venues: greeted, and in
    outside  welcome                       greeted; asked
    asked    let in                        in: requests go
    in       stood for a while             the connection is good, though nothing was asked for
    asked    refused, but later            resting: greeted again after a wait that grows, at most to a bound
    asked    refused                       the connection is replaced; the link's own waits grow
    resting  the wait is over              greeted; asked
    in       refused, either way           the connection is replaced: we were thrown out
    outside, nothing for ``patience_s``    the connection is replaced
    asked
    any      lost                          away

What the guard said last is the *trouble* until it lets us in, over all connections; so is how often we were
told to wait. An account that may have one connection gets it soon after the other one is gone, and a venue
that closes a connection on which nobody was let in for long (Alpaca: ten seconds) is not called more often.
Being let in proves nothing yet: Alpaca may say so and then show us the door, again and again.

Source for the bounds of the waits: alpacahq/alpaca-trade-api-go, which repeats its login after 0.5 to 5 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from feedmux.model.ports import Clock
from feedmux.model.venue import Greeted, Venue

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0


class Stage(Enum):
    """Where we stand."""

    AWAY = "away"
    OUTSIDE = "outside"
    ASKED = "asked"
    RESTING = "resting"
    IN = "in"


class Doorstep(NamedTuple):
    """What a greeting needs of the connection it belongs to.

    Args:
        say: sends a message; whether it was sent.
        entered: told that requests may go.
        prove: told that the connection is good; often.
        replace: cuts the connection and makes another one, for this reason.
        complain: logs what the venue said, under a heading.
    """

    say: Callable[[bytes], bool]
    entered: Callable[[], None]
    prove: Callable[[], None]
    replace: Callable[[str], None]
    complain: Callable[[str, str], None]


class Greeting:
    """The greetings of one link's connections, one after the other.

    Args:
        venue: who is greeted.
        doorstep: see :class:`Doorstep`.
        clock: time.
        patience_s: how long a welcome, or an answer, may take.
    """

    __slots__ = (
        "_clock",
        "_doorstep",
        "_patience_s",
        "_rests",
        "_since",
        "_speaks_first",
        "_timer",
        "_venue",
        "stage",
        "trouble",
    )  # fmt: skip

    def __init__(self, venue: Venue, doorstep: Doorstep, *, clock: Clock, patience_s: float) -> None:
        self._venue = venue
        self._speaks_first = venue.manners.speaks_first
        self._doorstep = doorstep
        self._clock = clock
        self._patience_s = patience_s
        self._rests = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.stage = Stage.AWAY
        self.trouble = ""
        """Why the venue does not let us in, in its words; empty once it does."""

    @property
    def is_in(self) -> bool:
        """Whether the venue may be asked for topics."""
        return self.stage is Stage.IN

    def opened(self) -> None:
        """A new connection is open."""
        if self._speaks_first:
            self.stage, self._since = Stage.OUTSIDE, self._clock.monotonic()
            return
        self.stage = Stage.IN
        self._greet()

    def welcome(self) -> None:
        """The venue is ready to be greeted."""
        if self.stage is Stage.OUTSIDE:
            self._ask()

    def answered(self, answer: Greeted) -> None:
        """The venue answered a greeting."""
        if answer.refused:
            self._refused(answer)
        elif self.stage in (Stage.ASKED, Stage.RESTING):
            self._rest_no_more()
            self.stage, self._rests, self.trouble = Stage.IN, 0, ""
            self._since = self._clock.monotonic()
            self._doorstep.entered()

    def parted(self, reason: str) -> None:
        """The venue gave up the connection; before it let us in, that is what troubles us."""
        if not self.is_in and not self.trouble:
            self.trouble = reason

    def lost(self) -> None:
        """The connection ended."""
        self._rest_no_more()
        self.stage = Stage.AWAY

    def check(self, now: float) -> None:
        """Judge how long an answer takes, or how long we are in; called a few times a second."""
        if self.stage in (Stage.OUTSIDE, Stage.ASKED) and now - self._since >= self._patience_s:
            awaited = "welcome" if self.stage is Stage.OUTSIDE else "answer to the greeting"
            self._doorstep.replace(f"no {awaited} within {self._patience_s:g} s")
        elif self._speaks_first and self.is_in and now - self._since >= LONGEST_WAIT_S:
            self._doorstep.prove()

    def _refused(self, answer: Greeted) -> None:
        self._doorstep.complain("refused a greeting", answer.refused)
        if not self._speaks_first:
            return
        self.trouble = answer.refused
        if answer.later and self.stage is Stage.ASKED:
            self._rest()
        elif self.stage is not Stage.RESTING or not answer.later:
            self._doorstep.replace(answer.refused)

    def _rest(self) -> None:
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**self._rests)
        self._rests = min(self._rests + 1, 16)  # far beyond the longest wait, and no number that overflows
        self.stage = Stage.RESTING
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._ask)

    def _rest_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self) -> None:
        self._timer = None
        self.stage, self._since = Stage.ASKED, self._clock.monotonic()
        self._greet()

    def _greet(self) -> None:
        for greeting in self._venue.greetings():
            self._doorstep.say(greeting)
