"""Tokens and keys for tests: signed by hand, so that wrong ones can be made, too."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_700_000_000
"""The time of every test, in Unix seconds."""
PrivateKey = Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey


class TokenClock:
    """A clock that stands at ``now_s``."""

    def __init__(self, now_s: float = NOW) -> None:
        self.now_s = now_s

    def monotonic(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return int(self.now_s * 1e9)


def url_safe(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def part(content: Any) -> str:
    """One part of a token: bytes as they are, anything else as JSON."""
    return url_safe(content if isinstance(content, bytes) else json.dumps(content).encode())


def claims(**more: Any) -> dict[str, Any]:
    """What Barong puts into a token; None leaves a claim out."""
    usual = {
        "iat": NOW - 60, "exp": NOW + 3600, "sub": "session", "iss": "barong", "aud": ["peatio", "barong"],
        "jti": "1111111111", "uid": "IDABC0000001", "email": "admin@barong.io", "role": "member", "level": 3,
        "state": "active", "referral_id": None,
    }  # fmt: skip
    return {name: value for name, value in (usual | more).items() if value is not None}


class Signer:
    """Somebody with a private key.

    Args:
        key: the key.
        algorithm: what its tokens say that they are signed with.
        kid: what they call the key; empty: nothing.
    """

    def __init__(self, key: PrivateKey, algorithm: str, kid: str = "") -> None:
        self.key, self.algorithm, self.kid = key, algorithm, kid

    def token(self, content: Any = None, *, header: dict[str, Any] | None = None) -> str:
        """Sign claims, or bytes in their place; ``header`` adds to the usual one."""
        head = {"alg": self.algorithm, "typ": "JWT"} | ({"kid": self.kid} if self.kid else {})
        text = f"{part(head | (header or {}))}.{part(claims() if content is None else content)}"
        return f"{text}.{url_safe(self.sign(text.encode()))}"

    def sign(self, data: bytes) -> bytes:
        """The signature, as JWS has it."""
        match self.key:
            case Ed25519PrivateKey():
                return self.key.sign(data)
            case RSAPrivateKey():
                return self.key.sign(data, PKCS1v15(), SHA256())
            case _:
                size = (self.key.curve.key_size + 7) // 8
                r, s = decode_dss_signature(self.key.sign(data, ECDSA(SHA256())))
                return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    @property
    def pem(self) -> str:
        """The public key, as openssl writes it."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def raw(self) -> bytes:
        """The public key of Ed25519, as its 32 bytes."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def raw_pem(self) -> str:
        """The public key of Ed25519, as Barong's and Rango's tools write it."""
        return f"-----BEGIN PUBLIC KEY-----\n{b64encode(self.raw).decode()}\n-----END PUBLIC KEY-----\n"

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as a JWK."""
        named = {"kid": self.kid} if self.kid else {}
        public = self.key.public_key()
        if isinstance(self.key, Ed25519PrivateKey):
            return {"kty": "OKP", "crv": "Ed25519", "x": url_safe(self.raw)} | named
        numbers: Any = public.public_numbers()  # type: ignore[union-attr]
        if isinstance(self.key, RSAPrivateKey):
            return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)} | named
        size = (self.key.curve.key_size + 7) // 8
        crv = {256: "P-256", 384: "P-384"}[self.key.curve.key_size]
        return {"kty": "EC", "crv": crv, "x": number(numbers.x, size), "y": number(numbers.y, size)} | named


def number(value: int, size: int = 0) -> str:
    """A number as JWKs have it."""
    return url_safe(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def jwks(*signers: Signer) -> str:
    """A set of their public keys."""
    return json.dumps({"keys": [signer.jwk for signer in signers]})


def ed25519(kid: str = "") -> Signer:
    """Somebody new."""
    return Signer(Ed25519PrivateKey.generate(), "EdDSA", kid)


def p256(kid: str = "") -> Signer:
    """Somebody new."""
    return Signer(generate_private_key(SECP256R1()), "ES256", kid)


@cache
def rsa(kid: str = "", bits: int = 2048) -> Signer:
    """Somebody; the same one for the same arguments, since such keys take long to make."""
    return Signer(generate_rsa(65537, bits), "RS256", kid)


def hs256(secret: bytes, header: dict[str, Any] | None = None) -> str:
    """A token of a shared secret."""
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'} | (header or {}))}.{part(claims())}"
    return f"{text}.{url_safe(hmac.digest(secret, text.encode(), hashlib.sha256))}"
