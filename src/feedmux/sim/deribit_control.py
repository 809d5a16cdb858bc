"""The verbs that a simulated Deribit knows at its control endpoint, besides the common ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

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


class DeribitSwitches(Venue, Protocol):
    """What it lets a test do; see :class:`feedmux.sim.deribit.DeribitSim`."""

    def skip(self, channel: str, count: int = 1) -> int: ...
    def close(self, code: int, reason: str = "") -> int: ...
    def delay(self, seconds: float, method: str | None = None, count: int | None = None) -> None: ...
    def drop_answer(self, method: str | None = None, count: int | None = 1) -> None: ...
    def repeat_answer(self, method: str | None = None, count: int | None = 1) -> None: ...
    def limit(self, method: str | None = None, count: int | None = 1) -> None: ...
    def expire_tokens(self) -> int: ...
    def maintenance(self, on: bool) -> None: ...
    def behave(self) -> None: ...
    def move(self, instrument: str, price: float) -> None: ...


class _Skip(Verb, tag="skip"):
    channel: str
    count: int = 1

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        return {"channels": sim.skip(self.channel, self.count)}


class _Close(Verb, tag="close"):
    code: int
    reason: str = ""

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        return {"connections": sim.close(self.code, self.reason)}


class _Delay(Verb, tag="delay"):
    seconds: float
    method: str | None = None
    count: int | None = None

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        sim.delay(self.seconds, self.method, self.count)
        return {}


class _DropAnswer(Verb, tag="drop_answer"):
    method: str | None = None
    count: int | None = 1

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        sim.drop_answer(self.method, self.count)
        return {}


class _RepeatAnswer(Verb, tag="repeat_answer"):
    method: str | None = None
    count: int | None = 1

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        sim.repeat_answer(self.method, self.count)
        return {}


class _Limit(Verb, tag="limit"):
    method: str | None = None
    count: int | None = 1

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        sim.limit(self.method, self.count)
        return {}


class _ExpireTokens(Verb, tag="expire_tokens"):
    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        return {"tokens": sim.expire_tokens()}


class _Maintenance(Verb, tag="maintenance"):
    on: bool = True

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        sim.maintenance(self.on)
        return {}


class _Behave(Verb, tag="behave"):
    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        sim.behave()
        return {}


class _Move(Verb, tag="move"):
    instrument: str
    price: float

    def apply(self, sim: DeribitSwitches) -> Mapping[str, object]:
        sim.move(self.instrument, self.price)
        return {}


VERBS = (
    "mute", "unmute", "cut", "refuse_connections", "garbage", "delist", "relist", "report", "skip",
    "close", "delay", "drop_answer", "repeat_answer", "limit", "expire_tokens", "maintenance",
    "behave", "move",
)  # fmt: skip
_Common = Mute | Unmute | Cut | RefuseConnections | SendGarbage | Delist | Relist | Report
_Own = (
    _Skip
    | _Close
    | _Delay
    | _DropAnswer
    | _RepeatAnswer
    | _Limit
    | _ExpireTokens
    | _Maintenance
    | _Behave
    | _Move
)
_DERIBIT: Vocabulary[DeribitSwitches] = Vocabulary(VERBS, msgspec.json.Decoder(_Common | _Own).decode)


def obey(sim: DeribitSwitches, message: str | bytes) -> bytes:
    """Do what ``message`` asks; see :meth:`feedmux.sim.control.Vocabulary.obey`."""
    return _DERIBIT.obey(sim, message)
