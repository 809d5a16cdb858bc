"""Tokens to identities: who a client is, by a JSON Web Token that somebody we trust has signed.

Theory of operation
===================
A token goes through these in their order, the cheap ones first; the first that says no ends it.

==========================  ==================================================================
check                       what is refused
==========================  ==================================================================
length                      more than 8 KiB, before anything is done with it
form                        not three parts of base64url in their one spelling; a header that is no
                            JSON object with ``alg``; ``crit``: extensions that we do not know
key                         the one that ``kid`` names; unknown ones are told to whoever can fetch keys
algorithm                   any but the one of that key's type: ``none``, and HS256 with the public
                            key for its secret, are never looked at
signature                   by PyJWT
claims                      see :mod:`feedmux.edge.claims`
==========================  ==================================================================

Of the header ``alg``, ``kid`` and ``crit`` are read and nothing else: keys that a token brings or
points at (``jwk``, ``jku``, ``x5c``, ``x5u``) cannot matter. Deliberately absent: encrypted tokens,
shared secrets, revocation, and any input or output: keys are put in from outside.

**Source**: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (their best current practice).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import jwt
import msgspec
from msgspec import UNSET, UnsetType

from feedmux.edge import claims, credentials
from feedmux.edge.claims import TokenRules
from feedmux.edge.credentials import Credentials
from feedmux.edge.endpoint import Opening
from feedmux.edge.keys import ALGORITHMS, Key, KeySet, read_jwks
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.access_errors import TokenCode, TokenRefused
from feedmux.model.ports import Clock, Statistics

MAX_TOKEN: Final = 8192
"""So many characters a token may have."""
RETRY_S: Final = 1.0
"""After how long a token may be tried again whose key is being looked for."""

_PARTS: Final = 3
_ENCRYPTED_PARTS: Final = 5
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_SIGNED: Final = jwt.PyJWS(algorithms=ALGORITHMS)


class Header(msgspec.Struct, frozen=True):
    """What is read of a token's header.

    Args:
        alg: the algorithm that it says it is signed with.
        kid: the name of the key; empty: none is said.
        crit: extensions that must be understood.
    """

    alg: str
    kid: str = ""
    crit: msgspec.Raw | UnsetType = UNSET


_HEADER: Final = msgspec.json.Decoder(Header)


class Authenticator:
    """Says who a client is. Does no input or output; a check takes about a tenth of a millisecond.

    Args:
        keys: what tokens are checked with, until :meth:`replace`.
        rules: what is asked of their claims.
        clock: time.
        in_url: whether a token may stand in the URL.
        key_missing: told when a token names a key that is not there; None: nobody can get others.
    """

    def __init__(
        self,
        keys: KeySet,
        rules: TokenRules,
        *,
        clock: Clock,
        in_url: bool = False,
        key_missing: Callable[[], None] | None = None,
    ) -> None:
        self.keys = keys
        self.key_missing = key_missing
        self._rules, self._clock, self._in_url = rules, clock, in_url
        self._accepted = 0
        self._refused: Counter[str] = Counter()

    def replace(self, keys: KeySet) -> None:
        """Check with these from now on. Who is known already stays so until its token expires."""
        self.keys = keys

    def take_jwks(self, content: str | bytes, source: str) -> None:
        """Check with the keys of a JWKS from now on.

        Raises:
            InvalidKey: they cannot be used; then nothing has changed.
        """
        self.replace(read_jwks(content, source))

    def credentials(self, headers: Iterable[tuple[str, str]], query: str = "") -> Credentials | None:
        """Find the token of an opening request; see :func:`feedmux.edge.credentials.find`.

        Raises:
            TokenRefused: there may be more than one, or it stands where none may be.
        """
        try:
            return credentials.find(headers, query, in_url=self._in_url)
        except TokenRefused as refusal:
            self._refused[refusal.code] += 1
            raise

    def admit(self, opening: Opening) -> Identity:
        """Return who the sender of an opening request is: nobody, if it brings no token.

        Raises:
            TokenRefused: it brings one that does not prove that.
        """
        shown = self.credentials(opening.headers, opening.query)
        return ANONYMOUS if shown is None else self.identify(shown.token)

    def identify(self, token: str) -> Identity:
        """Return who the owner of a token is.

        Raises:
            TokenRefused: it does not prove that.
        """
        try:
            identity = self._identify(token)
        except TokenRefused as refusal:
            self._refused[refusal.code] += 1
            raise
        self._accepted += 1
        return identity

    def statistics(self) -> Statistics:
        """Return how many keys there are, and counters since the start; refusals by their code."""
        return {"keys": len(self.keys), "accepted": self._accepted, "refused": dict(self._refused)}

    def _identify(self, token: str) -> Identity:
        header = read_header(token)
        key = self._key(header.kid)
        if header.alg != key.algorithm:
            said = "it is not signed with the algorithm of its key"
            raise TokenRefused(TokenCode.WRONG_ALGORITHM, said)
        return claims.identify(_verified(token, key), self._rules, self._clock.time_ns() / 1e9)

    def _key(self, kid: str) -> Key:
        try:
            return self.keys.find(kid)
        except TokenRefused as refusal:
            if self.key_missing is None:
                raise
            self.key_missing()
            raise TokenRefused(refusal.args[0], refusal.reason, RETRY_S) from None


def read_header(token: str) -> Header:
    """Read a token's header, and see that it can be a token at all. Proves nothing.

    Raises:
        TokenRefused: it cannot be.
    """
    parts = split(token)
    try:
        header = _HEADER.decode(_decoded(parts[0]))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise TokenRefused(TokenCode.MALFORMED, "its header is no JSON object with a text 'alg'") from None
    if header.crit is not UNSET:
        said = "it demands an extension that is not known here (crit)"
        raise TokenRefused(TokenCode.UNSUPPORTED, said)
    if header.alg not in ALGORITHMS:
        said = f"it is signed with an algorithm that is not taken; expected {', '.join(ALGORITHMS)}"
        raise TokenRefused(TokenCode.WRONG_ALGORITHM, said)
    return header


def split(token: str) -> list[str]:
    """Cut a token into header, claims and signature, still in base64url.

    Raises:
        TokenRefused: it is too long, or does not consist of these.
    """
    if len(token) > MAX_TOKEN:
        said = f"it has {len(token)} characters; expected at most {MAX_TOKEN}"
        raise TokenRefused(TokenCode.TOO_LONG, said)
    parts = token.split(".")
    if len(parts) == _ENCRYPTED_PARTS:
        raise TokenRefused(TokenCode.MALFORMED, "it is encrypted; expected one that is only signed")
    if len(parts) != _PARTS or not all(map(_PART.fullmatch, parts)):
        said = "it is not three parts of base64url joined by dots"
        raise TokenRefused(TokenCode.MALFORMED, said)
    return parts


def _decoded(part: str) -> bytes:
    """Decode base64url; of the spellings that mean the same bytes one is right."""
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        data = b""
    if urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise TokenRefused(TokenCode.MALFORMED, "its base64url is damaged")
    return data


def _verified(token: str, key: Key) -> bytes:
    """The claims of a token that was signed by the owner of this key."""
    for part in token.split(".")[1:]:
        _decoded(part)
    try:
        payload: bytes = _SIGNED.decode(token, key.material, algorithms=[key.algorithm])
    except jwt.InvalidSignatureError:
        said = "its signature is not that of the key: it was changed, or somebody else signed it"
        raise TokenRefused(TokenCode.BAD_SIGNATURE, said) from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused(TokenCode.MALFORMED, "it cannot be read") from None
    return payload
