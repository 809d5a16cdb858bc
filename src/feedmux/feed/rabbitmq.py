"""Consume a topic exchange of RabbitMQ: the source of everything that Peatio and its like publish.

Theory of operation
-------------------
Two connections, each with a queue of its own: ``private.#`` for what belongs to users, and ``#`` for
all the rest, which passes over the private keys that it gets too. They are two because frames of one
connection are read in order: a user's order would wait behind all market data that is under way,
and what stops one side would stop the other.

Each is a session (:class:`_Session`) under our own supervision (:mod:`feedmux.feed.consumer`).
aio-pika's robust connection is not used: it has come back without consumers, and it does not take a
cancelled consumer for a loss. A session ends when the connection or the channel closes, when RabbitMQ
cancels a consumer (its queue was deleted), when heartbeats stay away, or when a look at the queue
finds no consumer, no queue, or no answer.

Messages are not acknowledged: RabbitMQ forgets them when they are sent, as Rango has it. What waits
there is bounded, and the oldest go first. RabbitMQ moves what goes to a second queue of one place,
only so that we hear of it.

Source: openware/rango, pkg/amqp/amqp.go; rabbitmq.com, "Consumer Cancel Notification", "Queue Length
Limit" and "Dead Letter Exchanges" (3.10).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final
from uuid import uuid4

import aio_pika
from aio_pika import exceptions as amqp
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange

from feedmux.core.stats import Rule, Rules
from feedmux.feed import relay
from feedmux.feed.broker import BrokerConfig, ConsumerLost, ExchangeDiffers
from feedmux.feed.consumer import Consumer, Owner
from feedmux.feed.relay import Relay, RelayLimits, Route, Side
from feedmux.feed.spills import Spills
from feedmux.feed.stream import ObjectRules
from feedmux.model.errors import AuthenticationFailed, FeedmuxError, Refused
from feedmux.model.link_errors import Cause, ConnectFailed, LinkLost
from feedmux.model.ports import Clock, Dice, Publisher, Statistics
from feedmux.model.topic import Topic

log = logging.getLogger(__name__)

NAME: Final = "rabbitmq"
"""The venue of every topic of this source."""
RULES: Final[Rules] = {
    **relay.RULES,
    "venue": Rule.SAME,
    "market": Rule.SAME,
    "links": Rule.JOIN,
}
"""Of :meth:`RabbitMq.statistics`."""
_PRIVATE: Final = "private"
_BINDINGS: Final[Mapping[Side, str]] = {Side.PUBLIC: "#", Side.PRIVATE: f"{_PRIVATE}.#"}
_LIBRARIES: Final = ("aio_pika", "aiormq")
_OPENING, _SHUTDOWN = "Connection.OpenOk", "CONNECTION_FORCED"

# What aio-pika and all below it raise when something is wrong with the other side or the way to it.
_TROUBLE: Final = (*amqp.CONNECTION_EXCEPTIONS, TimeoutError, EOFError, ValueError)


class RabbitMq:
    """The source of one exchange (:class:`feedmux.model.ports.Source`).

    Args:
        publisher: the bus's end that envelopes go into.
        broker: where RabbitMQ is.
        route: what a routing key says; called for every message.
        rules: how objects are kept.
        limits: bounds of what is taken and kept.
        clock: time.
        dice: for the jitter of the waits; the machine's by default.
    """

    def __init__(
        self,
        publisher: Publisher,
        broker: BrokerConfig,
        *,
        route: Route,
        rules: ObjectRules,
        limits: RelayLimits,
        clock: Clock,
        dice: Dice | None = None,
    ) -> None:
        self._relay = Relay(publisher, route=route, rules=rules, limits=limits, clock=clock)
        self._consumers = [
            Consumer(
                side,
                partial(_Session, side, broker, self._relay),
                relay=self._relay,
                backoff=broker.backoff,
                clock=clock,
                dice=dice or random.SystemRandom(),
            )
            for side in Side
        ]

    async def run(self) -> None:
        """Consume until :meth:`close`; the owner awaits it. Nothing that RabbitMQ does ends it."""
        async with asyncio.TaskGroup() as tasks:
            for consumer in self._consumers:
                tasks.create_task(consumer.run())

    def close(self) -> None:
        """End: the connections say goodbye, :meth:`run` returns."""
        for consumer in self._consumers:
            consumer.close()

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder`` wants ``topic``; answered before this returns."""
        self._relay.want(topic, holder, asker)

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""
        self._relay.drop(topic, holder)

    def forget(self, holder: str) -> None:
        """``holder`` died."""
        self._relay.forget(holder)

    def statistics(self) -> Statistics:
        """Counters and gauges of the connections and of what came; ``connected`` is at most 2.

        ``links`` has one of each side, see :meth:`feedmux.feed.consumer.Consumer.statistics`.
        """
        return {
            "venue": NAME,
            "market": "",
            "connected": sum(consumer.is_open for consumer in self._consumers),
            "consumers": sum(consumer.consumers for consumer in self._consumers),
            "reconnects": sum(max(0, consumer.opens - 1) for consumer in self._consumers),
            **self._relay.statistics(),
            "links": [consumer.statistics() for consumer in self._consumers],
        }


