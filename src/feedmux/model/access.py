"""Who a client is, as a token says."""

from __future__ import annotations

import math

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """A client that has proved who it is, or has not tried.

    Args:
        uid: the user; empty: anonymous.
        role: what streams of other scopes are opened by; empty: none.
        expires_s: Unix seconds from which on it is not believed any more; infinite: never.
    """

    uid: str = ""
    role: str = ""
    expires_s: float = math.inf


ANONYMOUS = Identity()
