from __future__ import annotations

import pytest

from feedmux.model.rpc import Ask, Reply, RpcError


def test_an_error_shows_its_sentence_and_its_code() -> None:
    assert str(RpcError(10028, "too_many_requests", {"reason": "x"})) == "too_many_requests (10028)"


def test_a_reply_has_a_result_or_an_error_and_by_itself_neither() -> None:
    assert Reply(7) == Reply(7, None, None)
    assert Reply("a", error=RpcError(1, "no")).result is None


def test_replies_and_errors_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Reply(1).result = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        RpcError(1, "no").code = 2  # type: ignore[misc]


def test_the_parameters_of_a_request_do_not_show() -> None:
    ask = Ask("public/auth", {"client_secret": "s3cret"})
    assert repr(ask) == "Ask('public/auth', ***, is_notification=False)"
