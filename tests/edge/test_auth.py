from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from feedmux.edge.auth import Authenticator
from feedmux.edge.claims import TokenRules
from feedmux.edge.keys import KeySet, read_jwks, read_pem
from feedmux.model.access import Identity
from feedmux.model.access_errors import TokenCode, TokenRefused
from support.tokens import NOW, Signer, TokenClock, claims, ed25519, hs256, jwks, p256, part, rsa, url_safe

ED, RSA, EC = ed25519(), rsa(), p256()
EVE = ed25519()
"""Somebody whose key nobody trusts."""


def authenticator(keys: KeySet | None = None, **rules: Any) -> Authenticator:
    """Trusts the key of Ed25519, at :data:`NOW`."""
    return Authenticator(
        read_pem(ED.pem, "x") if keys is None else keys, TokenRules(**rules), clock=TokenClock()
    )


def refusal(token: str, by: Authenticator | None = None) -> TokenRefused:
    """Why a token is refused; the refusal never shows any part of it."""
    with pytest.raises(TokenRefused) as failed:
        (by or authenticator()).identify(token)
    for piece in token.split("."):
        assert len(piece) < 4 or piece not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__ or failed.value.__context__ is None
    return failed.value


@pytest.mark.parametrize("signer", [ED, RSA, EC], ids=lambda signer: signer.algorithm)
def test_a_token_of_every_algorithm_says_who_its_owner_is(signer: Signer) -> None:
    keys = read_pem(signer.pem, "x")
    assert authenticator(keys).identify(signer.token()) == Identity("IDABC0000001", "member", NOW + 3600)
    assert authenticator(keys).identify(signer.token({"uid": "ID1"})) == Identity("ID1", "", math.inf)


def test_both_forms_of_an_ed25519_key_check_the_same_tokens() -> None:
    for pem in (ED.pem, ED.raw_pem):
        assert authenticator(read_pem(pem, "x")).identify(ED.token()).uid == "IDABC0000001"
        assert refusal(EVE.token(), authenticator(read_pem(pem, "x"))).code == TokenCode.BAD_SIGNATURE


@pytest.mark.parametrize("signer", [ED, RSA, EC], ids=lambda signer: signer.algorithm)
def test_tokens_of_the_usual_library_are_taken(signer: Signer) -> None:
    token = jwt.encode(claims(), signer.key, algorithm=signer.algorithm)
    assert authenticator(read_pem(signer.pem, "x")).identify(token).role == "member"


def signed(content: Any = None, **header: Any) -> str:
    """A token of the trusted key."""
    return ED.token(content, header=header)


def changed(place: int, change: Callable[[str], str]) -> str:
    """A good token with one of its parts changed."""
    parts = ED.token().split(".")
    parts[place] = change(parts[place])
    return ".".join(parts)


GOOD = ED.token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
LONG = "x" * 9000
DEEP = b'{"a":' + b"[" * 5000

