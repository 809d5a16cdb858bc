"""Let programs go on that listen to the Mudrex proxy through Redis.

Theory of operation
===================

A :class:`RedisCompat` stands around the feed of one market, in the node that runs it. What the feed says goes
on to the node as before; its values are also published in the proxy's words (:mod:`feedmux.wire.mudrex`), and
what the node wants on the way to the feed is counted for the proxy's hash and set::

    event                           published              hash and set
    a value                         on its channels        --
    what answers a want             nothing: it was said   --
    a status, a gap                 nothing                in the set, once the venue confirmed it
    a want, a drop, a dead holder   --                     follow, in the order of the changes
    connection to Redis ends        nothing, and lost      --
    ... is there again              values; see below      written anew
    lease lapsed, or taken          nothing                left alone: another node may write them
    ... ours again, or ours now     values; see below      written anew
    ended in order, lease held      nothing                deleted
    died                            nothing                vanish by themselves, unless another node
                                                           wrote them anew

Listeners cannot be told that something is missing. But a ticker is whole in every message, and the first one
of a topic after values may have been missed is called a snapshot, as the venue's own are.

Whoever listens asks for nothing by that: a channel carries what clients of the gateway want.

Invariants: a value is published once or not at all; nothing is published or written without the lease.

Deliberately absent: fencing by epochs, which listeners of the proxy do not know. A process that is stopped
between looking at its clock and sending, and goes on after another node took over, still sends what
one turn of its loop had to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec

from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_mirror import RENEW, RedisMirror, Words
from feedmux.core.ledger import Entry, Ledger
from feedmux.model.errors import FeedmuxError
from feedmux.model.event import Envelope, EventKind, Status
from feedmux.model.ports import BeginEpoch, Feed, Publisher, Statistics
from feedmux.model.topic import Topic
from feedmux.wire.mudrex import CARRIED, HOLDERS, MudrexFormat

LOG: Final = logging.getLogger(__name__)
FAILED: Final = "bus.redis_compat_failed error=%s"

_BEAT_S: Final = 1.0
_TTL_S: Final = 10
_STATUS: Final = EventKind.STATUS
_status = msgspec.json.Decoder(Status).decode


class Tenured(Publisher, Protocol):
    """Where a feed publishes that runs only while a lease is held."""

    def may_write(self) -> bool:
        """Whether it is held, in the tenure in which the feed was made."""


MakeFeed = Callable[[Tenured, BeginEpoch], Feed]


class RedisCompat:
    """A feed that is also heard in the words of the Mudrex proxy: a :class:`feedmux.model.ports.Feed`.

    Args:
        publisher: where its events go in this node.
        begin: begins epochs.
        make_feed: makes the feed.
        redis: where Redis is.
        layout: the proxy's words.
    """

    def __init__(
        self,
        publisher: Tenured,
        begin: BeginEpoch,
        *,
        make_feed: MakeFeed,
        redis: RedisConfig,
        layout: MudrexFormat,
    ) -> None:
        self._onward, self.may_write = publisher.publish, publisher.may_write
        self._layout = layout
        self._link = RedisLink(redis, self)
        self._ledger = Ledger(layout.name)
        self._holders = RedisMirror(HOLDERS, put="HSET", remove="HDEL", ttl_s=_TTL_S)
        self._carried = RedisMirror(CARRIED, put="SADD", remove="SREM", ttl_s=_TTL_S)
        self._begun: set[Topic] = set()  # what listeners heard of, and missed nothing of since
        self._is_answering = False
        self._is_written = False
        self._is_over = False
        self._turned = asyncio.Event()
        self._trouble = ""
        self._feed = make_feed(self, begin)

    async def run(self) -> None:
        """Keep the feed until :meth:`close`; then take hash and set away, if they are still ours."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._keep())
            await self._feed.run()
            self._is_over = True
            self._turned.set()

    def close(self) -> None:
        """End: the feed closes, :meth:`run` returns."""
        self._feed.close()

    def statistics(self) -> Statistics:
        """Those of the feed, and ``compat``: how many names are in hash and set, and how the link is."""
        compat = {
            "holders": len(self._holders),
            "carried": len(self._carried),
            "trouble": self._trouble,
            "link": self._link.statistics(),
        }
        return {**self._feed.statistics(), "compat": compat}

    # Between the feed and its buses

    def publish(self, envelope: Envelope, /) -> None:
        """Carry an event to the node; a value also to who listens to the proxy, when this loop turn ends."""
        self._onward(envelope)
        if envelope.kind is _STATUS:
            self._ledger.tell(envelope.topic, _status(envelope.payload).state)
            self._turned.set()
        elif not self._is_answering and envelope.topic in self._ledger and self.may_write():
            self._post(envelope)

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder`` wants ``topic``; the value that the feed answers with was published before."""
        self._ledger.add(topic, holder)
        was_answering, self._is_answering = self._is_answering, True
        try:
            self._feed.want(topic, holder, asker)
        finally:
            self._is_answering = was_answering
        self._turned.set()

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""
        if self._ledger.remove(topic, holder):
            self._let_go(topic)
        self._feed.drop(topic, holder)
        self._turned.set()

    def forget(self, holder: str) -> None:
        """``holder`` died."""
        for topic in self._ledger.forget(holder):
            self._let_go(topic)
        self._feed.forget(holder)
        self._turned.set()

    def _post(self, envelope: Envelope) -> None:
        topic, begun = envelope.topic, self._begun
        posting = self._layout.post(envelope, is_first=topic not in begun)
        if posting is not None:
            begun.add(topic)
            for channel in posting.channels:
                self._link.publish(channel, posting.text)

    def _let_go(self, topic: Topic) -> None:
        self._layout.forget(topic)
        self._begun.discard(topic)

    # What the link tells

    def opened(self) -> None:
        """Nobody knows what is in Redis now."""
        self._begun.clear()
        self._is_written = False
        self._turned.set()

    def disconnected(self, error: FeedmuxError) -> None:
        """What was published since is lost; listeners of the proxy cannot be told."""

    def message(self, channel: bytes, body: bytes) -> None:
        """Nothing is subscribed to."""

    def mark(self, channel: bytes, count: int) -> bytes | None:
        """The proxy has no word for a hole."""
        self._begun.clear()
        return None

    def refused(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        """The link has logged it."""

    # Hash and set

    async def _keep(self) -> None:
        """Keep them true until the feed has ended, and take them away."""
        while not self._is_over:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._turned.wait(), _BEAT_S)
            self._turned.clear()
            if not self._is_over:
                await self._write()
        commands = self._holders.clear() + self._carried.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_BEAT_S):
                await self._send(commands)
        self._link.close()

    async def _write(self) -> None:
        """Write what turned, or all."""
        if self._is_written:
            turned = self._ledger.turned()
            commands = self._holders.turned(_numbers(turned)) + self._carried.turned(_members(turned))
            self._is_written = await self._send(commands)
        if not self._is_written:
            entries = self._ledger.entries()
            numbers, members = _present(_numbers(entries)), _present(_members(entries))
            self._is_written = await self._send(self._holders.anew(numbers) + self._carried.anew(members))

    async def _send(self, commands: Sequence[Words]) -> bool:
        """Whether Redis has done all of it, and had the keys that it was to renew."""
        if not (self._link.is_open and self.may_write()):
            self._begun.clear()
            return False
        answers = await asyncio.gather(*map(self._ask, commands), return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        for error in errors:
            if not isinstance(error, FeedmuxError):
                raise error
        self._say(str(errors[0]) if errors else "")
        renewed = [answer for command, answer in zip(commands, answers, strict=True) if command[0] == RENEW]
        return not errors and 0 not in renewed

    async def _ask(self, command: Words) -> Any:
        return await self._link.call(*command)

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                LOG.warning(FAILED, trouble)


def _numbers(entries: dict[str, Entry]) -> dict[str, Words | None]:
    """Of the hash: each name and how many hold it."""
    return {name: (name, str(entry.holders)) if entry.holders else None for name, entry in entries.items()}


def _members(entries: dict[str, Entry]) -> dict[str, Words | None]:
    """Of the set: each name that the venue carries."""
    return {name: (name,) if entry.is_carried else None for name, entry in entries.items()}


def _present(entries: dict[str, Words | None]) -> dict[str, Words]:
    return {name: words for name, words in entries.items() if words is not None}
