"""Which requests are in flight on a link, and what becomes of each.

Theory of operation
-------------------
A request has one id from its beginning to its end, and ends once:

===================  ===========================  ==============================================
state                event                        what happens
===================  ===========================  ==============================================
(none)               begin                        in flight, with a deadline of its own
in flight            sent                         the peer may have it from now on
in flight            settle                       answered: its asker gets the answer
in flight            expire, the deadline came    timed out
in flight            cancel                       its asker no longer wants an answer
in flight            lost, not repeatable         failed
in flight            lost, repeatable             held, with the deadline that it had
held                 repeat                       in flight again, under the same id
held                 lost                         stays held
held                 settle, expire, cancel       as in flight
answered             settle                       a duplicate
timed out, failed,   settle                       late, the first time; a duplicate from then on
cancelled
===================  ===========================  ==============================================

*Maybe executed.* A request that was sent and has no answer may have been executed or not: nobody
can know. That it was sent once is never forgotten, whatever connections come after. An answer
proves that the peer had the request, so it counts even where :meth:`Requests.sent` was not told.

*The same id again.* What is repeated keeps its id. The late answer of the old connection cannot
arrive on the new one, and if it is read after the loss all the same, out of some buffer, it is an
answer to the same question. A peer that refuses an id which it has seen before, on whatever
connection, must not be asked with ``repeatable``.

*Time runs on.* A held request keeps its deadline: who waits ten seconds waits ten seconds,
whatever happens to the connection meanwhile.

*Ids of another type.* We send whole numbers. Some peers echo them as texts or as 7.0, so a text
counts when it is exactly ours ("7", neither "07" nor " 7"), and a number when it is equal. True
is no number.

*Memory.* Ids only grow, so no list of answered requests is needed: an id that was given, is not in
flight and did not end without an answer was answered before. Only the latest ``memory`` ids that
ended without an answer are kept. Beyond that nobody can tell any more, and the answer is
*unknown*.

Invariants: each id is given once; at most ``limit`` requests are in flight or held; each of them
is claimed, expired, cancelled or lost exactly once; whatever a peer sends as an id, ``settle``
answers and never raises.

Deliberately absent: messages, futures, the clock, and who may be asked how often
(:mod:`feedmux.core.budget`).
"""

from __future__ import annotations

from enum import StrEnum
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

import msgspec

from feedmux.model.checks import require_number, require_whole
from feedmux.model.errors import Overflow
from feedmux.model.ports import Statistics

_DIGITS: Final = 19
"""As many as 64 bits have: a longer text is no id of ours, and is not worth reading."""

_SLACK: Final = 64
"""Deadlines of requests that have ended, beside as many as are in flight, before they are cleared."""


class Fate(StrEnum):
    """What an answer is to us."""

    CLAIMED = "claimed"
    """Its request was in flight: whoever asked gets it."""
    LATE = "late"
    """Its request had timed out, was lost with its connection, or was cancelled."""
    DUPLICATE = "duplicate"
    """Its request was answered before."""
    UNKNOWN = "unknown"
    """We never asked, or too long ago to remember."""


class Settled(NamedTuple):
    """What :meth:`Requests.settle` found.

    Args:
        fate: what the answer is to us.
        request_id: our own id; None when it is unknown.
    """

    fate: Fate
    request_id: int | None


class Lost(msgspec.Struct, frozen=True):
    """A request that will have no answer, or has none so far.

    Args:
        request_id: its id.
        what: as it was begun.
        maybe_executed: it was sent, so the peer may have done what it says.
        repeats: it is held, and goes out again on the next connection.
    """

    request_id: int
    what: str
    maybe_executed: bool
    repeats: bool = False


class _Flight:
    """A request without an answer."""

    __slots__ = ("held", "repeatable", "sent", "what")

    def __init__(self, what: str, repeatable: bool) -> None:
        self.what = what
        self.repeatable = repeatable
        self.sent = False
        self.held = False


