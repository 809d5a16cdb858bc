"""Make tokens for tests: private keys, the claims that Barong puts into a token, and signatures.

A gateway never has a private key; this is for whoever wants to see one work without an identity
provider. **Source** of the claims: openware/pkg jwt, ``ForgeToken``.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from feedmux.model.access_errors import InvalidKey
from feedmux.model.errors import LocalError

RSA_BITS: Final = 2048
_RAW_SEED: Final = re.compile(
    r"-----BEGIN PRIVATE KEY-----\s*([A-Za-z0-9+/]{43}=)\s*-----END PRIVATE KEY-----\s*"
)
"""32 bytes alone: what Barong's and Rango's tools write."""

PrivateKey = Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Algorithm(StrEnum):
    """How tokens are signed."""

    EDDSA = "EdDSA"
    RS256 = "RS256"
    ES256 = "ES256"


class CannotStoreKey(LocalError):
    """A new key cannot be written to where it was to go; nothing was.

    Args:
        path: where.
        reason: what the system says.
    """

    code = "CANNOT_STORE_KEY"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} is not written: {self.reason}"


class SigningKey(NamedTuple):
    """A private key, and the only algorithm that it signs tokens with."""

    algorithm: Algorithm
    private: PrivateKey

    @property
    def public_pem(self) -> bytes:
        """Its public key, which a gateway is given."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def setting(self) -> str:
        """The same, as a value of JWT_PUBLIC_KEY."""
        return b64encode(self.public_pem).decode()

    def sign(self, claims: dict[str, Any], kid: str = "") -> str:
        """Return a token with these claims; ``kid`` names the key, if it is not empty."""
        headers = {"kid": kid} if kid else None
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers=headers)


def new_key(algorithm: Algorithm) -> SigningKey:
    """Make a key. Takes up to a second for RSA."""
    match algorithm:
        case Algorithm.EDDSA:
            return SigningKey(algorithm, Ed25519PrivateKey.generate())
        case Algorithm.RS256:
            return SigningKey(algorithm, rsa.generate_private_key(65537, RSA_BITS))
        case Algorithm.ES256:
            return SigningKey(algorithm, ec.generate_private_key(ec.SECP256R1()))


def store(key: SigningKey, path: Path) -> Path:
    """Write a private key, which only its owner may read, and its public one beside it.

    Returns:
        where the public one is: ``path`` with ``.pub`` behind it.

    Raises:
        CannotStoreKey: one of them is there already, or cannot be written.
    """
    public = path.with_name(path.name + ".pub")
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _create(path, pem, 0o600)
    try:
        _create(public, key.public_pem, 0o644)
    except CannotStoreKey:
        path.unlink()
        raise
    return public


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise CannotStoreKey(path, "it is there already, and no key is ever overwritten") from None
    except OSError as error:
        raise CannotStoreKey(path, error.strerror or str(error)) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def load(path: Path) -> SigningKey:
    """Read a private key in PEM format.

    Raises:
        InvalidKey: it is none that tokens are signed with.
    """
    source = f"--key: {path}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidKey(source, error.strerror or str(error)) from None
    if raw := _RAW_SEED.fullmatch(content.decode("ascii", "replace").strip()):
        return SigningKey(Algorithm.EDDSA, Ed25519PrivateKey.from_private_bytes(b64decode(raw[1])))
    try:
        return _of_type(load_pem_private_key(content, None), source)
    except TypeError:
        raise InvalidKey(source, "it is encrypted; expected a private key without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidKey(source, "it holds no private key in PEM format") from None


def _of_type(private: object, source: str) -> SigningKey:
    match private:
        case Ed25519PrivateKey():
            return SigningKey(Algorithm.EDDSA, private)
        case rsa.RSAPrivateKey() if private.key_size >= RSA_BITS:
            return SigningKey(Algorithm.RS256, private)
        case ec.EllipticCurvePrivateKey() if isinstance(private.curve, ec.SECP256R1):
            return SigningKey(Algorithm.ES256, private)
    raise InvalidKey(source, f"expected a key of Ed25519, RSA (at least {RSA_BITS} bits) or P-256")


def barong_claims(uid: str, role: str, *, now: int, expires_in: int) -> dict[str, Any]:
    """Return what Barong puts into a token.

    Args:
        uid: whose it is.
        role: his role; empty: none.
        now: Unix seconds.
        expires_in: seconds until it ends; may be negative.
    """
    named = {"role": role} if role else {}
    return {
        "iat": now,
        "exp": now + expires_in,
        "sub": "session",
        "iss": "barong",
        "aud": ["peatio", "barong"],
        "jti": str(now),
        "uid": uid,
        "email": f"{uid.lower()}@barong.io",
        **named,
        "level": 3,
        "state": "active",
        "referral_id": 1,
    }
