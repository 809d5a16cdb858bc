"""What errors about tokens and keys say, and that they travel between processes."""

from __future__ import annotations

import pickle

import pytest

from feedmux.model.access_errors import InvalidKey, TokenCode, TokenRefused
from feedmux.model.errors import NEVER, FeedmuxError, LocalError, Refused, Retry

ERRORS = [
    (
        TokenRefused(TokenCode.EXPIRED, "it expired 3 s ago"),
        "TOKEN_EXPIRED",
        NEVER,
        "the token was refused: it expired 3 s ago",
    ),
    (
        TokenRefused(TokenCode.NOT_YET_VALID, "it is valid in 3 s", 3.0),
        "TOKEN_NOT_YET_VALID",
        3.0,
        "the token was refused: it is valid in 3 s",
    ),
    (
        InvalidKey("JWT_PUBLIC_KEY", "it is empty"),
        "INVALID_KEY",
        NEVER,
        "JWT_PUBLIC_KEY cannot be used: it is empty",
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
    assert (again.code, again.retry) == (error.code, error.retry)


def test_a_token_is_the_peers_fault_and_a_key_is_ours() -> None:
    assert issubclass(TokenRefused, Refused)
    assert issubclass(InvalidKey, LocalError)


def test_every_code_says_that_it_is_about_a_token() -> None:
    assert {code.value for code in TokenCode} == {f"TOKEN_{code.name}" for code in TokenCode}
