"""What a link tells its reader between the messages: that something is missing, and what."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Interrupted(msgspec.Struct, frozen=True):
    """The connection ended. What the other side sends from now on is missed, until :class:`Restored`.

    Args:
        reason: who ended it and why.
    """

    reason: str


class Restored(msgspec.Struct, frozen=True):
    """The link is whole again: authenticated, and subscribed to everything that is wanted.

    Args:
        after_s: how long it was not, seconds.
        channels: what it is subscribed to now.
        refused: what was wanted and is no longer: the channel, and the other side's reason.
    """

    after_s: float
    channels: tuple[str, ...]
    refused: Mapping[str, str]


class Dropped(msgspec.Struct, frozen=True):
    """Messages were let go because nobody took them in time (:class:`WhenFull.DROP`).

    Args:
        count: how many, since the last message that was taken.
    """

    count: int


class Subscribed(msgspec.Struct, frozen=True):
    """What became of a wish to subscribe.

    Args:
        confirmed: the other side delivers these.
        refused: it will not; its reasons. They are wanted no longer.
        pending: the link is not whole; it will ask for these as soon as it is.
    """

    confirmed: tuple[str, ...] = ()
    refused: Mapping[str, str] = {}
    pending: tuple[str, ...] = ()


Notice = Interrupted | Restored | Dropped
"""What may stand between the messages of a link."""
