"""The source of RabbitMQ, on a real server: what is routed where, and how it comes back from every loss."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from feedmux.core.increments import sequence_of
from feedmux.feed.relay import RelayLimits
from feedmux.model.event import EventKind, State
from feedmux.sim.faults import FaultProxy
from support.rabbit_feed import PATIENCE_S, rabbit_feed
from support.rabbit_streams import body, rules, stream
from support.rabbitmq import PASSWORD, Publisher, RabbitServer
from support.waiting import until

TRADES = stream("eurusd.trades")
BOOK = stream("eurusd.ob-inc")
ORDERS = stream("order", "uid=U1")
ADMIN = stream("eurusd.sys", "role=admin")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task of a library was forgotten with its error, or died while it was under way."""
    yield
    gc.collect()
    left = [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"]
    assert left == []


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


async def test_what_routes_nowhere_or_interests_nobody_is_counted(
    rabbitmq: RabbitServer, exchange: str
) -> None:
    async with rabbit_feed(rabbitmq, exchange) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            for key in ("alone", "one.two.three.four", "private", "private.order"):
                publisher.say(key, b"{}")
            publisher.say("public.btcusd.trades", b"{}")
            publisher.say("public.eurusd.ob-inc", body(2))
            publisher.say("private.U9.order", b"{}")
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))
            dropped = {"routing_key": 4, "unwanted": 2, "no_snapshot": 1}
            await until(lambda: dropped.items() <= feed.statistics()["dropped"].items())
        assert feed.statistics()["consumed"] == {"public": 3, "private": 1, "role": 0, "unknown": 4}
        assert feed.statistics()["topics"] == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{price: 1}", "not_json"),
        (b"", "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b"\x89PNG\r\n\x1a\n", "not_json"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
        (b'"' + b"x" * 300_000 + b'"', "too_large"),
    ],
)
async def test_a_body_that_cannot_be_passed_on_is_dropped_counted_and_said_once(
    rabbitmq: RabbitServer, exchange: str, bad: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with rabbit_feed(rabbitmq, exchange, limits=RelayLimits(body_bytes=250_000)) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            for _ in range(5):
                publisher.say("public.eurusd.trades", bad)
            publisher.say("public.eurusd.trades", b'{"good":1}')
            await until(lambda: feed.ears.values(TRADES))
        assert [event.payload for event in feed.ears.values(TRADES)] == [b'{"good":1}']
        assert feed.statistics()["dropped"][reason] == 5
        said = [record.getMessage() for record in caplog.records if "was dropped" in record.getMessage()]
        assert len(said) == 1
        assert "'public.eurusd.trades'" in said[0]
        assert "price" not in said[0]


@pytest.mark.parametrize("key", [b"\x00.\n.\x7f", b"..", b"\xc3\xa9.a.b", b"x" * 255])
async def test_no_routing_key_ends_the_connection(rabbitmq: RabbitServer, exchange: str, key: bytes) -> None:
    async with rabbit_feed(rabbitmq, exchange) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say(key, b"{}")
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))
        assert feed.statistics()["reconnects"] == 0


async def test_a_routing_key_that_is_no_text_ends_the_connection_and_is_survived(
    rabbitmq: RabbitServer, exchange: str
) -> None:
    """AMQP says that it is UTF-8, RabbitMQ does not look, and below aio-pika it cannot be read."""
    async with rabbit_feed(rabbitmq, exchange) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say(b"public.\xff.trades", b"{}")
            await feed.reconnects(0)
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))
        assert feed.ears.take()[-4:] == ["reconnecting", "gap", "live", "U{}"]


@pytest.mark.parametrize(
    "headers",
    [{"x": 1}, {"x": "é"}, {"x": b"\xff"}, {"x": [{"y": [None, True, 2**62]}]}, {"\u00e9" * 60: "x"}],
)
async def test_no_header_keeps_a_message_away(
    rabbitmq: RabbitServer, exchange: str, headers: dict[str, object]
) -> None:
    async with rabbit_feed(rabbitmq, exchange) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"{}", headers)
            await until(lambda: feed.ears.values(TRADES))
        assert feed.statistics()["reconnects"] == 0


