"""Name what can be subscribed to: six fields, one canonical text."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import quote, unquote
from weakref import WeakValueDictionary

import msgspec

from feedmux.model.errors import InvalidTopic

PUBLIC = "public"
"""The scope of a topic that everybody may read."""

OBJECT = "object"
"""The kind of a topic that is a snapshot and its increments, whatever they are of."""
MESSAGE = "message"
"""The kind of a topic whose bodies are passed through."""


class Mode(StrEnum):
    """What may happen to a value that waits for a slow reader."""

    MERGE = "merge"
    """Latest wins: a newer value replaces a waiting one."""
    CANDLE = "candle"
    """An open candle is replaced by its newer state; a closed one never."""
    DISTINCT = "distinct"
    """Never dropped without a word."""
    BOOK = "book"
    """Deltas; after a loss only a snapshot makes the state right again."""
    RAW = "raw"
    """Opaque bodies, passed through."""


_MODES = {
    "ticker": Mode.MERGE,
    "kline": Mode.CANDLE,
    "trade": Mode.DISTINCT,
    "book": Mode.BOOK,
    OBJECT: Mode.BOOK,
}


class Topic(msgspec.Struct, frozen=True, cache_hash=True, order=True, weakref=True):
    """One stream of one source.

    Args:
        scope: ``public``, ``uid=<uid>`` or ``role=<role>``.
        venue: the venue's name, e.g. ``bybit``.
        market: the venue's market, e.g. ``linear``; empty when it has only one.
        kind: ``ticker``, ``kline``, ``trade``, ``book``, ``object`` or a source's own word, e.g. ``message``.
        instrument: the venue's symbol, as the venue spells it.
        param: what else selects the stream, e.g. a candle interval; may be empty.
    """

    scope: str
    venue: str
    market: str
    kind: str
    instrument: str
    param: str = ""

    @property
    def text(self) -> str:
        """The canonical text ``scope:venue:market:kind:instrument:param``, each field percent-encoded."""
        return ":".join(
            quote(field, safe="=")
            for field in (self.scope, self.venue, self.market, self.kind, self.instrument, self.param)
        )

    @property
    def mode(self) -> Mode:
        """What may be done with a waiting value; unknown kinds are passed through untouched."""
        return _MODES.get(self.kind, Mode.RAW)

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Read a canonical text.

        Raises:
            InvalidTopic: it does not have six fields, or is not the canonical spelling.
        """
        fields = text.split(":")
        if len(fields) != 6:
            raise InvalidTopic(text)
        topic = cls(*(unquote(field) for field in fields))
        if topic.text != text:
            raise InvalidTopic(text)
        return topic.one()

    def one(self) -> Topic:
        """The one that stands for all that equal it, wherever they are kept.

        A dictionary finds a key that is the very object without comparing six fields, and every message is
        looked up in several. Whoever makes topics of what others say hands this one on; one that did
        not would be found all the same.
        """
        return _ONES.setdefault(msgspec.structs.astuple(self), self)


_ONES: WeakValueDictionary[tuple[object, ...], Topic] = WeakValueDictionary()


def place_name(venue: str, market: str) -> str:
    """Name a venue and market as people write it: ``bybit.linear``; ``deribit``, which has one market."""
    return f"{venue}.{market}" if market else venue
