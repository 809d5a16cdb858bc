"""Carry bytes between nodes through the channels of one Redis, over a connection that restores itself.

Theory of operation
===================

A :class:`RedisLink` keeps one connection in RESP3, on which commands are answered and messages of
channels come in between. What one turn of the loop publishes, subscribes and asks leaves in one write,
subscriptions first; so what is asked for by a message is heard, if its channel was subscribed to in the
same turn. Redis answers in the order of the commands: a queue of what was sent says what an answer
belongs to.

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

from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_connection import (
    NO_MORE,
    Call,
    Garbled,
    Listening,
    Parser,
    RedisConnection,
    Sent,
    Speech,
    ask_once,
    name_of,
)
from feedmux.bus.redis_finder import finder_of, moved_to
from feedmux.bus.redis_listening import Channels, Owner
from feedmux.bus.redis_slots import Place
from feedmux.core.reconnect import Event, Reconnect
from feedmux.model.errors import FeedmuxError
from feedmux.model.link_errors import LinkError, LinkLost, RequestLost
from feedmux.model.ports import Dice, Statistics

LOG: Final = logging.getLogger(__name__)
OPENED: Final = "bus.redis_connected address=%s"
LOST: Final = "bus.redis_lost address=%s wait_s=%.2f error=%s"
REFUSED: Final = "bus.redis_refused error=%s"

_ELSEWHERE: Final = ("READONLY", "MASTERDOWN", "MOVED", "CLUSTERDOWN")
_pack: Final = cast(Callable[[tuple[str | bytes, ...]], bytes], hiredis.pack_command)


def _parser() -> Parser:
    return hiredis.Reader(protocolError=Garbled, notEnoughData=NO_MORE)


_SPEECH: Final = Speech(_parser, hiredis.PushNotification, _pack)


class RedisLink:
    """One node's connection to Redis.

    Args:
        config: where it is.
        owner: is told what comes and how it goes.
        dice: for the jitter of the waits; the machine's by default.
    """

    def __init__(self, config: RedisConfig, owner: Owner, *, dice: Dice | None = None) -> None:
        self._config, self.owner = config, owner
        self._machine = Reconnect(config.backoff, dice or random.SystemRandom())
        self._finder = finder_of(config)
        self._address = config.address
        self._closing = asyncio.Event()
        self._connection: RedisConnection | None = None  # set while messages may pass
        self._channels = Channels(is_sharded=config.is_cluster)
        self._missed: dict[bytes, int] = {}
        self._batch: list[bytes] = []
        self._batch_sent: list[Sent] = []
        self._batch_bytes = 0
        self._is_flushing = False
        self._complaint = ""
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
            "waiting_bytes": waiting + self._batch_bytes,
            "missed": len(self._missed),
            "trouble": self._complaint,
            **self.counts,
        }

    # What its owner asks; nothing of it blocks

    def publish(self, channel: bytes, body: bytes) -> None:
        """Send a message to all who are subscribed; what cannot be sent is dropped and marked."""
        if not self._has_room:
            self._miss(channel)
            return
        self.counts["published"] += 1
        self._send(_pack((self._channels.publish, channel, body)), channel)

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
        self._send(_pack(command), call)
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
        try:
            return await ask_once(self._config.at(place), _SPEECH, ("ASKING",), command)
        except LinkError:
            raise sent_by from None

    # Sending

    @property
    def _has_room(self) -> bool:
        connection = self._connection
        if connection is None or connection.is_full:
            return False
        return self._batch_bytes + connection.buffered_bytes < self._config.bound_bytes

    def _send(self, data: bytes, sent: Sent) -> None:
        self._batch.append(data)
        self._batch_sent.append(sent)
        self._batch_bytes += len(data)
        self._flush_soon()

    def _flush_if_open(self) -> None:
        if self._connection is not None:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what this turn of the loop brought, in one write."""
        self._is_flushing = False
        connection = self._connection
        if connection is None:
            return
        listening = self._channels.commands()
        if listening or self._batch:
            connection.sent.extend(listening)
            connection.sent.extend(self._batch_sent)
            commands = [_pack((one.command, *one.channels)) for one in listening]
            connection.write(b"".join(commands + self._batch))
            self.counts["writes"] += 1
            self._empty_batch()
        self.roomy()

    def _empty_batch(self) -> None:
        self._batch, self._batch_sent, self._batch_bytes = [], [], 0

    def _miss(self, channel: bytes) -> None:
        self.counts["dropped"] += 1
        self._missed[channel] = self._missed.get(channel, 0) + 1
        self._flush_if_open()

    def roomy(self) -> None:
        """Mark where something was dropped, as far as there is room."""
        while self._missed and self._has_room:
            channel = next(iter(self._missed))
            body = self.owner.mark(channel, self._missed.pop(channel))
            if body is not None:
                self.counts["marks"] += 1
                self._send(_pack((self._channels.publish, channel, body)), channel)

    # What the connection tells

    def pushed(self, channel: bytes, body: bytes) -> None:
        """A message came."""
        self.counts["received"] += 1
        self.owner.message(channel, body)

    def confirmed(self, sent: bytes | Listening, reply: object) -> None:
        """Redis answered to what was published, or refused what was to be listened to."""
        if isinstance(reply, hiredis.ReplyError):
            self._refused(sent, str(reply))

    def _refused(self, sent: bytes | Listening, reason: str) -> None:
        if isinstance(sent, bytes):
            what, channels = self._channels.publish.decode(), [sent]
        else:
            what, channels = sent.command.decode(), list(sent.channels)
        error = RedisRefused(what, self._config.hide(reason))
        if self._connection is not None and self._leave_if_elsewhere(self._connection, error):
            if isinstance(sent, bytes):
                self._miss(sent)
            return
        self.counts["refused"] += len(channels)
        if str(error) != self._complaint:  # once is enough; the count is in statistics()
            self._complaint = str(error)
            LOG.warning(REFUSED, error)
        self._channels.refused(channels)
        self.owner.refused(channels, error)

    def _leave_if_elsewhere(self, connection: RedisConnection, error: RedisRefused) -> bool:
        """Whether another Redis is the right one now; then this one is left."""
        if error.word not in _ELSEWHERE:
            return False
        self._finder.refused(error)
        connection.cut(LinkLost(f"another Redis took over: {error.reason}"))
        return True

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
                await connection.look()
                self._machine.apply(Event.PROVED)
                await asyncio.wait({connection.over}, timeout=found.ping_interval_s)
                if connection.over.done():
                    raise connection.over.result()
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
        self.roomy()
        self._flush_soon()
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
        for is_sent, waiting in ((True, connection.sent), (False, self._batch_sent)):
            for sent in waiting:
                if isinstance(sent, bytes):
                    self._miss(sent)
                elif isinstance(sent, Call) and not sent.answer.done():
                    sent.answer.set_exception(RequestLost(sent.name, str(error), maybe_executed=is_sent))
        self._empty_batch()
        return True
