"""Carry bytes between nodes through the channels of one Redis, over a connection that restores itself.

Theory of operation
============

A :class:`RedisLink` keeps one connection in RESP3, on which commands are answered and messages of
channels come in between. What one turn of the loop publishes, subscribes and asks leaves in one write,
subscriptions first; so what is asked for by a message is heard, if its channel was subscribed to in the
same turn. Events of a channel leave in one message (:mod:`feedmux.bus.redis_batch`). Redis answers in the
order of the commands: a queue of what was sent says what an answer belongs to.

A message that is published reaches who is subscribed then, or nobody: Redis keeps none. So the link never
keeps one for later, and says of each channel that something is missing::

    event                               the writer's link                    the reader's link
    no connection, or no room           drops; marks the channel later       --
    connection ends                     what was not answered counts as      Owner.disconnected
                                        dropped
    there is a connection, and room     publishes Owner.mark on each         subscribes to all again;
                                        channel, before anything else        Owner.opened
    Redis refuses a command             Owner.refused, or the call fails     Owner.refused

A mark is the owner's: bytes that its readers take for a gap.

A Redis that ends the connection of a reader that is slow (``client-output-buffer-limit``) is one more way
in which a connection ends: the reader knows that it missed something.

Invariants: at most ``bound_bytes`` and one message wait to be sent; nothing crosses from one connection to
the next; nobody subscribed is a state like any other; ``PING`` finds a connection that stands but is dead.

Where Redis is, a finder says before each connection (:mod:`feedmux.bus.redis_finder`): a Redis that another
one took over from, or that does not have our slot any more, is left, and the new one connected to. What was
published on the way from one to the other is missing, and marked, as with any connection that ends.

Deliberately absent: what channels are called and what messages mean (the bus), and channels of more than one
slot of a Redis Cluster (give each partition its own link).

Source: redis.io, "RESP3", "Redis Pub/Sub", "HELLO" and "ACL" (7.0).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import hiredis

from feedmux.bus.redis_batch import Batch
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_connection import (
    NO_MORE,
    Call,
    Garbled,
    Listening,
    Parser,
    Published,
    RedisConnection,
    Speech,
    ask_once,
    name_of,
)
from feedmux.bus.redis_finder import finder_of, moved_to, why_left
from feedmux.bus.redis_listening import Channels, Owner
from feedmux.bus.redis_refusal import News
from feedmux.bus.redis_slots import Place
from feedmux.core.reconnect import Event, Reconnect
from feedmux.model.errors import FeedmuxError
from feedmux.model.link_errors import LinkError, LinkLost, RequestLost
from feedmux.model.ports import Dice, Statistics

LOG: Final = logging.getLogger(__name__)
OPENED: Final = "bus.redis_connected address=%s"
LOST: Final = "bus.redis_lost address=%s wait_s=%.2f error=%s"
REFUSED: Final = "bus.redis_refused error=%s"

_pack: Final = cast(Callable[[tuple[str | bytes, ...]], bytes], hiredis.pack_command)


def _parser() -> Parser:
    return hiredis.Reader(protocolError=Garbled, notEnoughData=NO_MORE)


_SPEECH: Final = Speech(_parser, hiredis.PushNotification, _pack)


class RedisLink:
    """One node's connection to Redis.

    Args:
        config: where it is.
        owner: is told what comes and how it goes.
        may_publish: asked right before messages leave; if not, they are forgotten, and not marked either.
        dice: for the jitter of the waits; the machine's by default.
    """

    def __init__(
        self,
        config: RedisConfig,
        owner: Owner,
        *,
        may_publish: Callable[[], bool] = lambda: True,
        dice: Dice | None = None,
    ) -> None:
        self._config, self.owner = config, owner
        self._machine = Reconnect(config.backoff, dice or random.SystemRandom())
        self._may_publish = may_publish
        self._finder = finder_of(config)
        self._address = config.address
        self._closing = asyncio.Event()
        self._connection: RedisConnection | None = None  # set while messages may pass
        self._channels = Channels(is_sharded=config.is_cluster)
        self._missed: dict[bytes, int] = {}
        self._batch = Batch(_pack, self._channels.publish)
        self._is_flushing = False
        self._complaint = ""
        self._news = News()
        self.counts = dict.fromkeys(
            ("opens", "published", "dropped", "marks", "received", "refused", "writes"), 0
        )

    # Life

    async def run(self) -> None:
        """Keep a connection until :meth:`close`; the owner awaits it. Nothing that Redis does ends it."""
        self._machine.apply(Event.START)
        while not self._closing.is_set():
            error = await self._one_connection()
            if self._closing.is_set():
                break
            if self._connection is None:
                self._finder.failed()
            self._machine.apply(Event.LOST if self._connection is not None else Event.FAILED)
            self._lose(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._machine.wait_s)
                break
            self._machine.apply(Event.DUE)
        self._machine.apply(Event.STOP)
        self._forget(LinkLost("we ended it"))

    def close(self) -> None:
        """End: what was published leaves, if Redis takes it soon; :meth:`run` returns."""
        self._closing.set()

    def abandon(self) -> None:
        """End at once: nothing leaves any more; :meth:`run` returns."""
        self._closing.set()
        connection, reason = self._connection, LinkLost("we ended it")
        self._forget(reason)
        self._missed.clear()
        if connection is not None:
            connection.cut(reason)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection on which messages pass."""
        return self._connection is not None

    def statistics(self) -> Statistics:
        """Counters since the start, and how it is; ``trouble`` is what went wrong last, until it is well, and
        ``address`` which Redis it was connected to last."""
        waiting = self._connection.buffered_bytes if self._connection is not None else 0
        return {
            "connected": self.is_open,
            "address": self._address,
            "channels": len(self._channels),
            "waiting_bytes": waiting + self._batch.size,
            "missed": len(self._missed),
            "trouble": self._complaint,
            **self.counts,
        }

    # What its owner asks; nothing of it blocks

    def publish(self, channel: bytes, body: bytes) -> None:
        """Send a message to all who are subscribed; what cannot be sent is dropped and marked."""
        self._look_for_room()
        if self._batch.publish(channel, body):
            self._flush_soon()
        else:
            self._miss(channel)

    def join(self, channel: bytes, event: bytes) -> None:
        """The same of an event, which leaves in one message with others of this turn and channel."""
        if not self._is_flushing:
            self._flush_soon()
        # While a mark is due, what follows it has to wait for it.
        if (self._missed and channel in self._missed) or not self._batch.join(channel, event):
            self._miss(channel)

    def subscribe(self, channel: bytes) -> None:
        """Listen to a channel, over all connections to come; twice is once."""
        self._channels.want(channel)
        self._flush_if_open()

    def unsubscribe(self, channel: bytes) -> None:
        """No longer listen to it; what is on its way may still arrive."""
        if self._channels.drop(channel):
            self._flush_if_open()

    async def call(self, *command: str | bytes) -> Any:
        """Send a command that changes no subscription, and wait for its answer.

        It is sent over the connection that there is now, or not at all.

        Raises:
            RedisRefused: Redis answered with an error.
            RequestLost: there is no connection, or it ended before the answer came.
        """
        name = name_of(command)
        connection = self._connection
        if connection is None:
            raise RequestLost(name, "there is no connection to Redis", maybe_executed=False)
        call = Call(name)
        self._batch.add(_pack(command), call)
        self._flush_soon()
        reply = await call.answer
        if isinstance(reply, hiredis.ReplyError):
            error = RedisRefused(name, self._config.hide(str(reply)))
            if error.word == "ASK" and (place := moved_to(error)) is not None:
                return await self._follow(place, command, error)
            self._leave_if_elsewhere(connection, error)
            raise error
        return reply

    async def _follow(self, place: Place, command: tuple[str | bytes, ...], sent_by: RedisRefused) -> Any:
        """Ask who is about to have our slot, and has the key already."""
        with suppress(LinkError):
            return await ask_once(self._config.at(place), _SPEECH, ("ASKING",), command)
        raise sent_by

    # Sending

    def _look_for_room(self) -> None:
        self._batch.room = 0 if self._connection is None else self._connection.room

    def _flush_if_open(self) -> None:
        if self._connection is not None:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._look_for_room()
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what this turn of the loop brought, in one write."""
        self._is_flushing = False
        connection = self._connection
        if connection is None:
            return
        listening = self._channels.commands()
        if self._batch and not self._may_publish():
            self._batch.retract()
        if listening or self._batch:
            commands, sent = self._batch.take()
            self.counts["published"] += sum(one.events for one in sent if isinstance(one, Published))
            connection.sent.extend(listening)
            connection.sent.extend(sent)
            subscribing = [_pack((one.command, *one.channels)) for one in listening]
            connection.write(b"".join(subscribing + commands))
            self.counts["writes"] += 1
        self.roomy()

    def _miss(self, channel: bytes, count: int = 1) -> None:
        self.counts["dropped"] += count
        self._missed[channel] = self._missed.get(channel, 0) + count
        self._flush_if_open()

    def roomy(self) -> None:
        """Mark where something was dropped, as far as there is room."""
        self._look_for_room()
        while self._missed and self._batch.has_room:
            channel = next(iter(self._missed))
            body = self.owner.mark(channel, self._missed.pop(channel))
            if body is not None:
                self.counts["marks"] += 1
                self._batch.publish(channel, body)
                self._flush_soon()

    # What the connection tells

    def pushed(self, channel: bytes, body: bytes) -> None:
        """A message came."""
        self.counts["received"] += 1
        self.owner.message(channel, body)

    def confirmed(self, sent: Published | Listening, reply: object) -> None:
        """Redis answered to what was published, or refused what was to be listened to."""
        if not isinstance(reply, hiredis.ReplyError):
            return
        if isinstance(sent, Published):
            what, channels = self._channels.publish.decode(), [sent.channel]
        else:
            what, channels = sent.command.decode(), list(sent.channels)
        error = RedisRefused(what, self._config.hide(str(reply)))
        if self._connection is not None and self._leave_if_elsewhere(self._connection, error):
            if isinstance(sent, Published):
                self._miss(*sent)
            return
        self.counts["refused"] += len(channels)
        self._complaint = str(error)
        if self._news.are(f"{what} {error.word}", asyncio.get_running_loop().time()):
            LOG.warning(REFUSED, error)
        self._channels.refused(channels)
        self.owner.refused(channels, error)

    def _looked(self, connection: RedisConnection, reply: object) -> None:
        """Redis answered when we looked; whatever else it refuses does not matter."""
        if isinstance(reply, hiredis.ReplyError):
            self._leave_if_elsewhere(connection, RedisRefused("HMGET", self._config.hide(str(reply))))

    def _leave_if_elsewhere(self, connection: RedisConnection, error: RedisRefused) -> bool:
        """Whether another Redis is the right one now; then this one is left."""
        reason = why_left(error)
        if reason is not None:
            self._finder.refused(error)
            connection.cut(LinkLost(reason))
        return reason is not None

    # Connections

    async def _one_connection(self) -> FeedmuxError:
        """Connect and be connected; why that ended."""
        running = asyncio.ensure_future(self._connect_and_watch())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({running, closing}, return_when=asyncio.FIRST_COMPLETED)
            if closing.done() and self._connection is not None:
                self._flush()
                await self._connection.finish(self._config.close_timeout_s)
        finally:
            for task in (running, closing):
                task.cancel()
            await asyncio.wait({running, closing})
        error = None if running.cancelled() else running.exception()
        if error is not None and not isinstance(error, FeedmuxError):
            raise error
        return error or LinkLost("we ended it")

    async def _connect_and_watch(self) -> None:
        """Raises why it ended."""
        found = await self._finder.find(self._ask)
        self._address = found.address
        connection = RedisConnection(self, found, _SPEECH)
        try:
            await connection.enter(within_s=found.connect_timeout_s)
            if self._closing.is_set():
                raise LinkLost("we ended it")
            self._begin(connection)
            while True:
                self._looked(connection, await connection.look())
                await asyncio.wait({connection.over}, timeout=found.ping_interval_s)
                if connection.over.done():
                    raise connection.over.result()
                self._machine.apply(Event.PROVED)  # one left at once for another Redis proves nothing
        finally:
            connection.cut(LinkLost("we ended it"))

    async def _ask(self, config: RedisConfig, command: tuple[str, ...]) -> object:
        return await ask_once(config, _SPEECH, command)

    def _begin(self, connection: RedisConnection) -> None:
        self._machine.apply(Event.OPENED)
        self._connection = connection
        self.counts["opens"] += 1
        self._complaint = ""
        LOG.info(OPENED, self._address)
        self._channels.forget()
        self._flush_soon()
        self.roomy()
        self.owner.opened()

    def _lose(self, error: FeedmuxError) -> None:
        """The connection ended, or none came about: what was not answered may not have arrived."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            LOG.warning(LOST, self._address, self._machine.wait_s, error)
        if self._forget(error):
            self.owner.disconnected(error)

    def _forget(self, error: FeedmuxError) -> bool:
        """Let go of the connection, if there is one, and of what it has not answered."""
        connection, self._connection = self._connection, None
        if connection is None:
            return False
        self._batch.room = 0
        _, unsent = self._batch.take()
        for is_sent, waiting in ((True, connection.sent), (False, unsent)):
            for sent in waiting:
                if isinstance(sent, Published):
                    self._miss(*sent)
                elif isinstance(sent, Call) and not sent.answer.done():
                    sent.answer.set_exception(RequestLost(sent.name, str(error), maybe_executed=is_sent))
        return True
