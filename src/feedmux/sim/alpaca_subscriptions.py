"""What one connection to a simulated Alpaca subscribed to: a set that is added to and taken from.

Source: Alpaca documents, real-time stock data, 2026-07: subscribing adds, unsubscribing subtracts, and
both are answered with the whole set; corrections and cancellations follow trades, unasked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
"""What can be subscribed to, in the order of an acknowledgement."""
FOLLOWERS = ("corrections", "cancelErrors")
"""What follows ``trades``."""
ALL = "*"
"""Stands for every symbol."""
_COUNTED = ("trades", "quotes")

Changes = Mapping[str, Sequence[str]]
"""Channels with symbols."""


class Subscriptions:
    """A set of channels with symbols; symbols stay in the order in which they were first named."""

    def __init__(self) -> None:
        self._symbols: dict[str, dict[str, None]] = {channel: {} for channel in CHANNELS}

    def add(self, changes: Changes, most: int | None = None) -> bool:
        """Subscribe.

        Args:
            changes: what to add.
            most: how many trades and quotes there may be in all; None for any.

        Returns:
            False when that would be too many: nothing was changed then.
        """
        after = {
            channel: known | dict.fromkeys(changes.get(channel, ()))
            for channel, known in self._symbols.items()
        }
        counted = [symbol for channel in _COUNTED for symbol in after[channel]]
        if most is not None and (len(counted) > most or ALL in counted):
            return False
        self._symbols = after
        return True

    def remove(self, changes: Changes) -> list[tuple[str, str]]:
        """Unsubscribe; what is not there is passed over. Returns the channels and symbols that were."""
        gone = [
            (channel, symbol)
            for channel, known in self._symbols.items()
            for symbol in changes.get(channel, ())
            if symbol in known
        ]
        for channel, symbol in gone:
            self._symbols[channel].pop(symbol, None)
        return gone

    def covers(self, channel: str, symbol: str) -> bool:
        """Whether data of ``symbol`` on ``channel`` are to be sent."""
        known = self._symbols["trades" if channel in FOLLOWERS else channel]
        return symbol in known or ALL in known

    def symbols(self) -> Iterator[str]:
        """Every symbol that is named, :data:`ALL` among them, some more than once."""
        for known in self._symbols.values():
            yield from known

    def listed(self, *, omit_empty: bool = False) -> dict[str, list[str]]:
        """The whole set, as an acknowledgement has it."""
        whole = {channel: list(known) for channel, known in self._symbols.items()}
        whole |= {follower: list(whole["trades"]) for follower in FOLLOWERS}
        return {channel: known for channel, known in whole.items() if known or not omit_empty}
