"""One client of the ``/ws`` protocol: its requests, their answers, its streams.

Theory of operation
-------------------
A subscribe request *holds* its topics at once and waits until the fate of each is known, at most
``subscribe_timeout_s``; then it is answered, and only then the client *joins* its streams, so
that nothing of a stream comes before the answer that names it. What a request says of a stream
that the client has joined already takes effect at the same moment: its options *change*, unless
the request has none. The session keeps no options itself. Answers to subscribe and
unsubscribe keep the order of their requests: a bounded queue of them waits. Pings and errors
never wait.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import msgspec

from feedmux.core.limits import RateWindow
from feedmux.edge.dialogue import Peer
from feedmux.model.options import DEFAULTS, Options
from feedmux.model.ports import Clock, Format, Outlet, Subscriber
from feedmux.model.topic import Topic
from feedmux.wire import op, options
from feedmux.wire.place import Places, Rejected


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What every client may do.

    Args:
        max_subscriptions: streams of one client.
        max_rate: messages per second from one client.
        max_waiting: subscribe and unsubscribe requests that may wait for their answers.
        subscribe_timeout_s: how long a subscribe request waits for the venue.
    """

    max_subscriptions: int = 100
    max_rate: int = 100
    max_waiting: int = 16
    subscribe_timeout_s: float = 5.0


class Switchboard(Protocol):
    """Where topics come from; :class:`feedmux.hub.hub.Hub` is one."""

    def attach(self, topic: Topic, subscriber: Subscriber, *, asker: int) -> bool:
        """Hold ``topic``; True when it is live already, else ``settled`` will be called."""

    def join(
        self, topic: Topic, subscriber: Subscriber, options: Options = DEFAULTS, *, snapshot: bool = True
    ) -> None:
        """Send the topic's frames to the subscriber's outlet from now on."""

    def change(
        self, topic: Topic, subscriber: Subscriber, options: Options, *, snapshot: bool = False
    ) -> None:
        """Serve who has joined by other options from now on."""

    def serves(self, topic: Topic, subscriber: Subscriber, options: Options) -> bool:
        """Whether there is room for the set of fields that the options name."""

    def detach(self, topic: Topic, subscriber: Subscriber) -> None:
        """``subscriber`` no longer holds ``topic``."""


class _Subscribe:
    """A subscribe request that waits; each arg has its topic, or the reason of its rejection."""

    __slots__ = ("args", "building", "deadline", "open", "wish")

    def __init__(self, deadline: float, wish: options.Wish | None) -> None:
        self.deadline = deadline
        self.wish = wish
        self.args: list[tuple[Any, Topic | None, str]] = []
        self.open: set[Topic] = set()
        self.building = True

    def refuse(self, topic: Topic, reason: str) -> None:
        self.args = [
            (arg, None, reason) if named == topic else (arg, named, why) for arg, named, why in self.args
        ]

    @property
    def topics(self) -> list[Topic]:
        return [topic for _, topic, _ in self.args if topic is not None]

    @property
    def ready(self) -> bool:
        return not self.open and not self.building