async def test_who_comes_late_gets_the_object_as_it_is(rabbitmq: RabbitServer, exchange: str) -> None:
    async with rabbit_feed(rabbitmq, exchange) as feed:
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.ob-inc", body(4))
            publisher.say("public.eurusd.ob-snap", body(5))
            publisher.say("public.eurusd.ob-inc", body(6))
            publisher.say("public.eurusd.ob-inc", body(7))
            await until(lambda: feed.statistics()["consumed"]["public"] == 4)
            feed.reader.want(BOOK)
            assert feed.ears.take() == ["live", "S5", "U6", "U7"]
            publisher.say("public.eurusd.ob-inc", body(8))
            await until(lambda: feed.ears.values(BOOK))
            positions = [(event.epoch, event.seq) for event in feed.ears.values(BOOK)]
            late, ears = feed.another("late")
            late.want(BOOK)
            assert ears.take() == ["live", "S5", "U6", "U7", "U8"]
            assert positions == [(feed.ears.events[0].epoch, 4)]


async def test_ten_thousand_increments_come_in_order_and_what_is_kept_is_bounded(
    rabbitmq: RabbitServer, exchange: str
) -> None:
    most = 256
    async with rabbit_feed(rabbitmq, exchange, rules=rules(increments=most)) as feed:
        feed.reader.want(BOOK)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            for number in range(1, 10_001):
                if number % 200 == 1:
                    publisher.say("public.eurusd.ob-snap", body(number - 1))
                publisher.say("public.eurusd.ob-inc", body(number))
            await until(lambda: feed.statistics()["consumed"]["public"] == 10_050, "all came", 60)
        updates = [event for event in feed.ears.values(BOOK) if event.kind is EventKind.UPDATE]
        assert [sequence_of(event.payload) for event in updates] == list(range(1, 10_001))
        assert feed.ears.states(BOOK)[-1] is State.LIVE
        assert feed.statistics()["holes"] == 0
        assert feed.statistics()["stored_bytes"] < (most + 1) * len(body(10_000))
        late, ears = feed.another("late")
        late.want(BOOK)
        assert ears.take() == ["live", "S9800", *(f"U{number}" for number in range(9801, 10_001))]


async def test_a_hole_is_told_and_mended_by_the_next_snapshot(rabbitmq: RabbitServer, exchange: str) -> None:
    async with rabbit_feed(rabbitmq, exchange) as feed:
        feed.reader.want(BOOK)
        await feed.connects()
        feed.ears.take()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.ob-snap", body(5))
            for number in (6, 9, 10):
                publisher.say("public.eurusd.ob-inc", body(number))
            publisher.say("public.eurusd.ob-snap", body(10))
            await until(lambda: len(feed.ears.events) == 7)
        assert feed.ears.reason(BOOK) == ""
        assert feed.ears.take() == ["S5", "U6", "stale", "U9", "U10", "S10", "live"]


# How it comes back


