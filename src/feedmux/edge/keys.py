"""The public keys that tokens are checked with, and how they are read: a PEM, or a set of JWKs.

A key decides by its type which algorithm its tokens are signed with, whatever a token says:

=========  ===========  ====================================================================
key        algorithm    forms
=========  ===========  ====================================================================
Ed25519    ``EdDSA``    PEM (SPKI), PEM whose body is the 32 bytes alone, JWK
RSA        ``RS256``    PEM (SPKI or PKCS #1), JWK; of 2048 to 8192 bits
P-256      ``ES256``    PEM (SPKI), JWK
=========  ===========  ====================================================================

**Source**: RFC 7517 (JWK, May 2015), RFC 8037 §2 (Ed25519 in
JWKs), RFC 8410 §4 (Ed25519 in SPKI). The 32 bytes alone are what Barong's and Rango's tools write.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import jwt
import msgspec

from feedmux.model.access_errors import InvalidKey, TokenCode, TokenRefused

EDDSA: Final = "EdDSA"
RS256: Final = "RS256"
ES256: Final = "ES256"
ALGORITHMS: Final = (EDDSA, RS256, ES256)

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""The work of a check grows with the key: nobody needs more than this."""
MAX_KEYS: Final = 64

_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----")
_RAW_BYTES: Final = 32
_OIDS: Final = {
    EDDSA: bytes.fromhex("06032b6570"),
    RS256: bytes.fromhex("06092a864886f70d010101"),
    ES256: bytes.fromhex("06082a8648ce3d030107"),
}
"""The object identifiers in an SPKI that name its key's type, in DER."""
_OID_WITHIN: Final = 40
_TYPES: Final = {("OKP", "Ed25519"): EDDSA, ("RSA", None): RS256, ("EC", "P-256"): ES256}
"""Algorithms by the members ``kty`` and ``crv`` of a JWK."""
_ALSO: Final = {"Ed25519": EDDSA}
"""Newer names of algorithms. **Source**: RFC 9864 §2.2."""
_WANTED: Final = "expected a public key of Ed25519, RSA or P-256"


class Key(NamedTuple):
    """One public key.

    Args:
        algorithm: the only one that its tokens may be signed with.
        material: what PyJWT checks signatures with.
        kid: its name; empty: it has none.
    """

    algorithm: str
    material: Any
    kid: str = ""


class KeySet:
    """Keys by their names. It is never changed, only replaced as a whole.

    Args:
        keys: all of them, each with a name of its own.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = {key.kid: key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def find(self, kid: str) -> Key:
        """Return the key that a token names; where there is but one, names that are left out do not matter.

        Args:
            kid: what the token says; empty: nothing.

        Raises:
            TokenRefused: no key is meant, or nobody can say which one.
        """
        if not self._keys:
            raise TokenRefused(TokenCode.NO_KEYS, "there is no key here that it could be checked with")
        if (key := self._keys.get(kid)) is not None:
            return key
        if len(self._keys) == 1 and (not kid or "" in self._keys):
            return next(iter(self._keys.values()))
        said = (
            "it names a key that is not known here" if kid else "it does not say with which key it is signed"
        )
        raise TokenRefused(TokenCode.UNKNOWN_KEY, said)


def read(content: str, source: str, *, is_jwks: bool) -> KeySet:
    """Read what somebody wrote; see :func:`read_pem` and :func:`read_jwks`.

    Raises:
        InvalidKey: it cannot be used.
    """
    return read_jwks(content, source) if is_jwks else read_pem(content, source)


def read_pem(text: str, source: str) -> KeySet:
    """Read one public key.

    Args:
        text: a PEM, or base64 (standard or url-safe) of one; a line's end may be written ``\\n``.
        source: where it stands, for the error.

    Raises:
        InvalidKey: it is no key that can be used.
    """
    blocks = _PEM.findall(_bare_pem(text))
    if not blocks:
        raise InvalidKey(source, f"it holds no PEM, nor base64 of one; {_WANTED}")
    if len(blocks) > 1:
        raise InvalidKey(source, f"it holds {len(blocks)} PEM blocks; expected one (a JWKS holds several)")
    ((label, body),) = blocks
    _refuse_label(label, source)
    try:
        der = b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise InvalidKey(source, "the base64 in its PEM is damaged") from None
    if label == "PUBLIC KEY" and len(der) == _RAW_BYTES:
        return KeySet([_from_jwk(EDDSA, {"kty": "OKP", "crv": "Ed25519", "x": _url_safe(der)}, source)])
    return KeySet([_from_der(label, der, source)])


def read_jwks(content: str | bytes, source: str) -> KeySet:
    """Read a set of JWKs. Those that are not for signatures of tokens are left out, as RFC 7517 §5 has it.

    Args:
        content: JSON, ``{"keys": [...]}``.
        source: where it stands, for the error.

    Raises:
        InvalidKey: it is no such set, one of its keys is damaged or weak, or none can be used.
    """
    try:
        found = msgspec.json.decode(content, type=_Set).keys
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidKey(source, f'it is no JWKS, {{"keys": [...]}}: {error}') from None
    if len(found) > MAX_KEYS:
        raise InvalidKey(source, f"it holds {len(found)} keys; expected at most {MAX_KEYS}")
    keys: dict[str, Key] = {}
    unused = []
    for number, jwk in enumerate(found, 1):
        if why := _unusable(jwk):
            unused.append(f"key {number} {why}")
            continue
        key = _from_jwk(_algorithm(jwk), jwk, f"{source}, key {number}", kid=_text(jwk, "kid"))
        if key.kid in keys:
            raise InvalidKey(source, f"key {number} has the kid of another one; each needs its own")
        keys[key.kid] = key
    if not keys:
        raise InvalidKey(source, "it holds no key for tokens: " + ("; ".join(unused) or "it is empty"))
    return KeySet(keys.values())


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]


def _bare_pem(text: str) -> str:
    """The PEM in a setting's value; without a PEM what was there."""
    text = text.strip().replace("\\n", "\n")
    if text.startswith("-----"):
        return text
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("ascii")
    except ValueError:  # binascii.Error and UnicodeDecodeError
        return text