class _Session:
    """One connection and its queue, from connecting to the end.

    Args:
        side: which messages it is for.
        broker: where RabbitMQ is.
        taker: takes the messages.
        owner: is told how it goes.
    """

    def __init__(self, side: Side, broker: BrokerConfig, taker: Relay, owner: Owner) -> None:
        self._side = side
        self._broker = broker
        self._relay = taker
        self._owner = owner
        self._queue = f"feedmux.{side}.{uuid4().hex}"
        self._over: asyncio.Future[FeedmuxError] = asyncio.get_running_loop().create_future()
        self._is_open = False
        self._delivered = 0
        self._spills = Spills(partial(taker.spilled, side))

    async def run(self) -> None:
        """Consume until something ends it.

        Raises:
            FeedmuxError: what that was.
        """
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(self._broker.connect_timeout_s):
                connection = await self._connect()
                channel = await self._consume(connection)
            await self._watch(channel)
        except _TROUBLE as error:
            raise self._named(error) from error
        finally:
            self._end(LinkLost("we ended it"))
            if connection is not None:
                await self._say_goodbye(connection)

    # Setting up

    async def _connect(self) -> AbstractConnection:
        connection = await _connect(self._broker, str(self._side))
        connection.close_callbacks.add(self._ended("the connection"))
        return connection

    async def _consume(self, connection: AbstractConnection) -> AbstractChannel:
        """Declare everything and consume it, on a channel that is told of every end."""
        broker = self._broker
        channel = await connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(self._ended("the channel"))
        consuming: Any = await channel.get_underlay_channel()
        consuming.on_consumer_cancel_callbacks.add(self._cancelled)
        await _declare_exchange(channel, broker)
        arguments: dict[str, Any] = {"x-max-length": broker.queue_messages, "x-overflow": "drop-head"}
        if broker.tells_spills:
            spilled = f"{self._queue}.spilled"
            arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": spilled}
            await channel.declare_queue(
                spilled, exclusive=True, auto_delete=True, arguments={"x-max-length": 1}
            )
            await consuming.basic_consume(spilled, self._take_spilled, no_ack=True, exclusive=True)
        queue = await channel.declare_queue(
            self._queue, exclusive=True, auto_delete=True, arguments=arguments
        )
        await queue.bind(broker.exchange, _BINDINGS[self._side])
        self._is_open = True
        self._owner.opened()  # bound is what counts: from here on nothing is missed, and nothing came yet
        # The channel below aio-pika's: each message is then one object less.
        take = self._take_public if self._side is Side.PUBLIC else self._take
        await consuming.basic_consume(self._queue, take, no_ack=True, exclusive=True)
        return channel

    # Messages: each of these runs in a task of aiormq's, which would keep an exception for itself

    async def _take(self, message: Any) -> None:
        if self._over.done():
            return
        self._delivered += 1
        try:
            self._relay.take(message.delivery.routing_key, message.body)
        except Exception as error:  # noqa: BLE001 - the outermost edge: it is counted and logged
            self._relay.failed(error)

    async def _take_public(self, message: Any) -> None:
        key = message.delivery.routing_key
        if key.startswith(_PRIVATE) and key[len(_PRIVATE) :][:1] in {"", "."}:
            self._delivered += 1  # the other side has it
        else:
            await self._take(message)

    async def _take_spilled(self, _: Any) -> None:
        """RabbitMQ dropped something."""
        self._spills.note()

    # Watching

    async def _watch(self, channel: AbstractChannel) -> None:
        """Look at the queue again and again, until the session is over."""
        while not self._over.done():
            await self._look(channel)
            await asyncio.wait({self._over}, timeout=self._broker.check_interval_s)
        raise self._over.result()

    async def _look(self, channel: AbstractChannel) -> None:
        """Ask RabbitMQ how the queue is; the session is over if something is wrong, or no answer comes."""
        asking = asyncio.ensure_future(channel.declare_queue(self._queue, passive=True))
        try:
            await self._answered(asking)
        finally:
            asking.cancel()
            await asyncio.wait({asking}, timeout=self._broker.close_timeout_s)
        if self._over.done():
            return
        found = asking.result().declaration_result
        if not found.consumer_count:
            self._end(ConsumerLost("RabbitMQ has no consumer for us"))
            return
        self._owner.looked(found.consumer_count)

    async def _answered(self, asking: asyncio.Future[Any]) -> None:
        """Wait for an answer. It comes behind all messages that are under way, so as long as those come."""
        waiting = {asking, self._over}
        timeout_s = self._broker.answer_timeout_s
        while not any(future.done() for future in waiting):
            delivered = self._delivered
            await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() and delivered == self._delivered:
                self._end(ConsumerLost(f"RabbitMQ did not answer within {timeout_s:g} s"))

    # The end

    def _end(self, error: FeedmuxError) -> None:
        """The session is over; only the first reason counts."""
        if not self._over.done():
            self._over.set_result(error)
            self._spills.close()

    def _ended(self, what: str) -> Callable[..., None]:
        """What aio-pika calls when that has closed."""

        def closed(_: object, error: BaseException | None) -> None:
            self._end(LinkLost(f"{what} was closed: {_words(error)}"))

        return closed

    def _cancelled(self, _: object) -> None:
        self._end(ConsumerLost("RabbitMQ cancelled the consumer; its queue was deleted, or its node went"))

    async def _say_goodbye(self, connection: AbstractConnection) -> None:
        """Close the connection, but do not wait for who does not answer."""
        with suppress(*_TROUBLE):
            async with asyncio.timeout(self._broker.close_timeout_s):
                await connection.close()

    def _named(self, error: BaseException) -> FeedmuxError:
        """The error of ours for one of aio-pika's."""
        if self._is_open:
            return self._over.result() if self._over.done() else LinkLost(_words(error))
        return _unopened(error, self._broker)


