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
    ├── LinkError             the way to the other side
    │   ├── ConnectFailed     no connection came about
    │   └── LinkLost          a connection ended
    └── CapacityError         a bound was reached
        └── Overflow          a bounded queue is full

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
    retry = NOW
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
