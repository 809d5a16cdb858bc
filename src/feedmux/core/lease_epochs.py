"""Hand out the epochs of a tenure to the topics of its holder."""

from __future__ import annotations

from feedmux.core.lease import Lease
from feedmux.model.topic import Topic


class LeaseEpochs:
    """A tenure has few epochs (:attr:`feedmux.core.lease_record.Answer.top`) and may have many topics: many
    topics are given the same one, and no topic is given one twice.

    Args:
        lease: whose tenure it is.
    """

    __slots__ = ("_given", "_last", "_lease")

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
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
        above = self._last if topic in self._given else self._last - 1
        epoch = self._lease.begin(now, max(above, 0))
        if epoch is None:
            return None
        if epoch > self._last:
            self._last = epoch
            self._given.clear()
        self._given.add(topic)
        return epoch