async def publish(broker: BrokerConfig, messages: AsyncIterable[tuple[str, bytes]]) -> None:
    """Publish messages one after the other, each when RabbitMQ has confirmed the one before.

    Args:
        broker: where it is, and which exchange is meant.
        messages: routing keys and bodies.

    Raises:
        FeedmuxError: it cannot be reached, or refuses something.
    """
    try:
        async with asyncio.timeout(broker.connect_timeout_s):
            connection = await _connect(broker, "publisher")
    except _TROUBLE as error:
        raise _unopened(error, broker) from error
    async with connection:
        try:
            channel = await connection.channel()
            exchange = await _declare_exchange(channel, broker)
            async for key, body in messages:
                await exchange.publish(
                    aio_pika.Message(body, content_type="text/plain"), key, mandatory=False
                )
        except _TROUBLE as error:
            raise LinkLost(_words(error)) from error


class _Connection(aio_pika.Connection):
    """One that is closed if it cannot be opened.

    aio-pika leaves that to the garbage collector; when no event loop runs any more it complains then.
    """

    async def connect(self, timeout: Any = None) -> None:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await super().connect(timeout)
            undo.pop_all()


async def _connect(broker: BrokerConfig, name: str) -> AbstractConnection:
    for library in _LIBRARIES:
        # They tell every loss with a traceback of their own; we tell it in a sentence.
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return await aio_pika.connect(
        host=broker.host,
        port=broker.port,
        login=broker.user,
        password=broker.password,
        virtualhost=broker.vhost,
        ssl=broker.tls is not None,
        ssl_context=broker.tls,
        client_properties={"connection_name": f"feedmux {name}"},
        heartbeat=broker.heartbeat_s,
        connection_class=_Connection,
    )


async def _declare_exchange(channel: AbstractChannel, broker: BrokerConfig) -> AbstractExchange:
    try:
        return await channel.declare_exchange(
            broker.exchange, broker.exchange_type, durable=broker.durable, auto_delete=broker.auto_delete
        )
    except amqp.ChannelPreconditionFailed as error:
        raise ExchangeDiffers(broker.exchange, broker.expected, str(error)) from error


def _unopened(error: BaseException, broker: BrokerConfig) -> FeedmuxError:
    """The error of ours for one of aio-pika's, where nothing has been consumed yet."""
    address = broker.address
    if isinstance(error, amqp.ProbableAuthenticationError | amqp.AuthenticationError):
        return AuthenticationFailed(f"RabbitMQ at {address}", _words(error))
    if isinstance(error, amqp.InvalidFrameError) and _OPENING in str(error):
        # aiormq does not read what RabbitMQ says instead of opening the virtual host.
        reason = "it does not exist, or the user may not use it"
        return Refused(f"the virtual host {broker.vhost!r} of RabbitMQ at {address}", reason)
    is_shutdown = _SHUTDOWN in str(error)
    if isinstance(error, amqp.ConnectionClosed | amqp.ChannelClosed) and not is_shutdown:
        return Refused(f"what we need of RabbitMQ at {address}", _words(error))
    if isinstance(error, TimeoutError):
        return ConnectFailed(
            address, f"not set up within {broker.connect_timeout_s:g} s", cause=Cause.TIMEOUT
        )
    return ConnectFailed(address, _words(error))


def _words(error: BaseException | None) -> str:
    """What an error says; what kind it is, if it says nothing."""
    return str(error) or type(error).__name__
