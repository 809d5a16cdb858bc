"""A path that asks which page a client comes from, and who it is.

Theory of operation
-------------------
=======================  =======================================  ==============================
the client shows         where nobody has to say who he is        where everybody has to
=======================  =======================================  ==============================
a page that may not      403                                      403
nothing                  is let in, anonymous                     401
a token that holds       is let in as whom it names               is let in as whom it names
a token that does not    401                                      401
=======================  =======================================  ==============================

A token that does not hold is refused everywhere: whoever shows one means to be somebody, and would
wait in vain for what is his as nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feedmux.core.origin import Origins
from feedmux.edge.dialogue import SessionMaker
from feedmux.edge.endpoint import Entry, Opening
from feedmux.edge.http import Reply
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.errors import FeedmuxError

Identify = Callable[[Opening], Identity]
"""Who a client is: ANONYMOUS when it shows no token; raises a FeedmuxError when it shows a bad one."""

Serve = Callable[[Opening, Identity], SessionMaker]
"""How a client is served."""

BEARER: Final = "bearer"
"""The sub-protocol that carries a token: a browser cannot send one in any other header."""

FOREIGN_PAGE: Final = Reply(
    403,
    {
        "error": "A page of this origin may not open a WebSocket here; API_CORS_ORIGINS names those that may",
        "code": "ORIGIN_REFUSED",
    },
)
NO_TOKEN: Final = Reply(
    401,
    {
        "error": "Only those who show a token are served here: Authorization: Bearer <token>, or the"
        " sub-protocols bearer, <token>",
        "code": "TOKEN_MISSING",
    },
    (("WWW-Authenticate", "Bearer"),),
)
NO_KEY: Final = Reply(
    401,
    {
        "error": "Only those who show a token are served here, and this server has no key to check one with",
        "code": "TOKENS_NOT_CHECKED",
    },
    (("WWW-Authenticate", "Bearer"),),
)


class Gate:
    """An endpoint (:class:`feedmux.edge.endpoint.Endpoint`).

    Args:
        serve: how those are served who are let in.
        origins: whose pages may; None: everybody's.
        identify: says who a client is; None: nobody is asked, and no token is looked at.
        is_private: whether everybody has to say who he is.
        max_message_bytes: see :class:`~feedmux.edge.endpoint.Entry`.
    """

    def __init__(
        self,
        serve: Serve,
        *,
        origins: Origins | None = None,
        identify: Identify | None = None,
        is_private: bool = False,
        max_message_bytes: int = 0,
    ) -> None:
        self._serve = serve
        self._origins = origins
        self._identify = identify
        self._is_private = is_private
        self._max_message_bytes = max_message_bytes

    def admit(self, opening: Opening, /) -> Entry | Reply:
        """Let a client in, or say why not."""
        if self._origins is not None and not _is_welcome(self._origins, opening):
            return FOREIGN_PAGE
        identity, subprotocol = ANONYMOUS, None
        if self._identify is not None:
            try:
                identity = self._identify(opening)
            except FeedmuxError as error:
                return _bad_token(error)
            subprotocol = _spoken(opening)
        if self._is_private and identity == ANONYMOUS:
            return NO_KEY if self._identify is None else NO_TOKEN
        return Entry(self._serve(opening, identity), subprotocol, self._max_message_bytes)


def _is_welcome(origins: Origins, opening: Opening) -> bool:
    found, hosts = opening.values("origin"), opening.values("host")
    if not found:
        return True
    return len(found) == 1 and origins.allow(found[0], host=hosts[0] if len(hosts) == 1 else "")


def _spoken(opening: Opening) -> str | None:
    """The sub-protocol that is answered: a browser closes a WebSocket whose offer is passed over."""
    offers = ",".join(opening.values("sec-websocket-protocol")).split(",")
    return BEARER if BEARER in map(str.strip, offers) else None


def _bad_token(error: FeedmuxError) -> Reply:
    # Source: RFC 6750 §3.1.
    challenge = ("WWW-Authenticate", 'Bearer error="invalid_token"')
    return Reply(401, {"error": str(error), "code": error.code}, (challenge,))
