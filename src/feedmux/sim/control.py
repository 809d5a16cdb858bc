"""The control endpoint of a simulator: drive it and ask it from another process.

One JSON object per WebSocket message, ``{"do": <verb>, ...}``; the answer is
``{"ok": true, ...}`` or ``{"ok": false, "error": <a sentence>}``. A simulator has a
:class:`Vocabulary`: the verbs below that all of them know, and its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Generic, Protocol, TypeVar

import msgspec

from feedmux.model.errors import FeedmuxError

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Venue(Protocol):
    """What every simulator lets a test do to it while it runs."""

    def mute(self, topics: list[str] | None = None, *, pongs: bool = True) -> None: ...
    def unmute(self) -> None: ...
    def cut(self, *, clean: bool = False) -> int: ...
    def refuse_connections(self, refuse: bool) -> None: ...
    def garbage(self, kind: str, topic: str | None = None) -> int: ...
    def delist(self, topic: str) -> None: ...
    def relist(self, topic: str) -> None: ...
    def statistics(self) -> dict[str, object]: ...


class Switches(Venue, Protocol):
    """What the simulated Bybit lets a test do besides; see :class:`feedmux.sim.bybit.BybitSim`."""

    def state(self, market: str, topic: str) -> dict[str, str] | None: ...


class Command(Protocol[S_contra]):
    """One message, understood."""

    def apply(self, sim: S_contra, /) -> Mapping[str, object]:
        """Do it. Returns what the answer says besides ``ok``."""


class Verb(msgspec.Struct, forbid_unknown_fields=True, tag_field="do"):
    """What a message may ask for; the tag is the verb, the fields are what it needs."""


class Mute(Verb, tag="mute"):
    """Stop data."""

    topics: list[str] | None = None
    pongs: bool = True

    def apply(self, sim: Venue) -> Mapping[str, object]:
        sim.mute(self.topics, pongs=self.pongs)
        return {}


class Unmute(Verb, tag="unmute"):
    """End every mute."""

    def apply(self, sim: Venue) -> Mapping[str, object]:
        sim.unmute()
        return {}


class Cut(Verb, tag="cut"):
    """End every connection."""

    clean: bool = False

    def apply(self, sim: Venue) -> Mapping[str, object]:
        return {"connections": sim.cut(clean=self.clean)}


class RefuseConnections(Verb, tag="refuse_connections"):
    """Let nobody in, or everybody again."""

    refuse: bool = True

    def apply(self, sim: Venue) -> Mapping[str, object]:
        sim.refuse_connections(self.refuse)
        return {}


class SendGarbage(Verb, tag="garbage"):
    """Send a spoilt frame."""

    kind: str
    topic: str | None = None

    def apply(self, sim: Venue) -> Mapping[str, object]:
        return {"topics": sim.garbage(self.kind, self.topic)}


class Delist(Verb, tag="delist"):
    """End a topic."""

    topic: str

    def apply(self, sim: Venue) -> Mapping[str, object]:
        sim.delist(self.topic)
        return {}


class Relist(Verb, tag="relist"):
    """Accept a topic again."""

    topic: str

    def apply(self, sim: Venue) -> Mapping[str, object]:
        sim.relist(self.topic)
        return {}


class Report(Verb, tag="report"):
    """Ask what it counted."""

    def apply(self, sim: Venue) -> Mapping[str, object]:
        return sim.statistics()


class _State(Verb, tag="state"):
    market: str
    topic: str

    def apply(self, sim: Switches) -> Mapping[str, object]:
        return {"state": sim.state(self.market, self.topic)}


class _Named(msgspec.Struct):
    do: str


class Vocabulary(Generic[S]):
    """The verbs of one kind of simulator.

    Args:
        verbs: their names, in the order in which they are listed.
        decode: turns a message into a command; raises what msgspec raises.
    """

    def __init__(self, verbs: tuple[str, ...], decode: Callable[[str | bytes], Command[S]]) -> None:
        self.verbs = verbs
        self._decode = decode

    def obey(self, sim: S, message: str | bytes) -> bytes:
        """Do what ``message`` asks of ``sim``.

        Returns:
            the answer, JSON; a message that makes no sense is answered too, never raised.
        """
        try:
            return msgspec.json.encode({"ok": True, **self._decode(message).apply(sim)})
        except FeedmuxError as error:
            return _failure(str(error))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _failure(self._advice(message) or str(error))

    def _advice(self, message: str | bytes) -> str | None:
        """A sentence about a verb that is none; None when the verb is not what is wrong."""
        known = ", ".join(self.verbs)
        try:
            verb = msgspec.json.decode(message, type=_Named).do
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return f'expected a JSON object like {{"do":"report"}}; the verbs are {known}'
        if verb in self.verbs:
            return None
        near = get_close_matches(verb, self.verbs, n=1)
        guess = f"; did you mean {near[0]!r}" if near else ""
        return f"{verb!r} is not a verb{guess} (the verbs are {known})"


def _failure(reason: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": reason})


VERBS = (
    "mute", "unmute", "cut", "refuse_connections", "garbage", "delist", "relist", "state", "report",
)  # fmt: skip
_Any = Mute | Unmute | Cut | RefuseConnections | SendGarbage | Delist | Relist | _State | Report
_BYBIT: Vocabulary[Switches] = Vocabulary(VERBS, msgspec.json.Decoder(_Any).decode)


def obey(sim: Switches, message: str | bytes) -> bytes:
    """Do what ``message`` asks of a simulated Bybit; see :meth:`Vocabulary.obey`."""
    return _BYBIT.obey(sim, message)
