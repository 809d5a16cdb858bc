from __future__ import annotations

import json
import math
from typing import Any

import pytest

from feedmux.edge.claims import TokenRules, identify
from feedmux.model.access import Identity
from feedmux.model.access_errors import TokenCode, TokenRefused
from support.tokens import NOW, claims


def refusal(content: dict[str, Any], rules: TokenRules | None = None, now_s: float = NOW) -> TokenRefused:
    with pytest.raises(TokenRefused) as failed:
        identify(json.dumps(content).encode(), rules or TokenRules(), now_s)
    return failed.value


def identity(content: dict[str, Any], rules: TokenRules | None = None, now_s: float = NOW) -> Identity:
    return identify(json.dumps(content).encode(), rules or TokenRules(), now_s)


def test_an_identity_has_uid_role_and_end() -> None:
    assert identity(claims()) == Identity("IDABC0000001", "member", NOW + 3600)


@pytest.mark.parametrize("role", [None, ""])
def test_a_role_is_not_needed(role: str | None) -> None:
    assert identity({"uid": "ID1", "role": role}) == Identity("ID1", "", math.inf)
    assert identity({"uid": "ID1"}) == Identity("ID1", "", math.inf)


def test_where_expiry_only_counts_at_the_beginning_an_identity_does_not_end() -> None:
    rules = TokenRules(expires=False)
    assert identity(claims(), rules).expires_s == math.inf
    assert refusal(claims(exp=NOW), rules).code == TokenCode.EXPIRED


def test_the_leeway_counts_for_the_end_as_well() -> None:
    assert identity(claims(exp=NOW + 10), TokenRules(leeway_s=5)).expires_s == NOW + 15


@pytest.mark.parametrize("leeway_s", [0, 5])
@pytest.mark.parametrize(
    ("claim", "sign", "code"),
    [
        ("exp", -1, TokenCode.EXPIRED),
        ("nbf", 1, TokenCode.NOT_YET_VALID),
        ("iat", 1, TokenCode.ISSUED_IN_FUTURE),
    ],
)
def test_times_are_believed_up_to_the_leeway_and_no_further(
    claim: str, sign: int, code: TokenCode, leeway_s: int
) -> None:
    rules = TokenRules(leeway_s=leeway_s)
    edge = NOW + sign * leeway_s
    within, beyond = edge - sign * 0.25, edge + sign * 0.25
    assert identity(claims(**{claim: within}), rules).uid
    assert refusal(claims(**{claim: beyond}), rules).code == code
    if claim == "exp":  # RFC 7519 §4.1.4: not on or after it
        assert refusal(claims(exp=edge), rules).code == code
    else:
        assert identity(claims(**{claim: edge}), rules).uid


def test_a_token_that_is_early_says_when_to_come_back() -> None:
    assert refusal(claims(nbf=NOW + 90), TokenRules(leeway_s=30)).retry == 60.0
    assert refusal(claims(iat=NOW + 90), TokenRules(leeway_s=30)).retry == 60.0
    assert refusal(claims(exp=NOW - 90)).retry == "never"


@pytest.mark.parametrize(
    ("aud", "is_taken"),
    [
        ("peatio", True),
        (["x", "peatio"], True),
        ("not-peatio-at-all", False),
        (["peatio2"], False),
        ("x", False),
        (["x"], False),
        ([], False),
        (None, False),
    ],
)
def test_a_required_audience_is_one_of_those_that_are_named(aud: object, is_taken: bool) -> None:
    rules = TokenRules(audience="peatio")
    if is_taken:
        assert identity(claims(aud=aud), rules).uid
    else:
        assert refusal(claims(aud=aud), rules).code == TokenCode.WRONG_AUDIENCE
    assert identity(claims(aud=aud)).uid


@pytest.mark.parametrize(
    ("iss", "is_taken"), [("barong", True), ("barong2", False), ("", False), (None, False)]
)
def test_a_required_issuer_is_the_one_that_is_named(iss: object, is_taken: bool) -> None:
    rules = TokenRules(issuer="barong")
    if is_taken:
        assert identity(claims(iss=iss), rules).uid
    else:
        assert refusal(claims(iss=iss), rules).code == TokenCode.WRONG_ISSUER
    assert identity(claims(iss=iss)).uid


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"uid": None}, TokenCode.NO_UID),
        ({"uid": ""}, TokenCode.NO_UID),
        ({"uid": "x" * 129}, TokenCode.INVALID_UID),
        ({"uid": "a\nb"}, TokenCode.INVALID_UID),
        ({"uid": "a\u200bb"}, TokenCode.INVALID_UID),
        ({"uid": "\u202eID"}, TokenCode.INVALID_UID),
        ({"role": "x" * 129}, TokenCode.INVALID_CLAIM),
        ({"role": "a\x00"}, TokenCode.INVALID_CLAIM),
        *[({name: 7}, TokenCode.INVALID_CLAIM) for name in ("uid", "role", "aud", "iss")],
        ({"aud": ["peatio", 7]}, TokenCode.INVALID_CLAIM),
        *[
            ({name: value}, TokenCode.INVALID_CLAIM)
            for name in ("exp", "nbf", "iat")
            for value in (str(NOW), True, [NOW])
        ],
    ],
)
def test_claims_that_are_wrong_are_refused_without_being_shown(
    wrong: dict[str, Any], code: TokenCode
) -> None:
    refused = refusal(claims(**wrong))
    assert refused.code == code
    for value in wrong.values():
        assert value in (None, "", 7, True) or str(value) not in str(refused)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_null_bounds_nothing_and_is_refused(name: str) -> None:
    assert refusal(claims() | {name: None}).code == TokenCode.INVALID_CLAIM


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", TokenCode.MALFORMED),
        (b"{", TokenCode.MALFORMED),
        (b"\xff", TokenCode.MALFORMED),
        (b'{"uid": NaN}', TokenCode.MALFORMED),
        (b"[]", TokenCode.INVALID_CLAIM),
        (b'"uid"', TokenCode.INVALID_CLAIM),
        (b'{"uid":"ID1","exp":1e999}', TokenCode.INVALID_CLAIM),
        (b'{"uid":"ID1","exp":' + b"9" * 400 + b"}", TokenCode.INVALID_CLAIM),
        (b"[" * 5000, TokenCode.INVALID_CLAIM),
        (b'{"a":' + b"[" * 5000, TokenCode.MALFORMED),
        (b'{"uid":"\\ud800"}', TokenCode.MALFORMED),
    ],
)
def test_claims_that_are_no_object_are_refused(payload: bytes, code: TokenCode) -> None:
    with pytest.raises(TokenRefused) as failed:
        identify(payload, TokenRules(), NOW)
    assert failed.value.code == code