async def test_the_server_is_stopped_and_started_and_all_goes_on_in_a_new_epoch(
    own_rabbitmq: RabbitServer, exchange: str
) -> None:
    async with rabbit_feed(own_rabbitmq, exchange) as feed:
        for topic in (TRADES, BOOK, ORDERS):
            feed.reader.want(topic)
        await feed.connects()
        with Publisher(own_rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"1")
            publisher.say("private.U1.order", b"1")
            publisher.say("public.eurusd.ob-snap", body(5))
            publisher.say("public.eurusd.ob-inc", body(6))
            await until(lambda: len(feed.ears.values(BOOK)) == 2 and feed.ears.values(ORDERS))
        before = feed.ears.values(TRADES)[0].epoch
        await own_rabbitmq.stop()
        for topic in (TRADES, BOOK, ORDERS):
            await feed.tells(topic, State.RECONNECTING)
        await until(lambda: feed.ears.reason(BOOK) == "RabbitMQ cannot be reached", "", PATIENCE_S)
        late, ears = feed.another("late")
        late.want(BOOK)
        assert ears.take() == ["reconnecting", "S5", "U6"]
        feed.ears.events.clear()
        await own_rabbitmq.restart()
        await feed.connects()
        assert feed.ears.states(TRADES)[-1] is State.LIVE
        assert feed.ears.states(ORDERS)[-1] is State.LIVE
        assert ears.take()[-3:] == ["stale", "S5", "U6"]
        assert "was lost" in feed.ears.reason(BOOK)
        kinds = [event.kind for event in feed.ears.events if event.topic == TRADES]
        assert kinds[-2:] == [EventKind.GAP, EventKind.STATUS]
        with Publisher(own_rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.ob-inc", body(7))
            publisher.say("public.eurusd.ob-snap", body(7))
            publisher.say("public.eurusd.trades", b"2")
            publisher.say("private.U1.order", b"2")
            await feed.tells(BOOK, State.LIVE)
            await until(lambda: feed.ears.values(TRADES) and feed.ears.values(ORDERS))
        assert ears.take() == ["U7", "S7", "live"]
        assert feed.ears.values(TRADES)[0].epoch > before
        assert feed.ears.values(TRADES)[0].seq == 1
        assert feed.statistics()["reconnects"] == 2
        assert own_rabbitmq.consumers(exchange) == 2


@pytest.mark.parametrize("how", ["cut", "closed by RabbitMQ"])
async def test_a_connection_that_ends_is_replaced(
    own_rabbitmq: RabbitServer, exchange: str, how: str
) -> None:
    async with (
        before(own_rabbitmq) as proxy,
        rabbit_feed(own_rabbitmq, exchange, port=proxy.port) as feed,
    ):
        feed.reader.want(TRADES)
        feed.reader.want(ORDERS)
        await feed.connects()
        for round_number in range(3):
            feed.ears.take()
            if how == "cut":
                proxy.cut()
            else:
                own_rabbitmq.close_connections()
            await until(lambda: feed.ears.states(ORDERS)[-2:] == [State.RECONNECTING, State.LIVE])
            await until(lambda: feed.ears.states(TRADES)[-2:] == [State.RECONNECTING, State.LIVE])
            with Publisher(own_rabbitmq.port, exchange) as publisher:
                publisher.say("public.eurusd.trades", b"%d" % round_number)
                publisher.say("private.U1.order", b"%d" % round_number)
                await until(lambda: feed.ears.values(TRADES) and feed.ears.values(ORDERS))


async def test_a_queue_that_is_deleted_is_declared_again(rabbitmq: RabbitServer, exchange: str) -> None:
    async with rabbit_feed(rabbitmq, exchange, check_interval_s=3600) as feed:
        feed.reader.want(TRADES)
        feed.reader.want(ORDERS)
        await feed.connects()
        (queue,) = (name for name in rabbitmq.queues(exchange) if name.startswith("feedmux.public."))
        rabbitmq.delete_queue(queue)
        await feed.reconnects(0)
        assert queue not in rabbitmq.queues(exchange)
        assert rabbitmq.consumers(exchange) == 2
        assert feed.ears.states(TRADES)[-2:] == [State.RECONNECTING, State.LIVE]
        assert State.RECONNECTING not in feed.ears.states(ORDERS)[1:], "the other side was not touched"
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))


