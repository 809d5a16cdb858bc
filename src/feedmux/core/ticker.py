"""Keep one ticker whole that its venue sends in parts: a snapshot, then what changed.

Theory of operation
===================
A merge is empty or whole, and three things can happen to it. Each makes it one of the two and
gives the state to publish, or says why there is none::

             snapshot          delta, order not fallen    delta, order fallen
    empty    whole, state      empty, WAITING             empty, WAITING
    whole    whole, state      whole, state               empty, DESYNC

Invariants: the state is either empty or begins with a snapshot and holds every change since; no
field is empty text; ``order`` belongs to the newest part. Equal orders are no fault: a part that
comes twice changes nothing the second time. A snapshot always replaces, whatever its order,
because the venue's sequence may begin anew. A state of more than :data:`MAX_FIELDS` fields is no
ticker and counts as DESYNC, so that memory stays bounded whatever the venue invents.

Deliberately absent: field names (the venue's codec knows them), time, and how to ask for a new
snapshot (the feed's task).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

MAX_FIELDS: Final = 256
"""How many fields a state may hold; the largest known ticker has 34."""


class Unmerged(Enum):
    """Why a part gave no state to publish."""

    WAITING = "waiting"
    """A change without a snapshot before it; one is to come."""
    DESYNC = "desync"
    """Parts were lost or reordered: the state is gone, ask for a new snapshot."""


class TickerMerge:
    """The known state of one ticker."""

    __slots__ = ("_fields", "_order")

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}
        self._order = -1  # below every order: no snapshot came yet

    @property
    def state(self) -> Mapping[str, str]:
        """The known fields, never an empty text; empty while no snapshot came.

        The next part changes it in place: render it, do not keep it.
        """
        return self._fields

    def apply(self, snapshot: bool, order: int, fields: Mapping[str, str]) -> Mapping[str, str] | Unmerged:
        """Take one part.

        Args:
            snapshot: True replaces the state, False changes it.
            order: the venue's own sequence, 0 or more; may stand still, may not fall.
            fields: the venue's field names and texts; an empty text says that a field does not
                apply (any more). Not kept.

        Returns:
            The whole :attr:`state`, or why there is none. Never blocks, never raises; costs one
            pass over ``fields``.
        """
        if snapshot:
            self._fields = dict(fields)
        elif self._order < 0:
            return Unmerged.WAITING
        elif order < self._order:
            return self._lose()
        else:
            self._fields.update(fields)
        self._order = order
        if "" in fields.values():
            self._fields = {name: text for name, text in self._fields.items() if text}
        return self._fields if len(self._fields) <= MAX_FIELDS else self._lose()

    def clear(self) -> None:
        """Forget everything: the connection that vouched for it is gone."""
        self._fields = {}
        self._order = -1

    def _lose(self) -> Unmerged:
        self.clear()
        return Unmerged.DESYNC
