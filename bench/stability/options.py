"""How long and how hard a run is."""

from __future__ import annotations

from typing import NamedTuple

MINUTES, RECONNECTS, RATE, SECONDS = 10.0, 1000, 20_000, 60.0


class Options(NamedTuple):
    """What every part is given.

    Args:
        minutes: of each run on the simulated venue.
        reconnects: how many in a row.
        rate: messages a second.
        seconds: how long that rate is kept, for each way to read.
        seed: of the faults.
        spoil: spoil each part, so that its marks have something to find.
    """

    minutes: float = MINUTES
    reconnects: int = RECONNECTS
    rate: int = RATE
    seconds: float = SECONDS
    seed: int = 1
    spoil: bool = False

    @property
    def is_quick(self) -> bool:
        """Whether it is less than what the marks were made for."""
        full = Options()
        return any(
            getattr(self, name) < getattr(full, name) for name in ("minutes", "reconnects", "rate", "seconds")
        )
