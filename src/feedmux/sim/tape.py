"""The public trades of a simulated instrument."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from uuid import UUID

import msgspec

from feedmux.sim.market import Instrument, direction


class Trade(msgspec.Struct, frozen=True):
    """One trade of the tape; ``direction`` compares its price with the trade before."""

    number: int
    ident: str
    price: Decimal
    size: Decimal
    side: str
    direction: str


class Tape:
    """The public trades of one instrument.

    Args:
        instrument: what is traded; only its price is read.
        dice: the tape's own source of chance.
    """

    def __init__(self, instrument: Instrument, dice: Random) -> None:
        self.instrument = instrument
        self.dice = dice
        self._direction = "ZeroPlusTick"
        self._price = instrument.last
        self._number = dice.randrange(10**9, 10**10)

    def draw(self) -> Trade:
        """One trade at the current price or a tick beside it."""
        dice, made = self.dice, self.instrument.contract
        price = self.instrument.last + made.tick * dice.randint(-1, 1)
        self._direction = direction(price, self._price, self._direction)
        self._price = price
        self._number += dice.randint(1, 3)
        return Trade(
            number=self._number,
            ident=str(UUID(int=dice.getrandbits(128), version=4)),
            price=price,
            size=made.lot * dice.randint(1, 5000),
            side="Buy" if dice.random() < 0.5 else "Sell",
            direction=self._direction,
        )
