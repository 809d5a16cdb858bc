"""Everything that can go wrong, as one tree.

::

    FeedmuxError(code, retry, close_code)
    ├── LocalError            our caller asked for something that cannot be
    │   ├── InvalidTopic      a topic text that is none
    │   ├── InvalidSetting    a configuration that cannot work
    │   ├── Duplicate         a name that is taken, or a thing that has one already
    │   └── IllegalEvent      an event that a state machine has no answer to
    ├── PeerError             the other side broke the contract
    │   ├── MalformedMessage  bytes that are not what they should be
    │   ├── MalformedRecording a line of a recording that is none
    │   │   └── TornRecording its last line, which was not written to its end
    │   └── Refused           the other side said no, with its reason
    ├── LinkError             the way to the other side
    │   ├── ConnectFailed     no connection came about
    │   ├── LinkLost          a connection ended
    │   ├── NotSent           a request never left, so nobody can have done it
    │   ├── MaybeExecuted     a request left and its answer is not known
    │   ├── NoConnections     a pool has nobody to ask
    │   └── AttemptsFailed    nobody of those who were asked answered
    └── CapacityError         a bound was reached
        ├── Overflow          a bounded queue is full
        └── TooManyRestarts   what is kept running fails too often

``retry`` says what a caller may do: never, now, or after a number of seconds.
``close_code`` is the WebSocket close code that carries the error to a client:
4000 to 4499 invite a reconnect, 4500 to 4999 do not.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

NEVER: Final = "never"
NOW: Final = "now"
Retry = Literal["never", "now"] | float


class FeedmuxError(Exception):
    """The root. ``str()`` says what happened, the value, and what was expected."""

    code: ClassVar[str] = "ERROR"
    retry: Retry = NEVER
    close_code: ClassVar[int] = 4500


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


class LinkError(FeedmuxError):
    """The way to the other side."""

    code = "LINK"
    retry: Retry = NOW
    close_code = 4001


class ConnectFailed(LinkError):
    """No connection came about.

    Args:
        url: where to, without credentials.
        reason: why not.
    """

    code = "CONNECT_FAILED"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"no connection to {self.url}: {self.reason}"


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


class NotSent(LinkError):
    """A request never left, so nobody can have done what it asks.

    Args:
        what: the request, by its method.
        reason: why it stayed.
    """

    code = "NOT_SENT"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what, self.reason = what, reason

    def __str__(self) -> str:
        return f"{self.what} was not sent: {self.reason}"


class MaybeExecuted(LinkError):
    """A request left and its answer is not known: it may have been executed, or may still be.

    It is for the caller to find out, by asking for the state, before it asks for the same again.

    Args:
        what: the request, by its method.
        member: who was asked.
        reason: what happened instead of an answer.
    """

    code = "MAYBE_EXECUTED"
    retry: Retry = NEVER
    close_code = 4504

    def __init__(self, what: str, member: str, reason: str) -> None:
        super().__init__(what, member, reason)
        self.what, self.member, self.reason = what, member, reason

    def __str__(self) -> str:
        return (
            f"{self.what} may have been executed: {self.member} was asked and did not answer ({self.reason})"
        )


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