class Requests:
    """The requests of one link.

    Args:
        limit: how many may be in flight or held at once, at least 1.
        memory: of how many that ended without an answer the ids are kept, at least 0.

    Raises:
        InvalidSetting: one of them is below its least.
    """

    def __init__(self, limit: int, memory: int = 1024) -> None:
        require_whole("limit", limit, "at least one request", least=1)
        require_whole("memory", memory, "no negative number of ids", least=0)
        self._limit = limit
        self._memory = memory
        self._last = 0
        self._flights: dict[int, _Flight] = {}
        self._deadlines: list[tuple[float, int]] = []  # a heap; those that have ended are passed over
        self._unanswered: dict[int, None] = {}
        self._forgotten = 0  # the highest id that memory has let go
        self._counts = {
            "answered": 0,
            "late": 0,
            "unknown": 0,
            "duplicates": 0,
            "timeouts": 0,
            "failed": 0,
            "cancelled": 0,
            "repeated": 0,
            "refused": 0,
        }

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._flights

    @property
    def next_deadline(self) -> float | None:
        """When :meth:`expire` has something to do; None while nothing is in flight."""
        heap = self._deadlines
        while heap and heap[0][1] not in self._flights:
            heappop(heap)
        return heap[0][0] if heap else None

    def begin(self, now: float, timeout_s: float, *, repeatable: bool = False, what: str = "") -> int:
        """Put a request in flight.

        Args:
            now: the time on the caller's monotonic clock.
            timeout_s: how long its answer may take, seconds above 0.
            repeatable: it may be sent again on another connection, because doing it twice does
                no harm.
            what: how errors name it; no secrets.

        Returns:
            Its id, from 1 on, never given before.

        Raises:
            InvalidSetting: the timeout is no number of seconds above 0.
            Overflow: ``limit`` requests are in flight.
        """
        require_number("timeout_s", timeout_s, "seconds above 0", above=0)
        if len(self._flights) >= self._limit:
            self._counts["refused"] += 1
            raise Overflow("the list of requests in flight", f"{self._limit} requests")
        self._last = request_id = self._last + 1
        self._flights[request_id] = _Flight(what, repeatable)
        if len(self._deadlines) > 2 * len(self._flights) + _SLACK:
            self._clear_deadlines()
        heappush(self._deadlines, (now + timeout_s, request_id))
        return request_id

    def sent(self, request_id: int) -> None:
        """Its bytes were handed to the connection; nothing happens when it has ended meanwhile."""
        flight = self._flights.get(request_id)
        if flight is not None:
            flight.sent = True

    def settle(self, request_id: object) -> Settled:
        """An answer came: say whose it is. Never raises.

        Args:
            request_id: as the peer echoed it, any JSON value.
        """
        own = _own_id(request_id)
        if own in self._flights:
            del self._flights[own]
            return self._count("answered", Fate.CLAIMED, own)
        if own in self._unanswered:
            del self._unanswered[own]
            return self._count("late", Fate.LATE, own)
        if self._forgotten < own <= self._last:
            return self._count("duplicates", Fate.DUPLICATE, own)
        return self._count("unknown", Fate.UNKNOWN, None)

    def expire(self, now: float) -> list[Lost]:
        """Take out those whose deadline has come, the earliest first."""
        expired: list[Lost] = []
        heap = self._deadlines
        while heap and heap[0][0] <= now:
            _, request_id = heappop(heap)
            if request_id in self._flights:
                expired.append(self._end(request_id))
        self._counts["timeouts"] += len(expired)
        return expired

    def cancel(self, request_id: int) -> Lost | None:
        """Its asker no longer waits; None when it has ended already."""
        if request_id not in self._flights:
            return None
        self._counts["cancelled"] += 1
        return self._end(request_id)

    def lost(self) -> list[Lost]:
        """The connection ended.

        Returns:
            Every request without an answer, in the order of their beginnings: those that repeat
            are held from now on, the others have failed.
        """
        ended: list[Lost] = []
        for request_id, flight in list(self._flights.items()):
            if flight.repeatable:
                flight.held = True
                ended.append(Lost(request_id, flight.what, flight.sent, repeats=True))
            else:
                self._counts["failed"] += 1
                ended.append(self._end(request_id))
        return ended

    def hold(self, request_id: int) -> None:
        """Keep a request that was not sent until :meth:`repeat`: there is no connection for it now."""
        flight = self._flights.get(request_id)
        if flight is not None:
            flight.held = True

    def repeat(self) -> list[int]:
        """The new connection can be asked: hand out what is held, to be sent again.

        Returns:
            The ids, in the order of their beginnings; they are the same as before.
        """
        held = [request_id for request_id, flight in self._flights.items() if flight.held]
        for request_id in held:
            self._flights[request_id].held = False
        self._counts["repeated"] += len(held)
        return held

    def statistics(self) -> Statistics:
        """What is in flight now, and what became of the others so far."""
        held = sum(flight.held for flight in self._flights.values())
        return {"in_flight": len(self._flights), "held": held, **self._counts}

    def _end(self, request_id: int) -> Lost:
        """A request ends without an answer; one may still come."""
        flight = self._flights.pop(request_id)
        self._unanswered[request_id] = None
        if len(self._unanswered) > self._memory:
            oldest = next(iter(self._unanswered))
            del self._unanswered[oldest]
            self._forgotten = max(self._forgotten, oldest)
        return Lost(request_id, flight.what, flight.sent)

    def _count(self, name: str, fate: Fate, request_id: int | None) -> Settled:
        self._counts[name] += 1
        return Settled(fate, request_id)

    def _clear_deadlines(self) -> None:
        self._deadlines = [entry for entry in self._deadlines if entry[1] in self._flights]
        heapify(self._deadlines)


def _own_id(request_id: object) -> int:
    """Our id that the peer means; 0, which is never given, when it can be none of ours."""
    if type(request_id) is int:
        return request_id
    if type(request_id) is float:
        return int(request_id) if request_id.is_integer() else 0
    if type(request_id) is str and len(request_id) <= _DIGITS and request_id.isascii():
        return int(request_id) if request_id.isdigit() and request_id[0] != "0" else 0
    return 0
