"""What errors about sharing say, and that they travel between processes."""

from __future__ import annotations

import pickle

import pytest

from feedmux.model.errors import NEVER, NOW, FeedmuxError, Retry
from feedmux.model.share_errors import ForeignBroker, ForeignGateway, NoBroker, NoGateway

ERRORS = [
    (NoBroker("default", "none is running"), "NO_BROKER", NOW, "no broker 'default': none is running"),
    (
        ForeignBroker("default", 65534),
        "IDENTITY",
        NEVER,
        "the place of the broker 'default' is held by the user 65534; choose another --name",
    ),
    (
        NoGateway("default"),
        "NO_GATEWAY",
        NOW,
        "no gateway of this user offers its topics as 'default'; start one with `feedmux serve`"
        " (with LOCAL=off it offers none)",
    ),
    (
        NoGateway("a", "it hung up"),
        "NO_GATEWAY",
        NOW,
        "the gateway that offers its topics as 'a' cannot be reached: it hung up",
    ),
    (
        ForeignGateway("default", 65534),
        "IDENTITY",
        NEVER,
        "the place of the gateway 'default' is held by the user 65534; choose another LOCAL_NAME",
    ),
]


@pytest.mark.parametrize(("error", "code", "retry", "text"), ERRORS)
def test_an_error_says_what_happened_and_what_to_do(
    error: FeedmuxError, code: str, retry: Retry, text: str
) -> None:
    assert (error.code, error.retry, str(error)) == (code, retry, text)
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied)) == (type(error), text)
