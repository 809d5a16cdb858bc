"""The settings that say who clients are, and what they may read; a part of :mod:`feedmux.app.settings`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator
from pydantic_settings import NoDecode

from feedmux.app.rbac import Roles
from feedmux.app.secret import Secret
from feedmux.app.section import Section, key
from feedmux.app.urls import is_url

_ONE_SOURCE: Final = "nothing, because another of JWT_PUBLIC_KEY, JWT_PUBLIC_KEY_FILE and JWT_JWKS is set"
TOGETHER: Final = {"jwt_public_key_file": _ONE_SOURCE, "jwt_jwks": _ONE_SOURCE}
"""What is expected of a setting that is right by itself, and wrong beside another one."""


def _place_of_keys(place: str) -> str:
    """Let pass what nobody on the way can put other keys into."""
    if not is_url(place):
        return place
    parts = urlsplit(place)
    _ = parts.port  # raises ValueError when it is no port
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if not is_safe or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not a URL that can be trusted")
    return place


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Authentication(Section):
    """Authentication"""

    jwt_public_key: Secret = key(
        Secret(""),
        "Public key that tokens are signed with (Ed25519, RSA or P-256), in PEM format or base64 of that; "
        "never shown.",
        expected="a PEM of a public key, or base64 of one",
    )
    jwt_public_key_file: str = key(
        "", "PEM file of that key, in the place of JWT_PUBLIC_KEY.", expected="a path"
    )
    jwt_jwks: Annotated[str, AfterValidator(_place_of_keys)] = key(
        "",
        "Where a JWKS with several keys is, in the place of JWT_PUBLIC_KEY: a file, or a URL that is "
        "asked every five minutes, and when a token names a key that is not known.",
        expected="a path, or a URL without a user that begins with https:// (http:// only to this machine)",
    )
    jwt_leeway: float = key(
        0.0, "By how much the clocks of whoever makes tokens may differ.", between=(0, 300), unit="s"
    )
    jwt_audience: str = key("", "Take only tokens that are made for this audience; empty: any.")
    jwt_issuer: str = key("", "Take only tokens of this issuer; empty: of anybody who has the key.")
    jwt_expiry: Literal["enforce", "connect"] = key(
        "enforce",
        "What the end of a token means: enforce ends what it opened; connect lets that stand.",
    )
    jwt_warning: float = key(
        60.0,
        "How long before its token expires a client is told; 0 tells nobody.",
        between=(0, 86_400),
        unit="s",
    )
    jwt_query_token: bool = key(
        False, "Take tokens out of `?token=` of the URL, too, where logs and histories may keep them."
    )
    rango_rbac: Annotated[Roles, NoDecode] = key(
        about="The roles that may read the streams of a prefix; one setting for each prefix, "
        "which stands in its name. Streams of a prefix without one are read by nobody.",
        default_factory=dict,
        expected="names of roles, separated by commas",
    )

    @model_validator(mode="after")
    def _keys_have_one_source(self) -> Self:
        if self.jwt_jwks and (self.jwt_public_key or self.jwt_public_key_file):
            raise ValueError("jwt_jwks")
        if self.jwt_public_key_file and self.jwt_public_key:
            raise ValueError("jwt_public_key_file")
        return self
