"""What a node of a cluster says of itself, so that people can see all of them; nothing depends on it.

It is JSON, under a key of its own in Redis, written anew each beat and forgotten a few beats later.
"""

from __future__ import annotations

from typing import Final

import msgspec

from feedmux.model.errors import MalformedMessage
from feedmux.model.topic import Topic

MOST_TOPICS: Final = 1000
"""Of one market so many topics are named; all of them are counted."""
_FIELDS_BEFORE: Final = 3
"""Scope, venue and market: the market is named already."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has to do with one market.

    Args:
        holds: whether it has the lease.
        wanted: how many topics its own clients want.
        topics: the names of these, in order, as far as there is room.
        lag_s: the median age of values that came through Redis, when they came; None: none came. It compares
            the clocks of two nodes.
    """

    holds: bool
    wanted: int
    topics: tuple[str, ...] = ()
    lag_s: float | None = None


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself.

    Args:
        name: of the node.
        life: when it started, Unix nanoseconds; with the name it is the process.
        address: where clients reach it.
        version: of feedmux.
        clients: how many are connected.
        has_rival: whether it has met another process of its name.
        markets: those that it serves, by name.
    """

    name: str
    life: int
    address: str
    version: str
    clients: int
    has_rival: bool
    markets: dict[str, Share]

    def encode(self) -> bytes:
        """Write it down."""
        return msgspec.json.encode(self)


def read(text: bytes) -> Presence:
    """Read what a node wrote.

    Raises:
        MalformedMessage: no node did.
    """
    try:
        return msgspec.json.decode(text, type=Presence)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("presence", str(error)) from error


def short(topic: Topic) -> str:
    """Name a topic within its market: ``ticker:BTCUSDT``, ``kline:BTCUSDT:1``."""
    return topic.text.split(":", _FIELDS_BEFORE)[_FIELDS_BEFORE].rstrip(":")