async def test_a_consumer_that_is_gone_without_a_word_is_noticed(
    rabbitmq: RabbitServer, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with rabbit_feed(rabbitmq, exchange) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        (queue,) = (name for name in rabbitmq.queues(exchange) if name.startswith("feedmux.public."))
        rabbitmq.forget_consumers(queue)
        await feed.reconnects(0)
        assert "RabbitMQ has no consumer for us" in caplog.text
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"check_interval_s": 3600.0, "heartbeat_s": 1}, "the connection was closed"),
        ({"check_interval_s": 0.1, "answer_timeout_s": 1.0}, "RabbitMQ did not answer within 1 s"),
    ],
)
async def test_a_partition_is_noticed_and_survived(
    rabbitmq: RabbitServer,
    exchange: str,
    settings: dict[str, Any],
    word: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = {"connect_timeout_s": 2.0, "close_timeout_s": 0.5, **settings}
    async with (
        before(rabbitmq) as proxy,
        rabbit_feed(rabbitmq, exchange, port=proxy.port, **settings) as feed,
    ):
        feed.reader.want(TRADES)
        feed.reader.want(ORDERS)
        await feed.connects()
        proxy.stall()
        await feed.tells(TRADES, State.RECONNECTING)
        await feed.tells(ORDERS, State.RECONNECTING)
        assert word in caplog.text
        await until(lambda: "not set up within 2 s" in caplog.text, "new connections stall, too", PATIENCE_S)
        proxy.resume()
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))


# What cannot work is said, and tried again


async def test_an_exchange_of_another_type_is_named_and_not_given_up(
    rabbitmq: RabbitServer, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Publisher(rabbitmq.port, exchange, "fanout") as publisher:
        async with rabbit_feed(rabbitmq, exchange) as feed:
            feed.reader.want(TRADES)
            sentence = "the exchange in RabbitMQ is another one than the gateway's settings say"
            await until(lambda: feed.ears.reason(TRADES) == sentence, "", PATIENCE_S)
            assert feed.ears.state(TRADES) is State.RECONNECTING
            assert f"RabbitMQ has an exchange '{exchange}' that is not topic, not durable" in caplog.text
            publisher.channel.exchange_delete(exchange)
            await feed.connects()
            assert feed.ears.state(TRADES) is State.LIVE


@pytest.mark.parametrize(
    ("wrong", "reason", "word"),
    [
        (
            {"password": "n0t-the-passw0rd"},
            "RabbitMQ does not accept the gateway's credentials",
            "does not accept the credentials",
        ),
        ({"vhost": "elsewhere"}, "RabbitMQ refused what the gateway asked for", "elsewhere"),
        (
            {"host": "nowhere.invalid"},
            "RabbitMQ cannot be reached",
            "no connection to amqp://nowhere.invalid",
        ),
        ({"port": 1}, "RabbitMQ cannot be reached", "no connection to amqp://127.0.0.1:1"),
        ({"tls": ssl.create_default_context()}, "RabbitMQ cannot be reached", "no connection to amqps://"),
    ],
)
async def test_what_is_set_wrong_is_said_without_secrets_and_tried_again(
    rabbitmq: RabbitServer,
    exchange: str,
    wrong: dict[str, Any],
    reason: str,
    word: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with rabbit_feed(rabbitmq, exchange, **wrong) as feed:
        feed.reader.want(TRADES)
        await until(lambda: feed.ears.reason(TRADES) == reason, reason, PATIENCE_S)
        assert feed.ears.state(TRADES) is State.RECONNECTING
    assert word in caplog.text
    assert "Traceback" not in caplog.text
    for secret in ("n0t-the-passw0rd", f":{PASSWORD}@"):
        assert secret not in caplog.text


async def test_it_speaks_tls_with_who_can_prove_himself(rabbitmq: RabbitServer, exchange: str) -> None:
    tls = ssl.create_default_context(cafile=str(rabbitmq.ca_file))
    async with rabbit_feed(rabbitmq, exchange, port=rabbitmq.tls_port, tls=tls) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))


