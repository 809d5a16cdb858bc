"""What the Mudrex proxy publishes through Redis: channels, texts, and the names of what it keeps there.

All of it begins with ``mudrex``, whatever the brand of this gateway: programs that listen there were
written for that proxy and know no other word. The text is that of :mod:`feedmux.wire.stream` as the proxy
writes it, with ``stream``, ``type``, ``data``, ``timestamp`` and ``source`` and nothing else.

Source: DecentralizedJM/mudrex-proxy-server-websocket, main 73e61d4 (2026-02-07), app/redis and
app/upstream/transformer.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import Topic
from feedmux.wire.place import KINDS, Place, Places
from feedmux.wire.stream import beginning, milliseconds, source

BRAND: Final = "mudrex"
HOLDERS: Final = "mudrex:subscriptions"
"""The hash of how many hold what: ``<type>:<SYM>`` to a number."""
CARRIED: Final = "mudrex:upstream:subscribed"
"""The set of what the venue is subscribed to: ``<type>:<SYM>``."""

_CHANNEL: Final = "mudrex:stream:"
_SNAPSHOT: Final = EventKind.SNAPSHOT
_VALUES: Final = frozenset({EventKind.SNAPSHOT, EventKind.UPDATE})


class Posting(NamedTuple):
    """One value as it is published: the same text on each channel."""

    channels: tuple[bytes, ...]
    text: bytes


class _Stream(NamedTuple):
    """What is kept of one stream."""

    channels: tuple[bytes, ...]
    update: bytes
    snapshot: bytes


class MudrexFormat:
    """The proxy's words for the streams of one market.

    Args:
        place: the market that has the proxy's names.
    """

    def __init__(self, place: Place) -> None:
        self._places = Places(BRAND, [place])
        self._words = {param: word for word, param in place.intervals.items()}
        self._source = source(BRAND) + b"}"
        self._streams: dict[Topic, _Stream] = {}

    def name(self, topic: Topic) -> str:
        """What a topic is called in hash and set; candles of all intervals have one name."""
        return f"{topic.kind}:{topic.instrument}"

    def post(self, envelope: Envelope, /, *, is_first: bool = False) -> Posting | None:
        """A value as it is published; None for what is no value, or of a kind that the proxy does not know.

        Only tickers have a ``snapshot``; the proxy calls all else an ``update``.

        Args:
            envelope: the value.
            is_first: whether listeners may have missed what came before it.
        """
        topic = envelope.topic
        if envelope.kind not in _VALUES or topic.kind not in KINDS:
            return None
        stream = self._streams.get(topic)
        if stream is None:
            stream = self._streams[topic] = self._stream(topic)
        begins = stream.snapshot if is_first or envelope.kind is _SNAPSHOT else stream.update
        end = milliseconds(envelope), self._source
        return Posting(stream.channels, begins + envelope.payload + b',"timestamp":%d%b' % end)

    def forget(self, topic: Topic, /) -> None:
        """Nobody holds ``topic`` any more: drop what was kept for it."""
        self._streams.pop(topic, None)

    def _stream(self, topic: Topic) -> _Stream:
        stream = self._places.stream(topic)
        update = beginning(stream, "update")
        snapshot = beginning(stream, "snapshot") if topic.kind == "ticker" else update
        return _Stream(tuple(name.encode() for name in self._channels(topic)), update, snapshot)

    def _channels(self, topic: Topic) -> list[str]:
        """The proxy has one channel for a symbol's candles, and only knows those of one minute."""
        plain = _CHANNEL + self.name(topic)
        if not topic.param:
            return [plain]
        word = self._words.get(topic.param, topic.param)
        own = f"{_CHANNEL}{topic.kind}:{word}:{topic.instrument}"
        return [plain, own] if word == "1m" else [own]
