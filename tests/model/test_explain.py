from __future__ import annotations

import pytest

from feedmux.model.errors import (
    AuthenticationFailed,
    CallFailed,
    Category,
    FeedmuxError,
    InvalidSetting,
    MalformedMessage,
    Overflow,
    Recovery,
)
from feedmux.model.explain import explain
from feedmux.model.link_errors import Cause, ConnectFailed, GaveUp, LinkLost, RequestTimeout

URL = "wss://host/"


@pytest.mark.parametrize(
    ("error", "category", "suggestion"),
    [
        (ConnectFailed(URL, "refused"), Category.CONNECTION, "Check that the server is running"),
        (ConnectFailed(URL, "no such name", cause=Cause.NAME), Category.CONNECTION, "Check the host name"),
        (ConnectFailed(URL, "bad", cause=Cause.TLS), Category.CONNECTION, "the certificate was made"),
        (
            ConnectFailed(URL, "401", cause=Cause.STATUS, status=401),
            Category.AUTHENTICATION,
            "Check the credentials",
        ),
        (
            ConnectFailed(URL, "429", cause=Cause.STATUS, status=429),
            Category.CONNECTION,
            "Open fewer connections",
        ),
        (
            ConnectFailed(URL, "500", cause=Cause.STATUS, status=500),
            Category.CONNECTION,
            "refuses WebSockets here",
        ),
        (GaveUp(URL, "refused", 3), Category.CONNECTION, "raise max_attempts"),
        (AuthenticationFailed("Deribit", "no"), Category.AUTHENTICATION, "Check the key and its secret"),
        (RequestTimeout("buy", 1, maybe_executed=True), Category.CONNECTION, "ask for the state before"),
        (CallFailed("buy", 1, "no"), Category.APPLICATION, "Look up the code"),
        (LinkLost("gone"), Category.CONNECTION, "connects again and restores"),
        (MalformedMessage("text", "no"), Category.PROTOCOL, "the platform has changed"),
        (Overflow("a queue", "1"), Category.APPLICATION, "Take messages faster"),
        (InvalidSetting("a", 1, "2"), Category.APPLICATION, "Correct the value"),
    ],
)
def test_every_error_says_what_a_person_can_do(
    error: FeedmuxError, category: Category, suggestion: str
) -> None:
    explained = explain(error)
    assert explained.message == str(error)
    assert explained.category is category
    assert suggestion in explained.suggestion


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.STATUS])
def test_every_cause_has_its_suggestion(cause: Cause) -> None:
    assert explain(ConnectFailed(URL, "no", cause=cause)).suggestion


def test_a_category_says_what_a_link_does() -> None:
    assert [category.recovery for category in Category] == [
        Recovery.RECONNECT,
        Recovery.REPORT,
        Recovery.HALT,
        Recovery.PASS,
    ]
