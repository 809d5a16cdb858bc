from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from feedmux.edge.keys import KeySet, read_jwks, read_pem
from feedmux.model.access_errors import InvalidKey, TokenCode, TokenRefused
from support.tokens import Signer, ed25519, jwks, p256, rsa

ED, RSA, EC = ed25519("one"), rsa("two"), p256("three")
P384 = Signer(generate_private_key(SECP384R1()), "ES384", "four")
ED448 = Ed448PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PRIVATE = ED.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PKCS1 = RSA.key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()


def algorithms(keys: KeySet) -> list[str]:
    return [key.algorithm for key in keys]


@pytest.mark.parametrize(
    ("pem", "algorithm"),
    [(ED.pem, "EdDSA"), (ED.raw_pem, "EdDSA"), (RSA.pem, "RS256"), (PKCS1, "RS256"), (EC.pem, "ES256")],
    ids=["Ed25519", "Ed25519 as 32 bytes", "RSA", "RSA in PKCS 1", "P-256"],
)
@pytest.mark.parametrize(
    "written",
    [
        str,
        lambda pem: f"\n {pem}\n",
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", ""),
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: b64encode(pem.encode()).decode(),
        lambda pem: urlsafe_b64encode(pem.encode()).decode(),
        lambda pem: urlsafe_b64encode(pem.encode()).rstrip(b"=").decode(),
        lambda pem: b64encode(pem.encode()).decode()[:40] + "\n" + b64encode(pem.encode()).decode()[40:],
    ],
    ids=["bare", "spaces", "\\n", "one line", "CRLF", "base64", "url-safe", "unpadded", "folded"],
)
def test_a_pem_is_read_however_it_is_written(pem: str, algorithm: str, written: Any) -> None:
    assert algorithms(read_pem(written(pem), "JWT_PUBLIC_KEY")) == [algorithm]


def test_both_forms_of_an_ed25519_key_are_the_same_key() -> None:
    one, other = next(iter(read_pem(ED.pem, "x"))), next(iter(read_pem(ED.raw_pem, "x")))
    assert one.material == other.material


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it holds no PEM, nor base64 of one; expected a public key of Ed25519, RSA or P-256"),
        ("hunter2", "it holds no PEM"),
        (b64encode(b"hunter2").decode(), "it holds no PEM"),
        (b64encode(b"\xff\xfe").decode(), "it holds no PEM"),
        (ED.pem + RSA.pem, "it holds 2 PEM blocks; expected one (a JWKS holds several)"),
        (PRIVATE, "it holds a private key, which only the issuer of tokens may have; expected"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "it holds a certificate; expected"),
        ("-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----", "its PEM holds another thing"),
        (ED.pem.replace("MCow", "MC!w"), "the base64 in its PEM is damaged"),
        (ED.pem.replace("MCow", "MCxx"), "its key is damaged"),
        (RSA.pem.replace("\n", "")[:200] + "-----END PUBLIC KEY-----", "the base64 in its PEM is damaged"),
        (ED448.decode(), "its key is of a type that is not served; expected a public key of Ed25519"),
        (P384.pem, "its key is of a type that is not served"),
        (
            f"-----BEGIN PUBLIC KEY-----\n{b64encode(ED.raw[:31]).decode()}\n-----END PUBLIC KEY-----",
            "its key is of a type that is not served",
        ),
        (rsa("", 1024).pem, "it is an RSA key of 1024 bits; expected 2048 to 8192"),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_key_is_named_and_not_shown(text: str, reason: str) -> None:
    with pytest.raises(InvalidKey) as failed:
        read_pem(text, "JWT_PUBLIC_KEY")
    assert str(failed.value).startswith(f"JWT_PUBLIC_KEY cannot be used: {reason}")
    assert "hunter2" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_a_jwks_holds_keys_of_every_type_by_their_names() -> None:
    keys = read_jwks(jwks(ED, RSA, EC), "JWT_JWKS")
    assert [(key.kid, key.algorithm) for key in keys] == [
        ("one", "EdDSA"),
        ("two", "RS256"),
        ("three", "ES256"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "unheard-of"},
        {},
        {"kty": 7, "crv": []},
        P384.jwk,
        RSA.jwk | {"use": "enc"},
        RSA.jwk | {"use": None},
        RSA.jwk | {"key_ops": ["encrypt"]},
        RSA.jwk | {"key_ops": "verify"},
        RSA.jwk | {"alg": "RSA-OAEP"},
        RSA.jwk | {"alg": "RS512"},
        RSA.jwk | {"alg": "HS256"},
        RSA.jwk | {"alg": "none"},
        RSA.jwk | {"alg": None},
        EC.jwk | {"alg": "EdDSA"},
    ],
)
def test_keys_of_a_set_that_are_for_something_else_are_left_out(other: dict[str, Any]) -> None:
    text = json.dumps({"keys": [other, ED.jwk]})
    assert algorithms(read_jwks(text, "JWT_JWKS")) == ["EdDSA"]
    with pytest.raises(InvalidKey, match="JWT_JWKS cannot be used: it holds no key for tokens: key 1 is"):
        read_jwks(json.dumps({"keys": [other]}), "JWT_JWKS")


