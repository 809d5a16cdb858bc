"""The bars of one symbol of a simulated Alpaca: minutes, their late corrections, and the day.

A minute in which nothing traded has no bar. Some minutes get a late trade: their bar is sent again half
a minute after its end, as an updated bar. The running day is sent with every minute.
Source: Alpaca documents, real-time stock data, 2026-07; ``n`` and ``vw`` as its clients read them.
"""

from __future__ import annotations

from random import Random

from feedmux.sim.alpaca_codec import Price, Stamp

MINUTE_NS = 60_000_000_000
_LATE_NS = MINUTE_NS // 2
_DAY_NS = 1440 * MINUTE_NS
_MIDNIGHT_NS = 300 * MINUTE_NS
"""New York's midnight after that of UTC, without summer time."""


class Bar:
    """What traded in one stretch of time.

    Args:
        start_ns: when it begins, Unix nanoseconds.
        units: the first price.
    """

    __slots__ = ("close", "count", "high", "low", "open", "paid", "start_ns", "volume")

    def __init__(self, start_ns: int, units: int) -> None:
        self.start_ns = start_ns
        self.open = self.close = self.high = self.low = units
        self.volume = self.count = self.paid = 0

    def add(self, units: int, size: int) -> None:
        """Count ``size`` shares traded at ``units``."""
        self.close = units
        self.high, self.low = max(self.high, units), min(self.low, units)
        self.volume += size
        self.paid += units * size
        self.count += 1

    def item(self, kind: str, symbol: str) -> dict[str, object]:
        """As a member of a message; ``kind`` is ``b``, ``u`` or ``d``. Something must have traded."""
        return {
            "T": kind,
            "S": symbol,
            "o": Price(self.open),
            "h": Price(self.high),
            "l": Price(self.low),
            "c": Price(self.close),
            "v": self.volume,
            "t": Stamp(self.start_ns),
            "n": self.count,
            "vw": Price(self.paid // self.volume),
        }


class Bars:
    """The bars of one symbol.

    Args:
        symbol: whose.
        dice: decides which minutes get a late trade.
    """

    def __init__(self, symbol: str, dice: Random) -> None:
        self._symbol = symbol
        self._dice = dice
        self._minute: Bar | None = None
        self._day: Bar | None = None
        self._late: list[Bar] = []

    def add(self, units: int, size: int, ns: int) -> None:
        """Count a trade; ``ns`` is the bars' clock. What is over must have been taken before."""
        if self._minute is None:
            self._minute = Bar(ns // MINUTE_NS * MINUTE_NS, units)
        start = (ns - _MIDNIGHT_NS) // _DAY_NS * _DAY_NS + _MIDNIGHT_NS
        if self._day is None or self._day.start_ns != start:
            self._day = Bar(start, units)
        self._minute.add(units, size)
        self._day.add(units, size)

    def over(self, ns: int) -> list[tuple[str, dict[str, object]]]:
        """What is to be sent at ``ns`` of the bars' clock: channels and members of a message."""
        sent = [
            ("updatedBars", bar.item("u", self._symbol))
            for bar in self._late
            if ns >= bar.start_ns + MINUTE_NS + _LATE_NS
        ]
        self._late = self._late[len(sent) :]
        minute = self._minute
        if minute is None or ns < minute.start_ns + MINUTE_NS:
            return sent
        self._minute = None
        sent.append(("bars", minute.item("b", self._symbol)))
        if self._day is not None:
            sent.append(("dailyBars", self._day.item("d", self._symbol)))
        if self._dice.random() < 0.5:
            minute.add(minute.close, self._dice.randint(1, 99))
            self._late.append(minute)
        return sent
