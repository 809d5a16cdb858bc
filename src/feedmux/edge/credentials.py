"""Where in an opening request its token is: three places, and never more than one at once.

===================================  ========================================================
``Authorization: Bearer <token>``    programs
``Sec-WebSocket-Protocol: bearer,    browsers, which cannot set other headers of a WebSocket; the
<token>``                            answer names ``bearer`` alone, never the token
``?token=<token>``                   only where a setting allows it: URLs are kept in logs and histories
===================================  ========================================================

**Source**: RFC 6750 §2.1 and §2.3 (bearer tokens), RFC 9110 §11.1 (schemes in any case), RFC 6455 §11.3.4
(a sub-protocol's header may come in several lines).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from feedmux.model.access_errors import TokenCode, TokenRefused

BEARER: Final = "bearer"
_PARAMETER: Final = "token"


class Credentials(msgspec.Struct, frozen=True):
    """A token that came with a request.

    Args:
        token: as it came, unchecked; never shown.
        protocol: the sub-protocol that the answer has to name; empty: none.
    """

    token: str
    protocol: str = ""

    def __repr__(self) -> str:
        return f"Credentials(token='***', protocol={self.protocol!r})"


def find(headers: Iterable[tuple[str, str]], query: str, *, in_url: bool = False) -> Credentials | None:
    """Return the token of a request; None when it brings none.

    Args:
        headers: names, in any case, and values, in the order in which they came, repeated ones apart.
        query: what follows ``?``, as it came.
        in_url: whether a token may stand there.

    Raises:
        TokenRefused: there may be more than one, or it stands where none may be.
    """
    fields = [(name.lower(), value.strip()) for name, value in headers]
    found = _authorization([value for name, value in fields if name == "authorization"])
    found += _protocols([value for name, value in fields if name == "sec-websocket-protocol"])
    urls = [Credentials(value) for name, value in parse_qsl(query, True) if name == _PARAMETER]
    found += urls if in_url else []
    if len(found) > 1:
        said = "the request holds more than one; expected one, in one place"
        raise TokenRefused(TokenCode.AMBIGUOUS, said)
    if not found and urls:
        said = "it stands in the URL, which is not allowed here; expected the header Authorization"
        raise TokenRefused(TokenCode.IN_URL, said)
    return found[0] if found else None


def _authorization(values: list[str]) -> list[Credentials]:
    found = []
    for value in values:
        scheme, _, token = value.partition(" ")
        if scheme.lower() != BEARER:
            said = "the header Authorization is of another scheme; expected: Bearer <token>"
            raise TokenRefused(TokenCode.WRONG_SCHEME, said)
        found.append(Credentials(token.strip()))
    return found


def _protocols(values: list[str]) -> list[Credentials]:
    """The item that follows ``bearer``; other sub-protocols beside the two are somebody else's."""
    items = [item.strip() for value in values for item in value.split(",")]
    places = [place for place, item in enumerate(items) if item == BEARER]
    return [Credentials("".join(items[place + 1 : place + 2]), BEARER) for place in places]
