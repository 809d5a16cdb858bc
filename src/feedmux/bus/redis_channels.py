"""What the channels of a bus over Redis are called, and how often its ends are heard of."""

from __future__ import annotations

from typing import Final

import msgspec

from feedmux.model.checks import require_number, require_text
from feedmux.model.topic import Topic
from feedmux.wire.envelope import topic_bytes

_SILENT_BEATS: Final = 3.5


class RedisBusConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One bus of a cluster.

    Args:
        prefix: of all its channels; another bus in the same Redis has another one.
        beat_s: how often each end says that it is there. After three and a half times as long without
            a word it is taken for dead.

    Raises:
        InvalidSetting: a value is outside its range.
    """

    prefix: str = "feedmux"
    beat_s: float = 1.0

    def __post_init__(self) -> None:
        require_text("prefix", self.prefix)
        require_number("beat_s", self.beat_s, "seconds above 0", above=0)

    @property
    def silence_s(self) -> float:
        """After so long without a word somebody is taken for dead."""
        return self.beat_s * _SILENT_BEATS

    @property
    def asks(self) -> bytes:
        """Where readers speak, and the writer listens."""
        return f"{self.prefix}:asks".encode()

    @property
    def words(self) -> bytes:
        """Where the writer speaks of itself, and readers listen."""
        return f"{self.prefix}:writer".encode()

    @property
    def lease(self) -> str:
        """The key under which Redis keeps who writes."""
        return f"{self.prefix}:lease"

    @property
    def data(self) -> bytes:
        """What the channels of topics begin with."""
        return f"{self.prefix}:topic:".encode()

    def channel(self, topic: Topic) -> bytes:
        """Where the events of a topic are.

        Raises:
            MalformedMessage: the topic cannot be written down.
        """
        return self.data + topic_bytes(topic)
