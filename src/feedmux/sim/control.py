"""The control endpoint of a simulator: drive it and ask it from another process.

One JSON object per WebSocket message, ``{"do": <verb>, ...}``; the answer is
``{"ok": true, ...}`` or ``{"ok": false, "error": <a sentence>}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Protocol

import msgspec

from feedmux.model.errors import FeedmuxError


class Switches(Protocol):
    """What a simulator lets a test do to it while it runs; see :class:`feedmux.sim.bybit.BybitSim`."""

    def mute(self, topics: list[str] | None = None, *, pongs: bool = True) -> None: ...
    def unmute(self) -> None: ...
    def cut(self, *, clean: bool = False) -> int: ...
    def refuse_connections(self, refuse: bool) -> None: ...
    def garbage(self, kind: str, topic: str | None = None) -> int: ...
    def delist(self, topic: str) -> None: ...
    def relist(self, topic: str) -> None: ...
    def state(self, market: str, topic: str) -> dict[str, str] | None: ...
    def statistics(self) -> dict[str, object]: ...


class _Verb(msgspec.Struct, forbid_unknown_fields=True, tag_field="do"):
    """Each verb's ``apply`` does it, and returns what the answer says besides ``ok``."""


class _Mute(_Verb, tag="mute"):
    topics: list[str] | None = None
    pongs: bool = True

    def apply(self, sim: Switches) -> Mapping[str, object]:
        sim.mute(self.topics, pongs=self.pongs)
        return {}


class _Unmute(_Verb, tag="unmute"):
    def apply(self, sim: Switches) -> Mapping[str, object]:
        sim.unmute()
        return {}


class _Cut(_Verb, tag="cut"):
    clean: bool = False

    def apply(self, sim: Switches) -> Mapping[str, object]:
        return {"connections": sim.cut(clean=self.clean)}


class _RefuseConnections(_Verb, tag="refuse_connections"):
    refuse: bool = True

    def apply(self, sim: Switches) -> Mapping[str, object]:
        sim.refuse_connections(self.refuse)
        return {}


class _Garbage(_Verb, tag="garbage"):
    kind: str
    topic: str | None = None

    def apply(self, sim: Switches) -> Mapping[str, object]:
        return {"topics": sim.garbage(self.kind, self.topic)}


class _Delist(_Verb, tag="delist"):
    topic: str

    def apply(self, sim: Switches) -> Mapping[str, object]:
        sim.delist(self.topic)
        return {}


class _Relist(_Verb, tag="relist"):
    topic: str

    def apply(self, sim: Switches) -> Mapping[str, object]:
        sim.relist(self.topic)
        return {}


class _State(_Verb, tag="state"):
    market: str
    topic: str

    def apply(self, sim: Switches) -> Mapping[str, object]:
        return {"state": sim.state(self.market, self.topic)}


class _Report(_Verb, tag="report"):
    def apply(self, sim: Switches) -> Mapping[str, object]:
        return sim.statistics()


class _Named(msgspec.Struct):
    do: str


_Any = _Mute | _Unmute | _Cut | _RefuseConnections | _Garbage | _Delist | _Relist | _State | _Report
_decode = msgspec.json.Decoder(_Any).decode
VERBS = (
    "mute", "unmute", "cut", "refuse_connections", "garbage", "delist", "relist", "state", "report",
)  # fmt: skip


def obey(sim: Switches, message: str | bytes) -> bytes:
    """Do what ``message`` asks of ``sim``.

    Returns:
        the answer, JSON; a message that makes no sense is answered too, never raised.
    """
    try:
        return msgspec.json.encode({"ok": True, **_decode(message).apply(sim)})
    except FeedmuxError as error:
        return _failure(str(error))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _failure(_advice(message) or str(error))


def _failure(reason: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": reason})


def _advice(message: str | bytes) -> str | None:
    """A sentence about a verb that is none; None when the verb is not what is wrong."""
    known = ", ".join(VERBS)
    try:
        verb = msgspec.json.decode(message, type=_Named).do
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return f'expected a JSON object like {{"do":"report"}}; the verbs are {known}'
    if verb in VERBS:
        return None
    near = get_close_matches(verb, VERBS, n=1)
    guess = f"; did you mean {near[0]!r}" if near else ""
    return f"{verb!r} is not a verb{guess} (the verbs are {known})"
