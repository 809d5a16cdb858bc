"""Put together where a gateway's topics come from, and where messages of our own go to."""

from __future__ import annotations

from collections.abc import AsyncIterable
from functools import partial
from typing import TYPE_CHECKING

from feedmux.app import terms, terms_redis
from feedmux.app.bybit_url import venue_url
from feedmux.client.clock import SystemClock
from feedmux.client.settings import LinkConfig
from feedmux.core.increments import ObjectLimits
from feedmux.core.roster import Roster
from feedmux.feed import market as markets
from feedmux.feed.market import Market
from feedmux.feed.shard import ShardConfig
from feedmux.feed.sources import Feeds
from feedmux.model.ports import Clock, Feed, Publisher
from feedmux.wire.rango_topic import route

if TYPE_CHECKING:
    from feedmux.app.settings import Settings
    from feedmux.bus.redis_node import RedisNode
    from feedmux.feed.rabbitmq import RabbitMq


def feeds(settings: Settings, publisher: Publisher) -> Feeds:
    """Every source that the settings name, connected to the writer's end of a bus and not started."""
    clock = SystemClock()
    served = [market(settings, name) for name in settings.venues]
    node = _node(settings, clock) if settings.redis_url and served else None
    drivers: dict[tuple[str, str], Feed] = {}
    for one in served:
        make = partial(markets.driver, one, clock=clock, **terms.driver(settings))
        rest = markets.figures_at_rest(one)
        source = make(publisher) if node is None else node.source(one.place, make, publisher, rest)
        drivers[one.place.venue, one.place.market] = source
    broker = _broker(settings, publisher, clock) if terms.asks_broker(settings) else None
    return Feeds(drivers, broker, node)


def _node(settings: Settings, clock: Clock) -> RedisNode:
    terms_redis.require_redis(settings)
    from feedmux.bus.redis_config import RedisConfig
    from feedmux.bus.redis_node import RedisNode
    from feedmux.core.lease import Terms

    redis, leases = RedisConfig(**terms_redis.redis(settings)), Terms(**terms_redis.leases(settings))
    return RedisNode(redis, clock=clock, terms=leases, **terms_redis.node(settings))


def _broker(settings: Settings, publisher: Publisher, clock: Clock) -> RabbitMq:
    terms.require_amqp(settings)
    from feedmux.feed.broker import BrokerConfig
    from feedmux.feed.rabbitmq import RabbitMq
    from feedmux.feed.relay import RelayLimits
    from feedmux.feed.stream import ObjectRules

    are_numbered = settings.rabbitmq_sequences == "check"
    return RabbitMq(
        publisher,
        BrokerConfig(**terms.broker(settings)),
        route=route,
        rules=ObjectRules(limits=object_limits(settings), are_numbered=are_numbered),
        limits=RelayLimits(**terms.relay(settings)),
        clock=clock,
    )


def object_limits(settings: Settings) -> ObjectLimits:
    """The same for who writes an object and who reads it, so that no reader loses what its writer has."""
    return ObjectLimits(increments=settings.object_increments, bytes=settings.object_bytes)


def market(settings: Settings, name: str) -> Market:
    """What a name of ``VENUES`` stands for."""
    venue, _, which = name.partition(".")
    link, shard = LinkConfig(**terms.link(settings, venue)), ShardConfig(**terms.shard(settings, venue))
    if venue == "bybit":
        return markets.bybit(which, venue_url(settings, which), link, shard)
    if venue == "alpaca":
        return markets.alpaca(link, shard, **terms.alpaca(settings))
    return markets.deribit(settings.deribit_ws_url, link, shard)


async def survey(settings: Settings) -> Roster:
    """Ask Redis what it knows of the cluster; a FeedmuxError says that it cannot be asked."""
    terms_redis.require_redis(settings)
    from feedmux.bus import redis_survey
    from feedmux.bus.redis_config import RedisConfig

    return await redis_survey.survey(RedisConfig(**terms_redis.redis(settings)), terms_redis.prefix(settings))


async def publish(settings: Settings, messages: AsyncIterable[tuple[str, bytes]]) -> None:
    """Publish messages to RabbitMQ; a FeedmuxError says that it is not there, or refuses something."""
    terms.require_amqp(settings)
    from feedmux.feed import broker, rabbitmq

    await rabbitmq.publish(broker.BrokerConfig(**terms.broker(settings)), messages)
