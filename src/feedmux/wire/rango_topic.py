"""Names of Rango's dialect: what clients call a stream, what a routing key says, and the topic of both.

A client's name is told by its dots, a routing key by its first part::

    dots        the name is                       scope of its topic
    0           a private stream of the client    uid=<the client's>
    2           <prefix>.<stream>                 role=<prefix>
    1, 3, …     a public stream                   public

    routing key                      stream          scope of its topic
    public.<a>.<b>, global.<a>.<b>   <a>.<b>         public
    public.<b>, global.<b>           public.<b>, …   public
    private.<uid>.<b>                <b>             uid=<uid>
    <prefix>.<a>.<b>                 <a>.<b>         role=<prefix>
    <prefix>.<b>                     <prefix>.<b>    role=<prefix>

A stream whose name ends with ``-inc`` is an object; a routing key that ends with ``-snap`` carries a
snapshot of the object that ends with ``-inc`` instead. Scopes never mix, whatever they are called:
nothing is ever routed to the prefixes ``public``, ``global`` and ``private``.

Source: openware/rango, pkg/routing/hub.go (master of 2024-03-13).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from feedmux.model.topic import MESSAGE, OBJECT, PUBLIC, Topic
from feedmux.wire.envelope import MAX_TOPIC_BYTES

VENUE: Final = "rabbitmq"
"""The venue of every topic of this dialect."""

MAX_NAME_CHARACTERS: Final = 256
REMEMBERED: Final = 16_384
"""Names, and routing keys, whose topics are remembered."""

_INCREMENTS, _SNAPSHOT = "-inc", "-snap"
_UID, _ROLE = "uid=", "role="
_OPEN: Final = frozenset({"public", "global"})
_PRIVATE: Final = "private"


class Routed(NamedTuple):
    """Where a message goes.

    Args:
        topic: its stream.
        is_snapshot: whether it is an object's whole state.
    """

    topic: Topic
    is_snapshot: bool


def stream_topic(name: str, uid: str) -> Topic | None:
    """Return the topic of a client's stream; what many name is one topic, held once in memory.

    Args:
        name: as the client wrote it; any characters.
        uid: the client's user; empty: nobody.

    Returns:
        None for what cannot be had: a private stream of nobody, or what :func:`problem_of` tells.
    """
    if not name or len(name) > MAX_NAME_CHARACTERS:
        return None
    dots = name.count(".")
    if dots == 0:
        return _topic(_UID + uid, name) if uid else None
    if dots == 2:
        prefix, _, stream = name.partition(".")
        return _topic(_ROLE + prefix, stream)
    return _topic(PUBLIC, name)


def problem_of(name: str, uid: str) -> str:
    """Say why nothing can have this name, as a sentence for people; empty: something can.

    An empty name is no problem: it asks for nothing, as in ``?stream=``. Nor is a private stream of
    nobody, which Rango passes over in silence.
    """
    if len(name) > MAX_NAME_CHARACTERS:
        return f"The name of a stream is longer than {MAX_NAME_CHARACTERS} characters: {name[:32]}…"
    if not name or stream_topic(name, uid) is not None or (not uid and "." not in name):
        return ""
    return (
        f"The name of a stream takes more than {MAX_TOPIC_BYTES} bytes with all that is encoded: {name[:32]}…"
    )


@lru_cache(REMEMBERED)
def route(routing_key: str) -> Routed | None:
    """Return where a message with this routing key goes; None when no client can ever ask for it."""
    parts = routing_key.split(".")
    if len(parts) not in {2, 3}:
        return None
    scope, kind = parts[0], parts[-1]
    is_snapshot = kind.endswith(_SNAPSHOT)
    if is_snapshot:
        kind = kind.removesuffix(_SNAPSHOT) + _INCREMENTS
    if scope == _PRIVATE:  # without a middle part it is nobody's
        uid = parts[1] if len(parts) == 3 else ""
        topic = _topic(_UID + uid, kind) if uid and kind else None
    else:
        stream = f"{parts[-2]}.{kind}"
        topic = _topic(PUBLIC if scope in _OPEN else _ROLE + scope, stream)
    return Routed(topic, is_snapshot) if topic is not None else None


def stream_name(topic: Topic) -> str:
    """The name of a stream as answers list it, which is what its clients call it."""
    prefix = prefix_of(topic)
    return topic.instrument if prefix is None else f"{prefix}.{topic.instrument}"


def body_name(topic: Topic, is_snapshot: bool) -> str:
    """The key in front of a body: the name without its prefix, and ``-snap`` for an object's whole state."""
    if is_snapshot and topic.kind == OBJECT:
        return topic.instrument.removesuffix(_INCREMENTS) + _SNAPSHOT
    return topic.instrument


def prefix_of(topic: Topic) -> str | None:
    """The prefix of a stream that not everybody may have; None for public and private ones."""
    scope = topic.scope
    return scope.removeprefix(_ROLE) if scope.startswith(_ROLE) else None


def is_private(topic: Topic) -> bool:
    """Whether it is one user's."""
    return topic.scope.startswith(_UID)


@lru_cache(REMEMBERED)
def _topic(scope: str, name: str) -> Topic | None:
    """The topic of a scope and name; None when no bus could carry it."""
    topic = Topic(scope, VENUE, "", OBJECT if name.endswith(_INCREMENTS) else MESSAGE, name)
    try:
        fits = len(topic.text) <= MAX_TOPIC_BYTES
    except UnicodeEncodeError:
        return None
    return topic.one() if fits else None
