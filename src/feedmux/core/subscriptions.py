"""Which topics one connection to a venue has asked for, and what became of each.

Theory of operation
-------------------
A wanted topic is *queued*, then *requested*, then *confirmed*; only the first request for it is
part of a batch. Some venues refuse whole batches and name one bad topic at most, so after a refusal
the named topic is done and every other one goes out in a request of its own, all of them
pipelined: any number of bad topics costs two round trips. Others grant what they know of a batch and
list that: then it costs one.

=========  ===========================  ===================================================
phase      event                        what happens
=========  ===========================  ===================================================
queued     its turn comes               requested, in a batch or alone
queued     data comes                   none of ours: an earlier request's, still under way
requested  accepted, or data comes      confirmed; data proves nothing while an unsubscribe
                                        that went before is not answered
requested  batch refused, not named     queued again, to go alone
requested  refused alone, or named      denied: it leaves, with the venue's reason
requested  left out of what is granted  denied, too: asking again would change nothing
requested  «already subscribed»         confirmed; the rest of its batch goes alone
requested  no answer in time            queued again, to go alone
requested  «not now»                    waits as if unanswered; then queued again, in a batch
any        dropped                      it leaves; given back if the venue may have it
any        connection opened            queued: a new connection remembers nothing
=========  ===========================  ===================================================

What was given back and put off is given back again. An answer decides only about topics whose
latest request it answers: what was given back and wanted again waits for its own. An answer
without an id belongs to the oldest request that holds the topic it names, or to the oldest of all
if it names none, because venues answer in order.
Deliberately absent: budgets and time of day; the caller decides when the next request may go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import count
from math import inf
from typing import Literal, NamedTuple

from feedmux.core.limits import FairQueue
from feedmux.model.topic import Topic
from feedmux.model.venue import Answer

Verb = Literal["subscribe", "unsubscribe"]


class Phase(Enum):
    QUEUED = "queued"
    REQUESTED = "requested"
    CONFIRMED = "confirmed"


_REQUESTED = Phase.REQUESTED  # hear() runs per message


class Request(NamedTuple):
    """One request that the venue is to be sent."""

    request_id: str
    verb: Verb
    topics: tuple[Topic, ...]


class _Flight(NamedTuple):
    """A request that is not answered; ``is_put_off`` when the venue said that it has no time for it."""

    request: Request
    sent: float
    is_put_off: bool = False


class Outcome(NamedTuple):
    """What became of a topic; ``denied`` is the venue's reason, None when it is confirmed."""

    topic: Topic
    denied: str | None = None


class _Wish:
    """A wanted topic; ``request_id`` names the request that the venue may have it from."""

    __slots__ = ("asker", "phase", "request_id")

    def __init__(self, asker: int) -> None:
        self.asker = asker
        self.phase = Phase.QUEUED
        self.request_id = ""

    def sent(self, request_id: str) -> None:
        self.phase = Phase.REQUESTED
        self.request_id = request_id


