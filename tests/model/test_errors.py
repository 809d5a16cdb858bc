from __future__ import annotations

import pytest

from feedmux.model import errors, link_errors
from feedmux.model.errors import (
    FeedmuxError,
    IllegalEvent,
    InvalidSetting,
    MalformedMessage,
    Overflow,
    Refused,
)
from feedmux.model.link_errors import ConnectFailed, LinkLost


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
        (MalformedMessage("envelope", "too short"), "malformed envelope: too short"),
        (Refused("ticker:X", "no such symbol"), "ticker:X was refused: no such symbol"),
        (ConnectFailed("wss://h", "timed out"), "no connection to wss://h: timed out"),
        (LinkLost("cut"), "the connection ended: cut"),
        (Overflow("outbox", "64 frames"), "outbox is full; its bound is 64 frames"),
    ],
)
def test_texts_say_what_happened_and_what_was_expected(error: FeedmuxError, text: str) -> None:
    assert str(error) == text
