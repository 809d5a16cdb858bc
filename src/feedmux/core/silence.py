"""Judge silence: which topics are late, and whether the whole connection is mute.

Theory of operation
===================

A connection can be whole and yet carry nothing; pings do not show that, only data does. Each
expected topic whose kind has a limit is *judged*: it is late once nothing of it was heard for
that limit or longer. Kinds without a limit (trades: a quiet market is no fault) are never
judged.

::

    expect ──▶ fresh ──check, limit reached──▶ late (reported once) ──heard──▶ fresh, True
                 ⟲ heard                            forget: gone

One late topic says that a market sleeps or that its subscription was lost; its readers are
told that it is stale. *All* judged topics late at once says that the connection itself is
mute, and whoever owns it may replace it. After that, :meth:`SilenceWatch.restart` starts every
expectation anew: what was late is forgotten, because the end of a connection is told to the
readers by whoever replaced it.

Invariants: between two ``heard`` (or ``expect``, ``restart``) a topic is reported at most
once; ``mute`` holds exactly when something is judged and everything judged is late.

Deliberately absent: the clock, the rhythm of the checks, and what follows from a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

from feedmux.model.errors import InvalidSetting
from feedmux.model.topic import Topic


class Verdict(NamedTuple):
    """What a check found.

    Args:
        stale: topics that are late and were not reported since they were last heard.
        mute: something is judged, and everything that is judged is late.
    """

    stale: tuple[Topic, ...]
    mute: bool


class SilenceWatch:
    """Remember when each expected topic was last heard.

    Args:
        limits: per topic kind, the seconds of silence that make it late; above 0.

    Raises:
        InvalidSetting: a limit is not a number of seconds above 0.
    """

    __slots__ = ("_heard_at", "_late", "_limits")

    def __init__(self, limits: Mapping[str, float]) -> None:
        for kind, limit in limits.items():
            if not (isfinite(limit) and limit > 0):
                raise InvalidSetting(f"silence limit of {kind!r}", limit, "seconds above 0")
        self._limits = dict(limits)
        self._heard_at: dict[Topic, float] = {}
        self._late: set[Topic] = set()

    def expect(self, topic: Topic, now: float) -> None:
        """Begin to judge ``topic``, or begin anew; does nothing when its kind has no limit."""
        if topic.kind in self._limits:
            self._heard_at[topic] = now
            self._late.discard(topic)

    def heard(self, topic: Topic, now: float) -> bool:
        """Note that something of ``topic`` came; runs per message.

        Returns:
            True when the topic had been reported stale: it revived.
        """
        heard_at = self._heard_at
        if topic not in heard_at:
            return False
        heard_at[topic] = now
        if topic not in self._late:
            return False
        self._late.remove(topic)
        return True

    def forget(self, topic: Topic) -> None:
        """No longer judge ``topic``."""
        self._heard_at.pop(topic, None)
        self._late.discard(topic)

    def check(self, now: float) -> Verdict:
        """Judge every expected topic; costs one look at each."""
        late, limits = self._late, self._limits
        stale = tuple(
            topic
            for topic, heard_at in self._heard_at.items()
            if topic not in late and now - heard_at >= limits[topic.kind]
        )
        late.update(stale)
        return Verdict(stale, mute=bool(late) and len(late) == len(self._heard_at))

    def restart(self, now: float) -> None:
        """Start every expectation anew, as after the replacement of the connection."""
        self._heard_at = dict.fromkeys(self._heard_at, now)
        self._late.clear()

    def statistics(self) -> dict[str, int]:
        """Return how many topics are judged, and how many of them are late."""
        return {"judged": len(self._heard_at), "late": len(self._late)}

    def __repr__(self) -> str:
        return f"<SilenceWatch judged={len(self._heard_at)} late={len(self._late)}>"
