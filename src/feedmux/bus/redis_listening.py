"""Keep which channels a link listens to, and which of them Redis was told of; and say for whom it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from feedmux.bus.redis_config import RedisRefused
from feedmux.bus.redis_connection import Listening
from feedmux.model.errors import FeedmuxError

_MOST_CHANNELS: Final = 500  # of one command: Redis refuses it as a whole


class Owner(Protocol):
    """Who a link is for; may not block and may not raise."""

    def opened(self) -> None:
        """There is a connection, and everything is subscribed to before what is published from now on."""

    def disconnected(self, error: FeedmuxError) -> None:
        """There is none any more; whatever was published since is missing."""

    def message(self, channel: bytes, body: bytes) -> None:
        """Somebody published this on a channel that is, or was a moment ago, subscribed to."""

    def mark(self, channel: bytes, count: int) -> bytes | None:
        """What to publish where up to ``count`` messages of ours are missing; None: nothing any more."""

    def refused(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        """Redis does not let us publish on these, or subscribe to them."""


class Nobody:
    """Owns a link over which nothing is published, and nothing heard."""

    def opened(self) -> None:
        """It can be asked."""

    def disconnected(self, error: FeedmuxError) -> None:
        """Whoever asks is told."""

    def message(self, channel: bytes, body: bytes) -> None:
        """Nothing is subscribed to."""

    def mark(self, channel: bytes, count: int) -> bytes | None:
        """Nothing is published."""

    def refused(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        """Nothing is published or subscribed to."""


class Channels:
    """The channels of one link, over all its connections.

    Args:
        is_sharded: whether they are those of a shard of a Redis Cluster.
    """

    def __init__(self, *, is_sharded: bool) -> None:
        shard = b"S" if is_sharded else b""
        self.publish: Final = shard + b"PUBLISH"
        """The command that sends a message to all who are subscribed."""
        self._subscribe, self._unsubscribe = shard + b"SUBSCRIBE", shard + b"UNSUBSCRIBE"
        self._wanted: dict[bytes, None] = {}
        self._told: set[bytes] = set()  # what Redis was told that we listen to
        self._turned: dict[bytes, None] = {}  # what it has to be told about

    def __len__(self) -> int:
        return len(self._wanted)

    def want(self, channel: bytes) -> None:
        """Listen to it; twice is once."""
        self._wanted[channel] = None
        self._turned[channel] = None

    def drop(self, channel: bytes) -> bool:
        """No longer listen to it; whether we did."""
        if channel not in self._wanted:
            return False
        del self._wanted[channel]
        self._turned[channel] = None
        return True

    def forget(self) -> None:
        """There is another connection, which was told nothing yet."""
        self._told.clear()
        self._turned = dict(self._wanted)

    def refused(self, channels: Iterable[bytes]) -> None:
        """Redis does not let us listen to these."""
        self._told.difference_update(channels)

    def commands(self) -> list[Listening]:
        """What makes what Redis knows equal to what is wanted; it is taken for sent."""
        turned, self._turned = self._turned, {}
        new = [channel for channel in turned if channel in self._wanted and channel not in self._told]
        old = [channel for channel in turned if channel not in self._wanted and channel in self._told]
        self._told.update(new)
        self._told.difference_update(old)
        return [
            Listening(command, channels[start : start + _MOST_CHANNELS])
            for command, channels in ((self._unsubscribe, old), (self._subscribe, new))
            for start in range(0, len(channels), _MOST_CHANNELS)
        ]
