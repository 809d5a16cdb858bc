"""What a ring brings becomes events; what is wanted is remembered, and not twice."""

from __future__ import annotations

from typing import Any

import pytest

from feedmux.client.local_events import LocalEvent, SocketData, SocketLost
from feedmux.client.local_shared import SharedSocket, Wish
from feedmux.model.errors import MalformedMessage
from feedmux.wire.local_records import Entry, Kinds, Message, Open, What


def shared_of(told: list[LocalEvent], *, is_whole: bool = True) -> SharedSocket:
    nothing: Any = lambda _: None  # noqa: E731
    return SharedSocket(
        1, Open(0, "wss://x"), told.append, is_whole=is_whole, on_closed=nothing, on_spoiled=nothing
    )


def part(payload: bytes, remaining: int, what: What = What.TEXT) -> bytes:
    return Entry(what, payload, remaining, 7).encode()


async def test_parts_are_put_together() -> None:
    told: list[LocalEvent] = []
    shared = shared_of(told)
    for entry in (part(b"ab", 3), part(b"cd", 1), part(b"e", 0), part(b"f", 0, What.BINARY)):
        shared.took(entry)
    assert told == [
        SocketData(1, b"abcde", received_ns=7),
        SocketData(1, b"f", is_binary=True, received_ns=7),
    ]


async def test_or_handed_on_with_what_remains() -> None:
    told: list[LocalEvent] = []
    shared = shared_of(told, is_whole=False)
    shared.took(part(b"ab", 1))
    shared.took(part(b"c", 0))
    assert told == [SocketData(1, b"ab", remaining=1, received_ns=7), SocketData(1, b"c", received_ns=7)]


async def test_of_a_message_that_was_lapped_no_part_is_handed_on() -> None:
    told: list[LocalEvent] = []
    shared = shared_of(told)
    shared.took(part(b"ab", 3))
    shared.lapped(4096)
    shared.took(part(b"next", 0))
    assert told == [SocketLost(1, 4096), SocketData(1, b"next", received_ns=7)]


@pytest.mark.parametrize("second", [part(b"cd", 0), part(b"c", 3)])
async def test_parts_that_do_not_fit_are_named(second: bytes) -> None:
    shared = shared_of([])
    shared.took(part(b"ab", 3))
    with pytest.raises(MalformedMessage, match="a part of a message"):
        shared.took(second)


@pytest.mark.parametrize("entry", [part(b"a", 1), part(b"", 0, What.OPENED), b"short"])
async def test_a_last_message_is_a_whole_message(entry: bytes) -> None:
    with pytest.raises(MalformedMessage):
        shared_of([]).last(entry)


def wish(kinds: Kinds, message: bytes = b"sub") -> Wish:
    return Wish(kinds, Message(message), b"")


async def test_only_what_asks_for_more_is_remembered() -> None:
    shared = shared_of([])
    quotes, trades = wish(Kinds.QUOTES, b"quotes"), wish(Kinds.TRADES, b"trades")
    for each in (quotes, wish(Kinds.QUOTES), trades, wish(Kinds.QUOTES | Kinds.TRADES)):
        shared.wish("BTC", each)
    shared.wish("ETH", trades)
    assert shared.wishes == {"BTC": [quotes, trades], "ETH": [trades]}