async def test_it_does_not_speak_tls_with_who_cannot(
    rabbitmq: RabbitServer, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    untrusting = ssl.create_default_context()
    async with rabbit_feed(rabbitmq, exchange, port=rabbitmq.tls_port, tls=untrusting) as feed:
        feed.reader.want(TRADES)
        await until(lambda: feed.ears.reason(TRADES) == "RabbitMQ cannot be reached", "", PATIENCE_S)
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


# Too much


async def test_what_a_full_queue_drops_is_the_oldest_and_the_readers_are_told(
    rabbitmq: RabbitServer, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        before(rabbitmq) as proxy,
        rabbit_feed(rabbitmq, exchange, port=proxy.port, queue_messages=20, heartbeat_s=600) as feed,
    ):
        feed.reader.want(TRADES)
        feed.reader.want(BOOK)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.ob-snap", body(5))
            await until(lambda: feed.ears.values(BOOK))
            proxy.stall()
            filler = b"x" * 100_000
            for number in range(1000):
                publisher.say("public.eurusd.trades", b'[%d,"%s"]' % (number, filler))
            publisher.say("public.eurusd.ob-inc", body(6))

            def waiting() -> list[int]:
                return [queue["messages"] for queue in rabbitmq.queues(exchange).values()]

            await until(lambda: max(waiting()) == 20, "the queue is full")
            proxy.resume()
            await until(lambda: feed.ears.values(TRADES)[-1:], "", PATIENCE_S)
            await until(lambda: feed.ears.values(TRADES)[-1].payload.startswith(b"[999,"), "", PATIENCE_S)
            await until(lambda: feed.statistics()["spilled"] > 0)
        numbers = [int(event.payload[1:].partition(b",")[0]) for event in feed.ears.values(TRADES)]
        assert numbers == sorted(numbers)
        assert len(numbers) < 1000
        assert numbers[-19:] == list(range(981, 1000))
        await until(lambda: any(event.kind is EventKind.GAP for event in feed.ears.events))
        assert State.STALE in feed.ears.states(BOOK)
        assert feed.ears.state(TRADES) is State.LIVE
        assert "the public queue in RabbitMQ was full" in caplog.text


@pytest.mark.parametrize("state", ["connecting", "consuming", "stalled", "waiting"])
async def test_closing_takes_no_time_and_leaves_nothing(
    rabbitmq: RabbitServer, exchange: str, state: str
) -> None:
    async with before(rabbitmq) as proxy:
        if state == "connecting":
            proxy.stall()
        port = 1 if state == "waiting" else proxy.port
        async with asyncio.timeout(PATIENCE_S):
            async with rabbit_feed(rabbitmq, exchange, port=port, close_timeout_s=0.5) as feed:
                feed.reader.want(TRADES)
                if state == "connecting":
                    await until(lambda: proxy.statistics()["connections"] == 2)
                elif state == "waiting":
                    await until(lambda: feed.ears.reason(TRADES) == "RabbitMQ cannot be reached")
                else:
                    await feed.connects()
                if state == "stalled":
                    proxy.stall()
        proxy.resume()
        await until(lambda: proxy.statistics()["connections"] == 0)
        if state in {"consuming", "stalled"}:
            await until(lambda: rabbitmq.queues(exchange) == {}, "nothing is left in RabbitMQ")


async def test_a_user_who_may_not_hear_of_spills_can_do_without(
    rabbitmq: RabbitServer, exchange: str
) -> None:
    async with rabbit_feed(rabbitmq, exchange, tells_spills=False) as feed:
        feed.reader.want(TRADES)
        await feed.connects()
        with Publisher(rabbitmq.port, exchange) as publisher:
            publisher.say("public.eurusd.trades", b"{}")
            await until(lambda: feed.ears.values(TRADES))


@asynccontextmanager
async def before(server: RabbitServer) -> AsyncIterator[FaultProxy]:
    """A proxy before a server, to break connections."""
    proxy = FaultProxy("127.0.0.1", server.port)
    await proxy.start()
    try:
        yield proxy
    finally:
        proxy.resume()
        await proxy.stop()
