"""The branch of the tree of errors that is about who a client is; see :mod:`feedmux.model.errors`."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from feedmux.model.errors import NEVER, Category, LocalError, Refused, Retry


class TokenCode(StrEnum):
    """Why a token is refused, for programs; the error's sentence says it to people."""

    MISSING = "TOKEN_MISSING"
    """There is none, where one is needed."""
    AMBIGUOUS = "TOKEN_AMBIGUOUS"
    """There is more than one place that could hold it."""
    WRONG_SCHEME = "TOKEN_WRONG_SCHEME"
    """The header Authorization holds something else."""
    IN_URL = "TOKEN_IN_URL"
    """It stands in the URL, and that is not allowed here."""
    TOO_LONG = "TOKEN_TOO_LONG"
    MALFORMED = "TOKEN_MALFORMED"
    """It is not three parts of base64url, or they hold no JSON objects."""
    UNSUPPORTED = "TOKEN_UNSUPPORTED"
    """It demands an extension that nobody here knows (RFC 7515 §4.1.11)."""
    WRONG_ALGORITHM = "TOKEN_WRONG_ALGORITHM"
    UNKNOWN_KEY = "TOKEN_UNKNOWN_KEY"
    NO_KEYS = "TOKEN_NO_KEYS"
    """There is nothing to check any token with."""
    BAD_SIGNATURE = "TOKEN_BAD_SIGNATURE"
    INVALID_CLAIM = "TOKEN_INVALID_CLAIM"
    """A claim is not of its type."""
    NO_UID = "TOKEN_NO_UID"
    INVALID_UID = "TOKEN_INVALID_UID"
    EXPIRED = "TOKEN_EXPIRED"
    NOT_YET_VALID = "TOKEN_NOT_YET_VALID"
    ISSUED_IN_FUTURE = "TOKEN_ISSUED_IN_FUTURE"
    WRONG_AUDIENCE = "TOKEN_WRONG_AUDIENCE"
    WRONG_ISSUER = "TOKEN_WRONG_ISSUER"


class TokenRefused(Refused):
    """A client's token does not prove who it is. Nothing that it says holds any of the token.

    Args:
        code: why, for programs.
        reason: why, for people.
        retry: what its owner may do: never, or after how many seconds the same token may be right.
    """

    close_code: ClassVar[int] = 4501
    category = Category.AUTHENTICATION

    def __init__(self, code: TokenCode, reason: str, retry: Retry = NEVER) -> None:
        super().__init__("the token", reason)
        self.args = (code, reason, retry)
        self.code, self.retry = code, retry


class InvalidKey(LocalError):
    """Tokens cannot be checked with what was given as their key. What it says holds none of it.

    Args:
        source: where it stands, e.g. ``JWT_PUBLIC_KEY``, or ``JWT_PUBLIC_KEY_FILE: /etc/key.pem``.
        reason: what is wrong with it.
    """

    code = "INVALID_KEY"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source} cannot be used: {self.reason}"