INVALID: dict[str, tuple[str, TokenCode]] = {
    "nothing": ("", TokenCode.MALFORMED),
    "a word": ("hunter2", TokenCode.MALFORMED),
    "two parts": (f"{HEAD}.{BODY}", TokenCode.MALFORMED),
    "no signature": (f"{HEAD}.{BODY}.", TokenCode.MALFORMED),
    "no claims": (f"{HEAD}..{SIGNATURE}", TokenCode.MALFORMED),
    "four parts": (f"{GOOD}.{SIGNATURE}", TokenCode.MALFORMED),
    "five parts, encrypted": (f"{GOOD}.{SIGNATURE}.{SIGNATURE}", TokenCode.MALFORMED),
    "a space before it": (f" {GOOD}", TokenCode.MALFORMED),
    "a line's end behind it": (f"{GOOD}\n", TokenCode.MALFORMED),
    "padding": (f"{HEAD}.{BODY}.{SIGNATURE}==", TokenCode.MALFORMED),
    "standard base64": (changed(2, lambda text: "+/" + text[2:]), TokenCode.MALFORMED),
    "signs beyond ASCII": (changed(1, lambda text: "é" + text[1:]), TokenCode.MALFORMED),
    "a lone surrogate": (changed(1, lambda text: "\ud800" + text[1:]), TokenCode.MALFORMED),
    "base64 of an impossible length": (changed(2, lambda text: text + "AAA"), TokenCode.MALFORMED),
    "another spelling of the same signature": (
        changed(2, lambda text: text[:-1] + chr(ord(text[-1]) + 1)), TokenCode.MALFORMED),
    "8193 characters": ("a" * 8193, TokenCode.TOO_LONG),
    "a good one that is too long": (signed(claims(x=LONG)), TokenCode.TOO_LONG),
    "a header that is no JSON": (f"{part(b'{')}.{BODY}.{SIGNATURE}", TokenCode.MALFORMED),
    "a header that is a list": (f"{part([])}.{BODY}.{SIGNATURE}", TokenCode.MALFORMED),
    "a header of bytes": (f"{part(bytes([255]))}.{BODY}.{SIGNATURE}", TokenCode.MALFORMED),
    "a header without end": (f"{part(DEEP)}.{BODY}.{SIGNATURE}", TokenCode.MALFORMED),
    "no algorithm": (f"{part({'typ': 'JWT'})}.{BODY}.{SIGNATURE}", TokenCode.MALFORMED),
    "an algorithm that is a number": (signed(alg=7), TokenCode.MALFORMED),
    "a key's name that is a number": (signed(kid=7), TokenCode.MALFORMED),
    "a key's name that is a path": (signed(kid=["../../dev/null"]), TokenCode.MALFORMED),
    "an extension that must be known": (signed(crit=["exp"], exp=NOW), TokenCode.UNSUPPORTED),
    "claims that are not in base64": (signed(b64=False, crit=["b64"]), TokenCode.UNSUPPORTED),
    "claims that are not in base64, in secret": (signed(b64=False), TokenCode.MALFORMED),
    "algorithm none": (f"{part({'alg': 'none'})}.{BODY}.{SIGNATURE}", TokenCode.WRONG_ALGORITHM),
    "algorithm none and no signature": (f"{part({'alg': 'none'})}.{BODY}.", TokenCode.MALFORMED),
    "algorithm NoNe": (signed(alg="NoNe"), TokenCode.WRONG_ALGORITHM),
    "algorithm eddsa": (signed(alg="eddsa"), TokenCode.WRONG_ALGORITHM),
    "algorithm ES512": (signed(alg="ES512"), TokenCode.WRONG_ALGORITHM),
    "HS256 with the PEM as secret": (hs256(ED.pem.encode()), TokenCode.WRONG_ALGORITHM),
    "HS256 with the raw key as secret": (hs256(ED.raw), TokenCode.WRONG_ALGORITHM),
    "RS256 of another key": (RSA.token(), TokenCode.WRONG_ALGORITHM),
    "ES256 of another key": (EC.token(), TokenCode.WRONG_ALGORITHM),
    "RS256 that is EdDSA": (signed(alg="RS256"), TokenCode.WRONG_ALGORITHM),
    "another signer": (EVE.token(), TokenCode.BAD_SIGNATURE),
    "another signer, with his key inside": (
        EVE.token(header={"jwk": EVE.jwk, "kid": "eve"}), TokenCode.BAD_SIGNATURE),
    "another signer, with the place of his key": (
        EVE.token(header={"jku": "https://eve.example/keys", "x5u": "https://eve.example/x"}),
        TokenCode.BAD_SIGNATURE),
    "another signer, with his certificate": (
        EVE.token(header={"x5c": [EVE.jwk["x"]]}), TokenCode.BAD_SIGNATURE),
    "another one's claims": (
        f"{HEAD}.{part(claims(uid='ID2'))}.{SIGNATURE}", TokenCode.BAD_SIGNATURE),
    "another header": (f"{part({'alg': 'EdDSA'})}.{BODY}.{SIGNATURE}", TokenCode.BAD_SIGNATURE),
    "a signature of zeroes": (f"{HEAD}.{BODY}.{url_safe(bytes(64))}", TokenCode.BAD_SIGNATURE),
    "half a signature": (f"{HEAD}.{BODY}.{SIGNATURE[:42]}A", TokenCode.BAD_SIGNATURE),
    "claims that are a list": (signed([]), TokenCode.INVALID_CLAIM),
    "claims that are no JSON": (signed(b"hello"), TokenCode.MALFORMED),
    "no uid": (signed(claims(uid=None)), TokenCode.NO_UID),
    "an empty uid": (signed(claims(uid="")), TokenCode.NO_UID),
    "a uid that is a number": (signed(claims(uid=1)), TokenCode.INVALID_CLAIM),
    "a uid of many characters": (signed(claims(uid="u" * 129)), TokenCode.INVALID_UID),
    "a uid with a line's end": (signed(claims(uid="a\r\nb")), TokenCode.INVALID_UID),
    "expired": (signed(claims(exp=NOW)), TokenCode.EXPIRED),
    "expired in 1970": (signed(claims(exp=0)), TokenCode.EXPIRED),
    "an expiry that is a text": (signed(claims(exp=str(NOW + 60))), TokenCode.INVALID_CLAIM),
    "not yet valid": (signed(claims(nbf=NOW + 1)), TokenCode.NOT_YET_VALID),
    "issued tomorrow": (signed(claims(iat=NOW + 86_400)), TokenCode.ISSUED_IN_FUTURE),
}  # fmt: skip


