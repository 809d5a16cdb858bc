"""One symbol of a simulated Alpaca: what trades, what is quoted, what is halted.

A desk moves only when it is told to, by dice of its own, so the n-th trade of a symbol is the same for
the same seed and feed, whatever else runs and however long it takes. Only times are the clock's.
Source: Alpaca documents, real-time stock data, 2026-07, for the shapes; ids are larger than 32 bits and
rise by no fixed step, as seen on the SIP stream of 2026-10.
"""

from __future__ import annotations

from random import Random

import msgspec

from feedmux.sim.alpaca_bars import Bars
from feedmux.sim.alpaca_codec import UNITS, Price, Stamp

_CENT = UNITS // 100
_KNOWN = {
    "AAPL": (231_50, "C"),
    "AMD": (164_20, "C"),
    "FAKEPACA": (133_85, "N"),
    "IBM": (243_10, "A"),
    "MSFT": (430_75, "C"),
    "NVDA": (141_05, "C"),
    "SPY": (589_40, "B"),
    "TSLA": (341_90, "C"),
}
"""Symbol: price in cents, and tape."""
_EXCHANGES = "NPQTVZDKJ"
_NANOS_BACK = 900_000
_HALTED = ("H", "Trading Halt", "T1", "Halt News Pending"), ("2", "Trading Halt", "P", "News Pending")
_RESUMED = ("T", "Trading Resumption", "", ""), ("3", "Resume", "", "")
"""Code, its words, reason, its words: on tape C, and on the others."""


class Event(msgspec.Struct, frozen=True):
    """Something to tell who reads ``symbol`` on ``channel``; ``item`` is how."""

    channel: str
    symbol: str
    item: dict[str, object]

    @property
    def topic(self) -> str:
        """The name by which the controls know it, like ``trades:AAPL``."""
        return f"{self.channel}:{self.symbol}"


class Deal(msgspec.Struct, frozen=True):
    """A trade as it was sent, to be corrected or cancelled."""

    ident: int
    exchange: str
    units: int
    size: int
    conditions: list[str]


