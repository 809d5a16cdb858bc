"""Say to Deribit who we are: keys, tokens, signatures.

Source: Deribit API v2, "Authentication" (2026-09).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from feedmux.model.checks import require_kind
from feedmux.model.errors import InvalidSetting

Params = Mapping[str, object]


class Tokens(msgspec.Struct, frozen=True):
    """What authentication leads to; its secrets never show in ``repr``.

    Args:
        access_token: not needed on a connection, which is authenticated itself.
        refresh_token: gets the next tokens; both are replaced then.
        expires_in: seconds.
        scope: what is allowed.
    """

    access_token: str
    refresh_token: str
    expires_in: int
    scope: str = ""

    def __repr__(self) -> str:
        return f"Tokens(***, expires_in={self.expires_in}, scope={self.scope!r})"


class Credentials(msgspec.Struct, frozen=True):
    """A key of an account; neither part of it ever shows in ``repr``.

    Args:
        client_id: the key's id.
        client_secret: its secret.
        signs: True proves the secret with a signature instead of sending it.
        scope: what is asked for, e.g. ``session:desk trade:read_write``; empty for the default.

    Raises:
        InvalidSetting: a part is missing or of another type; it is not shown.
    """

    client_id: str
    client_secret: str
    signs: bool = True
    scope: str = ""

    def __post_init__(self) -> None:
        for name in ("client_id", "client_secret", "scope"):
            value = getattr(self, name)
            require_kind(name, value, str, "a text")
            if not value and name != "scope":
                raise InvalidSetting(name, value, "a text that is not empty")
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidSetting(name, "***", "a text that can be written as UTF-8") from None
        require_kind("signs", self.signs, bool, "True or False")

    def __repr__(self) -> str:
        return "Credentials(***)"


def authentication(credentials: Credentials, now_ms: int, nonce: str) -> Params:
    """Return the parameters of ``public/auth``.

    Args:
        credentials: who we are.
        now_ms: Unix milliseconds, for a signature.
        nonce: a text that is used once, for a signature.
    """
    scope = {"scope": credentials.scope} if credentials.scope else {}
    if not credentials.signs:
        return {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            **scope,
        }
    text = f"{now_ms}\n{nonce}\n"
    signature = hmac.new(credentials.client_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {
        "grant_type": "client_signature",
        "client_id": credentials.client_id,
        "timestamp": now_ms,
        "nonce": nonce,
        "data": "",
        "signature": signature,
        **scope,
    }


def renewal(tokens: Tokens) -> Params:
    """Return the parameters of ``public/auth`` that trade a refresh token for new tokens."""
    return {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
