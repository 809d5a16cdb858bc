"""What a client asks of one subscription, beyond the stream itself."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import msgspec

from feedmux.model.topic import Mode

RATES: Final = (0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 8, 10, 15, 20, 25, 30, 50, 60, 100, 250, 500, 1000)
"""The rates that are served: clients that ask for rates of the same step share one frame."""

MAX_FIELD_SETS: Final = 16
"""Sets of fields of one topic: each costs every message of the topic one more frame."""

MAX_FIELDS: Final = 64
MAX_FIELD_CHARACTERS: Final = 64

_CONFLATED: Final = frozenset({Mode.MERGE, Mode.CANDLE})


class Options(msgspec.Struct, frozen=True):
    """How one subscription is served.

    Args:
        conflate: whether a newer value replaces one that waits; None: as the topic's mode says.
        rate: messages per second at most, one of :data:`RATES`; 0: as they come.
        fields: the names in ``data`` that are sent; empty: all.
    """

    conflate: bool | None = None
    rate: float = 0.0
    fields: frozenset[str] = frozenset()

    def conflates(self, mode: Mode) -> bool:
        """Whether values of a topic of this mode are replaced by newer ones.

        Changes of a book never are, whatever is asked: each is needed by the next.
        """
        if self.conflate is None or mode is Mode.BOOK:
            return mode in _CONFLATED
        return self.conflate


DEFAULTS: Final = Options()


def served_rate(rate: float) -> float:
    """The step of :data:`RATES` that serves a wish.

    Args:
        rate: messages per second, from the lowest step to the highest.
    """
    assert RATES[0] <= rate <= RATES[-1], rate
    return RATES[bisect_right(RATES, rate) - 1]