class Desk:
    """One symbol at one feed.

    Args:
        feed: ``iex``, ``sip`` or ``test``.
        symbol: the venue's symbol.
        seed: makes all values.
    """

    def __init__(self, feed: str, symbol: str, seed: int) -> None:
        self.symbol = symbol
        self.is_halted = False
        self.last: Deal | None = None
        self._dice = Random(f"{seed}:{feed}:{symbol}")
        self._is_sip = feed == "sip"
        cents, self._tape = _KNOWN.get(symbol) or (self._dice.randint(500, 60_000), self._dice.choice("ABC"))
        self._start = self._units = cents * _CENT
        self._ident = self._dice.randrange(2**42, 2**45)
        self._stamped = 0
        self._bars = Bars(symbol, Random(f"{seed}:{feed}:{symbol}:bars"))
        self._quoting = Random(f"{seed}:{feed}:{symbol}:quotes")
        self._timing = Random(f"{seed}:{feed}:{symbol}:times")

    # -- by itself -------------------------------------------------------------------------

    def trade(self, ns: int, bars_ns: int) -> list[Event]:
        """Let it trade once.

        Args:
            ns: now, Unix nanoseconds.
            bars_ns: now on the bars' clock.
        """
        dice = self._dice
        move = dice.randint(-3, 3) * _CENT
        if abs(self._units - self._start) * 5 > self._start:  # keep within a fifth of the start
            move = 3 * _CENT if self._units < self._start else -3 * _CENT
        units = max(self._units + move, _CENT)
        size = dice.randint(1, 99) if dice.random() < 0.5 else dice.randint(1, 30) * 100
        if dice.random() < 0.1:  # off an exchange prices are not always whole cents
            units += dice.randint(1, 9) * (_CENT // 10)
        return self.publish(ns, bars_ns, units=units, size=size)

    def publish(
        self, ns: int, bars_ns: int, *, units: int, size: int, ident: int | None = None
    ) -> list[Event]:
        """Let a given trade happen, with the next id if none is given."""
        self._units = units // _CENT * _CENT or _CENT
        self._ident = ident if ident is not None else self._ident + self._dice.randint(1, 40)
        exchange = self._dice.choice(_EXCHANGES) if self._is_sip else "V"
        conditions = ["@"] if size >= 100 else ["@", "I"]
        self.last = Deal(self._ident, exchange, units, size, conditions)
        item: dict[str, object] = {
            "T": "t",
            "S": self.symbol,
            "i": self._ident,
            "x": exchange,
            "p": Price(units),
            "s": size,
            "c": conditions,
            "z": self._tape,
            "t": self._stamp(ns),
        }
        closed = self.pass_time(ns, bars_ns)
        self._bars.add(units, size, bars_ns)
        return [*closed, Event("trades", self.symbol, item)]

    def quote(self, ns: int) -> list[Event]:
        """Let it be quoted once, a cent or some around the last price."""
        dice = self._quoting
        bid, ask = (dice.choice(_EXCHANGES) for _ in "ba") if self._is_sip else ("V", "V")
        spread = dice.randint(1, 4) * _CENT
        item: dict[str, object] = {
            "T": "q",
            "S": self.symbol,
            "bx": bid,
            "bp": Price(max(self._units - spread // 2 // _CENT * _CENT, _CENT)),
            "bs": dice.randint(1, 12),
            "ax": ask,
            "ap": Price(self._units + spread),
            "as": dice.randint(1, 12),
            "c": ["R"],
            "z": self._tape,
            "t": self._stamp(ns),
        }
        return [Event("quotes", self.symbol, item)]

    def pass_time(self, ns: int, bars_ns: int) -> list[Event]:
        """The bars that are over; with each minute the price band."""
        events = [Event(channel, self.symbol, item) for channel, item in self._bars.over(bars_ns)]
        if any(event.channel == "bars" for event in events):
            events.append(self._band(ns))
        return events

    def _band(self, ns: int) -> Event:
        width = self._units // 20 // _CENT * _CENT
        item: dict[str, object] = {
            "T": "l",
            "S": self.symbol,
            "u": Price(self._units + width),
            "d": Price(max(self._units - width, _CENT)),
            "i": "B",
            "t": self._stamp(ns),
            "z": self._tape,
        }
        return Event("lulds", self.symbol, item)

    # -- when told -------------------------------------------------------------------------

    def turn(self, ns: int, *, halt: bool) -> list[Event]:
        """Halt or resume; a halted symbol neither trades nor is quoted by itself."""
        self.is_halted = halt
        on_c, elsewhere = _HALTED if halt else _RESUMED
        code, message, reason, why = on_c if self._tape == "C" else elsewhere
        item: dict[str, object] = {
            "T": "s",
            "S": self.symbol,
            "sc": code,
            "sm": message,
            "rc": reason,
            "rm": why,
            "t": self._stamp(ns),
            "z": self._tape,
        }
        return [Event("statuses", self.symbol, item)]

    def correct(self, ns: int, *, units: int, size: int) -> list[Event]:
        """Say that the last trade was another one; nothing when there was none."""
        was = self.last
        if was is None:
            return []
        self._ident += self._dice.randint(1, 40)
        self.last = Deal(self._ident, was.exchange, units, size, was.conditions)
        item: dict[str, object] = {
            "T": "c",
            "S": self.symbol,
            "x": was.exchange,
            "oi": was.ident,
            "op": Price(was.units),
            "os": was.size,
            "oc": was.conditions,
            "ci": self._ident,
            "cp": Price(units),
            "cs": size,
            "cc": was.conditions,
            "t": self._stamp(ns),
            "z": self._tape,
        }
        return [Event("corrections", self.symbol, item)]

    def cancel(self, ns: int, action: str) -> list[Event]:
        """Say that the last trade was none; ``action`` is ``C`` (cancelled) or ``E`` (in error)."""
        was = self.last
        if was is None:
            return []
        self.last = None
        item: dict[str, object] = {
            "T": "x",
            "S": self.symbol,
            "i": was.ident,
            "x": was.exchange,
            "p": Price(was.units),
            "s": was.size,
            "a": action,
            "t": self._stamp(ns),
            "z": self._tape,
        }
        return [Event("cancelErrors", self.symbol, item)]

    def _stamp(self, ns: int) -> Stamp:
        """A time a little before now, after every other one of this symbol."""
        self._stamped = max(self._stamped + 1, ns - self._timing.randrange(_NANOS_BACK))
        return Stamp(self._stamped)
