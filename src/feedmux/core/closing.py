"""Tell when a candle is final, of a venue that never says so: when a later one has begun.

Theory of operation
===================
Each state of a candle comes with its final form: what it is if nothing more comes of it. When a
later candle appears, the final form of the last state is the truth, provided that this state was
the last one indeed and told the whole candle. That is *known* of a candle whose beginning was seen:
one that followed another while nothing could have been lost. It is *not known*

- of the first candle: it was under way before anybody listened;
- of a candle after which the stream was silent for longer than it may be: what ended it may be
  lost, and so may the beginning of the next one;
- of anything from before continuity was lost.

A candle that is not known is never called final; a later one simply follows it.

::

    state     the same candle    a later candle          an older one   quiet      clear
    empty     -                  unknown                 -              empty      empty
    unknown   unknown            known                   old            doubted    empty
    known     known              known, ends the last    old            wavering   empty
    wavering  known              unknown                 old            wavering   empty
    doubted   unknown            unknown                 old            doubted    empty

Invariants: of each candle at most one final form comes out, before anything of a later one, and it
is that of the last state that went in; a candle that came out never comes again, because what is
older is old.

Deliberately absent: time, which only the venue's candles tell here, and candles in which nothing
was traded: whether the venue sends them is its own affair.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Generic, TypeVar

Form = TypeVar("Form")


class Old(Enum):
    """Why a state is not to be published."""

    OLD = "old"
    """A later candle came already."""


OLD: Final = Old.OLD


class Closing(Generic[Form]):
    """The candles of one stream, one after the other."""

    __slots__ = ("_final", "_known", "_opened_ms", "_quiet")

    def __init__(self) -> None:
        self._opened_ms = 0  # none yet
        self._known = False
        self._quiet = False
        self._final: Form | None = None

    def take(self, opened_ms: int, final: Form) -> Form | Old | None:
        """Take a candle's newest state.

        Args:
            opened_ms: when the candle opened, above 0; names it.
            final: what the candle is, if this was its last state.

        Returns:
            What has become final by it and goes first, if anything; :data:`OLD` when the state itself
            is not to be published.
        """
        before = self._opened_ms
        if opened_ms < before:
            return OLD
        ended = None
        if opened_ms > before:
            if self._known and not self._quiet:
                ended = self._final
            self._known = before > 0 and not self._quiet
            self._opened_ms = opened_ms
        self._quiet = False
        self._final = final
        return ended

    def quiet(self) -> None:
        """Nothing came for longer than it may take: the end of the candle may have been lost."""
        self._quiet = self._opened_ms > 0

    def clear(self) -> None:
        """Forget everything: the continuity that vouched for it is gone."""
        self._opened_ms = 0
        self._known = self._quiet = False
        self._final = None
