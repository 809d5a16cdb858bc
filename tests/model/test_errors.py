from __future__ import annotations

import pytest

from feedmux.model import errors, link_errors
from feedmux.model.errors import (
    Duplicate,
    FeedmuxError,
    IllegalEvent,
    InvalidMessage,
    InvalidSetting,
    MalformedMessage,
    MalformedRecording,
    Overflow,
    Refused,
    TooManyRestarts,
    TornRecording,
    Unaffordable,
)
from feedmux.model.link_errors import AttemptsFailed, ConnectFailed, LinkLost, NoConnections


def tree(root: type[FeedmuxError]) -> list[type[FeedmuxError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in tree(child))]


def test_every_error_of_the_tree_stands_in_the_docstring() -> None:
    assert errors.__doc__ is not None
    for error in tree(FeedmuxError):
        if error.__module__ in {errors.__name__, link_errors.__name__}:
            assert error.__name__ in errors.__doc__


def test_close_codes_say_whether_to_come_back() -> None:
    for error in tree(FeedmuxError):
        assert 4000 <= error.close_code <= 4999


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidSetting("PORT", "x", "a number"), "PORT: 'x' does not work; expected a number"),
        (
            IllegalEvent("reconnect", "idle", "lost"),
            "reconnect: the event 'lost' cannot happen in the state 'idle'",
        ),
        (
            InvalidMessage("params", "a number", "a list"),
            "params: a number cannot be sent; expected a list",
        ),
        (
            Unaffordable("buy", "orders", 30.0, 20.5),
            "'buy' costs 30 tokens of 'orders', which never holds more than 20.5",
        ),
        (MalformedMessage("envelope", "too short"), "malformed envelope: too short"),
        (Refused("ticker:X", "no such symbol"), "ticker:X was refused: no such symbol"),
        (ConnectFailed("wss://h", "timed out"), "no connection to wss://h: timed out"),
        (LinkLost("cut"), "the connection ended: cut"),
        (Overflow("outbox", "64 frames"), "outbox is full; its bound is 64 frames"),
        (
            Duplicate("link", "a"),
            "there is a link 'a' already; expected one that is new, or another name",
        ),
        (MalformedRecording("r.jsonl", 7, "no JSON"), "r.jsonl, line 7: no JSON"),
        (
            TornRecording("r.jsonl", 7, "no JSON"),
            "r.jsonl, line 7: the last line is torn (no JSON); those before it are whole",
        ),
        (NoConnections(2), "no connection is open; the pool has 2 members"),
        (
            AttemptsFailed("buy", (("a", "down"), ("b", "full"))),
            "buy was answered by nobody in 2 attempts (a: down; b: full)",
        ),
        (
            TooManyRestarts(1, 60.0, (("a", "down"), ("b", "cut"))),
            "more than 1 restarts within 60 s (a: down; b: cut)",
        ),
    ],
)
def test_texts_say_what_happened_and_what_was_expected(error: FeedmuxError, text: str) -> None:
    assert str(error) == text
