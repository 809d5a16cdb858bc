"""A feed that is published in the words of the Mudrex proxy, over a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest_asyncio

from feedmux.bus.redis_compat import RedisCompat
from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_mirror import RedisMirror
from feedmux.model.event import Envelope, EventKind, State, Status
from feedmux.model.ports import BeginEpoch, Publisher
from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.mudrex import MudrexFormat
from support.buses import Collector, ScriptedSource
from support.envelopes import TICKER, TRADES
from support.places import LINEAR
from support.redis import RedisServer
from support.redis_ear import SOON, open_link
from support.redis_listener import Listener, carried, holders, listening
from support.waiting import until

EVERYTHING = "mudrex:*"
MINUTES = Topic(PUBLIC, "bybit", "linear", "kline", "BTCUSDT", "1")
HOURS = Topic(PUBLIC, "bybit", "linear", "kline", "BTCUSDT", "60")
COMMANDS = ("hset", "hdel", "sadd", "srem", "del", "expire", "eval")
"""What the documents say that a user needs beside ``publish``."""


class ScriptedFeed(ScriptedSource):
    """A feed that says what it is told to."""

    def __init__(self, publisher: Publisher, begin: BeginEpoch) -> None:
        super().__init__(publisher)
        self._closed = asyncio.Event()

    async def run(self) -> None:
        await self._closed.wait()

    def close(self) -> None:
        self._closed.set()

    def statistics(self) -> dict[str, object]:
        return {"links": []}


class Tenure:
    """Where the feed publishes, while the lease is held or not."""

    def __init__(self) -> None:
        self.is_held = True
        self.node = Collector()

    def publish(self, envelope: Envelope, /) -> None:
        self.node.receive(envelope)

    def may_write(self) -> bool:
        return self.is_held


class Scene:
    """The feed, in a node that has the lease, and a program that listens."""

    def __init__(self, redis: RedisServer, listener: Listener, user: str = "default") -> None:
        self.redis, self.listener = redis, listener
        self.tenure = Tenure()
        password = "secret" if user != "default" else ""
        config = RedisConfig(host="127.0.0.1", port=redis.port, backoff=SOON, user=user, password=password)
        self.compat = RedisCompat(
            self.tenure, lambda _: 1, make_feed=self.make_feed, redis=config, layout=MudrexFormat(LINEAR)
        )
        self.running = asyncio.ensure_future(self.compat.run())

    def make_feed(self, publisher: Publisher, begin: BeginEpoch) -> ScriptedFeed:
        self.feed = ScriptedFeed(publisher, begin)
        return self.feed

    async def begins(self) -> None:
        await until(lambda: self.figures["link"]["connected"], "Redis is reached")

    async def shows(self, entries: dict[str, int], members: set[str]) -> None:
        def shown() -> bool:
            return (holders(self.redis), carried(self.redis)) == (entries, members)

        await until(shown, f"{entries} and {members}")

    @property
    def figures(self) -> Any:
        return self.compat.statistics()["compat"]

    async def end(self) -> None:
        self.compat.close()
        async with asyncio.timeout(10):
            await self.running

    def texts(self, channel: str = "mudrex:stream:trade:BTCUSDT") -> list[Any]:
        return [message["data"] for message in self.listener.of(channel)]


@pytest_asyncio.fixture
async def scene(redis: RedisServer) -> AsyncIterator[Scene]:
    async with listening(redis, "PSUBSCRIBE", EVERYTHING) as listener:
        scene = Scene(redis, listener)
        await scene.begins()
        yield scene
        await scene.end()


async def test_values_are_published_once_and_nothing_else_is(scene: Scene) -> None:
    scene.compat.want(TRADES, "a")
    scene.feed.advance(TRADES, b'"1"')
    scene.compat.want(TRADES, "b")  # is answered with a status and the last value
    scene.feed.status(TRADES, Status(State.STALE))
    gap = b'{"from":2,"to":null,"reason":"link"}'
    scene.feed.publisher.publish(Envelope(TRADES, 1, 1, EventKind.GAP, 0, 0, "", gap))
    scene.feed.advance(TRADES, b'"2"')
    await until(lambda: len(scene.listener.heard) == 2)
    assert scene.texts() == ["1", "2"]
    kinds = [event.kind for event in scene.tenure.node.events]
    assert kinds.count(EventKind.STATUS) == 3, "the node hears all of it"
    assert kinds.count(EventKind.SNAPSHOT) == 2
    assert kinds.count(EventKind.GAP) == 1


async def test_a_tickers_first_message_is_a_snapshot_and_so_are_the_venues(scene: Scene) -> None:
    channel = "mudrex:stream:ticker:BTCUSDT"
    scene.compat.want(TICKER, "a")
    scene.feed.advance(TICKER)
    scene.feed.advance(TICKER)
    scene.feed.publisher.publish(Envelope(TICKER, 1, 3, EventKind.SNAPSHOT, 0, 0, "", b"{}"))
    scene.feed.advance(TICKER)
    scene.compat.drop(TICKER, "a")
    scene.compat.want(TICKER, "a")
    scene.feed.advance(TICKER)
    await scene.listener.hears(channel, 5)
    kinds = [message["type"] for message in scene.listener.of(channel)]
    assert kinds == ["snapshot", "update", "snapshot", "update", "snapshot"]


async def test_a_ticker_begins_with_a_snapshot_again_where_something_may_be_missing(scene: Scene) -> None:
    channel = "mudrex:stream:ticker:BTCUSDT"
    scene.compat.want(TICKER, "a")
    for _ in range(2):
        scene.feed.advance(TICKER)
    await scene.listener.hears(channel, 2)
    scene.redis.kill_clients("normal")
    await until(lambda: scene.figures["link"]["opens"] == 2)
    for _ in range(2):
        scene.feed.advance(TICKER)
    await scene.listener.hears(channel, 4)
    kinds = [message["type"] for message in scene.listener.of(channel)]
    assert kinds == ["snapshot", "update"] * 2


async def test_candles_of_a_minute_are_on_the_proxys_channel_and_all_on_their_own(scene: Scene) -> None:
    for topic, text in ((MINUTES, b'"1m"'), (HOURS, b'"1h"')):
        scene.compat.want(topic, "a")
        scene.feed.advance(topic, text)
    await until(lambda: len(scene.listener.heard) == 3)
    found = [(channel, json.loads(text)["data"]) for channel, text in scene.listener.heard]
    assert found == [
        ("mudrex:stream:kline:BTCUSDT", "1m"),
        ("mudrex:stream:kline:1m:BTCUSDT", "1m"),
        ("mudrex:stream:kline:1h:BTCUSDT", "1h"),
    ]


async def test_what_nobody_wants_any_more_is_not_published(scene: Scene) -> None:
    scene.compat.want(TRADES, "a")
    scene.compat.want(TICKER, "a")
    scene.compat.drop(TRADES, "a")
    scene.feed.advance(TRADES)
    scene.feed.advance(TICKER)
    await until(lambda: scene.listener.heard)
    assert [channel for channel, _ in scene.listener.heard] == ["mudrex:stream:ticker:BTCUSDT"]


async def test_hash_and_set_follow_what_is_held_and_carried(scene: Scene) -> None:
    for topic, holder in ((TICKER, "a"), (TICKER, "b"), (MINUTES, "a"), (HOURS, "b"), (TRADES, "b")):
        scene.compat.want(topic, holder)
    scene.feed.status(TRADES, Status(State.PENDING))
    await scene.shows(
        {"ticker:BTCUSDT": 2, "kline:BTCUSDT": 2, "trade:BTCUSDT": 1}, {"ticker:BTCUSDT", "kline:BTCUSDT"}
    )
    scene.compat.drop(MINUTES, "a")
    scene.feed.status(TRADES, Status(State.LIVE))
    everything = {"ticker:BTCUSDT", "kline:BTCUSDT", "trade:BTCUSDT"}
    await scene.shows({"ticker:BTCUSDT": 2, "kline:BTCUSDT": 1, "trade:BTCUSDT": 1}, everything)
    scene.feed.status(TRADES, Status(State.REFUSED, "no such symbol"))
    scene.compat.forget("b")
    await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})
    scene.compat.drop(TICKER, "a")
    await scene.shows({}, set())
    assert scene.redis.ask("DBSIZE") == 0
    scene.compat.want(TICKER, "a")
    await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})
    await until(lambda: scene.redis.ask("TTL", "mudrex:subscriptions") != -1)
    await until(lambda: scene.redis.ask("TTL", "mudrex:upstream:subscribed") != -1)


async def test_an_end_in_order_leaves_nothing(redis: RedisServer) -> None:
    async with listening(redis, "PSUBSCRIBE", EVERYTHING) as listener:
        scene = Scene(redis, listener)
        await scene.begins()
        scene.compat.want(TICKER, "a")
        await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})
        scene.feed.advance(TICKER)
        await scene.end()
        assert redis.ask("DBSIZE") == 0
        await until(lambda: listener.heard, "what was said before it ended")


async def test_without_the_lease_nothing_is_said_and_the_keys_are_another_nodes(redis: RedisServer) -> None:
    async with listening(redis, "PSUBSCRIBE", EVERYTHING) as listener:
        scene = Scene(redis, listener)
        await scene.begins()
        scene.compat.want(TRADES, "a")
        await scene.shows({"trade:BTCUSDT": 1}, {"trade:BTCUSDT"})
        scene.tenure.is_held = False
        redis.ask("DEL", "mudrex:subscriptions", "mudrex:upstream:subscribed")
        redis.ask("HSET", "mudrex:subscriptions", "ticker:THEIRS", "1")
        scene.feed.advance(TRADES, b'"unsaid"')
        scene.compat.want(TICKER, "a")
        await scene.end()
        assert (holders(redis), carried(redis)) == ({"ticker:THEIRS": 1}, set())
        redis.ask("PUBLISH", "mudrex:end", "{}")
        await until(lambda: listener.of("mudrex:end"), "all that came before it")
        assert len(listener.heard) == 1


async def test_a_lease_that_is_held_again_makes_the_keys_true_again(scene: Scene) -> None:
    scene.compat.want(TRADES, "a")
    await scene.shows({"trade:BTCUSDT": 1}, {"trade:BTCUSDT"})
    scene.tenure.is_held = False
    scene.compat.want(TICKER, "a")
    scene.compat.drop(TRADES, "a")
    scene.feed.advance(TICKER, b'"unsaid"')
    scene.tenure.is_held = True
    scene.feed.advance(TICKER, b'"said"')
    await until(lambda: scene.listener.heard)
    assert scene.texts("mudrex:stream:ticker:BTCUSDT") == ["said"]
    await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})


async def test_keys_that_somebody_deleted_come_back(scene: Scene) -> None:
    scene.compat.want(TICKER, "a")
    scene.compat.want(TRADES, "a")
    members = {"ticker:BTCUSDT", "trade:BTCUSDT"}
    await scene.shows(dict.fromkeys(members, 1), members)
    scene.redis.ask("FLUSHALL")
    scene.compat.drop(TRADES, "a")
    scene.compat.want(TICKER, "b")
    await scene.shows({"ticker:BTCUSDT": 2}, {"ticker:BTCUSDT"})
    scene.redis.ask("SET", "mudrex:subscriptions", "something else")
    scene.compat.drop(TICKER, "b")
    await until(lambda: scene.redis.ask("TYPE", "mudrex:subscriptions") == b"hash")
    await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})


async def test_after_a_lost_connection_everything_is_written_anew(scene: Scene) -> None:
    scene.compat.want(TICKER, "a")
    await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})
    scene.redis.ask("HSET", "mudrex:subscriptions", "ticker:OLDUSDT", "1")
    scene.redis.ask("SADD", "mudrex:upstream:subscribed", "ticker:OLDUSDT")
    scene.redis.kill_clients("normal")
    await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})


async def test_the_last_holder_leaves_and_comes_back_a_thousand_times(scene: Scene) -> None:
    for number in range(1000):
        topic = msgspec.structs.replace(TICKER, instrument=f"COIN{number % 100}USDT")
        scene.compat.want(topic, "a")
        scene.feed.advance(topic)
        if number % 10 == 0:
            await until(lambda: carried(scene.redis))
        scene.compat.drop(topic, "a")
    await scene.shows({}, set())
    assert scene.redis.ask("DBSIZE") == 0
    assert (scene.figures["holders"], scene.figures["carried"]) == (0, 0)
    await until(lambda: len(scene.listener.heard) == 1000)


async def test_redis_is_started_again_and_nothing_is_said_twice(scene: Scene) -> None:
    scene.compat.want(TRADES, "a")
    scene.feed.advance(TRADES, b'"1"')
    await until(lambda: scene.texts() == ["1"])
    scene.redis.kill()
    await until(lambda: not scene.figures["link"]["connected"])
    scene.feed.advance(TRADES, b'"2"')
    scene.compat.want(TICKER, "a")
    await scene.redis.restart()
    async with listening(scene.redis, "PSUBSCRIBE", EVERYTHING) as again:
        members = {"ticker:BTCUSDT", "trade:BTCUSDT"}
        await scene.shows(dict.fromkeys(members, 1), members)
        scene.feed.advance(TRADES, b'"3"')
        await until(lambda: again.heard)
        assert [message["data"] for message in again.of("mudrex:stream:trade:BTCUSDT")] == ["3"]


async def test_a_user_who_may_not_write_the_keys_is_named_until_he_may(redis: RedisServer) -> None:
    rights = ["on", ">secret", "+@connection", "+publish", "&mudrex:*"]
    redis.ask("ACL", "SETUSER", "listened", *rights)
    async with listening(redis, "PSUBSCRIBE", EVERYTHING) as listener:
        scene = Scene(redis, listener, user="listened")
        await scene.begins()
        scene.compat.want(TRADES, "a")
        await until(lambda: "NOPERM" in scene.figures["trouble"], "the refusal is told")
        scene.feed.advance(TRADES, b'"1"')
        await until(lambda: scene.texts() == ["1"], "values are published all the same")
        redis.ask("ACL", "SETUSER", "listened", "~mudrex:*", *(f"+{name}" for name in COMMANDS))
        await scene.shows({"trade:BTCUSDT": 1}, {"trade:BTCUSDT"})
        await until(lambda: not scene.figures["trouble"], "it is well")
        scene.compat.want(TICKER, "a")
        scene.compat.drop(TRADES, "a")
        await scene.shows({"ticker:BTCUSDT": 1}, {"ticker:BTCUSDT"})
        await scene.end()
        assert not scene.figures["trouble"]
        assert redis.ask("DBSIZE") == 0


async def test_thousands_of_names_are_written_in_one_step(redis: RedisServer) -> None:
    mirror = RedisMirror("mudrex:subscriptions", put="HSET", remove="HDEL", ttl_s=10)
    entries = {f"ticker:{number}": (f"ticker:{number}", str(number)) for number in range(20_000)}
    config = RedisConfig(host="127.0.0.1", port=redis.port, backoff=SOON)
    async with open_link(config) as (link, _):
        for command in mirror.anew(entries):
            await link.call(*command)
    assert holders(redis) == {f"ticker:{number}": number for number in range(20_000)}
    assert redis.ask("TTL", mirror.key) in (9, 10)
