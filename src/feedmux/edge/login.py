"""A client's token, from when it is shown until it expires: what every dialect does with one.

Theory of operation
-------------------
========== ========================= ===========================================================
the client event                     what happens
========== ========================= ===========================================================
anonymous  a token                   *known*: private streams and its role's prefixes are open
known      a token of the same user  takes the place of the old one; streams that the new role does
                                     not open end
known      of another user           refused, and nothing changes; so is a token that proves nothing
known      ``warning_s`` before its  it is told, once
           token expires
known      its token has expired     it is told, and closed with 4001
========== ========================= ===========================================================

Where expiry is not enforced the last two do not happen, as in Rango, which looks at a token once.

A session has a :class:`Login` only while it is known whose it is; anonymous ones have nothing. What
all of them share (:class:`Rights`) is handed in with every call, and so is the connection: there are
thousands of these in a process.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from feedmux.edge.dialogue import Peer
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.access_errors import TokenCode
from feedmux.model.errors import FeedmuxError
from feedmux.model.ports import Clock

EXPIRED: Final = 4001
"""Closes a client whose token has expired; with a new one it may come back."""
NEVER: Final = float("inf")
"""The deadline of what does not expire."""
NOT_OPEN: Final = "the role of this client does not open it any more"
"""Why a stream ends that its reader may not have any more."""

_NO_TOKENS: Final = "this server takes no tokens in messages"
_ANOTHER: Final = "the token is another user's; open another connection with it"
_SOON: Final = "the token expires soon; send a new one, or this connection will be closed"
_OVER: Final = "the token has expired"


class Objection(StrEnum):
    """Why a token is not taken, for programs, where it is not the token's own fault."""

    AUTH_DISABLED = "AUTH_DISABLED"
    OTHER_USER = "OTHER_USER"


class Access(Protocol):
    """Who may read what."""

    def may_read(self, identity: Identity, scope: str) -> bool:
        """Whether a client may read the topics of a scope (:attr:`feedmux.model.topic.Topic.scope`)."""


class Rights(msgspec.Struct, kw_only=True, eq=False):
    """What all clients share, whatever they speak: who may read what, and what a token is worth.

    Args:
        access: who may read what; may be replaced, and then sessions are to look again.
        clock: time.
        authenticate: says who the owner of a token is, or raises an error that says why not; None:
            tokens are not taken in messages.
        enforces_expiry: whether who has an expired token must go.
        warning_s: how long before that it is warned.
        no_tokens: where tokens are not taken: why nobody gets what is not public, as a part of a sentence.
    """

    access: Access
    clock: Clock
    authenticate: Callable[[str], Identity] | None = None
    enforces_expiry: bool = True
    warning_s: float = 60.0
    no_tokens: str = "this server has no key to check tokens with"


class Words(Protocol):
    """How a dialect tells a client what has become of its token; each makes one message.

    ``time_ns`` is the time of day in Unix nanoseconds.
    """

    def taken(self, identity: Identity, /) -> bytes:
        """It is known now who the client is."""

    def refused(self, reason: str, code: str, /) -> bytes:
        """A token was not taken, for this reason; nothing has changed."""

    def expiring(self, identity: Identity, reason: str, time_ns: int, /) -> bytes:
        """The client should send a new one."""

    def expired(self, identity: Identity, reason: str, code: str, time_ns: int, /) -> bytes:
        """The client is closed now."""


class Login:
    """Who a client is, and when to look again whether it still is.

    Args:
        identity: whom its token names.
    """

    __slots__ = ("_is_warned", "deadline", "identity")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.deadline = NEVER
        """When :meth:`look` has something to do, on the monotonic clock."""
        self._is_warned = False

    def look(self, rights: Rights, words: Words, peer: Peer, now: float) -> None:
        """Do what the age of the token demands, and see when to look again.

        Args:
            rights: what all share.
            words: those of the client's dialect.
            peer: its connection; it may be closed.
            now: on the monotonic clock.
        """
        expires_s = self.identity.expires_s
        self.deadline = NEVER
        if not rights.enforces_expiry or expires_s == NEVER:
            return
        time_ns = rights.clock.time_ns()
        left_s = expires_s - time_ns / 1e9
        if left_s <= 0:
            peer.answer(words.expired(self.identity, _OVER, TokenCode.EXPIRED, time_ns))
            peer.close(EXPIRED, "Token expired")
            return
        if left_s <= rights.warning_s and not self._is_warned:
            self._is_warned = True
            peer.answer(words.expiring(self.identity, _SOON, time_ns))
        wait_s = left_s if self._is_warned else left_s - rights.warning_s
        self.deadline = now + wait_s


def known(identity: Identity) -> Login | None:
    """What a session begins with; None for somebody anonymous."""
    return Login(identity) if identity.uid else None


def identity_of(login: Login | None) -> Identity:
    """Who the client of a session is."""
    return ANONYMOUS if login is None else login.identity


def renewed(login: Login | None, token: str, rights: Rights) -> Login | tuple[str, str]:
    """See whether a client becomes somebody, or stays who it is, by a token.

    Returns:
        What takes the place of ``login``; or the reason why nothing does and its code.
    """
    if rights.authenticate is None:
        return _NO_TOKENS, Objection.AUTH_DISABLED
    try:
        identity = rights.authenticate(token)
    except FeedmuxError as error:
        return str(error), error.code
    if login is not None and login.identity.uid != identity.uid:
        return _ANOTHER, Objection.OTHER_USER
    return Login(identity)