def _refuse_label(label: str, source: str) -> None:
    if "PRIVATE" in label:
        raise InvalidKey(
            source,
            "it holds a private key, which only the issuer of tokens may have; expected its public key",
        )
    if label == "CERTIFICATE":
        raise InvalidKey(source, "it holds a certificate; expected its key (openssl x509 -pubkey -noout)")
    if label not in {"PUBLIC KEY", "RSA PUBLIC KEY"}:
        raise InvalidKey(source, f"its PEM holds another thing; {_WANTED}")


def _from_der(label: str, der: bytes, source: str) -> Key:
    named = (name for name, oid in _OIDS.items() if oid in der[:_OID_WITHIN])
    algorithm = RS256 if label == "RSA PUBLIC KEY" else next(named, None)
    if algorithm is None:
        raise InvalidKey(source, f"its key is of a type that is not served; {_WANTED}")
    pem = f"-----BEGIN {label}-----\n{b64encode(der).decode()}\n-----END {label}-----\n"
    try:
        material = jwt.get_algorithm_by_name(algorithm).prepare_key(pem.encode())
    except (jwt.PyJWTError, ValueError, TypeError):
        raise InvalidKey(source, "its key is damaged") from None
    return _checked(Key(algorithm, material), source)


def _from_jwk(algorithm: str, jwk: dict[str, Any], source: str, kid: str = "") -> Key:
    if "d" in jwk:
        raise InvalidKey(source, "it is a private key, which only the issuer of tokens may have")
    try:
        material = jwt.get_algorithm_by_name(algorithm).from_jwk(jwk)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise InvalidKey(source, "it is damaged") from None
    return _checked(Key(algorithm, material, kid), source)


def _checked(key: Key, source: str) -> Key:
    """Refuse keys that are not what they seem, or too weak."""
    if key.algorithm == RS256 and not MIN_RSA_BITS <= key.material.key_size <= MAX_RSA_BITS:
        bounds = f"expected {MIN_RSA_BITS} to {MAX_RSA_BITS}"
        raise InvalidKey(source, f"it is an RSA key of {key.material.key_size} bits; {bounds}")
    if key.algorithm == ES256 and key.material.curve.name != "secp256r1":
        raise InvalidKey(source, f"its curve is {key.material.curve.name}; expected P-256")
    return key


def _unusable(jwk: dict[str, Any]) -> str:
    """Why a key is not for signatures of tokens; empty: it is."""
    if not (algorithm := _algorithm(jwk)):
        return (
            f"is of a type that is not served ({_text(jwk, 'kty') or 'none'} {_text(jwk, 'crv')}".rstrip()
            + ")"
        )
    if jwk.get("use", "sig") != "sig":
        return "is not for signatures (use)"
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return "is not for checking signatures (key_ops)"
    named = jwk.get("alg", algorithm)
    if not isinstance(named, str) or _ALSO.get(named, named) != algorithm:
        return "is for another algorithm (alg)"
    return ""


def _algorithm(jwk: dict[str, Any]) -> str:
    return _TYPES.get((_text(jwk, "kty"), _text(jwk, "crv") or None), "")


def _text(jwk: dict[str, Any], name: str) -> str:
    value = jwk.get(name, "")
    return value if isinstance(value, str) else ""


def _url_safe(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