class Subscriptions:
    """The subscriptions of one connection.

    Args:
        max_args: how many topics one request may name.
    """

    def __init__(self, max_args: int) -> None:
        self._max_args = max_args
        self._ids = count(1)
        self._wishes: dict[Topic, _Wish] = {}
        self._batch: FairQueue[Topic] = FairQueue()
        self._alone: FairQueue[Topic] = FairQueue()
        self._give_back: dict[Topic, None] = {}
        self._leaving: dict[Topic, str] = {}  # to the unsubscribe that is not answered yet
        self._flying: dict[str, _Flight] = {}
        self._turn_alone = True

    def __contains__(self, topic: object) -> bool:
        return topic in self._wishes

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._wishes)

    def __len__(self) -> int:
        return len(self._wishes)

    def phase(self, topic: Topic) -> Phase | None:
        """Where ``topic`` is, or None when it is not wanted."""
        wish = self._wishes.get(topic)
        return wish.phase if wish else None

    def want(self, topic: Topic, asker: int) -> None:
        """Queue ``topic`` on behalf of ``asker``; what is wanted already stays where it is."""
        if topic not in self._wishes:
            self._wishes[topic] = _Wish(asker)
            self._batch.push(asker, topic)

    def drop(self, topic: Topic) -> None:
        """``topic`` is no longer wanted; the venue is told if it may have it."""
        wish = self._wishes.pop(topic, None)
        if wish is None:
            return
        self._batch.discard(topic)
        self._alone.discard(topic)
        if wish.request_id:
            self._give_back[topic] = None

    def renew(self, topic: Topic) -> None:
        """Give ``topic`` back and ask for it again: the venue then sends a fresh snapshot."""
        wish = self._wishes.get(topic)
        if wish is not None and wish.phase is not Phase.QUEUED:
            self._give_back[topic] = None
            wish.request_id = ""
            self._queue(topic, self._alone)

    def opened(self) -> None:
        """A new connection: it remembers nothing, so everything wanted is queued."""
        self._flying.clear()
        self._give_back.clear()
        self._leaving.clear()
        for topic, wish in self._wishes.items():
            wish.phase = Phase.QUEUED
            wish.request_id = ""
            self._alone.discard(topic)
            self._batch.push(wish.asker, topic)

    @property
    def waits_since(self) -> float:
        """When the oldest request was sent that is not answered; infinite when all are."""
        return next((flight.sent for flight in self._flying.values()), inf)

    @property
    def has_requests(self) -> bool:
        """Whether a request waits to be sent."""
        return bool(self._give_back or self._alone or self._batch)

    def next_request(self, now: float) -> Request | None:
        """The request that should go now, or None; it counts as sent."""
        if self._give_back:
            request = Request(self._next_id(), "unsubscribe", self._take_back())
        elif self._alone and (self._turn_alone or not self._batch):
            request = Request(self._next_id(), "subscribe", (self._alone.pop(),))
        elif self._batch:
            size = min(self._max_args, len(self._batch))
            request = Request(self._next_id(), "subscribe", tuple(self._batch.pop() for _ in range(size)))
        else:
            return None
        self._turn_alone = not self._turn_alone
        self._flying[request.request_id] = _Flight(request, now)
        for topic in request.topics:
            if request.verb == "subscribe":
                self._wishes[topic].sent(request.request_id)
            else:
                self._leaving[topic] = request.request_id
        return request

    def answered(self, answer: Answer) -> list[Outcome]:
        """Take the venue's answer; returns what it decided."""
        if answer.later:
            self._put_off(answer.request_id)
            return []
        request = self._claim(answer.request_id, answer.topic)
        if request is None:
            self._left(answer.request_id, tuple(self._leaving))
            return []
        if request.verb == "unsubscribe":
            self._left(request.request_id, request.topics)
            return []
        ours = [other for other in request.topics if self._is_latest(other, request)]
        for other in ours:
            self._leaving.pop(other, None)  # venues answer in order
        if answer.accepted:
            return self._grant(ours, answer)
        return self._refuse(ours, request.topics[0] if len(request.topics) == 1 else answer.topic, answer)

    def hear(self, topic: Topic) -> Phase | None:
        """Data of ``topic`` came: that confirms a requested topic.

        Returns:
            The phase before; ``QUEUED`` or None when the data belongs to an earlier request.
        """
        wish = self._wishes.get(topic)
        if wish is None:
            return None
        phase = wish.phase
        if phase is _REQUESTED:
            if topic in self._leaving:
                return Phase.QUEUED
            wish.phase = Phase.CONFIRMED
        return phase

    def overdue(self, before: float) -> int:
        """Queue again what was requested before ``before`` and never answered; returns how many."""
        late = [flight for flight in self._flying.values() if flight.sent < before]
        queued = 0
        for request, _, is_put_off in late:
            del self._flying[request.request_id]
            if request.verb == "subscribe":
                queued += self._ask_again(request, self._batch if is_put_off else self._alone)
            elif is_put_off:
                queued += self._give_back_again(request.topics)
        return queued

    def _ask_again(self, request: Request, queue: FairQueue[Topic]) -> int:
        latest = [topic for topic in request.topics if self._is_latest(topic, request)]
        undecided = [topic for topic in latest if self._wishes[topic].phase is Phase.REQUESTED]
        for topic in undecided:
            self._queue(topic, queue)
        return len(undecided)

    def _put_off(self, request_id: str) -> None:
        """The venue has no time for a request, and perhaps says so when nobody waits for it any more."""
        flight = self._flying.get(request_id)
        if flight is not None:
            self._flying[request_id] = flight._replace(is_put_off=True)
        else:
            self._give_back_again(
                [topic for topic, left_by in self._leaving.items() if left_by == request_id]
            )

    def _give_back_again(self, topics: Iterable[Topic]) -> int:
        """An unsubscribe was put off: what is still not wanted is given back again; how many."""
        left = [topic for topic in topics if topic not in self._wishes]
        self._give_back.update(dict.fromkeys(left))
        return len(left)

    def _next_id(self) -> str:
        return str(next(self._ids))

    def _take_back(self) -> tuple[Topic, ...]:
        topics = tuple(self._give_back)[: self._max_args]
        for topic in topics:
            del self._give_back[topic]
        return topics

    def _is_latest(self, topic: Topic, request: Request) -> bool:
        wish = self._wishes.get(topic)
        return wish is not None and wish.request_id == request.request_id

    def _left(self, request_id: str, topics: tuple[Topic, ...]) -> None:
        """An unsubscribe is answered, perhaps late: what comes of its topics now is new."""
        for topic in topics:
            if self._leaving.get(topic) == request_id:
                del self._leaving[topic]

    def _queue(self, topic: Topic, queue: FairQueue[Topic]) -> None:
        wish = self._wishes[topic]
        wish.phase = Phase.QUEUED
        queue.push(wish.asker, topic)

    def _claim(self, request_id: str, topic: Topic | None) -> Request | None:
        if request_id not in self._flying:
            request_id = self._guess(topic) if not request_id else ""
        flight = self._flying.pop(request_id, None)
        return None if flight is None else flight.request

    def _guess(self, topic: Topic | None) -> str:
        for request_id, flight in self._flying.items():
            if topic is None or topic in flight.request.topics:
                return request_id
        return ""

    def _grant(self, topics: list[Topic], answer: Answer) -> list[Outcome]:
        """A request took effect, if the venue lists topics for these alone."""
        granted = answer.granted
        if granted is None:
            return self._confirm(topics)
        outcomes = self._confirm([topic for topic in topics if topic in granted])
        for topic in topics:
            if topic not in granted and self._wishes[topic].phase is Phase.REQUESTED:
                outcomes += self._deny(topic, answer.reason)
        return outcomes

    def _refuse(self, topics: list[Topic], named: Topic | None, answer: Answer) -> list[Outcome]:
        """A request took no effect: the topic that is named decides itself, the others go alone."""
        for topic in topics:
            wish = self._wishes[topic]
            if topic != named and wish.phase is Phase.REQUESTED:
                wish.request_id = ""
                self._queue(topic, self._alone)
        if named is None or named not in topics:
            return []
        return self._confirm([named]) if answer.already else self._deny(named, answer.reason)

    def _confirm(self, topics: list[Topic]) -> list[Outcome]:
        outcomes = []
        for topic in topics:
            wish = self._wishes[topic]
            if wish.phase is Phase.REQUESTED:
                wish.phase = Phase.CONFIRMED
                outcomes.append(Outcome(topic))
        return outcomes

    def _deny(self, topic: Topic, reason: str) -> list[Outcome]:
        del self._wishes[topic]
        return [Outcome(topic, reason)]
