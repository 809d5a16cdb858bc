"""Hand out the epochs of a tenure to the topics of its holder."""

from __future__ import annotations

from typing import Final

from feedmux.core.lease import Lease
from feedmux.model.topic import Topic

_MOST_TOPICS: Final = 10_000


class LeaseEpochs:
    """A tenure has few epochs (:attr:`feedmux.core.lease_record.Answer.top`) and may have many topics: many
    topics are given the same one, and no topic is given one twice.

    Args:
        lease: whose tenure it is.
        most_topics: so many are given one epoch; who they are is remembered.
    """

    __slots__ = ("_given", "_last", "_lease", "_most_topics")

    def __init__(self, lease: Lease, *, most_topics: int = _MOST_TOPICS) -> None:
        self._lease, self._most_topics = lease, most_topics
        self._last = 0
        self._given: set[Topic] = set()

    @property
    def beyond(self) -> int:
        """Above all that were begun."""
        return self._last + 1

    def begin(self, topic: Topic, now: float) -> int | None:
        """Begin an epoch of a topic, above all that it had in this tenure.

        Args:
            topic: which one.
            now: as for :meth:`feedmux.core.lease.Lease.begin`.

        Returns:
            Unix milliseconds; None where the lease has none to give.
        """
        is_new = topic not in self._given and len(self._given) < self._most_topics
        above = self._last - 1 if is_new else self._last
        epoch = self._lease.begin(now, max(above, 0))
        if epoch is None:
            return None
        if epoch > self._last:
            self._last = epoch
            self._given.clear()
        self._given.add(topic)
        return epoch
