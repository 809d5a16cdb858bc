from __future__ import annotations

import pytest

from feedmux.model.errors import NEVER, NOW, Category, FeedmuxError, Recovery
from feedmux.model.link_errors import Cause, ConnectFailed, GaveUp, LinkLost, RequestLost, RequestTimeout

URL = "wss://host/"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectFailed(URL, "refused"), "no connection to wss://host/: refused"),
        (
            GaveUp(URL, "refused", 3),
            "no connection to wss://host/: refused; gave up after 3 attempts in a row",
        ),
        (LinkLost("cut"), "the connection ended: cut"),
        (
            RequestLost("buy", "cut", maybe_executed=True),
            "buy: the connection ended: cut; it may have been executed",
        ),
        (RequestLost("buy", "cut", maybe_executed=False), "buy: the connection ended: cut; it was not sent"),
        (
            RequestTimeout("buy", 0.25, maybe_executed=True),
            "buy: no answer within 0.25 s; it may have been executed",
        ),
        (RequestTimeout("buy", 30, maybe_executed=False), "buy: no answer within 30 s; it was not sent"),
    ],
)
def test_texts_say_what_happened_and_what_may_have_been_done(error: FeedmuxError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("error", "category", "retry"),
    [
        (ConnectFailed(URL, "x"), Category.CONNECTION, NOW),
        (ConnectFailed(URL, "x", cause=Cause.STATUS, status=401), Category.AUTHENTICATION, NOW),
        (ConnectFailed(URL, "x", cause=Cause.STATUS, status=503, wait_s=7.0), Category.CONNECTION, 7.0),
        (GaveUp(URL, "x", 1), Category.CONNECTION, NEVER),
        (LinkLost("x"), Category.CONNECTION, NOW),
    ],
)
def test_an_error_says_what_kind_of_trouble_it_is_and_when_to_try_again(
    error: FeedmuxError, category: Category, retry: object
) -> None:
    assert (error.category, error.retry) == (category, retry)
    assert (category.recovery is Recovery.HALT) == (category is Category.AUTHENTICATION)
