"""One connection to a venue: its link, its greeting, its subscriptions, its budget, its silence.

Where a venue has to let us in first (:mod:`feedmux.feed.greeting`), a connection counts as one from then on:
before, nothing is asked for, and statistics say what keeps us out. Where answers carry no id, one that does
not come in time costs the connection: all later ones would be taken for those of other requests. Where a
venue rests as a whole, its silence makes topics stale and leaves the connection to the pings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from feedmux.client.user import CarrierUser
from feedmux.core.budget import single
from feedmux.core.silence import SilenceWatch
from feedmux.core.subscriptions import Phase, Request, Subscriptions
from feedmux.feed.greeting import Doorstep, Greeting
from feedmux.model.errors import FeedmuxError
from feedmux.model.ports import Clock, Statistics
from feedmux.model.topic import Topic, place_name
from feedmux.model.venue import (
    Answer,
    Candle,
    Data,
    Greeted,
    Malformed,
    Merge,
    Parting,
    Pong,
    Remark,
    Reply,
    Value,
    Venue,
    Welcome,
    Word,
)

if TYPE_CHECKING:
    from feedmux.client.carrier import Carrier

log = logging.getLogger(__name__)

_DATA = (Merge, Value, Candle)
_COUNTED = ("malformed", "foreign", "late", "cuts")
COUNTS = ("messages", *_COUNTED)
"""The names of :attr:`Shard.counts`."""
_MOST_KINDS = 50  # of complaints that are told apart by their words

LinkMaker: TypeAlias = "Callable[[CarrierUser], Carrier]"


class ShardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed expects of its venue.

    Args:
        batch: topics in one request, at most; a venue may allow fewer.
        request_rate: requests per second on one connection, at most; a venue may allow fewer.
        request_burst: requests at once, likewise.
        answer_timeout_s: after this a request that was not answered goes out again.
        silence_s: seconds of silence after which a topic is stale, by kind; a kind that is not
            named may be silent for ever.
    """

    batch: int = 10
    request_rate: float = 100.0
    request_burst: float = 100.0
    answer_timeout_s: float = 10.0
    silence_s: Mapping[str, float] = msgspec.field(default_factory=lambda: {"ticker": 30.0, "kline": 75.0})


class Desk(Protocol):
    """Who is told what a shard learns."""

    def write(self, event: Data) -> None:
        """A value of a confirmed topic came."""

    def confirm(self, topic: Topic) -> None:
        """The venue delivers ``topic`` from now on."""

    def deny(self, topic: Topic, reason: str) -> None:
        """The venue refused ``topic``."""

    def doubt(self, topic: Topic, reason: str) -> None:
        """A message of ``topic`` was lost or cannot be read."""

    def cut(self, topics: list[Topic], reason: str) -> None:
        """The connection that carried ``topics`` ended."""

    def silent(self, topic: Topic, seconds: float) -> None:
        """``topic`` has not spoken for longer than it may."""

    def revive(self, topic: Topic) -> None:
        """A silent topic speaks again."""


