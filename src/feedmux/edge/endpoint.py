"""What a path serves: who is let in there, and by which session he is served."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self

import msgspec

from feedmux.edge.dialogue import SessionMaker
from feedmux.edge.http import Reply


class Opening(msgspec.Struct, frozen=True):
    """A request for a WebSocket that is right as such, and has not been answered yet.

    Args:
        target: what is asked for, as it was sent: the path, and the query if there is one.
        path: up to the first ``?``.
        query: behind it; empty: none. Nothing is decoded.
        headers: their names in small letters, their values without the space around them, in the
            order in which they came; a name may come more than once.
    """

    target: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, target: str, headers: Iterable[tuple[str, str]]) -> Self:
        """Part a target into its path and its query; see there for ``headers``."""
        path, _, query = target.partition("?")
        return cls(target, path, query, tuple(headers))

    def values(self, name: str) -> list[str]:
        """Every value of a header, whose name is given in small letters."""
        return [value for each, value in self.headers if each == name]


class Entry(msgspec.Struct, frozen=True):
    """What a client gets that is let in.

    Args:
        make_session: makes its session.
        subprotocol: which of those that it offered is spoken (RFC 6455 §1.9); None: none.
        max_message_bytes: one of its messages; more is closed with 1009. 0: as the server says.
    """

    make_session: SessionMaker
    subprotocol: str | None = None
    max_message_bytes: int = 0


class Endpoint(Protocol):
    """A path's own rules."""

    def admit(self, opening: Opening, /) -> Entry | Reply:
        """Let a client in, or refuse the handshake with an answer; may not block.

        What it raises is a defect, and answered with 500.
        """