class Session:
    """What one client has asked for.

    It is a :class:`feedmux.model.ports.Subscriber` for the hub, and for the connection a
    :class:`feedmux.edge.dialogue.Dialogue`.

    Args:
        peer: its connection.
        outlet: its outbox.
        hub: where its topics come from.
        layout: the format of its frames.
        places: how it names topics.
        rules: its bounds.
        clock: time.
    """

    __slots__ = (
        "_clock",
        "_hub",
        "_peer",
        "_places",
        "_queue",
        "_rate",
        "_rules",
        "_topics",
        "format",
        "outlet",
    )

    def __init__(
        self,
        peer: Peer,
        *,
        outlet: Outlet,
        hub: Switchboard,
        layout: Format,
        places: Places,
        rules: Rules,
        clock: Clock,
    ) -> None:
        self._peer = peer
        self.outlet = outlet
        self.format = layout
        self._hub = hub
        self._places = places
        self._rules = rules
        self._clock = clock
        self._topics: dict[Topic, bool] = {}
        self._queue: deque[_Subscribe | op.Unsubscribe] | None = None
        self._rate = RateWindow(rules.max_rate)

    @property
    def subscriptions(self) -> int:
        """How many streams the client has, those included that wait for the venue."""
        return len(self._topics)

    @property
    def is_idle(self) -> bool:
        """Whether the client has no stream; then it has to say something now and then."""
        return not self._topics

    @property
    def next_deadline(self) -> float:
        """When :meth:`expire` has something to do, on the monotonic clock; infinite for never."""
        head = self._queue[0] if self._queue else None
        return head.deadline if isinstance(head, _Subscribe) else float("inf")

    def begin(self) -> None:
        """Say nothing: the client has the first word."""

    def take(self, payload: bytes) -> None:
        """Take one message of the client; every one gets an answer."""
        if not self._rate.admit(self._clock.monotonic()):
            self._error(op.Code.RATE_LIMIT_EXCEEDED, f"Max {self._rules.max_rate} messages per second")
            return
        request = op.decode(payload)
        if isinstance(request, op.Ping):
            self._peer.answer(op.pong(self._clock.time_ns()))
        elif isinstance(request, op.Invalid):
            self._error(request.code, request.message)
        elif self._queue is not None and len(self._queue) >= self._rules.max_waiting:
            waiting = self._rules.max_waiting
            self._error(op.Code.RATE_LIMIT_EXCEEDED, f"Max {waiting} requests may wait for their answers")
        elif isinstance(request, op.Subscribe):
            self._subscribe(request)
        else:
            self._enqueue(request)
            self._advance()

    def fail(self) -> None:
        """Tell the client that its message could not be answered."""
        self._error(op.Code.INTERNAL_ERROR, "The server could not answer this message")

    def expire(self, now: float) -> None:
        """Answer what has waited long enough."""
        while self._queue and isinstance(self._queue[0], _Subscribe) and self._queue[0].deadline <= now:
            request = self._queue.popleft()
            if isinstance(request, _Subscribe):
                self._answer(request, request.open)
        self._advance()

    def end(self) -> None:
        """The client is gone: nothing of it is held any more."""
        topics, self._topics, self._queue = self._topics, {}, None
        for topic in topics:
            self._hub.detach(topic, self)

    # What the hub says

    def settled(self, topic: Topic, /, *, refused: str | None) -> None:
        """The fate of a topic that a request waits for is known."""
        if topic not in self._topics:
            return
        if refused is not None:
            del self._topics[topic]
        for request in self._waiting():
            request.open.discard(topic)
            if refused is not None:  # even if it had been confirmed: the answer is yet to come
                request.refuse(topic, refused)
        self._advance()

    def revoked(self, topic: Topic, /) -> None:
        """A stream of the client has ended."""
        self._topics.pop(topic, None)

    def _subscribe(self, request: op.Subscribe) -> None:
        if self._would_hold(request) > self._rules.max_subscriptions:
            self._error(op.Code.LIMIT_EXCEEDED, f"Max {self._rules.max_subscriptions} subscriptions allowed")
            return
        waiting = _Subscribe(self._clock.monotonic() + self._rules.subscribe_timeout_s, request.wish)
        self._enqueue(waiting)
        for arg in request.args:
            self._hold(waiting, arg)
        waiting.building = False
        self._advance()
        if not waiting.ready:
            self._peer.remind(self._rules.subscribe_timeout_s)

    def _would_hold(self, request: op.Subscribe) -> int:
        """How many streams there might be; options of all that are held can be changed at once."""
        count = len(request.args)
        if request.wish is not None and count <= self._rules.max_subscriptions:
            count = sum(1 for arg in request.args if self._parse(arg) not in self._topics)
        return len(self._topics) + count

    def _hold(self, waiting: _Subscribe, arg: object) -> None:
        if not isinstance(arg, str):
            waiting.args.append((arg, None, op.NOT_A_STRING))
            return
        try:
            topic = self._wanted(arg, waiting.wish)
        except Rejected as rejected:
            waiting.args.append((arg, None, str(rejected)))
            return
        waiting.args.append((arg, topic, ""))
        waiting.open.add(topic)
        self._attach(topic)

    def _wanted(self, arg: str, wish: options.Wish | None) -> Topic:
        topic = self._places.parse(arg)
        problem = options.problem_of(wish.options, topic, arg) if wish is not None else None
        if problem is not None:
            raise Rejected(problem)
        return topic

    def _attach(self, topic: Topic) -> None:
        """Hold a topic, perhaps for the second time, and learn whether it is confirmed."""
        if self._queue is None:  # an answer has just been one too many for the client
            return
        self._topics.setdefault(topic, False)
        if self._hub.attach(topic, self, asker=id(self)):
            self.settled(topic, refused=None)

    def _waiting(self) -> list[_Subscribe]:
        return [request for request in self._queue or () if isinstance(request, _Subscribe)]

    def _enqueue(self, request: _Subscribe | op.Unsubscribe) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(request)

    def _advance(self) -> None:
        """Answer from the head of the queue as far as fates are known."""
        while self._queue:
            head = self._queue[0]
            if isinstance(head, _Subscribe) and not head.ready:
                return
            self._queue.popleft()
            if isinstance(head, _Subscribe):
                self._answer(head, set())
            else:
                self._unsubscribe(head)
        self._queue = None

    def _answer(self, request: _Subscribe, unsettled: set[Topic]) -> None:
        accepted = [(arg, topic) for arg, topic, _ in request.args if topic is not None]
        rejected = [(arg, reason) for arg, topic, reason in request.args if topic is None]
        pending = [arg for arg, topic in accepted if topic in unsettled]
        args, wish = [arg for arg, _ in accepted], request.wish
        if wish is None:
            self._peer.answer(op.subscribed(args, rejected, pending))
        else:
            notes = (*wish.notes, *self._whole(accepted, wish.options))
            self._peer.answer(op.subscribed(args, rejected, pending, wish.served, notes))
        for topic in dict.fromkeys(topic for _, topic in accepted):
            self._open(topic, wish)

    def _whole(self, accepted: list[tuple[str, Topic]], wished: Options) -> list[str]:
        """Tell of the streams that have no room for one more set of fields."""
        return [
            options.comes_whole(arg) for arg, topic in accepted if not self._hub.serves(topic, self, wished)
        ]

    def _open(self, topic: Topic, wish: options.Wish | None) -> None:
        """Join a stream, or change how it is served, unless it has been lost meanwhile."""
        joined = self._topics.get(topic)
        if joined is False:
            self._topics[topic] = True
            if wish is None:
                self._hub.join(topic, self)
            else:
                self._hub.join(topic, self, wish.options, snapshot=wish.snapshot is not False)
        elif joined and wish is not None:
            self._hub.change(topic, self, wish.options, snapshot=wish.snapshot is True)

    def _unsubscribe(self, request: op.Unsubscribe) -> None:
        given_back = []
        for arg in request.args:
            topic = self._parse(arg)
            if topic is not None and self._topics.pop(topic, None) is not None:
                self._hub.detach(topic, self)
                given_back.append(arg)
        self._peer.answer(op.unsubscribed(given_back))
        self._hold_again()

    def _hold_again(self) -> None:
        """Hold what later requests name and an earlier one has just given back."""
        wanted = {topic: None for request in self._waiting() for topic in request.topics}
        lost = [topic for topic in wanted if topic not in self._topics]
        for request in self._waiting():
            request.open.update(topic for topic in lost if topic in request.topics)
        for topic in lost:
            self._attach(topic)

    def _parse(self, arg: object) -> Topic | None:
        try:
            return self._places.parse(arg) if isinstance(arg, str) else None
        except Rejected:
            return None

    def _error(self, code: op.Code, message: str) -> None:
        self._peer.answer(op.error(code, message))
