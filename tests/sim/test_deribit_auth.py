"""Credentials, signatures, tokens and scopes."""

from __future__ import annotations

import hashlib
import hmac
from random import Random
from typing import Any

import pytest

from feedmux.sim.deribit_auth import MAX_SESSIONS, Grant, Tokens
from feedmux.sim.deribit_options import Account
from feedmux.sim.deribit_params import Params
from feedmux.sim.deribit_rpc import Denied

ME = Account("me", "my-secret")
YOU = Account("you", "your-secret")
NOW_MS = 1_790_000_000_000
PLAIN = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "my-secret"}


def tokens() -> Tokens:
    return Tokens((ME, YOU), expires_in_s=900, window_s=60, dice=Random(1))


def let_in(known: Tokens, params: dict[str, Any], connection: int = 1, now: float = 0.0) -> tuple[Grant, Any]:
    return known.grant(Params(params), connection, now=now, now_ms=NOW_MS)


def signed(secret: str = "my-secret", *, timestamp: int = NOW_MS, **more: Any) -> dict[str, Any]:
    text = f"{timestamp}\n{more.get('nonce', '')}\n{more.get('data', '')}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {
        "grant_type": "client_signature",
        "client_id": "me",
        "timestamp": timestamp,
        "signature": signature,
    } | more


def is_good(known: Tokens, grant: Grant, connection: int = 1, now: float = 1.0) -> bool:
    try:
        return known.check(grant, connection, now).account == grant.account
    except Denied as denied:
        assert denied.view() == {
            "code": 13009,
            "data": {"reason": "invalid_token", "param": "access_token"},
            "message": "unauthorized",
        }
        return False


def test_credentials_are_answered_with_tokens() -> None:
    grant, result = let_in(tokens(), PLAIN)
    assert result == {
        "access_token": grant.access,
        "expires_in": 900,
        "refresh_token": grant.refresh,
        "scope": "connection mainaccount",
        "enabled_features": [],
        "token_type": "bearer",
    }
    assert grant.access != grant.refresh


def test_a_state_comes_back_and_a_session_has_an_id() -> None:
    _, result = let_in(tokens(), PLAIN | {"state": "x", "scope": "session:bot trade:read_write"})
    assert (result["state"], result["scope"]) == ("x", "session:bot mainaccount trade:read_write")
    assert len(result["sid"]) == 16


@pytest.mark.parametrize(
    "params",
    [signed(), signed(nonce="abc", data=""), signed(data="order"), signed(timestamp=NOW_MS - 59_000)],
)
def test_a_signature_lets_in(params: dict[str, Any]) -> None:
    grant, _ = let_in(tokens(), params)
    assert grant.account == "me"


@pytest.mark.parametrize(
    "params",
    [
        PLAIN | {"client_secret": "wrong"},
        PLAIN | {"client_secret": "your-secret"},
        PLAIN | {"client_id": "nobody"},
        PLAIN | {"client_secret": "\N{SNOWMAN}"},
        signed("wrong"),
        signed() | {"nonce": "changed"},
        signed() | {"client_id": "nobody"},
        signed(timestamp=NOW_MS - 61_000),
        signed(timestamp=NOW_MS + 61_000),
    ],
)
def test_who_cannot_prove_it_is_invalid_credentials(params: dict[str, Any]) -> None:
    with pytest.raises(Denied) as caught:
        let_in(tokens(), params)
    assert caught.value.view() == {"code": 13004, "message": "invalid_credentials"}


