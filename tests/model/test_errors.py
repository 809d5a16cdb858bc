from __future__ import annotations

import copy
import pickle

import pytest

from feedmux.model import errors, link_errors
from feedmux.model.errors import (
    AuthenticationFailed,
    CallFailed,
    Duplicate,
    FeedmuxError,
    IllegalEvent,
    InvalidMessage,
    InvalidSetting,
    MalformedMessage,
    MalformedRecording,
    Overflow,
    RateLimited,
    Refused,
    TooManyRestarts,
    TornRecording,
    Unaffordable,
)
from feedmux.model.link_errors import (
    AttemptsFailed,
    Cause,
    ConnectFailed,
    GaveUp,
    LinkLost,
    NoConnections,
    RequestLost,
    RequestTimeout,
)


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


@pytest.mark.parametrize(
    "error",
    [
        InvalidSetting("PORT", "x", "a number"),
        CallFailed("buy", 7, "no", {"left": 3}),
        AuthenticationFailed("Deribit", "no"),
        RateLimited("buy", 1.5),
        ConnectFailed("wss://h", "no", cause=Cause.STATUS, status=503, wait_s=7.0),
        GaveUp("wss://h", "no", 3),
        RequestLost("buy", "cut", maybe_executed=True),
        RequestTimeout("buy", 0.25, maybe_executed=False),
        TornRecording("r.jsonl", 7, "no JSON"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_can_be_pickled_and_copied_with_all_that_it_carries(error: FeedmuxError) -> None:
    error.add_note("a note")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


class Loud:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 100_000, "x… (100002 characters) does not work; expected less"),
        (10**5000, "PORT: a value of type int (Exceeds the limit"),
        (Loud(), "PORT: a value of type Loud (no) does not work; expected less"),
    ],
    ids=["long", "huge", "loud"],
)
def test_any_value_can_be_told_of_in_a_sentence(value: object, shown: str) -> None:
    text = str(InvalidSetting("PORT", value, "less"))
    assert shown in text
    assert len(text) < 300