@pytest.mark.parametrize(("token", "code"), INVALID.values(), ids=INVALID.keys())
def test_a_token_that_proves_nothing_is_refused(token: str, code: TokenCode) -> None:
    assert refusal(token).code == code


@pytest.mark.parametrize("signer", [ED, RSA, EC], ids=lambda signer: f"key of {signer.algorithm}")
@pytest.mark.parametrize(
    "alg", ["none", "HS256", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
)
def test_the_key_decides_the_algorithm_whatever_a_token_says(signer: Signer, alg: str) -> None:
    by = authenticator(read_pem(signer.pem, "x"))
    if alg == signer.algorithm:
        assert by.identify(signer.token()).uid
    else:
        assert refusal(signer.token(header={"alg": alg}), by).code == TokenCode.WRONG_ALGORITHM


@pytest.mark.parametrize(
    "secret", [RSA.pem.encode(), RSA.pem.strip().encode(), b"", b"\0" * 32], ids=range(4)
)
@pytest.mark.parametrize("alg", ["HS256", "RS256"])
def test_a_public_key_is_never_a_secret(secret: bytes, alg: str) -> None:
    token = hs256(secret, {"alg": alg})
    expected = TokenCode.WRONG_ALGORITHM if alg == "HS256" else TokenCode.BAD_SIGNATURE
    assert refusal(token, authenticator(read_pem(RSA.pem, "x"))).code == expected


def test_another_padding_of_the_same_rsa_key_is_another_algorithm() -> None:
    assert isinstance(RSA.key, RSAPrivateKey)
    text = f"{part({'alg': 'RS256'})}.{part(claims())}"
    signature = RSA.key.sign(text.encode(), PSS(MGF1(SHA256()), 32), SHA256())
    assert refusal(f"{text}.{url_safe(signature)}", authenticator(read_pem(RSA.pem, "x"))).code == (
        TokenCode.BAD_SIGNATURE
    )


@pytest.mark.parametrize(
    "signature", [bytes(64), b"\0" * 63 + b"\1", b"\xff" * 64, bytes(63), bytes(65), b"0"]
)
def test_a_made_up_signature_of_an_elliptic_curve_is_refused(signature: bytes) -> None:
    """All zeroes once passed in another library (CVE-2022-21449)."""
    token = f"{EC.token().rpartition('.')[0]}.{url_safe(signature)}"
    assert refusal(token, authenticator(read_pem(EC.pem, "x"))).code == TokenCode.BAD_SIGNATURE


def test_a_key_of_another_curve_does_not_sign_es256() -> None:
    other = Signer(generate_private_key(SECP256K1()), "ES256")
    assert refusal(other.token(), authenticator(read_pem(EC.pem, "x"))).code == TokenCode.BAD_SIGNATURE


def test_audience_issuer_and_leeway_are_asked_for_where_they_are_set() -> None:
    by = authenticator(audience="peatio", issuer="barong", leeway_s=10)
    assert by.identify(signed(claims(exp=NOW - 9))).expires_s == NOW + 1
    assert refusal(signed(claims(aud="other")), by).code == TokenCode.WRONG_AUDIENCE
    assert refusal(signed(claims(iss="other")), by).code == TokenCode.WRONG_ISSUER


# Several keys, and others in their place


OLD, NEW = ed25519("2023-10"), p256("2023-11")


def test_a_token_is_checked_with_the_key_that_it_names_and_no_other() -> None:
    by = authenticator(read_jwks(jwks(OLD, NEW), "x"))
    assert by.identify(OLD.token()).uid and by.identify(NEW.token()).uid
    assert refusal(OLD.token(header={"kid": "2023-11"}), by).code == TokenCode.WRONG_ALGORITHM
    assert refusal(EVE.token(header={"kid": "2023-10"}), by).code == TokenCode.BAD_SIGNATURE
    assert refusal(OLD.token(header={"kid": "2023-12"}), by).code == TokenCode.UNKNOWN_KEY
    assert refusal(EVE.token(), by).code == TokenCode.UNKNOWN_KEY


def test_other_keys_count_from_the_next_token_on() -> None:
    by = authenticator(read_jwks(jwks(OLD), "x"))
    assert refusal(NEW.token(), by).code == TokenCode.UNKNOWN_KEY
    by.replace(read_jwks(jwks(OLD, NEW), "x"))
    assert by.identify(OLD.token()).uid and by.identify(NEW.token()).uid
    by.replace(read_jwks(jwks(NEW), "x"))
    assert by.identify(NEW.token()).uid
    assert refusal(OLD.token(), by).code == TokenCode.UNKNOWN_KEY


def test_a_key_that_is_missing_is_told_and_the_token_may_come_again() -> None:
    asked: list[None] = []
    keys = read_jwks(jwks(OLD), "x")
    by = Authenticator(keys, TokenRules(), clock=TokenClock(), key_missing=lambda: asked.append(None))
    assert refusal(NEW.token(), by).retry == 1.0
    assert refusal(EVE.token(header={"kid": "2023-10"}), by).retry == "never"
    assert len(asked) == 1
    assert refusal(NEW.token(), authenticator(keys)).retry == "never"


@pytest.mark.parametrize("alg", ["none", "HS256", "PS512"])
def test_an_algorithm_that_is_never_taken_makes_nobody_look_for_keys(alg: str) -> None:
    asked: list[None] = []
    keys = read_jwks(jwks(OLD), "x")
    by = Authenticator(keys, TokenRules(), clock=TokenClock(), key_missing=lambda: asked.append(None))
    assert refusal(NEW.token(header={"alg": alg}), by).code == TokenCode.WRONG_ALGORITHM
    assert not asked


def test_without_any_key_every_token_is_refused() -> None:
    assert refusal(ED.token(), authenticator(KeySet())).code == TokenCode.NO_KEYS


# What it finds in a request, and what it counts


def test_a_token_is_found_in_a_request_and_in_its_url_only_where_it_may_be() -> None:
    closed = authenticator()
    headers = [("Authorization", f"Bearer {GOOD}")]
    found = closed.credentials(headers)
    assert found is not None and closed.identify(found.token).uid
    assert closed.credentials([("Host", "h")], "stream=order") is None
    with pytest.raises(TokenRefused):
        closed.credentials([], f"token={GOOD}")
    opened = Authenticator(KeySet(), TokenRules(), clock=TokenClock(), in_url=True)
    found = opened.credentials([], f"token={GOOD}")
    assert found is not None and found.token == GOOD


def test_it_counts_whom_it_let_in_and_why_not_the_others() -> None:
    by = authenticator()
    by.identify(GOOD)
    by.identify(GOOD)
    for token in (signed(claims(exp=NOW)), signed(claims(exp=0)), EVE.token()):
        refusal(token, by)
    with pytest.raises(TokenRefused):
        by.credentials([("Authorization", "Basic x")])
    expected = {"TOKEN_EXPIRED": 2, "TOKEN_BAD_SIGNATURE": 1, "TOKEN_WRONG_SCHEME": 1}
    assert by.statistics() == {"keys": 1, "accepted": 2, "refused": expected}
    assert json.loads(json.dumps(by.statistics())) == by.statistics()
