"""One client of Rango's dialect: who it is, what it has asked for, and what it may have.

Theory of operation
-------------------
Nothing waits for a source: a stream is held and joined at once, so what is known of it leaves before
the answer that lists it, as in Rango::

    a subscribe request        what the client gets, in this order
    of a new stream            how it is, if it is not live; an object's snapshot and increments
    of an object that it has   the same again
    of any other that it has   nothing
    of what nothing is called  an error, with a code
    of a prefix not its own    ``cannot subscribe to …``, which Rango calls a success
    of private ones of nobody  nothing
    and at the end             ``subscribed``, with all that it has then

More streams than a client may have are refused as a whole, with an error alone. A stream that ends
for the client by no wish of its own is told as ``system.status`` with the state ``refused``.

What becomes of the client's token is told as ``system.auth``; see :mod:`feedmux.edge.login`.

There are thousands of these in a process and most of them do nothing: what all share is one object,
and nothing is made before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from feedmux.core.limits import RateWindow
from feedmux.edge.dialogue import Peer, SessionMaker
from feedmux.edge.endpoint import Opening
from feedmux.edge.login import NEVER, NOT_OPEN, Login, Rights, identity_of, known, renewed
from feedmux.edge.session import Rules
from feedmux.edge.switchboard import Switchboard
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.options import DEFAULTS
from feedmux.model.ports import Format, Outlet
from feedmux.model.topic import OBJECT, PUBLIC, Topic
from feedmux.wire import rango
from feedmux.wire.rango import Code
from feedmux.wire.rango import Login as Fate
from feedmux.wire.rango_topic import is_private, problem_of, stream_name, stream_topic


class Surroundings(msgspec.Struct, kw_only=True, eq=False):
    """What all sessions of the dialect share.

    Args:
        hub: where their topics come from.
        layout: the format of their frames.
        rules: bounds of each of them.
        rights: who may read what, and what a token is worth.
    """

    hub: Switchboard
    layout: Format
    rules: Rules
    rights: Rights


class _Words:
    """What has become of a client's token, as the dialect says it (:class:`feedmux.edge.login.Words`)."""

    def taken(self, identity: Identity, /) -> bytes:
        return rango.auth(Fate.OK, expires_s=identity.expires_s)

    def refused(self, reason: str, code: str, /) -> bytes:
        return rango.auth(Fate.REFUSED, reason, code=code)

    def expiring(self, identity: Identity, reason: str, time_ns: int, /) -> bytes:
        return rango.auth(Fate.EXPIRING, reason, expires_s=identity.expires_s)

    def expired(self, identity: Identity, reason: str, code: str, time_ns: int, /) -> bytes:
        return rango.auth(Fate.EXPIRED, reason, code=code, expires_s=identity.expires_s)


_WORDS: Final = _Words()


class _Wishes(NamedTuple):
    """What a request names: topics that may be had, why names are none, names that are not open."""

    allowed: list[Topic]
    problems: list[str]
    closed: list[str]


def serve(shared: Surroundings, opening: Opening, identity: Identity) -> SessionMaker:
    """Serve who is let in, with the streams that its opening request names."""
    streams = rango.query_streams(opening.target)

    def make(peer: Peer, outlet: Outlet) -> RangoSession:
        return RangoSession(peer, outlet=outlet, shared=shared, identity=identity, streams=streams)

    return make


