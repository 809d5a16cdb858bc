"""What a simulated Alpaca does wrong on purpose: errors that nothing caused, and spoilt messages."""

from __future__ import annotations

import msgspec

from feedmux.model.errors import InvalidSetting
from feedmux.sim.alpaca_codec import Codec, Stamp
from feedmux.sim.misbehaviour import Garbage, spoilt

ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    408: "v2 not enabled",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    411: "insufficient scope",
    500: "internal error",
}
"""What the venue says. Source: Alpaca documents, streaming market data, 2026-07."""
ACTIONS = ("auth", "subscribe", "unsubscribe")
"""What can be answered with an error that nothing caused."""


class Verdict(msgspec.Struct):
    """An error that answers the next requests instead of what they ask for.

    Args:
        code: one of :data:`ERRORS`.
        action: which requests; None for any.
        left: how many more; None without end.
        close: whether the connection ends with it.
    """

    code: int
    action: str | None
    left: int | None
    close: bool


def require_error(code: int) -> None:
    """Refuse a code that the venue does not know.

    Raises:
        InvalidSetting: it is none of :data:`ERRORS`.
    """
    if code not in ERRORS:
        raise InvalidSetting("code", code, "one of " + ", ".join(map(str, ERRORS)))


class Verdicts:
    """The errors that wait for their requests, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Verdict] = []

    def add(self, code: int, action: str | None, count: int | None, *, close: bool) -> None:
        """Let an error answer requests; see :class:`Verdict`.

        Raises:
            InvalidSetting: there is no such error or action, or the count is not above 0.
        """
        require_error(code)
        if action is not None and action not in ACTIONS:
            raise InvalidSetting("action", action, "one of " + ", ".join(ACTIONS))
        if count is not None and count < 1:
            raise InvalidSetting("count", count, "1 or more, or null for ever")
        self._waiting.append(Verdict(code, action, count, close))

    def take(self, action: str) -> Verdict | None:
        """The one that answers a request, used up by that; None when it is to be done as asked."""
        for verdict in self._waiting:
            if verdict.action in {None, action}:
                if verdict.left is not None:
                    verdict.left -= 1
                    self._waiting = [one for one in self._waiting if one.left != 0]
                return verdict
        return None

    def clear(self) -> None:
        """Do everything as asked."""
        self._waiting = []


class Spoilage(msgspec.Struct, frozen=True):
    """What a spoilt message is made of: the last member of a topic, and the one before it."""

    codec: Codec
    last: dict[str, object]
    before: dict[str, object]

    def payload(self, item: dict[str, object]) -> bytes:
        """The message that holds one member."""
        return self.codec.array([self.codec.item(item)])


def spoil(kind: Garbage, of: Spoilage) -> bytes:
    """The payload of one spoilt message."""
    if kind is Garbage.WRONG_TYPED:
        return of.payload(wrong_typed(of.last))
    return spoilt(kind, of.payload(of.last), of.payload(of.before))


def wrong_typed(item: dict[str, object]) -> dict[str, object]:
    """``item`` with everything but its type as something else."""
    return {key: value if key == "T" else _other(value) for key, value in item.items()}


def _other(value: object) -> object:
    """A value of another type: texts and times become a number, numbers an object, lists nothing."""
    if isinstance(value, str | Stamp):
        return 17
    return None if isinstance(value, list) else {"value": value}
