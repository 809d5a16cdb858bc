"""Fold increments into the snapshot of an order book, exactly as a client would that reads all of them.

A book is what openware's peatio publishes: ``{"asks":[[price,amount],...],"bids":[...],"sequence":n}``, and
its increments ``{"asks":[price,amount],"sequence":n}`` with one flat pair, or with pairs as in a snapshot. An
amount of 0 takes the price out. Other members are plain values, and the newest holds. Whatever has
anything else in it is no book, and nothing is guessed of it; nor is a book whose sides cross, or
whose increments do not follow each other: a snapshot that hides a hole would be worse than none.

Prices are compared as exact decimals, so that "1.0" is "1.00"; what is written is the text that
came. A decimal is never a float here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

import msgspec

_SEQUENCE: Final = "sequence"
_DIGITS: Final = re.compile(rb'[\[\]",\s0-9.eE+-]*').fullmatch  # Decimal would take "1_0" and "NaN", too

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_texts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_pairs = msgspec.json.Decoder(list[tuple[Decimal, Decimal]]).decode
_pair = msgspec.json.Decoder(tuple[Decimal, Decimal]).decode
_whole_number = msgspec.json.Decoder(int).decode
_encode = msgspec.json.Encoder().encode


class NoBook(Exception):
    """What was to be folded is no book, or no whole one."""


def fold(snapshot: bytes, increments: Iterable[bytes]) -> bytes | None:
    """Apply increments to a snapshot.

    Args:
        snapshot: the body of a snapshot.
        increments: the bodies of all increments since, in order.

    Returns:
        The body of the snapshot that takes their place: asks rising, bids falling; None when this
        is no book. Costs one pass over all of it and one sort of the prices.
    """
    try:
        book = _Folded(snapshot)
        for increment in increments:
            book.apply(increment)
        return book.text()
    except (NoBook, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Folded:
    """A book's members as texts, and the levels of its sides by price."""

    __slots__ = ("_members", "_sides")

    def __init__(self, snapshot: bytes) -> None:
        self._members = _members(snapshot)
        self._sides: dict[str, dict[Decimal, bytes]] = {"asks": {}, "bids": {}}
        for name in self._sides:
            if name not in self._members:
                raise NoBook
        for name, text in self._members.items():
            self._take(name, text, is_flat=False)

    def apply(self, increment: bytes) -> None:
        members = _members(increment)
        self._check_order(members)
        for name, text in members.items():
            self._take(name, text, is_flat=_is_flat(text))
            if name not in self._sides:
                self._members[name] = text

    def text(self) -> bytes:
        asks, bids = sorted(self._sides["asks"]), sorted(self._sides["bids"], reverse=True)
        if asks and bids and asks[0] <= bids[0]:
            raise NoBook
        for name, prices in (("asks", asks), ("bids", bids)):
            levels = self._sides[name]
            self._members[name] = msgspec.Raw(b"[%b]" % b",".join([levels[price] for price in prices]))
        return _encode(self._members)

    def _check_order(self, members: dict[str, msgspec.Raw]) -> None:
        former, number = (_number(texts.get(_SEQUENCE)) for texts in (self._members, members))
        if former is not None and number is not None and number != former + 1:
            raise NoBook

    def _take(self, name: str, text: msgspec.Raw, *, is_flat: bool) -> None:
        """Take one member: a side's levels; anything else must be a plain value."""
        side = self._sides.get(name)
        if side is None:
            if bytes(text)[:1] in (b"[", b"{"):
                raise NoBook
            return
        for price, amount, level in _levels(text, is_flat):
            if amount > 0:
                side[price] = level
            elif amount == 0:
                side.pop(price, None)
            else:
                raise NoBook


def _levels(text: msgspec.Raw, is_flat: bool) -> Iterator[tuple[Decimal, Decimal, bytes]]:
    """Price, amount and text of each level of a side."""
    if not _DIGITS(text):
        raise NoBook
    if is_flat:
        yield *_pair(text), bytes(text)
        return
    for (price, amount), level in zip(_pairs(text), _texts(text), strict=True):
        yield price, amount, bytes(level)


def _is_flat(text: msgspec.Raw) -> bool:
    """Whether a side is one pair of an increment, and not a list of pairs."""
    return bytes(text)[1:].lstrip()[:1] not in (b"[", b"]")


def _number(text: msgspec.Raw | None) -> int | None:
    """The sequence of a body, if it is an integer."""
    try:
        return None if text is None else _whole_number(text)
    except msgspec.DecodeError:
        return None
