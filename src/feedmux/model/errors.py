"""Everything that can go wrong, as one tree; its branch of links is in :mod:`feedmux.model.link_errors`.

::

    FeedmuxError(code, retry, close_code)
    ├── LocalError            our caller asked for something that cannot be
    │   ├── InvalidTopic      a topic text that is none
    │   ├── InvalidSetting    a configuration that cannot work
    │   ├── InvalidMessage    a message that its protocol has no form for
    │   ├── Unaffordable      a message that costs more than its budget can ever hold
    │   ├── Duplicate         a name that is taken, or a thing that has one already
    │   └── IllegalEvent      an event that a state machine has no answer to
    ├── PeerError             the other side broke the contract
    │   ├── MalformedMessage  bytes that are not what they should be
    │   ├── MalformedRecording a line of a recording that is none
    │   │   └── TornRecording its last line, which was not written to its end
    │   └── Refused           the other side said no, with its reason
    │       ├── CallFailed    … to a request, with its code
    │       └── AuthenticationFailed  … to who we say we are
    ├── LinkError             the way to the other side
    │   ├── ConnectFailed     no connection came about
    │   │   └── GaveUp        … as often as was allowed
    │   ├── LinkLost          a connection ended
    │   │   ├── RequestLost   … while a request was under way
    │   │   └── RequestTimeout  a request was not answered in time
    │   ├── NoConnections     a pool has nobody to ask
    │   └── AttemptsFailed    nobody of those who were asked answered
    └── CapacityError         a bound was reached
        ├── Overflow          a bounded queue is full
        ├── RateLimited       a budget does not allow it yet
        └── TooManyRestarts   what is kept running fails too often

``retry`` says what a caller may do: never, now, or after a number of seconds.
``close_code`` is the WebSocket close code that carries the error to a client:
4000 to 4499 invite a reconnect, 4500 to 4999 do not. ``category`` says what kind of trouble it is,
and a category's ``recovery`` what a link does about it.
"""

from __future__ import annotations

from copyreg import __newobj__  # type: ignore[attr-defined]
from enum import StrEnum
from typing import ClassVar, Final, Literal

NEVER: Final = "never"
NOW: Final = "now"
_SHOWN: Final = 200
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
    """The root. ``str()`` says what happened, the value, and what was expected.

    Any of them can be pickled and copied, with all that it carries.
    """

    code: str = "ERROR"
    retry: Retry = NEVER
    close_code: ClassVar[int] = 4500
    category: Category = Category.APPLICATION

    def __reduce__(self) -> tuple[object, ...]:
        return __newobj__, (type(self), *self.args), self.__dict__


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
        return f"{self.name}: {_shown(self.value)} does not work; expected {self.expected}"


class InvalidMessage(LocalError):
    """A message that its protocol has no form for.

    Args:
        what: the part of the message that is wrong.
        found: what it is; never the value itself, because a request may carry a secret.
        expected: what would have been right.
    """

    code = "INVALID_MESSAGE"

    def __init__(self, what: str, found: str, expected: str) -> None:
        super().__init__(what, found, expected)
        self.what, self.found, self.expected = what, found, expected

    def __str__(self) -> str:
        return f"{self.what}: {self.found} cannot be sent; expected {self.expected}"


class Unaffordable(LocalError):
    """A message that costs more than its budget can ever hold: no wait would help.

    Args:
        method: what was to be sent.
        bucket: which part of the budget.
        cost: tokens that it costs.
        capacity: tokens that the bucket holds when it is full.
    """

    code = "UNAFFORDABLE"

    def __init__(self, method: str, bucket: str, cost: float, capacity: float) -> None:
        super().__init__(method, bucket, cost, capacity)
        self.method, self.bucket, self.cost, self.capacity = method, bucket, cost, capacity

    def __str__(self) -> str:
        held = f"which never holds more than {self.capacity:g}"
        return f"{self.method!r} costs {self.cost:g} tokens of {self.bucket!r}, {held}"


class Duplicate(LocalError):
    """A name that is taken, or a thing that has a name already.

    Args:
        what: what was to be named, e.g. ``link``.
        name: the name that is there.
    """

    code = "DUPLICATE"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(what, name)
        self.what, self.name = what, name

    def __str__(self) -> str:
        return f"there is a {self.what} {self.name!r} already; expected one that is new, or another name"


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


class MalformedRecording(PeerError):
    """A line of a recording that is none.

    Args:
        path: the file.
        line: which line, from 1.
        reason: what is wrong with it.
    """

    code = "MALFORMED_RECORDING"

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path, self.line, self.reason = path, line, reason

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.reason}"


class TornRecording(MalformedRecording):
    """The last line of a recording has no end: whoever wrote it was stopped in the middle.

    Everything before it is whole.
    """

    code = "TORN_RECORDING"

    def __str__(self) -> str:
        return (
            f"{self.path}, line {self.line}: the last line is torn ({self.reason}); those before it are whole"
        )


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

    def __str__(self) -> str:
        more = "" if self.data is None else f" {_shown(self.data)}"
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


class TooManyRestarts(CapacityError):
    """What is kept running fails too often; it was stopped, all of it.

    Args:
        limit: so many restarts would have been tolerated.
        within_s: in so many seconds.
        failures: what ended and why, in order; the last one is the one too many.
    """

    code = "TOO_MANY_RESTARTS"

    def __init__(self, limit: int, within_s: float, failures: tuple[tuple[str, str], ...]) -> None:
        super().__init__(limit, within_s, failures)
        self.limit, self.within_s, self.failures = limit, within_s, failures

    def __str__(self) -> str:
        told = "; ".join(f"{name}: {reason}" for name, reason in self.failures)
        return f"more than {self.limit} restarts within {self.within_s:g} s ({told})"


def _shown(value: object) -> str:
    """What a person needs to see of a value that may be of any length."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - somebody's code, or a number with too many digits
        return f"a value of type {type(value).__name__} ({error})"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
