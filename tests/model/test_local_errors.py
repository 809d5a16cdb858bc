"""What errors about the broker say, and that they travel between processes."""

from __future__ import annotations

import pickle

import pytest

from feedmux.model.errors import NEVER, NOW, FeedmuxError, Retry
from feedmux.model.local_errors import BrokerLost, BrokerRefused, UnknownWebSocket

ERRORS = [
    (BrokerLost("it hung up"), "BROKER_LOST", NOW, "the broker is gone: it hung up"),
    (
        BrokerRefused("open_websocket", "CAPACITY", "64 WebSockets are open"),
        "CAPACITY",
        NEVER,
        "open_websocket was refused: 64 WebSockets are open (CAPACITY)",
    ),
    (
        UnknownWebSocket(7),
        "UNKNOWN_WEBSOCKET",
        NEVER,
        "7 is none of this client's WebSockets; expected what open_websocket returned",
    ),
]


@pytest.mark.parametrize(("error", "code", "retry", "text"), ERRORS)
def test_an_error_says_what_happened_and_what_to_do(
    error: FeedmuxError, code: str, retry: Retry, text: str
) -> None:
    assert (error.code, error.retry, str(error)) == (code, retry, text)


@pytest.mark.parametrize("error", [error for error, *_ in ERRORS])
def test_an_error_can_be_handed_to_another_process(error: FeedmuxError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args, str(again)) == (type(error), error.args, str(error))
