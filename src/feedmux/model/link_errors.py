"""What can go wrong on the way to the other side: a branch of the tree in :mod:`feedmux.model.errors`."""

from __future__ import annotations

from enum import StrEnum

from feedmux.model.errors import NEVER, NOW, Category, FeedmuxError, Retry


class Cause(StrEnum):
    """Why no connection came about."""

    NAME = "name"
    """The name does not resolve."""
    NETWORK = "network"
    """Nobody there, or no way to there."""
    TIMEOUT = "timeout"
    TLS = "tls"
    PROXY = "proxy"
    """The proxy cannot be reached, or does not let us pass."""
    STATUS = "status"
    """The server answered the upgrade with an HTTP status of its own."""
    PROTOCOL = "protocol"
    """It does not speak WebSocket as it should."""
    ENDED = "ended"
    """We ended the attempt."""


class LinkError(FeedmuxError):
    """The way to the other side."""

    code = "LINK"
    retry: Retry = NOW
    close_code = 4001
    category = Category.CONNECTION


class ConnectFailed(LinkError):
    """No connection came about.

    Args:
        url: where to, without credentials.
        reason: why not.
        cause: the same, to decide by.
        status: what the server answered the upgrade with; 0 when that is not the cause.
        wait_s: how long the server wants us to wait; 0 when it did not say.
    """

    code = "CONNECT_FAILED"

    def __init__(
        self, url: str, reason: str, *, cause: Cause = Cause.NETWORK, status: int = 0, wait_s: float = 0.0
    ) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason
        self.cause, self.status, self.wait_s = cause, status, wait_s
        if wait_s:
            self.retry = wait_s
        if status in {401, 403}:
            self.category = Category.AUTHENTICATION

    def __str__(self) -> str:
        return f"no connection to {self.url}: {self.reason}"


class GaveUp(ConnectFailed):
    """No connection came about, as often as was allowed.

    Args:
        url: where to, without credentials.
        reason: why the last attempt failed.
        attempts: how many there were.
    """

    code = "GAVE_UP"
    retry = NEVER

    def __init__(self, url: str, reason: str, attempts: int) -> None:
        super().__init__(url, reason)
        self.attempts = attempts

    def __str__(self) -> str:
        return f"{super().__str__()}; gave up after {self.attempts} attempts in a row"


class LinkLost(LinkError):
    """A connection ended.

    Args:
        reason: who ended it and why.
    """

    code = "LINK_LOST"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the connection ended: {self.reason}"


class RequestLost(LinkLost):
    """The connection ended while a request was under way.

    Args:
        method: what was asked for.
        reason: who ended the connection and why.
        maybe_executed: False when nothing of the request had been sent, so that it may be repeated.
    """

    code = "REQUEST_LOST"

    def __init__(self, method: str, reason: str, *, maybe_executed: bool) -> None:
        super().__init__(reason)
        self.method, self.maybe_executed = method, maybe_executed

    def __str__(self) -> str:
        fate = "it may have been executed" if self.maybe_executed else "it was not sent"
        return f"{self.method}: {super().__str__()}; {fate}"


class RequestTimeout(LinkLost):
    """A request was not answered in time; the connection stands.

    Args:
        method: what was asked for.
        timeout_s: how long the answer was waited for.
        maybe_executed: False when the request was still waiting to be sent.
    """

    code = "REQUEST_TIMEOUT"

    def __init__(self, method: str, timeout_s: float, *, maybe_executed: bool) -> None:
        super().__init__(f"no answer within {timeout_s:.3g} s")
        self.method, self.timeout_s, self.maybe_executed = method, timeout_s, maybe_executed

    def __str__(self) -> str:
        fate = "it may have been executed" if self.maybe_executed else "it was not sent"
        return f"{self.method}: {self.reason}; {fate}"


class NoConnections(LinkError):
    """A pool has nobody to ask.

    Args:
        members: how many it has; none of them is open.
    """

    code = "NO_CONNECTIONS"

    def __init__(self, members: int) -> None:
        super().__init__(members)
        self.members = members

    def __str__(self) -> str:
        return f"no connection is open; the pool has {self.members} members"


class AttemptsFailed(LinkError):
    """Nobody of those who were asked answered.

    Unless the request was marked repeatable, none of them can have executed it.

    Args:
        what: the request, by its method.
        attempts: who was tried and why in vain, in order.
    """

    code = "ATTEMPTS_FAILED"

    def __init__(self, what: str, attempts: tuple[tuple[str, str], ...]) -> None:
        super().__init__(what, attempts)
        self.what, self.attempts = what, attempts

    def __str__(self) -> str:
        tried = "; ".join(f"{name}: {reason}" for name, reason in self.attempts)
        return f"{self.what} was answered by nobody in {len(self.attempts)} attempts ({tried})"
