"""What a venue's codec says about one received message, and the codec's own seam.

A codec is pure: bytes to these values, wishes to request bytes. It keeps no state of a
connection; the feed does (which topics are confirmed, what was merged so far).

Most venues are alike in how they are dealt with; what some do otherwise is in :class:`Manners`. A venue
that wants to know who we are (Alpaca) speaks first, with a :class:`Welcome`, and takes no request until its
answer to the greeting, a :class:`Greeted`, lets us in; it may also say that we have to wait, where it lets in
one connection at a time and ours from before is not gone yet. A venue whose answers carry no id answers in
order: an answer that does not come is then not only lost, it makes all later ones those of other requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Protocol

import msgspec

from feedmux.model.topic import Topic

ObjectPlan = tuple[tuple[Any, ...], ...]
"""How a JSON object is written from a state of texts, member by member, in this order: our name and
the state's; or these and a function that converts the text; or our name and the plan of an object."""


class Value(msgspec.Struct, frozen=True, gc=False):
    """A value that stands alone (candle, trades, whole tickers).

    Args:
        topic: what it belongs to.
        venue_ns: the venue's time, Unix nanoseconds.
        key: conflation key, see :class:`feedmux.model.event.Envelope`.
        payload: the JSON text of ``data``.
        ordered: the venue's times are in order, so that what is older than the last one is late. False:
            what comes last is the latest, whatever its time.
    """

    topic: Topic
    venue_ns: int
    key: str
    payload: bytes
    ordered: bool = True


class Merge(msgspec.Struct, frozen=True, gc=False):
    """Fields of a state that is sent in parts: a snapshot, then what changed.

    Args:
        topic: what it belongs to.
        venue_ns: the venue's time, Unix nanoseconds.
        snapshot: True replaces the state, False changes it.
        order: the venue's own sequence; never falls while the connection is whole.
        fields: the venue's field names and texts.
    """

    topic: Topic
    venue_ns: int
    snapshot: bool
    order: int
    fields: dict[str, str]


class Candle(msgspec.Struct, frozen=True, gc=False):
    """The state of a candle of a venue that does not say when it closes; a later candle shows it.

    Args:
        topic: what it belongs to.
        opened_ms: when the candle opened, Unix milliseconds; names it within its topic.
        key: conflation key while it is open.
        payload: the JSON text of ``data`` while it is open.
        closed: the same once it is known that nothing more comes of it.
    """

    topic: Topic
    opened_ms: int
    key: str
    payload: bytes
    closed: bytes


Data = Value | Merge | Candle
"""What has a topic and is published."""


class Answer(msgspec.Struct, frozen=True):
    """The venue's answer to one request.

    Args:
        request_id: the id that the request carried, or empty when the venue did not say.
        accepted: True when the request took effect, or had taken effect before: the whole of it,
            or as much of it as ``granted`` says.
        topic: the topic that a refusal names, if it names one that we can read.
        reason: the venue's own words, or why topics are missing in ``granted``.
        already: the refusal only says that ``topic`` was subscribed before.
        granted: where the venue lists what took effect: these topics and no others of the request.
        later: the refusal is none of the topics', the venue only has no time: ask again later.
    """

    request_id: str
    accepted: bool
    topic: Topic | None
    reason: str
    already: bool = False
    granted: frozenset[Topic] | None = None
    later: bool = False


class Pong(msgspec.Struct, frozen=True):
    """The answer to an application ping."""


class Welcome(msgspec.Struct, frozen=True):
    """A venue that speaks first is ready to be greeted."""


class Greeted(msgspec.Struct, frozen=True):
    """The answer to a greeting.

    Args:
        refused: the venue's words when it did not take it, else empty.
        later: it only has no room for us yet: the same greeting may be taken after a while.
    """

    refused: str = ""
    later: bool = False


class Remark(msgspec.Struct, frozen=True):
    """The venue says something that people should know; nothing follows from it.

    Args:
        words: the sentence.
    """

    words: str


class Parting(msgspec.Struct, frozen=True):
    """The venue gives this connection up, or it is of no more use: all that it carries may lose something.

    Args:
        reason: why, as a sentence for people.
    """

    reason: str


class Reply(msgspec.Struct, frozen=True):
    """The venue asks for something that it must be sent at once.

    Args:
        payload: the message to send.
    """

    payload: bytes


class Malformed(msgspec.Struct, frozen=True):
    """A message that is none of the others.

    Args:
        reason: what is wrong with it; holds no more than 200 characters of the message.
        topic: the topic it would have belonged to, as far as its beginning says.
        foreign: it can be read and is not ours, so nothing of ours is lost with it. Otherwise,
            without a topic, any topic of the connection may have lost something.
    """

    reason: str
    topic: Topic | None
    foreign: bool = False


Word = Answer | Pong | Welcome | Greeted | Remark | Parting | Reply | Malformed
"""What is not data."""

VenueEvent = Data | Word


class Budget(msgspec.Struct, frozen=True):
    """How many requests a venue takes from one connection.

    Args:
        rate: per second; infinite where the venue names no limit.
        burst: at once.
    """

    rate: float = inf
    burst: float = inf


class Manners(msgspec.Struct, frozen=True):
    """How a venue wants to be dealt with.

    Args:
        speaks_first: it is greeted after its :class:`Welcome`, and asked for topics after it has taken the
            greeting; otherwise both go out at once.
        numbers: its answers say which request they are for; otherwise they come in the order of the requests.
        rests: all of it may be silent for hours, where markets close. Then silence says nothing about the
            connection, only pings do.
    """

    speaks_first: bool = False
    numbers: bool = True
    rests: bool = False


class Venue(Protocol):
    """The codec of one venue and market."""

    @property
    def name(self) -> str:
        """The venue's name, e.g. ``bybit``."""

    @property
    def market(self) -> str:
        """The market's name, e.g. ``linear``; empty when the venue has only one."""

    @property
    def max_args(self) -> int:
        """How many topics one request may name."""

    @property
    def max_characters(self) -> int:
        """How many characters of arguments one connection may carry."""

    @property
    def budget(self) -> Budget:
        """How often it may be asked for topics."""

    @property
    def manners(self) -> Manners:
        """How it wants to be dealt with."""

    def cost(self, topic: Topic, /) -> int:
        """The characters that ``topic`` uses up of :attr:`max_characters`."""

    def problem(self, topic: Topic, /) -> str | None:
        """Why ``topic`` can never exist at this venue, as a sentence for people; None when it may."""

    def greetings(self) -> Sequence[bytes]:
        """What is sent first on every new connection; it may hold secrets, and is never shown."""

    def subscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that asks for ``topics``."""

    def unsubscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that gives ``topics`` back."""

    def ping(self) -> bytes | None:
        """The application ping; None where a PING frame is one."""

    def decode(self, payload: bytes, /) -> Sequence[VenueEvent]:
        """Read one message; never raises, at worst it is one :class:`Malformed`.

        Nothing at all is for a message that needs nothing, such as a heartbeat.
        """

    def render(self, topic: Topic, state: Mapping[str, str], /) -> bytes:
        """The JSON text of ``data`` for a merged state; what is not known is absent."""
