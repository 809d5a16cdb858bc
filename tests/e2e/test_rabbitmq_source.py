"""The source of RabbitMQ, on a real server: what is routed where, and how it comes back from every loss."""

from __future__ import annotations

import asyncio
import logging
import ssl

import pytest

from feedmux.feed.relay import RelayLimits
from feedmux.feed.stream import ObjectRules
from feedmux.model.event import EventKind, State
from feedmux.sim.faults import FaultProxy
from support.rabbit_feed import PATIENCE_S, rabbit_feed
from support.rabbit_streams import Kept, body, sequence_of, stream
from support.rabbitmq import PASSWORD, Publisher, RabbitServer
from support.waiting import until

TRADES = stream("eurusd.trades")
BOOK = stream("eurusd.ob-inc")
ORDERS = stream("order", "uid=U1")
ADMIN = stream("eurusd.sys", "role=admin")


@pytest.mark.parametrize(
    ("routing_key", "topic"),
    [
        ("public.eurusd.trades", TRADES),
        ("public.global.tickers", stream("global.tickers")),
        ("global.tickers", stream("global.tickers")),
        ("public.tickers", stream("public.tickers")),
        ("private.U1.order", ORDERS),
        ("admin.eurusd.sys", ADMIN),
        ("privateer.eurusd.sys", stream("eurusd.sys", "role=privateer")),
        ("public.eurusd.ob-snap", BOOK),
        ("admin.eurusd.ob-snap", stream("eurusd.ob-inc", "role=admin")),
        ("private.U1.balance-snap", stream("balance-inc", "uid=U1")),
    ],
)
async def test_a_message_reaches_the_stream_of_its_routing_key_once_and_as_it_was(
    rabbitmq: RabbitServer, exchange: str, routing_key: str, topic: object
) -> None:
    said = ' {"price": 1.0,\n\t"id": 18446744073709551617, "who": "<é>"}\n'.encode()
    topics = {TRADES, BOOK, ORDERS, ADMIN, stream("global.tickers"), stream("public.tickers")}
    topics |= {stream("eurusd.sys", "role=privateer"), stream("eurusd.sys"), stream("order", "uid=U2")}
    topics |= {stream("eurusd.ob-inc", "role=admin"), stream("balance-inc", "uid=U1")}
    async with rabbit_feed(rabbitmq, exchange) as feed:
        await feed.connects()
        for one in topics:
            feed.reader.want(one)
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say(routing_key, said)
            for key in ("public.eurusd.trades", "private.U1.order"):
                publisher.say(key, b'"last"')

        def has_come() -> bool:
            return all(feed.ears.values(one)[-1:] for one in (TRADES, ORDERS, topic))  # type: ignore[arg-type]

        await until(has_come)
        found = [event for event in feed.ears.events if event.payload == said]
        assert [event.topic for event in found] == [topic]
        kind = EventKind.SNAPSHOT if routing_key.endswith("-snap") else EventKind.UPDATE
        assert [event.kind for event in found] == [kind]


async def test_first(rabbitmq: RabbitServer, exchange: str) -> None:
    async with rabbit_feed(rabbitmq, exchange) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))
        print(feed.statistics())
        assert rabbitmq.close_connections() >= 2
        await feed.reconnects(1)
        print(feed.statistics(), feed.ears.take())
