"""One feed of a simulated Alpaca: its symbols, its connections, and the one task that ticks.

Theory of operation
-------------------
All that happens by itself happens in ``tick``: every symbol that somebody reads trades and is quoted as
often as the time that passed asks for, the events are handed to the connections that subscribed to them,
and each connection writes what it has in as few messages as its batch allows, kinds and symbols mixed.
An event is encoded once for each codec. Ticks keep to a schedule; a loop that fell more than a
second behind starts a new one instead of catching up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Clock
from feedmux.sim.alpaca_codec import UNITS, Codec
from feedmux.sim.alpaca_desk import Desk, Event
from feedmux.sim.alpaca_faults import Spoilage, spoil
from feedmux.sim.alpaca_gate import Gate
from feedmux.sim.alpaca_options import AlpacaOptions, is_symbol
from feedmux.sim.alpaca_subscriptions import ALL
from feedmux.sim.misbehaviour import Garbage

SHORTEST_TICK_S = 0.005
LONGEST_TICK_S = 0.05


class Member(Protocol):
    """A connection to this feed, as the floor sees it."""

    @property
    def codec(self) -> Codec:
        """How it reads."""

    def symbols(self) -> Iterable[str]:
        """Every symbol that it named."""

    def wants(self, event: Event, /) -> bool:
        """Whether it is to be told."""

    def tell(self, items: Sequence[bytes], /) -> None:
        """Send members, in messages."""

    def post(self, payload: bytes, /) -> None:
        """Send a payload as it is."""

    def stall(self, on: bool, /) -> None:
        """Neither read nor write, or go on."""

    def sweep(self, now: float, /) -> None:
        """End the connection if its time is up."""


class AlpacaFloor:
    """One feed.

    Args:
        feed: ``iex``, ``sip`` or ``test``.
        options: how it behaves.
        clock: what time it is.
        gate: who may enter.
    """

    def __init__(self, feed: str, options: AlpacaOptions, clock: Clock, gate: Gate) -> None:
        self.feed = feed
        self.options = options
        self.gate = gate
        self.members: set[Member] = set()
        self.silent = False
        self.counts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.errors: Counter[int] = Counter()
        self._clock = clock
        self._born_ns = clock.time_ns()
        self._desks: dict[str, Desk] = {}
        self._active: tuple[Desk, ...] = ()
        self._muted: set[str] | None = set()
        self._delisted: set[str] = set()
        self._sent: dict[str, tuple[Event, Event]] = {}
        self._credits = {"trade": 0.0, "quote": 0.0, "status": 0.0}
        fastest = max(options.rate, options.quote_rate, 1.0)
        self.tick_s = min(max(1 / fastest, SHORTEST_TICK_S), LONGEST_TICK_S)

    # -- what is there ---------------------------------------------------------------------

    def now(self) -> float:
        """The monotonic clock, in seconds."""
        return self._clock.monotonic()

    def trades(self, symbol: str) -> bool:
        """Whether there are data of ``symbol``; any may be subscribed to, as at the venue."""
        if symbol in self.options.traded(self.feed):
            return True
        return self.options.any_symbol and is_symbol(symbol)

    def statistics(self) -> dict[str, object]:
        """Connections, requests, errors and frames."""
        return {
            "connections": len(self.members),
            "requests": dict(self.requests),
            "errors": {str(code): count for code, count in sorted(self.errors.items())},
            **self.counts,
        }

    def changed(self) -> None:
        """Somebody subscribed or unsubscribed, or is gone."""
        named = {symbol for member in self.members for symbol in member.symbols()}
        if ALL in named:
            named |= set(self.options.traded(self.feed))
        self._active = tuple(self._desk(symbol) for symbol in sorted(named) if self.trades(symbol))

    def _desk(self, symbol: str) -> Desk:
        desk = self._desks.get(symbol)
        if desk is None:
            desk = self._desks[symbol] = Desk(self.feed, symbol, self.options.seed)
        return desk

    # -- switches --------------------------------------------------------------------------

    def mute(self, topics: Iterable[str] | None) -> None:
        """Send no more data of ``topics``, or of any when None; what happens meanwhile is lost."""
        if topics is None or self._muted is None:
            self._muted = None
        else:
            self._muted |= set(topics)

    def unmute(self) -> None:
        """Send as before."""
        self._muted = set()
        self.stall(on=False)

    def stall(self, *, on: bool) -> None:
        """Neither read nor write on any connection, those to come included."""
        self.silent = on
        for member in list(self.members):
            member.stall(on)

    def delist(self, topic: str) -> None:
        """Send no more data of ``topic``, whoever unmutes."""
        self._delisted.add(topic)

    def relist(self, topic: str) -> None:
        """Send data of ``topic`` again."""
        self._delisted.discard(topic)

    def garble(self, kind: Garbage, topic: str | None) -> int:
        """Send one spoilt message now, made of the topic's last events; returns on how many topics."""
        chosen = [pair for name, pair in self._sent.items() if topic is None or name == topic]
        told = 0
        for before, last in chosen:
            readers = [member for member in self.members if member.wants(last)]
            for member in readers:
                member.post(spoil(kind, Spoilage(member.codec, last.item, before.item)))
            told += bool(readers)
        return told

    def publish(self, symbol: str, price: float, size: int, ident: int | None) -> int:
        """Let a given trade happen.

        Returns:
            how many connections were told.

        Raises:
            InvalidSetting: there are no data of such a symbol, or the numbers are none of a trade.
        """
        desk, units = self.named(symbol), units_of(price)
        if size < 1:
            raise InvalidSetting("size", size, "a whole number above 0")
        return self.deliver(desk.publish(*self.times(), units=units, size=size, ident=ident))

    def correct(self, symbol: str, price: float, size: int) -> int:
        """Correct the last trade of a symbol; raises like :meth:`publish`, returns the same."""
        desk, units = self.named(symbol), units_of(price)
        return self.deliver(desk.correct(self.times()[0], units=units, size=size))

    def cancel(self, symbol: str, action: str) -> int:
        """Cancel the last trade of a symbol (``C`` or ``E``); returns how many were told.

        Raises:
            InvalidSetting: there is no such symbol or action.
        """
        if action not in {"C", "E"}:
            raise InvalidSetting("action", action, "C or E")
        return self.deliver(self.named(symbol).cancel(self.times()[0], action))

    def turn(self, symbol: str, *, halt: bool) -> int:
        """Halt a symbol or let it go on; returns how many were told."""
        return self.deliver(self.named(symbol).turn(self.times()[0], halt=halt))

    def named(self, symbol: str) -> Desk:
        """The desk of a symbol.

        Raises:
            InvalidSetting: there are no data of it.
        """
        if not self.trades(symbol):
            raise InvalidSetting("symbol", symbol, "one of " + ", ".join(self.options.traded(self.feed)))
        return self._desk(symbol)

    # -- time ------------------------------------------------------------------------------

    def times(self) -> tuple[int, int]:
        """Now, on both clocks, in Unix nanoseconds."""
        now = self._clock.time_ns()
        passed = (now - self._born_ns) * self.options.candle_speed
        return now, self._born_ns + int(passed)

    def tick(self) -> None:
        """Let one tick's worth of time pass."""
        options, (ns, bars_ns) = self.options, self.times()
        trades = self._due("trade", options.rate)
        quotes = self._due("quote", options.quote_rate)
        turns = self._due("status", options.status_rate)
        events: list[Event] = []
        for desk in self._active:
            events += desk.pass_time(ns, bars_ns)
            for _ in range(turns):
                events += desk.turn(ns, halt=not desk.is_halted)
            if desk.is_halted:
                continue
            for _ in range(trades):
                events += desk.trade(ns, bars_ns)
            for _ in range(quotes):
                events += desk.quote(ns)
        self.deliver(events)
        now = self.now()
        for member in list(self.members):
            member.sweep(now)

    def _due(self, what: str, rate: float) -> int:
        credit = self._credits[what] + self.tick_s * rate
        self._credits[what] = credit - int(credit + 1e-9)
        return int(credit + 1e-9)

    def deliver(self, events: Sequence[Event]) -> int:
        """Tell whoever subscribed; returns how many connections were told something."""
        heard = [event for event in events if self._is_heard(event.topic)]
        for event in heard:
            self._sent[event.topic] = (self._sent.get(event.topic, (event, event))[1], event)
        told = 0
        encoded: dict[tuple[str, int], bytes] = {}
        for member in list(self.members):
            items: list[bytes] = []
            for place, event in enumerate(heard):
                if member.wants(event):
                    key = (member.codec.name, place)
                    if key not in encoded:
                        encoded[key] = member.codec.item(event.item)
                    items.append(encoded[key])
            if items:
                member.tell(items)
                told += 1
        return told

    def _is_heard(self, topic: str) -> bool:
        if self.silent or self._muted is None:
            return False
        return topic not in self._muted and topic not in self._delisted


def units_of(price: float) -> int:
    """A price in ten-thousandths of a dollar.

    Raises:
        InvalidSetting: it is none.
    """
    if not 0 < price < 1e9:
        raise InvalidSetting("price", price, "dollars above 0")
    return round(price * UNITS)