class Shard:
    """One link's worth of topics (a :class:`feedmux.client.carrier.CarrierUser`).

    Args:
        venue: the codec.
        desk: who is told.
        make_link: makes the link that this shard is the user of.
        config: see :class:`ShardConfig`.
        clock: time.
    """

    def __init__(
        self, venue: Venue, desk: Desk, *, make_link: LinkMaker, config: ShardConfig, clock: Clock
    ) -> None:
        self._venue = venue
        self._place = place_name(venue.name, venue.market)
        self._desk = desk
        self._config = config
        self._clock = clock
        self._monotonic = clock.monotonic
        self._write = desk.write
        self._speaking: dict[Topic, float] = {}  # since the last check, which makes it known
        self._decode = venue.decode
        self._messages = 0
        self._wishes = Subscriptions(min(venue.max_args, config.batch))
        self._silence = SilenceWatch(config.silence_s)
        allowed = venue.budget
        self._budget = single(
            min(config.request_rate, allowed.rate), min(config.request_burst, allowed.burst)
        )
        self._pump: asyncio.Handle | None = None
        self._open = False
        self._proven = False
        self._last_message: float | None = None
        self._down_since = clock.monotonic()
        self._complaints: set[str] = set()
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._greeting = Greeting(
            venue,
            Doorstep(self._say, self._entered, self._prove, self._replace, self._complain),
            clock=clock,
            patience_s=config.answer_timeout_s,
        )
        self.characters = 0
        self.link = make_link(self)

    def __len__(self) -> int:
        return len(self._wishes)

    @property
    def counts(self) -> Statistics:
        """What only grows; it adds up over the connections of a feed."""
        return {"messages": self._messages, **self._counts}

    @property
    def connected(self) -> bool:
        """Whether the link is open, and the venue has let us in."""
        return self._greeting.is_in

    def want(self, topic: Topic, asker: int) -> None:
        """Ask the venue for ``topic`` as soon as the budget allows."""
        if topic not in self._wishes:
            self.characters += self._venue.cost(topic)
        self._wishes.want(topic, asker)
        self._schedule()

    def drop(self, topic: Topic) -> None:
        """Give ``topic`` back."""
        if topic in self._wishes:
            self._release(topic)
            self._wishes.drop(topic)
            self._schedule()

    def renew(self, topic: Topic) -> None:
        """Ask for ``topic`` anew, for its snapshot."""
        self._speaking.pop(topic, None)
        self._wishes.renew(topic)
        self._schedule()

    def check(self, now: float) -> None:
        """Judge silence and missing answers; the driver calls it a few times a second."""
        if not self._open:
            return
        self._greeting.check(now)
        self._check_answers(now - self._config.answer_timeout_s)
        for topic, at in self._speaking.items():
            self._silence.heard(topic, at)
        self._speaking.clear()
        verdict = self._silence.check(now)
        for topic in verdict.stale:
            self._desk.silent(topic, self._config.silence_s[topic.kind])
        if verdict.mute and not self._venue.manners.rests:
            self.link.replace("every topic that should have spoken is silent")

    # The link's user

    def opened(self) -> None:
        """The link is open: everything wanted is asked for again, as soon as the venue allows."""
        now = self._clock.monotonic()
        self._open, self._proven = True, False
        self._last_message = now
        self._wishes.opened()
        self._silence.restart(now)
        self._greeting.opened()
        self._pump_now()

    def received(self, payload: bytes) -> None:
        """One message of the venue."""
        self._last_message = now = self._monotonic()
        self._messages += 1
        speaking = self._speaking
        for event in self._decode(payload):
            # a topic that speaks as it should costs two look-ups
            if isinstance(event, _DATA):
                topic = event.topic
                if topic in speaking:
                    speaking[topic] = now
                elif not self._listen(topic, now):
                    self._counts["late"] += 1
                    continue
                self._write(event)
            else:
                self._take(event)

    received_binary = received

    def lost(self, reason: str) -> None:
        """The link's connection ended."""
        self._open = False
        self._speaking.clear()
        if self._proven or not self._venue.manners.speaks_first:
            self._down_since = self._clock.monotonic()
        self._greeting.lost()
        self._counts["cuts"] += 1
        self._desk.cut(list(self._wishes), reason)

    def retrying(self, reason: str, wait_s: float) -> None:
        """The link waits before it tries again."""
        log.debug("%s: trying again in %.1f s: %s", self._place, wait_s, reason)

    def ping(self) -> bytes | None:
        """The venue's application ping; None where a PING frame is one."""
        return self._venue.ping()

    def statistics(self) -> Statistics:
        """The link's counters, and what this connection carries."""
        now = self._clock.monotonic()
        age = None if self._last_message is None else now - self._last_message
        return {
            "connected": self.connected,
            "down_for": 0.0 if self.connected else now - self._down_since,
            "trouble": self._greeting.trouble,
            "category": self._venue.market,
            "subscribed_count": len(self._wishes),
            "last_message_ago": age,
            "argument_characters": self.characters,
            **self.counts,
            "link": self.link.statistics(),
        }

    def _take(self, event: Word) -> None:
        """What is not data."""
        match event:
            case Answer():
                self._answered(event)
            case Pong():
                self._ponged()
            case Reply(payload):
                self._say(payload)
            case Welcome():
                self._greeting.welcome()
            case Greeted():
                self._greeting.answered(event)
            case Remark(words):
                self._complain("says", words)
            case Parting(reason):
                self._greeting.parted(reason)
                self._complain("gives the connection up", reason)
                self._replace(reason)
            case Malformed():
                self._malformed(event)

    def _listen(self, topic: Topic, now: float) -> bool:
        """A topic speaks for the first time, or after a silence; False when it is not to be heard."""
        phase = self._wishes.hear(topic)
        if phase is Phase.REQUESTED:
            self._desk.confirm(topic)
        elif phase is not Phase.CONFIRMED:
            return False
        self._prove()
        if self._silence.heard(topic, now):
            self._desk.revive(topic)
        self._speaking[topic] = now
        return True

    def _entered(self) -> None:
        """The venue let us in: what is wanted is asked for, and silence counts from now on."""
        self._silence.restart(self._clock.monotonic())
        self._pump_now()

    def _check_answers(self, before: float) -> None:
        """What was asked for before and is not answered is asked for again, if answers can be told apart."""
        if self._venue.manners.numbers:
            if self._wishes.overdue(before):
                self._schedule()
        elif self._wishes.waits_since < before:
            self._replace(f"a request was not answered within {self._config.answer_timeout_s:g} s")

    def _answered(self, answer: Answer) -> None:
        if not answer.accepted and not self._greeting.is_in:
            self._greeting.answered(Greeted(answer.reason))
            return
        if not (answer.accepted or self._venue.manners.numbers):
            self._complain("refuses a request", answer.reason)
        if answer.later:
            self._complain("has no time for a request", answer.reason)
        elif answer.accepted and self._venue.manners.speaks_first:
            self._prove()  # a market at rest may send nothing for hours
        for topic, denied in self._wishes.answered(answer):
            if denied is None:
                self._desk.confirm(topic)
            else:
                self._release(topic)
                self._desk.deny(topic, denied)
        self._schedule()

    def _ponged(self) -> None:
        self.link.pong()
        if not self._proven and not any(topic.kind in self._config.silence_s for topic in self._wishes):
            self._prove()

    def _malformed(self, event: Malformed) -> None:
        kind = "foreign" if event.foreign else "malformed"
        self._counts[kind] += 1
        level = logging.WARNING if self._counts[kind] == 1 else logging.DEBUG
        what = "that nobody asked for" if event.foreign else "that cannot be read"
        log.log(level, "%s sent a message %s: %s", self._place, what, event.reason)
        if event.foreign:
            return
        if event.topic is None:
            self.link.replace("a message of the venue could not be read")
        elif self._wishes.phase(event.topic) is Phase.CONFIRMED:
            self._desk.doubt(event.topic, "a message of the venue could not be read")

    def _complain(self, what: str, words: str) -> None:
        """Log what the venue does not want of us; loudly once, because it may come often."""
        kind = (
            what if self._venue.manners.numbers or len(self._complaints) >= _MOST_KINDS else f"{what} {words}"
        )
        level = logging.DEBUG if kind in self._complaints else logging.WARNING
        self._complaints.add(kind)
        log.log(level, "%s %s: %s", self._place, what, words)

    def _prove(self) -> None:
        if not self._proven:
            self._proven = True
            self.link.prove()

    def _release(self, topic: Topic) -> None:
        self._speaking.pop(topic, None)
        self._silence.forget(topic)
        self.characters -= self._venue.cost(topic)

    def _schedule(self) -> None:
        """Send what is queued once this turn of the loop is over: wishes of one turn form a batch."""
        if self.connected and self._pump is None:
            self._pump = asyncio.get_running_loop().call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pump = None
        while self.connected and self._wishes.has_requests:
            now = self._clock.monotonic()
            wait_s = self._budget.take(now, "subscribe")  # whatever it asks costs the same
            if wait_s:
                self._pump = asyncio.get_running_loop().call_later(wait_s, self._pump_now)
                return
            request = self._wishes.next_request(now)
            if request is not None:
                self._send(request, now)

    def _send(self, request: Request, now: float) -> None:
        encode = self._venue.subscribe if request.verb == "subscribe" else self._venue.unsubscribe
        if self._say(encode(request.topics, request.request_id)) and request.verb == "subscribe":
            for topic in request.topics:
                self._silence.expect(topic, now)

    def _say(self, payload: bytes) -> bool:
        """Send a message; a connection that does not take it is replaced. Whether it was sent."""
        try:
            self.link.send(payload)
        except FeedmuxError as error:
            self.link.replace(str(error))
            return False
        return True

    def _replace(self, reason: str) -> None:
        self.link.replace(reason)