class RangoSession:
    """One client, see *Theory of operation*.

    It is a :class:`feedmux.model.ports.Subscriber` for the hub.

    Args:
        peer: its connection.
        outlet: its outbox.
        shared: what all sessions share.
        identity: who it is, as far as its opening request proves.
        streams: what that request names; see :func:`feedmux.wire.rango.query_streams`.
    """

    __slots__ = (
        "_is_over",
        "_login",
        "_peer",
        "_rate",
        "_shared",
        "_streams",
        "_topics",
        "outlet",
    )

    def __init__(
        self,
        peer: Peer,
        *,
        outlet: Outlet,
        shared: Surroundings,
        identity: Identity = ANONYMOUS,
        streams: tuple[str, ...] = (),
    ) -> None:
        self._peer = peer
        self.outlet = outlet
        self._shared = shared
        self._login = known(identity)
        self._streams = streams
        self._topics: tuple[Topic, ...] = ()  # a fourth of a dict's memory, and mostly it has one member
        self._rate: RateWindow | None = None
        self._is_over = False

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
        """How many streams the client has."""
        return len(self._topics)

    @property
    def is_idle(self) -> bool:
        """Never: as in Rango, who answers pings may be silent for as long as it likes."""
        return False

    @property
    def next_deadline(self) -> float:
        """When :meth:`expire` has something to do, on the monotonic clock; infinite for never."""
        return NEVER if self._login is None else self._login.deadline

    # What the connection says

    def begin(self) -> None:
        """Subscribe to what the opening request names, and say what the client has then; called once."""
        streams, self._streams = self._streams, ()
        self._subscribe(streams)
        self._peer.answer(rango.subscribed(self._names()))
        self._look(self._shared.rights.clock.monotonic())

    def take(self, payload: bytes) -> None:
        """Take one message of the client; every one gets an answer, unless it is empty."""
        shared = self._shared
        if self._rate is None:
            self._rate = RateWindow(shared.rules.max_rate)
        if not self._rate.admit(shared.rights.clock.monotonic()):
            self._error(f"Max {shared.rules.max_rate} messages per second", Code.RATE_LIMIT_EXCEEDED)
            return
        match rango.decode(payload):
            case rango.Ping():
                self._peer.answer(rango.PONG)
            case rango.Subscribe(streams):
                if self._subscribe(streams):
                    self._peer.answer(rango.subscribed(self._names()))
            case rango.Unsubscribe(streams):
                self._unsubscribe(streams)
            case rango.Auth(token):
                self._log_in(token)
            case rango.Invalid(text, code):
                self._error(text, code)

    def fail(self) -> None:
        """Tell the client that its message could not be answered, and that it is not to blame."""
        self._error("The server could not answer this message", Code.INTERNAL_ERROR)

    def expire(self, now: float) -> None:
        """Look at the client's token again, if it is time."""
        if now >= self.next_deadline:
            self._look(now)

    def end(self) -> None:
        """The client is gone: nothing of it is held any more."""
        self._is_over = True
        self._login = None
        topics, self._topics = self._topics, ()
        for topic in topics:
            self._shared.hub.detach(topic, self)

    # What the hub says

    def settled(self, topic: Topic, /, *, refused: str | None) -> None:
        """The source has refused a topic before it could be joined; that it is live is no news."""
        if refused is not None and topic in self._topics:
            self._forget(topic)
            self._peer.answer(rango.refused(stream_name(topic), refused))

    def revoked(self, topic: Topic, /) -> None:
        """A stream of the client has ended; the hub has told it so."""
        self._forget(topic)

    # What an operator says

    def recheck(self) -> None:
        """End the streams that the client may not read any more."""
        for topic in self._give_back(lambda topic: not self._may_read(topic)):
            self._peer.answer(rango.refused(stream_name(topic), NOT_OPEN))

    def _subscribe(self, streams: Iterable[str]) -> bool:
        """Hold what can be held and say what cannot; whether the request was not refused as a whole."""
        names, most = dict.fromkeys(streams), self._shared.rules.max_subscriptions
        wishes = self._sorted(names) if len(names) <= most else None
        held = frozenset(self._topics)
        if wishes is None or len(held.union(wishes.allowed)) > most:
            self._error(f"Max {most} subscriptions allowed", Code.LIMIT_EXCEEDED)
            return False
        for topic in wishes.allowed:
            if self._is_over:  # an answer has just been one too many for the client
                return False
            if topic not in held:
                self._hold(topic)
            elif topic.kind == OBJECT:
                self._shared.hub.change(topic, self, DEFAULTS, snapshot=True)
        for problem in wishes.problems:
            self._error(problem, Code.INVALID_STREAM)
        for name in wishes.closed:
            self._peer.answer(rango.cannot_subscribe(name))
        return True

    def _sorted(self, names: Iterable[str]) -> _Wishes:
        uid = self.identity.uid
        wishes = _Wishes([], [], [])
        for name in names:
            topic = stream_topic(name, uid)
            if topic is None:
                wishes.problems.extend(filter(None, [problem_of(name, uid)]))
            elif self._may_read(topic):
                wishes.allowed.append(topic)
            else:
                wishes.closed.append(name)
        return wishes

    def _hold(self, topic: Topic) -> None:
        hub = self._shared.hub
        self._topics = (*self._topics, topic)
        held = self._topics
        hub.attach(topic, self, asker=id(self))
        if self._topics is held or topic in self._topics:  # the source may have refused it at once
            hub.join(topic, self)

    def _unsubscribe(self, streams: Iterable[str]) -> None:
        named = frozenset(streams)
        self._give_back(lambda topic: stream_name(topic) in named)
        self._peer.answer(rango.unsubscribed(self._names()))

    def _give_back(self, is_lost: Callable[[Topic], bool]) -> list[Topic]:
        """Hold some topics no longer; which they were."""
        lost = [topic for topic in self._topics if is_lost(topic)]
        if lost:
            gone = frozenset(lost)
            self._topics = tuple(topic for topic in self._topics if topic not in gone)
        for topic in lost:
            self._shared.hub.detach(topic, self)
        return lost

    def _log_in(self, token: str) -> None:
        rights = self._shared.rights
        login = renewed(self._login, token, rights)
        if not isinstance(login, Login):
            self._peer.answer(_WORDS.refused(*login))
            return
        self._login = login
        self._peer.answer(_WORDS.taken(login.identity))
        self.recheck()
        now = rights.clock.monotonic()
        self._look(now)
        if self.next_deadline != NEVER:
            self._peer.remind(self.next_deadline - now)

    def _look(self, now: float) -> None:
        """Do what the age of the client's token demands."""
        if self._login is not None:
            self._login.look(self._shared.rights, _WORDS, self._peer, now)

    def _names(self) -> list[str]:
        """All that the client has: public and prefixed streams as they came, then private ones."""
        return [stream_name(topic) for topic in sorted(self._topics, key=is_private)]

    def _may_read(self, topic: Topic) -> bool:
        return topic.scope == PUBLIC or self._shared.rights.access.may_read(self.identity, topic.scope)

    def _forget(self, topic: Topic) -> None:
        self._topics = tuple(held for held in self._topics if held != topic)

    def _error(self, text: str, code: str) -> None:
        self._peer.answer(rango.error(text, code))
