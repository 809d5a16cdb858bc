"""What errors about sharing say, and that they travel between processes."""

from __future__ import annotations

import pickle

import pytest

from feedmux.model.errors import NEVER, NOW, FeedmuxError, Retry
from feedmux.model.share_errors import ForeignBroker, NoBroker

ERRORS = [
    (NoBroker("default", "none is running"), "NO_BROKER", NOW, "no broker 'default': none is running"),
    (
        ForeignBroker("default", 65534),
        "IDENTITY",
        NEVER,
        "the place of the broker 'default' is held by the user 65534; choose another --name",
    ),
]


@pytest.mark.parametrize(("error", "code", "retry", "text"), ERRORS)
def test_an_error_says_what_happened_and_what_to_do(
    error: FeedmuxError, code: str, retry: Retry, text: str
) -> None:
    assert (error.code, error.retry, str(error)) == (code, retry, text)
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied)) == (type(error), text)
