"""The verbs that a simulated Alpaca knows at its control endpoint, besides the common ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from feedmux.sim.alpaca_trading import Update
from feedmux.sim.control import (
    Cut,
    Delist,
    Mute,
    RefuseConnections,
    Relist,
    Report,
    SendGarbage,
    Unmute,
    Venue,
    Verb,
    Vocabulary,
)


class AlpacaSwitches(Venue, Protocol):
    """What it lets a test do; see :class:`feedmux.sim.alpaca.AlpacaSim`."""

    def publish(
        self, symbol: str, price: float, *, size: int = 100, ident: int | None = None, feed: str | None = None
    ) -> int: ...
    def correct(self, symbol: str, price: float, size: int = 100) -> int: ...
    def cancel(self, symbol: str, action: str = "C") -> int: ...
    def halt(self, symbol: str, on: bool) -> int: ...
    def say(self, code: int, *, close: bool = False) -> int: ...
    def fail(
        self, code: int, action: str | None = None, count: int | None = 1, *, close: bool = False
    ) -> None: ...
    def behave(self) -> None: ...
    def limit(self, connections: int | None = None, linger_s: float | None = None) -> None: ...
    def update_order(self, update: Update) -> int: ...


class _Publish(Verb, tag="publish"):
    symbol: str
    price: float
    size: int = 100
    id: int | None = None
    feed: str | None = None

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        told = sim.publish(self.symbol, self.price, size=self.size, ident=self.id, feed=self.feed)
        return {"connections": told}


class _Correct(Verb, tag="correct"):
    symbol: str
    price: float
    size: int = 100

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        return {"connections": sim.correct(self.symbol, self.price, self.size)}


class _Cancel(Verb, tag="cancel"):
    symbol: str
    action: str = "C"

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        return {"connections": sim.cancel(self.symbol, self.action)}


class _Halt(Verb, tag="halt"):
    symbol: str
    on: bool = True

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        return {"connections": sim.halt(self.symbol, self.on)}


class _Say(Verb, tag="say"):
    code: int
    close: bool = False

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        return {"connections": sim.say(self.code, close=self.close)}


class _Fail(Verb, tag="fail"):
    code: int
    action: str | None = None
    count: int | None = 1
    close: bool = False

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        sim.fail(self.code, self.action, self.count, close=self.close)
        return {}


class _Behave(Verb, tag="behave"):
    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        sim.behave()
        return {}


class _Limit(Verb, tag="limit"):
    connections: int | None = None
    linger_s: float | None = None

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        sim.limit(self.connections, self.linger_s)
        return {}


class _UpdateOrder(Verb, tag="order"):
    event: str
    symbol: str
    side: str = "buy"
    qty: int = 1
    price: float = 0.0

    def apply(self, sim: AlpacaSwitches) -> Mapping[str, object]:
        update = Update(self.event, self.symbol, self.side, self.qty, self.price)
        return {"connections": sim.update_order(update)}


VERBS = (
    "mute", "unmute", "cut", "refuse_connections", "garbage", "delist", "relist", "report", "publish",
    "correct", "cancel", "halt", "say", "fail", "behave", "limit", "order",
)  # fmt: skip
_Common = Mute | Unmute | Cut | RefuseConnections | SendGarbage | Delist | Relist | Report
_Own = _Publish | _Correct | _Cancel | _Halt | _Say | _Fail | _Behave | _Limit | _UpdateOrder
_ALPACA: Vocabulary[AlpacaSwitches] = Vocabulary(VERBS, msgspec.json.Decoder(_Common | _Own).decode)


def obey(sim: AlpacaSwitches, message: str | bytes) -> bytes:
    """Do what ``message`` asks; see :meth:`feedmux.sim.control.Vocabulary.obey`."""
    return _ALPACA.obey(sim, message)