@pytest.mark.parametrize(
    ("params", "param", "reason"),
    [
        ({}, "grant_type", "value required"),
        ({"grant_type": "password"}, "grant_type", "invalid value"),
        ({"grant_type": "client_credentials"}, "client_id", "value required"),
        (PLAIN | {"client_secret": 5}, "client_secret", "wrong format"),
        (signed() | {"timestamp": "now"}, "timestamp", "wrong format"),
        ({"grant_type": "refresh_token"}, "refresh_token", "value required"),
        (PLAIN | {"scope": "x" * 300}, "scope", "wrong format"),
    ],
)
def test_what_is_missing_or_wrong_is_named(params: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(Denied) as caught:
        let_in(tokens(), params)
    assert caught.value.view() == {
        "code": -32602,
        "data": {"reason": reason, "param": param},
        "message": "Invalid params",
    }


def test_an_access_token_ends_with_its_time() -> None:
    known = tokens()
    grant, _ = let_in(known, PLAIN)
    assert is_good(known, grant, now=899.0)
    assert not is_good(known, grant, now=900.0)
    assert not known.is_good(grant, 900.0)


def test_a_scope_may_say_how_long() -> None:
    known = tokens()
    grant, result = let_in(known, PLAIN | {"scope": "connection expires:5"})
    assert result["expires_in"] == 5
    assert is_good(known, grant, now=4.9)
    assert not is_good(known, grant, now=5.0)


def test_refreshing_voids_both_old_tokens_even_after_the_end() -> None:
    known = tokens()
    first, _ = let_in(known, PLAIN)
    second, result = let_in(
        known, {"grant_type": "refresh_token", "refresh_token": first.refresh}, now=1000.0
    )
    assert {first.access, first.refresh}.isdisjoint({second.access, second.refresh})
    assert result["scope"] == "connection mainaccount"
    assert is_good(known, second, now=1001.0)
    assert not is_good(known, first, now=1.0)
    with pytest.raises(Denied) as caught:
        let_in(known, {"grant_type": "refresh_token", "refresh_token": first.refresh})
    assert caught.value.view()["data"] == {"reason": "invalid_token", "param": "refresh_token"}


def test_a_connections_tokens_are_good_on_it_alone_and_end_with_it() -> None:
    known = tokens()
    grant, _ = let_in(known, PLAIN, connection=1)
    assert not is_good(known, grant, connection=2)
    with pytest.raises(Denied):
        let_in(known, {"grant_type": "refresh_token", "refresh_token": grant.refresh}, connection=2)
    known.leave(1)
    assert not is_good(known, grant, connection=1)
    assert len(known) == 0


def test_a_sessions_tokens_are_good_everywhere_and_outlive_the_connection() -> None:
    known = tokens()
    grant, _ = let_in(known, PLAIN | {"scope": "session:bot"}, connection=1)
    known.leave(1)
    assert is_good(known, grant, connection=2)
    again, result = let_in(
        known, {"grant_type": "refresh_token", "refresh_token": grant.refresh}, connection=3
    )
    assert result["scope"] == "session:bot mainaccount"
    assert again.session == "bot"


def test_a_session_of_the_same_name_replaces_the_first() -> None:
    known = tokens()
    first, _ = let_in(known, PLAIN | {"scope": "session:bot"}, connection=1)
    second, _ = let_in(known, PLAIN | {"scope": "session:bot"}, connection=2)
    assert not is_good(known, first, connection=1)
    assert is_good(known, second, connection=2)


def test_one_session_too_many_ends_the_oldest() -> None:
    known = tokens()
    grants = [let_in(known, PLAIN | {"scope": f"session:s{n}"})[0] for n in range(MAX_SESSIONS + 1)]
    assert [is_good(known, grant) for grant in grants] == [False] + [True] * MAX_SESSIONS


def test_coming_in_again_on_a_connection_voids_what_it_had() -> None:
    known = tokens()
    first, _ = let_in(known, PLAIN)
    for _ in range(50):
        last, _ = let_in(known, PLAIN)
    assert len(known) == 1
    assert not is_good(known, first)
    assert is_good(known, last)


def test_all_tokens_can_be_made_old_and_refreshed_still() -> None:
    known = tokens()
    grant, _ = let_in(known, PLAIN)
    assert known.expire(5.0) == 1
    assert known.expire(5.0) == 0
    assert not is_good(known, grant, now=5.0)
    again, _ = let_in(known, {"grant_type": "refresh_token", "refresh_token": grant.refresh}, now=6.0)
    assert is_good(known, again, now=7.0)


@pytest.mark.parametrize(
    ("scope", "read", "write"),
    [
        ("connection", True, True),
        ("trade:read_write", True, True),
        ("trade:read", True, False),
        ("trade:none", False, False),
        ("account:read", True, True),
    ],
)
def test_a_scope_limits_what_it_names(scope: str, read: bool, write: bool) -> None:
    grant, _ = let_in(tokens(), PLAIN | {"scope": scope})
    assert grant.allows("trade", write=False) is read
    assert grant.allows("trade", write=True) is write
