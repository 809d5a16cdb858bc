"""One client of the ``/ws`` protocol: its requests, their answers, its streams.

Theory of operation
-------------------
A subscribe request *holds* its topics at once and waits until the fate of each is known, at most
``subscribe_timeout_s``; then it is answered, and only then the client *joins* its streams, so
that nothing of a stream comes before the answer that names it. What a request says of a stream
that the client has joined already takes effect at the same moment: its options *change*, unless
the request has none. The session keeps no options itself. Answers to subscribe and
unsubscribe keep the order of their requests: a bounded queue of them waits. Pings, tokens and
errors never wait.

Whose token a client has shown (:mod:`feedmux.edge.login`) decides about RabbitMQ's private and prefixed
streams, when they are asked for and whenever that may have changed: what the client may not
read any more it loses, and is told so.

There are thousands of these in a process: what all share is one object (:class:`Surroundings`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from feedmux.core.limits import RateWindow
from feedmux.edge.dialogue import Peer, SessionMaker
from feedmux.edge.endpoint import Opening
from feedmux.edge.login import NEVER, NOT_OPEN, Login, Rights, identity_of, known, renewed
from feedmux.edge.switchboard import Switchboard
from feedmux.edge.waiting import Waiting
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.options import Options
from feedmux.model.ports import Format, Outlet
from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire import op, options
from feedmux.wire.notice import Notices
from feedmux.wire.place import Places, Private, Rejected


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


class Surroundings(msgspec.Struct, kw_only=True, eq=False):
    """What all sessions of the protocol share.

    Args:
        hub: where their topics come from.
        layout: the format of their frames.
        places: how clients name topics.
        notices: what they are told unasked.
        rules: bounds of each of them.
        rights: who may read what, and what a token is worth.
    """

    hub: Switchboard
    layout: Format
    places: Places
    notices: Notices
    rules: Rules
    rights: Rights


def serve(shared: Surroundings, opening: Opening, identity: Identity) -> SessionMaker:
    """Serve who is let in."""
    del opening

    def make(peer: Peer, outlet: Outlet) -> Session:
        return Session(peer, outlet=outlet, shared=shared, identity=identity)

    return make


class Session:
    """What one client has asked for.

    It is a :class:`feedmux.model.ports.Subscriber` for the hub, and for the connection a
    :class:`feedmux.edge.dialogue.Dialogue`.

    Args:
        peer: its connection.
        outlet: its outbox.
        shared: what all sessions share.
        identity: who it is, as far as its opening request proves.
    """

    __slots__ = ("_login", "_peer", "_queue", "_rate", "_shared", "_topics", "outlet")

    def __init__(
        self, peer: Peer, *, outlet: Outlet, shared: Surroundings, identity: Identity = ANONYMOUS
    ) -> None:
        self._peer = peer
        self.outlet = outlet
        self._shared = shared
        self._login = known(identity)
        self._topics: dict[Topic, bool] = {}
        self._queue: deque[Waiting | op.Unsubscribe] | None = None
        self._rate = RateWindow(shared.rules.max_rate)

    @property
    def format(self) -> Format:
        """What its frames look like."""
        return self._shared.layout

    @property
    def identity(self) -> Identity:
        """Who the client is."""
        return identity_of(self._login)

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
        deadline = head.deadline if isinstance(head, Waiting) else NEVER
        return deadline if self._login is None else min(deadline, self._login.deadline)

    def begin(self) -> None:
        """Say nothing, unless the client's token expires soon: the client has the first word."""
        self._look(self._shared.rights.clock.monotonic())

    def take(self, payload: bytes) -> None:
        """Take one message of the client; every one gets an answer."""
        rules, rights = self._shared.rules, self._shared.rights
        if not self._rate.admit(rights.clock.monotonic()):
            self._error(op.Code.RATE_LIMIT_EXCEEDED, f"Max {rules.max_rate} messages per second")
            return
        request = op.decode(payload, takes_tokens=rights.authenticate is not None)
        if isinstance(request, op.Ping):
            self._peer.answer(op.pong(rights.clock.time_ns()))
        elif isinstance(request, op.Auth):
            self._log_in(request.token)
        elif isinstance(request, op.Invalid):
            self._error(request.code, request.message)
        elif self._queue is not None and len(self._queue) >= rules.max_waiting:
            full = f"Max {rules.max_waiting} requests may wait for their answers"
            self._error(op.Code.RATE_LIMIT_EXCEEDED, full)
        elif isinstance(request, op.Subscribe):
            self._subscribe(request)
        else:
            self._enqueue(request)
            self._advance()

    def fail(self) -> None:
        """Tell the client that its message could not be answered."""
        self._error(op.Code.INTERNAL_ERROR, "The server could not answer this message")

    def expire(self, now: float) -> None:
        """Answer what has waited long enough, and look at the client's token, if it is time."""
        if self._login is not None and self._login.deadline <= now:
            self._look(now)
        while self._queue and isinstance(self._queue[0], Waiting) and self._queue[0].deadline <= now:
            request = self._queue.popleft()
            if isinstance(request, Waiting):
                self._answer(request, request.open)
        self._advance()

    def end(self) -> None:
        """The client is gone: nothing of it is held any more."""
        topics, self._topics, self._queue, self._login = self._topics, {}, None, None
        for topic in topics:
            self._shared.hub.detach(topic, self)

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

    # What an operator says

    def recheck(self) -> None:
        """End the streams that the client may not read any more."""
        for topic in [topic for topic in self._topics if not self._may_read(topic)]:
            if topic in self._topics:  # else an answer has just been one too many for the client
                self._withdraw(topic)

    def _subscribe(self, request: op.Subscribe) -> None:
        rules = self._shared.rules
        if self._would_hold(request) > rules.max_subscriptions:
            self._error(op.Code.LIMIT_EXCEEDED, f"Max {rules.max_subscriptions} subscriptions allowed")
            return
        waiting = Waiting(self._shared.rights.clock.monotonic() + rules.subscribe_timeout_s, request.wish)
        self._enqueue(waiting)
        for arg in request.args:
            self._hold(waiting, arg)
        waiting.building = False
        self._advance()
        if not waiting.ready:
            self._peer.remind(rules.subscribe_timeout_s)

    def _would_hold(self, request: op.Subscribe) -> int:
        """How many streams there might be; options of all that are held can be changed at once."""
        count = len(request.args)
        if request.wish is not None and count <= self._shared.rules.max_subscriptions:
            count = sum(1 for arg in request.args if self._parse(arg) not in self._topics)
        return len(self._topics) + count

    def _hold(self, waiting: Waiting, arg: object) -> None:
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
        try:
            topic = self._shared.places.parse(arg, self.identity.uid)
        except Private:
            raise Rejected(self._closed(arg)) from None
        if not self._may_read(topic):
            raise Rejected(self._closed(arg))
        problem = options.problem_of(wish.options, topic, arg) if wish is not None else None
        if problem is not None:
            raise Rejected(problem)
        return topic

    def _may_read(self, topic: Topic) -> bool:
        return topic.scope == PUBLIC or self._shared.rights.access.may_read(self.identity, topic.scope)

    def _closed(self, arg: str) -> str:
        """Why the client may not have a stream, as a sentence for people."""
        if self._login is not None:
            return f"{arg} is not open to the role of this client"
        if self._shared.rights.authenticate is None:
            return f"{arg} is not public, and {self._shared.rights.no_tokens}"
        return f'{arg} is not public: show a token first, with {{"op": "auth"}} or when you connect'

    def _withdraw(self, topic: Topic) -> None:
        """Take a stream from the client; a request that still waits for it is answered so."""
        joined, shared = self._topics.pop(topic), self._shared
        shared.hub.detach(topic, self)
        stream = shared.places.stream(topic)
        told = shared.notices.closed(stream, NOT_OPEN, shared.rights.clock.time_ns()) if joined else None
        if told is not None:
            self._peer.answer(told)
        for request in self._waiting():
            request.refuse(topic, NOT_OPEN)
        self._advance()

    def _log_in(self, token: str) -> None:
        shared = self._shared
        login = renewed(self._login, token, shared.rights)
        if not isinstance(login, Login):
            self._peer.answer(shared.notices.refused(*login))
            return
        self._login = login
        self._peer.answer(shared.notices.taken(login.identity))
        self.recheck()
        now = shared.rights.clock.monotonic()
        self._look(now)
        if self._login is login and login.deadline != NEVER:
            self._peer.remind(login.deadline - now)

    def _look(self, now: float) -> None:
        """Do what the age of the client's token demands."""
        if self._login is not None:
            self._login.look(self._shared.rights, self._shared.notices, self._peer, now)

    def _attach(self, topic: Topic) -> None:
        """Hold a topic, perhaps for the second time, and learn whether it is confirmed."""
        if self._queue is None:  # an answer has just been one too many for the client
            return
        self._topics.setdefault(topic, False)
        if self._shared.hub.attach(topic, self, asker=id(self)):
            self.settled(topic, refused=None)

    def _waiting(self) -> list[Waiting]:
        return [request for request in self._queue or () if isinstance(request, Waiting)]

    def _enqueue(self, request: Waiting | op.Unsubscribe) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(request)

    def _advance(self) -> None:
        """Answer from the head of the queue as far as fates are known."""
        while self._queue:
            head = self._queue[0]
            if isinstance(head, Waiting) and not head.ready:
                return
            self._queue.popleft()
            if isinstance(head, Waiting):
                self._answer(head, set())
            else:
                self._unsubscribe(head)
        self._queue = None

    def _answer(self, request: Waiting, unsettled: set[Topic]) -> None:
        accepted = [(arg, topic) for arg, topic, _ in request.args if topic is not None]
        rejected = [(arg, reason) for arg, topic, reason in request.args if topic is None]
        pending = [arg for arg, topic in accepted if topic in unsettled]
        args, wish = [arg for arg, _ in accepted], request.wish
        if wish is None:
            self._peer.answer(op.subscribed(args, rejected, pending))
        else:
            notes = (*wish.notes, *self._notes(accepted, wish.options))
            self._peer.answer(op.subscribed(args, rejected, pending, wish.served, notes))
        for topic in dict.fromkeys(topic for _, topic in accepted):
            self._open(topic, wish)

    def _notes(self, accepted: list[tuple[str, Topic]], wished: Options) -> Iterator[str]:
        """Tell of the streams that are served otherwise than the options ask."""
        for arg, topic in accepted:
            note = options.note_of(wished, topic, arg)
            if note is not None:
                yield note
            if not self._shared.hub.serves(topic, self, wished):
                yield options.comes_whole(arg)

    def _open(self, topic: Topic, wish: options.Wish | None) -> None:
        """Join a stream, or change how it is served, unless it has been lost meanwhile."""
        joined = self._topics.get(topic)
        if joined is False:
            self._topics[topic] = True
            if wish is None:
                self._shared.hub.join(topic, self)
            else:
                self._shared.hub.join(topic, self, wish.options, snapshot=wish.snapshot is not False)
        elif joined and wish is not None:
            self._shared.hub.change(topic, self, wish.options, snapshot=wish.snapshot is True)

    def _unsubscribe(self, request: op.Unsubscribe) -> None:
        given_back = []
        for arg in request.args:
            topic = self._parse(arg)
            if topic is not None and self._topics.pop(topic, None) is not None:
                self._shared.hub.detach(topic, self)
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
            return self._shared.places.parse(arg, self.identity.uid) if isinstance(arg, str) else None
        except Rejected:
            return None

    def _error(self, code: op.Code, message: str) -> None:
        self._peer.answer(op.error(code, message))
