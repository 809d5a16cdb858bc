"""Listen to all that nodes publish through a Redis, without the code under test between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from feedmux.model.event import Envelope
from feedmux.wire.envelope import MAGIC, decode_all
from support.redis import RedisServer
from support.resp import Resp

DATA = b":topic:"


class Overhearing:
    """Somebody who is subscribed to everything; Redis keeps it until it is read.

    A context manager.

    Args:
        redis: whose channels.
    """

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self.said: list[tuple[bytes, bytes]] = []
        """Channel and body of everything that was read so far, in the order of Redis."""

    def __enter__(self) -> Self:
        self._resp: Resp = self._redis.client()
        self._resp.ask("PSUBSCRIBE", "*")
        return self

    def __exit__(self, *_: object) -> None:
        self._resp.close()

    def read(self) -> None:
        """Take what was published so far."""
        self._resp.send("PING")
        while (message := self._resp.read()) != [b"pong", b""]:
            assert isinstance(message, list)
            _, _, channel, body = message
            assert isinstance(channel, bytes)
            assert isinstance(body, bytes)
            self.said.append((channel, body))

    def envelopes(self) -> Iterator[Envelope]:
        """The events among it."""
        messages = (body for channel, body in self.said if DATA in channel and body.startswith(MAGIC))
        return (envelope for body in messages for envelope in decode_all(body))