@pytest.mark.parametrize(
    "more", [{"use": "sig"}, {"key_ops": ["verify"]}, {"alg": "EdDSA"}, {"alg": "Ed25519"}]
)
def test_keys_of_a_set_may_say_that_they_are_for_tokens(more: dict[str, Any]) -> None:
    assert algorithms(read_jwks(json.dumps({"keys": [ED.jwk | more]}), "x")) == ["EdDSA"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is no JWKS"),
        ("[]", "it is no JWKS"),
        ("{}", "it is no JWKS"),
        ('{"keys": {}}', "it is no JWKS"),
        ('{"keys": ["hunter2"]}', "it is no JWKS"),
        (b'{"keys": "\xff"}', "it is no JWKS"),
        ('{"keys": []}', "it holds no key for tokens: it is empty"),
        (json.dumps({"keys": [ED.jwk] * 65}), "it holds 65 keys; expected at most 64"),
        (jwks(ED, ED), "key 2 has the kid of another one; each needs its own"),
        (jwks(ed25519(), p256()), "key 2 has the kid of another one"),
    ],
    ids=range(10),
)
def test_what_is_no_set_is_named(content: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidKey) as failed:
        read_jwks(content, "JWT_JWKS")
    assert str(failed.value).startswith(f"JWT_JWKS cannot be used: {reason}")
    assert "hunter2" not in str(failed.value)


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        (ED.jwk | {"d": "hunter2"}, "it is a private key, which only the issuer of tokens may have"),
        (ED.jwk | {"x": 7}, "it is damaged"),
        (ED.jwk | {"x": "AAAA"}, "it is damaged"),
        ({"kty": "OKP", "crv": "Ed25519"}, "it is damaged"),
        (RSA.jwk | {"n": []}, "it is damaged"),
        (RSA.jwk | {"e": "AQ"}, "it is damaged"),
        (EC.jwk | {"x": EC.jwk["y"]}, "it is damaged"),
        (rsa("weak", 1024).jwk, "it is an RSA key of 1024 bits; expected 2048 to 8192"),
    ],
)
def test_a_damaged_weak_or_private_key_spoils_its_set(jwk: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidKey) as failed:
        read_jwks(json.dumps({"keys": [EC.jwk | {"kid": "fine"}, jwk]}), "JWT_JWKS")
    assert str(failed.value) == f"JWT_JWKS, key 2 cannot be used: {reason}"


@pytest.mark.parametrize(
    ("keys", "kid", "found"),
    [
        (read_pem(ED.pem, "x"), "", "EdDSA"),
        (read_pem(ED.pem, "x"), "whatever", "EdDSA"),
        (read_jwks(jwks(ED), "x"), "one", "EdDSA"),
        (read_jwks(jwks(ED), "x"), "", "EdDSA"),
        (read_jwks(jwks(ED), "x"), "two", TokenCode.UNKNOWN_KEY),
        (read_jwks(jwks(ED, EC), "x"), "three", "ES256"),
        (read_jwks(jwks(ED, EC), "x"), "", TokenCode.UNKNOWN_KEY),
        (read_jwks(jwks(ED, EC), "x"), "two", TokenCode.UNKNOWN_KEY),
        (read_jwks(jwks(ed25519(), EC), "x"), "", "EdDSA"),
        (read_jwks(jwks(ed25519(), EC), "x"), "two", TokenCode.UNKNOWN_KEY),
        (KeySet(), "", TokenCode.NO_KEYS),
        (KeySet(), "one", TokenCode.NO_KEYS),
    ],
)
def test_a_key_is_found_by_its_name_or_by_being_the_only_one(keys: KeySet, kid: str, found: str) -> None:
    try:
        answer = keys.find(kid).algorithm
    except TokenRefused as refusal:
        answer = refusal.code
    assert answer == found
