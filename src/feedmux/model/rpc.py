"""Questions and answers on a link, whatever the protocol that carries them."""

from __future__ import annotations

import msgspec


class RpcError(msgspec.Struct, frozen=True):
    """The peer's error, in its own words; a value, which is raised by nobody.

    Args:
        code: the peer's number; 0 when it gave none.
        message: its sentence.
        data: what it added, as decoded; None when it added nothing.
    """

    code: int
    message: str
    data: object = None

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class Reply(msgspec.Struct, frozen=True):
    """What the peer answered to one request.

    Args:
        request_id: the request's id as the peer echoes it; None when it names none.
        result: the answer, as decoded; None when there is an error.
        error: why there is no result; None when there is one.
    """

    request_id: int | str | None
    result: object = None
    error: RpcError | None = None


class Ask(msgspec.Struct, frozen=True):
    """One member of a batch that we send.

    Args:
        method: what is asked for.
        params: as the platform takes them; None: there are none.
        is_notification: nobody answers it; its result is None at once.
    """

    method: str
    params: object = None
    is_notification: bool = False

    def __repr__(self) -> str:
        """Hide the parameters: a request may carry a secret."""
        return f"Ask({self.method!r}, ***, is_notification={self.is_notification})"
