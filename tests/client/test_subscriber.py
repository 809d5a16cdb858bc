from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from feedmux.client.settings import LinkConfig
from feedmux.client.subscriber import Message, Subscriber
from feedmux.model.errors import InvalidSetting, Refused
from support.gateway import Gateway, until

QUICK = LinkConfig(retry_delay_s=0.01, max_backoff_s=0.05, ping_interval_s=0.05, close_timeout_s=0.2)


class Diary:
    """A reader that remembers everything."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.texts: list[bytes] = []
        self.events: list[str] = []

    def connected(self) -> None:
        self.events.append("connected")

    def take(self, message: Message, text: bytes) -> None:
        self.messages.append(message)
        self.texts.append(text)

    def disconnected(self, reason: str) -> None:
        self.events.append("disconnected")

    def retrying(self, reason: str, wait_s: float) -> None:
        self.events.append("retrying")

    def streams(self) -> set[str]:
        return {message["stream"] for message in self.messages if "stream" in message}


@asynccontextmanager
async def following(url: str, args: list[str], diary: Diary) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber(url, args, diary, config=QUICK)
    running = asyncio.create_task(subscriber.run())
    try:
        yield subscriber
    finally:
        subscriber.close()
        async with asyncio.timeout(5):
            await running


async def test_messages_and_answers_reach_the_reader_with_their_text() -> None:
    diary = Diary()
    async with Gateway() as gateway, following(gateway.url, ["ticker:BTCUSDT", "ticker:BTCUSDT"], diary):
        await until(lambda: len(diary.messages) > 3)
    assert gateway.subscribed() == [["ticker:BTCUSDT"]]
    assert diary.messages[0]["op"] == "subscribe"
    assert diary.streams() == {"mudrex.futures.ticker.BTCUSDT"}
    assert [json.loads(text) for text in diary.texts] == diary.messages
    assert diary.events == ["connected", "disconnected"]


async def test_a_new_connection_asks_for_everything_again() -> None:
    diary = Diary()
    async with Gateway() as gateway, following(gateway.url, ["ticker:BTCUSDT"], diary) as subscriber:
        await until(diary.streams)
        subscriber.subscribe(["trade:ETHUSDT", "ticker:BTCUSDT"])
        await until(lambda: len(diary.streams()) == 2)
        await gateway.cut()
        await until(lambda: len(gateway.subscribed()) == 3)
        await until(lambda: diary.events.count("connected") == 2)
    assert gateway.subscribed() == [
        ["ticker:BTCUSDT"],
        ["trade:ETHUSDT"],
        ["ticker:BTCUSDT", "trade:ETHUSDT"],
    ]
    assert diary.events[:4] == ["connected", "disconnected", "retrying", "connected"]


async def test_what_is_no_longer_wanted_is_given_back_and_not_asked_for_again() -> None:
    diary = Diary()
    args = ["ticker:BTCUSDT", "trade:ETHUSDT"]
    async with Gateway() as gateway, following(gateway.url, args, diary) as subscriber:
        await until(diary.streams)
        subscriber.unsubscribe(["trade:ETHUSDT", "ticker:NEVER"])
        await until(lambda: {"op": "unsubscribe", "args": ["trade:ETHUSDT"]} in gateway.requests)
        await gateway.cut()
        await until(lambda: len(gateway.subscribed()) == 2)
        assert gateway.subscribed()[1] == ["ticker:BTCUSDT"]
        assert subscriber.statistics()["wanted"] == 1


async def test_wishes_without_a_connection_wait_for_one() -> None:
    diary = Diary()
    async with Gateway() as gateway:
        subscriber = Subscriber(gateway.url, [], diary, config=QUICK)
        subscriber.subscribe(["ticker:BTCUSDT"])
        running = asyncio.create_task(subscriber.run())
        await until(diary.streams)
        subscriber.close()
        await running
    assert gateway.subscribed() == [["ticker:BTCUSDT"]]


async def test_pings_are_answered_and_not_shown() -> None:
    diary = Diary()
    async with Gateway() as gateway, following(gateway.url, ["ticker:BTCUSDT"], diary) as subscriber:
        await until(lambda: gateway.requests.count({"op": "ping"}) >= 3)
        link = cast("dict[str, Any]", subscriber.statistics()["link"])
        assert link["round_trip_s"] is not None
    assert not [message for message in diary.messages if message.get("op") == "pong"]
    assert len(gateway.connections) == 1


async def test_what_is_no_message_is_counted_and_dropped() -> None:
    diary = Diary()
    async with Gateway() as gateway:
        gateway.extra += ["[1]", "{", b"\xff", "[" * 100_000, '{"op":"hello"}']
        async with following(gateway.url, ["ticker:BTCUSDT"], diary) as subscriber:
            await until(diary.streams)
            assert subscriber.statistics()["malformed"] == 4
    assert diary.messages[0] == {"op": "hello"}


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    diary = Diary()
    async with Gateway() as gateway:
        url = gateway.url
    async with following(url, ["ticker:BTCUSDT"], diary):
        await until(lambda: diary.events.count("retrying") >= 2)
        async with Gateway(port=int(url.split(":")[2].removesuffix("/ws"))):
            await until(diary.streams)


@pytest.mark.parametrize("code", [4500, 4999])
async def test_a_close_code_that_does_not_invite_a_reconnect_ends_it(code: int) -> None:
    diary = Diary()
    async with Gateway() as gateway:
        subscriber = Subscriber(gateway.url, ["ticker:BTCUSDT"], diary, config=QUICK)
        running = asyncio.create_task(subscriber.run())
        await until(diary.streams)
        await gateway.cut(code, "never again")
        with pytest.raises(Refused, match=rf"\({code}: never again\); this code says not to come back"):
            async with asyncio.timeout(5):
                await running
    assert diary.events == ["connected", "disconnected"]
    assert len(gateway.connections) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000, 4003, 4008, 4499])
async def test_every_other_close_code_invites_one(code: int) -> None:
    diary = Diary()
    async with Gateway() as gateway, following(gateway.url, ["ticker:BTCUSDT"], diary):
        await until(diary.streams)
        await gateway.cut(code, "again")
        await until(lambda: diary.events.count("connected") == 2)


def test_a_url_that_cannot_work_is_refused_at_once() -> None:
    with pytest.raises(InvalidSetting, match="url"):
        Subscriber("http://127.0.0.1/ws", [], Diary())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("url", {"url": "http://h/"}), ("urls", {"url": None}), ("channels", {"args": 5}),
        ("channels", {"args": [5]}), ("channels", {"args": [""]}), ("config", {"config": None}),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_by_name(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Subscriber(**{"url": "ws://127.0.0.1:9/ws", "args": ["ticker:BTCUSDT"], "reader": Diary(), **wrong})
    assert caught.value.name == name
