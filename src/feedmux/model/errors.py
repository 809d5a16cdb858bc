"""Everything that can go wrong, as one tree.

::

    FeedmuxError(code, retry, close_code)
    ├── LocalError            our caller asked for something that cannot be
    │   ├── InvalidTopic      a topic text that is none
    │   ├── InvalidSetting    a configuration that cannot work
    │   └── IllegalEvent      an event that a state machine has no answer to
    ├── PeerError             the other side broke the contract
    │   ├── MalformedMessage  bytes that are not what they should be
    │   └── Refused           the other side said no, with its reason
    │       ├── CallFailed    … to a request, with its code
    │       └── AuthenticationFailed  … to who we say we are
    ├── LinkError             the way to the other side
    │   ├── ConnectFailed     no connection came about
    │   │   └── GaveUp        … as often as was allowed
    │   └── LinkLost          a connection ended
    │       ├── RequestLost   … while a request was under way
    │       └── RequestTimeout  a request was not answered in time
    └── CapacityError         a bound was reached
        ├── Overflow          a bounded queue is full
        └── RateLimited       a budget does not allow it yet

``retry`` says what a caller may do: never, now, or after a number of seconds.
``close_code`` is the WebSocket close code that carries the error to a client:
4000 to 4499 invite a reconnect, 4500 to 4999 do not. ``category`` says what kind of trouble it is,
and a category's ``recovery`` what a link does about it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final, Literal

NEVER: Final = "never"
NOW: Final = "now"
Retry = Literal["never", "now"] | float


class Recovery(StrEnum):
    """What a link does about an error."""

    RECONNECT = "reconnect"
    """Replaces the connection, and restores what was on it."""
    REPORT = "report"
    """Logs and counts it, and goes on."""
    HALT = "halt"
    """Ends: it would fail again until a person has done something."""
    PASS = "pass"  # noqa: S105 - not a password
    """Hands it to whoever asked."""


class Category(StrEnum):
    """What kind of trouble an error is."""

    CONNECTION = "connection"
    PROTOCOL = "protocol"
    AUTHENTICATION = "authentication"
    APPLICATION = "application"

    @property
    def recovery(self) -> Recovery:
        """What a link does about errors of this kind."""
        return _RECOVERY[self]


_RECOVERY: Final = {
    Category.CONNECTION: Recovery.RECONNECT,
    Category.PROTOCOL: Recovery.REPORT,
    Category.AUTHENTICATION: Recovery.HALT,
    Category.APPLICATION: Recovery.PASS,
}


class FeedmuxError(Exception):
    """The root. ``str()`` says what happened, the value, and what was expected."""

    code: ClassVar[str] = "ERROR"
    retry: Retry = NEVER
    close_code: ClassVar[int] = 4500
    category: Category = Category.APPLICATION


class LocalError(FeedmuxError):
    """Our caller asked for something that cannot be."""


class InvalidTopic(LocalError):
    """A topic text that is none."""

    code = "INVALID_TOPIC"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"{self.text!r} is not a topic; expected six percent-encoded fields joined by ':'"


class InvalidSetting(LocalError):
    """A configuration that cannot work.

    Args:
        name: the setting, as its user wrote it.
        value: what it was set to.
        expected: what would have been right.
    """

    code = "INVALID_SETTING"

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(name, value, expected)
        self.name, self.value, self.expected = name, value, expected

    def __str__(self) -> str:
        return f"{self.name}: {self.value!r} does not work; expected {self.expected}"


class IllegalEvent(LocalError):
    """An event that a state machine has no answer to: its driver is wrong.

    Args:
        machine: which machine.
        state: where it was; it stays there.
        event: what it was told.
    """

    code = "ILLEGAL_EVENT"

    def __init__(self, machine: str, state: str, event: str) -> None:
        super().__init__(machine, state, event)
        self.machine, self.state, self.event = machine, state, event

    def __str__(self) -> str:
        return f"{self.machine}: the event {self.event!r} cannot happen in the state {self.state!r}"


class PeerError(FeedmuxError):
    """The other side broke the contract."""


class MalformedMessage(PeerError):
    """Bytes that are not what they should be.

    Args:
        what: what was being read, e.g. ``envelope``.
        reason: what is wrong with it.
    """

    code = "MALFORMED"
    close_code = 4502
    category = Category.PROTOCOL

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what, self.reason = what, reason

    def __str__(self) -> str:
        return f"malformed {self.what}: {self.reason}"


class Refused(PeerError):
    """The other side said no.

    Args:
        what: what was asked for.
        reason: the other side's own words.
    """

    code = "REFUSED"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what, self.reason = what, reason

    def __str__(self) -> str:
        return f"{self.what} was refused: {self.reason}"


class CallFailed(Refused):
    """The other side answered a request with an error.

    Args:
        method: what was asked for.
        number: the error's code, in the other side's numbering.
        message: its text.
        data: what it added, if anything.
    """

    code = "CALL_FAILED"

    def __init__(self, method: str, number: int, message: str, data: object = None) -> None:
        super().__init__(method, message)
        self.method, self.number, self.message, self.data = method, number, message, data

    def __reduce__(self) -> tuple[type[CallFailed], tuple[str, int, str, object]]:
        return type(self), (self.method, self.number, self.message, self.data)

    def __str__(self) -> str:
        more = "" if self.data is None else f" {self.data!r:.200}"
        return f"{self.method} was refused: {self.message} ({self.number}){more}"


class AuthenticationFailed(Refused):
    """The other side does not take our credentials. Trying again does not help.

    Args:
        what: to whom we wanted to be known.
        reason: the other side's own words.
    """

    code = "AUTHENTICATION_FAILED"
    close_code = 4501
    category = Category.AUTHENTICATION

    def __str__(self) -> str:
        return f"{self.what} does not accept the credentials: {self.reason}"


class Cause(StrEnum):
    """Why no connection came about."""

    NAME = "name"
    """The name does not resolve."""
    NETWORK = "network"
    """Nobody there, or no way to there."""
    TIMEOUT = "timeout"
    TLS = "tls"
    PROXY = "proxy"
    STATUS = "status"
    """The server answered the upgrade with an HTTP status of its own."""
    PROTOCOL = "protocol"
    """It does not speak WebSocket as it should."""
    ENDED = "ended"
    """We ended the attempt."""


class LinkError(FeedmuxError):
    """The way to the other side."""

    code = "LINK"
    retry = NOW
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
        super().__init__(f"no answer within {timeout_s:g} s")
        self.method, self.timeout_s, self.maybe_executed = method, timeout_s, maybe_executed

    def __str__(self) -> str:
        fate = "it may have been executed" if self.maybe_executed else "it was not sent"
        return f"{self.method}: {self.reason}; {fate}"


class CapacityError(FeedmuxError):
    """A bound was reached."""

    code = "CAPACITY"
    close_code = 4003


class Overflow(CapacityError):
    """A bounded queue is full.

    Args:
        what: which queue.
        bound: its bound, with the unit.
    """

    code = "OVERFLOW"
    close_code = 4008

    def __init__(self, what: str, bound: str) -> None:
        super().__init__(what, bound)
        self.what, self.bound = what, bound

    def __str__(self) -> str:
        return f"{self.what} is full; its bound is {self.bound}"


class RateLimited(CapacityError):
    """A budget does not allow a message yet. Nothing was sent.

    Args:
        method: what was to be sent.
        wait_s: after how many seconds it may be.
    """

    code = "RATE_LIMITED"

    def __init__(self, method: str, wait_s: float) -> None:
        super().__init__(method, wait_s)
        self.method, self.wait_s = method, wait_s
        self.retry = wait_s

    def __str__(self) -> str:
        return f"{self.method!r} exceeds the rate limit; it may be sent in {self.wait_s:.3f} s"
