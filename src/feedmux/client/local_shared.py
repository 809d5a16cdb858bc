"""One WebSocket that a client of the broker shares: its numbers, what is wanted of it, and what it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from feedmux.client.local_events import (
    LocalEvent,
    SocketClosed,
    SocketData,
    SocketError,
    SocketLost,
    SocketOpened,
)
from feedmux.client.local_tap import Tap
from feedmux.model.errors import MalformedMessage
from feedmux.model.ports import Statistics
from feedmux.wire.local_records import AGAIN, ENTRY, Entry, Kinds, Message, Open, What

_DATA: Final = frozenset({What.TEXT, What.BINARY})
_BINARY: Final = int(What.BINARY)
_WHOLE: Final = frozenset({int(What.TEXT), _BINARY})


class Wish(NamedTuple):
    """What is wanted of a symbol, and how that is said.

    Args:
        kinds: quotes, trades or both.
        message: asks for it.
        release: asks for no more of it, if the client dies; empty: nothing is sent then.
    """

    kinds: Kinds
    message: Message
    release: bytes


class SharedSocket:
    """A WebSocket by the number that its user knows; brokers come and go, and each has its own number for it.

    It is the drinker of its tap: what is in the ring becomes events here.

    Args:
        id: the number that its user knows.
        wanted: how it is opened.
        emit: takes the events.
        is_whole: whether messages in several parts are put together.
        on_closed: is called when this broker does not open it again.
        on_spoiled: is called with the reason when its ring cannot be read.
    """

    def __init__(
        self,
        id: int,
        wanted: Open,
        emit: Callable[[LocalEvent], None],
        *,
        is_whole: bool,
        on_closed: Callable[[SharedSocket], None],
        on_spoiled: Callable[[str], None],
    ) -> None:
        self.id, self.wanted = id, wanted
        self.number = 0
        """The broker's; 0: it is open at none."""
        self.is_gone = False
        """Its user or the other side has closed it for good."""
        self.is_open, self.has_subscribed = asyncio.Event(), asyncio.Event()
        self.is_spoken_to = False
        """Whether its user sends messages of his own: a login may be among them."""
        self.blind_since = 0.0
        self.wishes: dict[str, list[Wish]] = {}
        self._emit, self._is_whole = emit, is_whole
        self._on_closed, self._on_spoiled = on_closed, on_spoiled
        self._tap: Tap | None = None
        self._client = self._lasts_due = self._remaining = 0
        self._parts: list[bytes] = []

    # its life

    def attach(self, number: int, client: int, tap: Tap) -> None:
        """A broker shares it: by this number, with its ring, and knows us as ``client``."""
        self.number, self._client, self._tap = number, client, tap
        self._parts, self._remaining = [], 0

    def opened(self, lasts: int) -> None:
        """It is open; so many last messages come before what is in the ring."""
        self._lasts_due += lasts
        self.is_open.set()
        self._begin()

    def last(self, entry: bytes) -> None:
        """A message from before we came.

        Raises:
            MalformedMessage: it is none.
        """
        found = Entry.decode(entry)
        if found.what not in _DATA or found.remaining:
            raise MalformedMessage("last message", f"it is {found.what.name}, and {found.remaining} remain")
        is_binary = found.what is What.BINARY
        self._emit(SocketData(self.id, found.payload, is_binary, 0, found.received_ns, is_last=True))
        self._lasts_due -= 1
        self._begin()

    def resume(self) -> None:
        """There is room for events again."""
        if self._tap is not None:
            self._tap.resume()

    def drain(self) -> None:
        """Read what is left of a broker that has died."""
        if self._tap is not None:
            self._tap.drain()

    def detach(self) -> None:
        """The broker does not share it any more, or is dead."""
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.close()
        self.number = self._lasts_due = 0
        self.has_subscribed.clear()
        if not self.is_gone:
            self.is_open.clear()

    def leave(self) -> None:
        """It is closed for good; whoever waits for it is woken."""
        self.is_gone = True
        self.detach()
        self.is_open.set()
        self.has_subscribed.set()

    def statistics(self) -> Statistics:
        """Whether it is open, how many symbols are wanted, and how its ring is read; None: it is not."""
        return {
            "is_open": self.number != 0,
            "symbols": len(self.wishes),
            "ring": self._tap.statistics() if self._tap is not None else None,
        }

    def wish(self, symbol: str, wish: Wish) -> None:
        """Remember what is wanted; what asks for nothing more than those before it is not."""
        wishes = self.wishes.setdefault(symbol, [])
        known = Kinds.NONE
        for each in wishes:
            known |= each.kinds
        if not wishes or wish.kinds & ~known:
            wishes.append(wish)

    def _begin(self) -> None:
        if self._tap is not None and self._lasts_due <= 0:
            self._tap.open()

    # what its tap calls

    def took(self, entry: bytes) -> None:
        """Make an event of an entry.

        Raises:
            MalformedMessage: it is none.
        """
        if len(entry) >= ENTRY.size and not self._remaining:
            what, _, _, remaining, _, _, received_ns = ENTRY.unpack_from(entry)
            if not remaining and what in _WHOLE:  # most of all: no detour
                payload = entry[ENTRY.size :]
                self._emit(SocketData(self.id, payload, what == _BINARY, 0, received_ns))
                return
        found = Entry.decode(entry)
        if found.what in _DATA:
            self._data(found)
        elif found.what is What.OPENED:
            self._emit(SocketOpened(self.id, 0 < found.client == self._client))
        elif found.what is What.CLOSED:
            self._emit(SocketClosed(self.id, _text(found.payload), found.code))
            if not found.flags & AGAIN:
                self._on_closed(self)
        elif found.client in {0, self._client}:
            self._emit(SocketError(self.id, _text(found.payload)))

    def lapped(self, size_bytes: int) -> None:
        """Say that something is missing; a message of which a part is missing is not handed on."""
        self._parts, self._remaining = [], 0
        self._emit(SocketLost(self.id, size_bytes))

    def spoiled(self, reason: str) -> None:
        """Its ring cannot be read."""
        self._on_spoiled(reason)

    def _data(self, found: Entry) -> None:
        if self._remaining and self._remaining != len(found.payload) + found.remaining:
            expected = f"{len(found.payload)} bytes and {found.remaining} more; expected {self._remaining}"
            raise MalformedMessage("entry", f"a part of a message has {expected}")
        self._remaining = found.remaining
        payload, remaining = found.payload, found.remaining
        if self._is_whole and (remaining or self._parts):
            self._parts.append(payload)
            if remaining:
                return
            payload = b"".join(self._parts)
            self._parts = []
        is_binary = found.what is What.BINARY
        self._emit(SocketData(self.id, payload, is_binary, remaining, found.received_ns))


def _text(payload: bytes) -> str:
    return payload.decode(errors="replace")
