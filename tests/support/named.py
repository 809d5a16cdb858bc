"""Tokens that are nothing but a name."""

from __future__ import annotations

from typing import Final

from feedmux.edge.endpoint import Opening
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.errors import PeerError

ALICE: Final = Identity(uid="alice")


class Expired(PeerError):
    """A token that did hold."""

    code = "TOKEN_EXPIRED"

    def __str__(self) -> str:
        return "the token expired 5 s ago; expected one that holds"


def identify(opening: Opening) -> Identity:
    """Alice shows ``alice``, as a header or beside the sub-protocol; any other token has expired."""
    shown = [value.removeprefix("Bearer ") for value in opening.values("authorization")]
    shown += [value.removeprefix("bearer, ") for value in opening.values("sec-websocket-protocol")]
    if not shown:
        return ANONYMOUS
    if shown != ["alice"]:
        raise Expired
    return ALICE
