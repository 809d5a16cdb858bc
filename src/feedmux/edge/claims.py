"""What a token claims, and whether that may be believed now: claims and a time to an identity.

Nothing here knows of keys: the signature has been checked before. Times are Unix seconds, whole or
not. What a token does not say about its times does not bound it: one without ``exp`` never expires.

**Source**: RFC 7519 §4.1. ``uid`` and ``role`` are Barong's; ``sub`` is ``session`` in every token of
Barong's and says nothing.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from feedmux.core.span import span
from feedmux.model.access import Identity
from feedmux.model.access_errors import TokenCode, TokenRefused

MAX_NAME: Final = 128
"""So many characters a uid or a role may have; a uid becomes part of a topic."""


class TokenRules(msgspec.Struct, frozen=True):
    """What is asked of a token beside its signature.

    Args:
        leeway_s: by how many seconds clocks may differ.
        audience: one of those that it must be made for; empty: any.
        issuer: who must have made it; empty: anybody with the key.
        expires: whether an identity ends with its token; else it only has to be valid at the beginning.
    """

    leeway_s: float = 0.0
    audience: str = ""
    issuer: str = ""
    expires: bool = True


class _Claims(msgspec.Struct):
    """Those that are looked at; there may be others."""

    uid: str | None = None
    role: str | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    exp: float | UnsetType = UNSET
    nbf: float | UnsetType = UNSET
    iat: float | UnsetType = UNSET


_DECODER: Final = msgspec.json.Decoder(_Claims)


def identify(payload: bytes, rules: TokenRules, now_s: float) -> Identity:
    """Return who a token is about.

    Args:
        payload: its claims, in JSON.
        rules: what is asked of them.
        now_s: Unix seconds.

    Raises:
        TokenRefused: they cannot be read, or are not believed now.
    """
    try:
        claims = _DECODER.decode(payload)
    except msgspec.ValidationError as error:  # its words name the claim and types, and no value
        raise TokenRefused(TokenCode.INVALID_CLAIM, f"a claim is not of its type: {error}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise TokenRefused(TokenCode.MALFORMED, "its claims are no JSON, or nested too deep") from None
    _check_times(claims, rules.leeway_s, now_s)
    _check_parties(claims, rules)
    uid = _check_uid(claims.uid)
    if not _is_name(claims.role or ""):
        raise TokenRefused(TokenCode.INVALID_CLAIM, f"its role is longer than {MAX_NAME}, or not printable")
    ends = claims.exp + rules.leeway_s if rules.expires and claims.exp is not UNSET else math.inf
    return Identity(uid, claims.role or "", ends)


def _check_times(claims: _Claims, leeway_s: float, now_s: float) -> None:
    if claims.exp is not UNSET and now_s >= claims.exp + leeway_s:
        raise TokenRefused(TokenCode.EXPIRED, f"it expired {span(now_s - claims.exp)} ago")
    if claims.nbf is not UNSET and now_s < claims.nbf - leeway_s:
        wait_s = claims.nbf - leeway_s - now_s
        raise TokenRefused(TokenCode.NOT_YET_VALID, f"it is valid in {span(wait_s)}, not yet", wait_s)
    if claims.iat is not UNSET and now_s < claims.iat - leeway_s:
        ahead = f"it was issued {span(claims.iat - now_s)} in the future: the clocks differ"
        raise TokenRefused(TokenCode.ISSUED_IN_FUTURE, ahead, claims.iat - leeway_s - now_s)


def _check_parties(claims: _Claims, rules: TokenRules) -> None:
    meant = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
    if rules.audience and rules.audience not in meant:
        raise TokenRefused(TokenCode.WRONG_AUDIENCE, "it was not made for this gateway (aud)")
    if rules.issuer and rules.issuer != claims.iss:
        raise TokenRefused(TokenCode.WRONG_ISSUER, "it was not made by whom this gateway trusts (iss)")


def _check_uid(uid: str | None) -> str:
    if not uid:
        raise TokenRefused(TokenCode.NO_UID, "it does not say whose it is (uid)")
    if not _is_name(uid):
        raise TokenRefused(TokenCode.INVALID_UID, f"its uid is longer than {MAX_NAME}, or not printable")
    return uid


def _is_name(text: str) -> bool:
    return len(text) <= MAX_NAME and text.isprintable()
