"""The source of RabbitMQ where there is no RabbitMQ: nobody, somebody silent, somebody else.

What it does with a message is tried in test_relay.py, and all the rest on a real server in
tests/e2e/test_rabbitmq_source.py.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from feedmux.bus.inproc import InprocBus
from feedmux.client.clock import SystemClock
from feedmux.core.reconnect import Backoff
from feedmux.core.stats import add_up
from feedmux.feed.broker import BrokerConfig
from feedmux.feed.rabbitmq import RULES, RabbitMq, publish
from feedmux.feed.relay import RelayLimits
from feedmux.model.event import State
from feedmux.model.link_errors import ConnectFailed
from feedmux.wire.rango_topic import route
from support import rabbit_streams
from support.published import Published
from support.rabbit_streams import stream
from support.waiting import until

TRADES = stream("eurusd.trades")
ORDERS = stream("order", "uid=U1")


class Ears(Published):
    def receive(self, envelope: object, /) -> None:
        self.publish(envelope)  # type: ignore[arg-type]


@asynccontextmanager
async def source(port: int) -> AsyncIterator[tuple[RabbitMq, Ears]]:
    broker = BrokerConfig(
        host="127.0.0.1",
        port=port,
        backoff=Backoff(initial=0.01, ceiling=0.05),
        connect_timeout_s=0.5,
        close_timeout_s=0.1,
    )
    bus, ears = InprocBus(), Ears()
    rabbit = RabbitMq(
        bus,
        broker,
        route=route,
        rules=rabbit_streams.RULES,
        limits=RelayLimits(),
        clock=SystemClock(),
    )
    bus.serve(rabbit)
    reader = bus.reader("me", ears)
    reader.want(TRADES)
    reader.want(ORDERS)
    running = asyncio.create_task(rabbit.run())
    try:
        yield rabbit, ears
    finally:
        rabbit.close()
        await asyncio.wait_for(running, 5)


@asynccontextmanager
async def somebody(says: bytes, *, hangs_up: bool) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that is none: its port, and what it was told."""
    told: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read(8))
        writer.write(says)
        if not hangs_up:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], told
    finally:
        server.close()
        await server.wait_closed()


async def test_without_a_server_everything_wanted_is_held_and_told_why_nothing_comes() -> None:
    async with source(1) as (rabbit, ears):
        for topic in (TRADES, ORDERS):
            await until(lambda: ears.reason(topic) == "RabbitMQ cannot be reached")  # noqa: B023
            assert ears.states(topic) == [State.RECONNECTING, State.RECONNECTING]
        figures = rabbit.statistics()
        assert (figures["connected"], figures["consumers"], figures["reconnects"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("says", "hangs_up"),
    [
        (b"", True),
        (b"", False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True),
        (b"AMQP\x00\x01\x00\x00", True),
        (b"\x01\x00\x00\xff\xff\xff\xff", False),
        (b"\x01\x00\x00\x00\x00\x00\x04\xff\xff\xff\xff\xce", False),
    ],
)
async def test_whoever_else_answers_is_no_rabbitmq_and_asked_again(
    says: bytes, hangs_up: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with somebody(says, hangs_up=hangs_up) as (port, told), source(port) as (_, ears):
        await until(lambda: len(told) >= 4)
        assert set(told) == {b"AMQP\x00\x00\x09\x01"}
        assert ears.states(TRADES)[1:] == [State.RECONNECTING] * len(ears.states(TRADES)[1:])
        assert ears.reason(TRADES) == "RabbitMQ cannot be reached"
    assert f"no connection to amqp://127.0.0.1:{port}" in caplog.text
    assert "Traceback" not in caplog.text


async def test_statistics_add_up() -> None:
    async with source(1) as (rabbit, _):
        both = add_up(rabbit.statistics(), rabbit.statistics(), RULES)
        assert both["venue"] == "rabbitmq"
        assert both["topics"] == 4


async def nothing() -> AsyncIterator[tuple[str, bytes]]:
    return
    yield


def test_a_connection_that_could_not_be_opened_is_not_left_to_the_garbage_collector() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with asyncio.Runner() as runner:
        try:
            runner.run(publish(BrokerConfig(host="127.0.0.1", port=port), nothing()))
        except ConnectFailed as error:
            kept: Exception | None = error  # and with it every frame that it passed
        assert "Connect" in str(kept)
        asyncio.set_event_loop(None)  # as between two loops, or after the last one
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            kept = None
            gc.collect()
    assert [str(warning.message) for warning in heard] == []
