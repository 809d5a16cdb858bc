"""Connections to a venue that is greeted, asks for answers, grants parts of requests and counts them.

A small Deribit that does what it is told, over real sockets in one process; what all venues have in
common is tried in test_driver.py.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

import msgspec
import pytest

from feedmux.feed.driver import DriverConfig
from feedmux.feed.shard import ShardConfig
from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.topic import Topic
from support.clocks import StandingClock
from support.deribit_feed import (
    NAME,
    NOON_MS,
    DeribitFeed,
    candle,
    channel,
    deribit,
    ticker,
    topic,
    trades,
)
from support.deribit_server import BUSY
from support.feeds import QUICK
from support.waiting import DEADLINE, until

TICKER, TRADES, CANDLES = topic("ticker"), topic("trade"), topic("kline")
TEST_REQUEST = {"method": "heartbeat", "params": {"type": "test_request"}}
HEARTBEAT = {"method": "heartbeat", "params": {"type": "heartbeat"}}


# --- greetings, pings, replies ------------------------------------------------------------------


async def test_every_connection_begins_with_a_greeting() -> None:
    async with deribit() as feed:
        await feed.goes_live(TICKER)
        await feed.server.cut()
        await until(lambda: feed.server.opened == 2 and feed.server.subscribed())
        methods = [request["method"] for request in feed.server.requests if request["id"] != "ping"]
        assert methods == ["public/set_heartbeat", "public/subscribe"] * 2
        assert feed.server.asked("public/set_heartbeat") == [{"interval": 30}] * 2


async def test_a_refused_greeting_is_told_once_in_the_venues_words_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with deribit() as feed:
        error = {"code": -32602, "message": "Invalid params", "data": {"reason": "no", "param": "interval"}}
        feed.server.errors["public/set_heartbeat"] = deque_of(error, error, error)
        await until(lambda: feed.server.opened)
        await feed.server.cut()
        await feed.goes_live(TICKER)
        await until(lambda: feed.state(TICKER) is State.LIVE)
    told = [
        one.getMessage() for one in caplog.records if one.levelname == "WARNING" and "greet" in one.message
    ]
    assert told == ["deribit refused a greeting: Invalid params (-32602): interval: no"]


async def test_a_test_request_is_answered_at_once_and_a_heartbeat_by_nothing() -> None:
    rarely = msgspec.structs.replace(QUICK, ping_interval_s=60.0)
    async with deribit(link=rarely) as feed:
        await feed.goes_live(TICKER)
        for message in (HEARTBEAT, TEST_REQUEST, HEARTBEAT, TEST_REQUEST):
            await feed.server.tell(message)
        await feed.server.push(channel("ticker"), ticker(1))
        await until(lambda: len(feed.server.asked("public/test")) == 2 and feed.values(TICKER))
        assert feed.server.opened == 1
        assert feed.driver.statistics()["foreign"] == feed.driver.statistics()["malformed"] == 0


async def test_a_venue_that_answers_no_ping_is_replaced_though_it_beats() -> None:
    impatient = msgspec.structs.replace(QUICK, ping_timeout_s=0.3)
    async with deribit(link=impatient) as feed:
        await feed.goes_live(TRADES)
        feed.server.deaf.add("public/test")
        async with asyncio.timeout(DEADLINE):
            await beat(feed, TRADES)
        assert "no answer to the ping" in feed.reason(TRADES)


# --- what is granted ----------------------------------------------------------------------------


async def test_what_is_left_out_of_the_answer_is_refused_and_the_rest_lives() -> None:
    good = [topic("trade", f"G{n}-PERPETUAL") for n in range(40)]
    bad = [topic("trade", f"B{n}-PERPETUAL") for n in range(10)]
    async with deribit() as feed:
        feed.server.unknown = {one.instrument for one in bad}
        for one in (*bad[:5], *good, *bad[5:]):
            feed.driver.want(one, "me")
        await until(lambda: all(feed.state(one) is State.LIVE for one in good))
        await until(lambda: all(feed.state(one) is State.REFUSED for one in bad))
        words = "deribit refused it: it knows no such channel; its answer leaves it out"
        assert {feed.reason(one) for one in bad} == {words}
        await feed.server.carries(*(channel("trade", one.instrument) for one in good))
        assert sum(len(one["channels"]) for one in feed.server.asked("public/subscribe")) == 50


async def test_an_error_of_a_whole_request_is_the_reason_of_each_of_its_topics() -> None:
    error = {"code": 13778, "message": "raw_subscriptions_not_available_for_unauthorized"}
    async with deribit() as feed:
        feed.server.errors["public/subscribe"] = deque_of(error, error, error)
        for one in (TICKER, TRADES):
            feed.driver.want(one, "me")
        await until(lambda: feed.state(TICKER) is feed.state(TRADES) is State.REFUSED)
        words = "deribit refused it: raw_subscriptions_not_available_for_unauthorized (13778)"
        assert feed.reason(TICKER) == feed.reason(TRADES) == words


async def test_a_venue_that_has_no_time_is_asked_again_and_nothing_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = StandingClock()
    async with deribit(clock=clock) as feed:
        feed.server.errors["public/subscribe"] = deque_of(BUSY, BUSY)
        for one in (TICKER, TRADES):
            feed.driver.want(one, "me")
        for times in (1, 2):
            await until(lambda: len(feed.server.asked("public/subscribe")) == times)  # noqa: B023
            clock.now += 11.0
        await until(lambda: feed.state(TICKER) is feed.state(TRADES) is State.LIVE)
        assert feed.states(TICKER) == [State.PENDING, State.LIVE]
        both = {"channels": [channel("ticker"), channel("trade")]}
        assert feed.server.asked("public/subscribe") == [both] * 3
    told = [one.getMessage() for one in caplog.records if "has no time" in one.message]
    assert told == ["deribit has no time for a request: too_many_requests (10028)"] * len(told)
    assert (
        len([one for one in caplog.records if "has no time" in one.message and one.levelname == "WARNING"])
        == 1
    )


async def test_a_topic_that_is_gone_after_a_cut_is_refused() -> None:
    async with deribit() as feed:
        await feed.goes_live(TICKER, TRADES)
        feed.server.unknown.add(NAME)
        await feed.server.cut()
        await until(lambda: feed.state(TICKER) is feed.state(TRADES) is State.REFUSED)
        assert feed.states(TICKER)[-2:] == [State.RECONNECTING, State.REFUSED]


async def test_requests_keep_to_the_venues_budget_whatever_the_settings_allow() -> None:
    config = DriverConfig(shard=ShardConfig(batch=1, request_rate=1000.0, request_burst=1000.0))
    clock = StandingClock()
    often = msgspec.structs.replace(QUICK, ping_interval_s=0.1)
    async with deribit(config, clock=clock, link=often) as feed:
        for n in range(20):
            feed.driver.want(topic("trade", f"G{n}-PERPETUAL"), "me")
        for passed_s, asked in ((0.0, 10), (1.0, 13), (0.25, 14)):
            clock.now += passed_s
            await until(lambda: len(feed.server.subscribed()) >= asked)  # noqa: B023 - awaited here
            pings = len(feed.server.asked("public/test"))
            await until(lambda: len(feed.server.asked("public/test")) >= pings + 4)  # noqa: B023
            assert len(feed.server.subscribed()) == asked
        clock.now += 2.0
        await until(lambda: len(feed.server.subscribed()) == 20)


async def test_a_request_names_no_more_channels_than_it_may() -> None:
    async with deribit(DriverConfig(shard=ShardConfig(batch=10_000))) as feed:
        await until(lambda: feed.server.opened)
        for n in range(700):
            feed.driver.want(topic("trade", f"G{n}-PERPETUAL"), "me")
        await until(lambda: len(feed.server.subscribed()) == 700)
        sizes = [len(params["channels"]) for params in feed.server.asked("public/subscribe")]
        assert sorted(sizes) == [200, 500]


async def test_the_last_holder_gives_the_channel_back() -> None:
    async with deribit(DriverConfig(linger_s=0.1)) as feed:
        await feed.goes_live(TICKER, TRADES)
        feed.driver.drop(TICKER, "me")
        await feed.server.carries(channel("trade"))
        assert feed.server.asked("public/unsubscribe") == [{"channels": [channel("ticker")]}]


# --- tickers and trades -------------------------------------------------------------------------


async def test_the_first_whole_ticker_is_a_snapshot_and_the_others_are_updates() -> None:
    async with deribit() as feed:
        await feed.goes_live(TICKER)
        for number in (1, 2, 3):
            await feed.server.push(channel("ticker"), ticker(number))
        await until(lambda: len(feed.values(TICKER)) == 3)
        shown = feed.values(TICKER)
        assert [event.kind for event in shown] == [EventKind.SNAPSHOT, EventKind.UPDATE, EventKind.UPDATE]
        assert [event.key for event in shown] == ["", TICKER.text, TICKER.text]
        assert [event.venue_ns for event in shown] == [(NOON_MS + n) * 1_000_000 for n in (1, 2, 3)]
        feed.events.clear()
        feed.driver.want(TICKER, "late")
        assert [event.kind for event in feed.events] == [EventKind.STATUS, EventKind.SNAPSHOT]
        assert json.loads(feed.events[1].payload)["markPrice"] == "3.0"


async def test_a_ticker_that_is_older_than_the_last_one_is_not_shown() -> None:
    async with deribit() as feed:
        await feed.goes_live(TICKER)
        for number in (1, 3, 2, 4, 3, 5):
            await feed.server.push(channel("ticker"), ticker(number))
        await until(lambda: len(feed.values(TICKER)) == 4)
        assert prices(feed.values(TICKER)) == ["1.0", "3.0", "4.0", "5.0"]
        assert feed.driver.statistics()["repeated"] == 2
        assert feed.states(TICKER) == [State.PENDING, State.LIVE]


async def test_a_venue_whose_clock_went_back_is_asked_anew() -> None:
    async with deribit() as feed:
        await feed.goes_live(TICKER)
        await feed.server.push(channel("ticker"), ticker(9))
        for number in (1, 2):
            await feed.server.push(channel("ticker"), ticker(number))
        await until(lambda: feed.server.asked("public/unsubscribe"))
        await until(lambda: feed.states(TICKER)[-2:] == [State.RECONNECTING, State.LIVE])
        epoch = feed.values(TICKER)[-1].epoch
        await feed.server.push(channel("ticker"), ticker(3))
        await until(lambda: feed.values(TICKER)[-1].epoch > epoch)
        assert prices(feed.values(TICKER)) == ["9.0", "3.0"]
        assert feed.values(TICKER)[-1].kind is EventKind.SNAPSHOT


async def test_an_unreadable_ticker_is_given_back_before_it_is_asked_for_anew() -> None:
    async with deribit() as feed:
        await feed.goes_live(TICKER)
        await feed.server.push(channel("ticker"), ticker(1))
        await feed.server.push(channel("ticker"), {"instrument_name": NAME, "timestamp": "now"})
        await until(lambda: feed.states(TICKER)[-2:] == [State.RECONNECTING, State.LIVE])
        verbs = [one["method"] for one in feed.server.requests if "subscribe" in one["method"]]
        assert verbs == ["public/subscribe", "public/unsubscribe", "public/subscribe"]
        await feed.server.push(channel("ticker"), ticker(2))
        await until(lambda: prices(feed.values(TICKER)) == ["1.0", "2.0"])


async def test_trades_pass_as_they_come_and_unreadable_ones_are_a_gap() -> None:
    async with deribit() as feed:
        await feed.goes_live(TRADES)
        for data in (trades(1), trades(2, 3), trades(2, 3), trades(4)):
            await feed.server.push(channel("trade"), data)
        await until(lambda: len(feed.values(TRADES)) == 3)
        assert feed.driver.statistics()["repeated"] == 1
        await feed.server.push(channel("trade"), [{"trade_id": "5"}])
        await feed.server.push(channel("trade"), trades(6))
        await until(lambda: len(feed.values(TRADES)) == 4)
        (gap,) = feed.gaps(TRADES)
        assert gap.epoch < feed.values(TRADES)[-1].epoch
        ids = [one["id"] for event in feed.values(TRADES) for one in json.loads(event.payload)]
        assert ids == ["1", "2", "3", "4", "6"]


async def test_what_cannot_be_read_at_all_may_have_been_anything() -> None:
    async with deribit() as feed:
        await feed.goes_live(TICKER, TRADES)
        await feed.server.tell("<html>maintenance</html>")
        await until(lambda: feed.states(TRADES)[-2:] == [State.RECONNECTING, State.LIVE])
        assert feed.server.opened == 2
        assert feed.gaps(TRADES)


async def test_silence_of_one_channel_is_stale_and_of_all_a_new_connection() -> None:
    eth, clock = topic("ticker", "ETH-PERPETUAL"), StandingClock()
    async with deribit(clock=clock) as feed:
        await feed.goes_live(TICKER, eth)
        for number in (1, 2, 3):
            await feed.server.push(channel("ticker", eth.instrument), ticker(number, eth.instrument))
            await until(lambda: len(feed.values(eth)) == number)  # noqa: B023 - awaited here
            clock.now += 20.0
        await until(lambda: feed.state(TICKER) is State.STALE)
        assert feed.reason(TICKER) == "no ticker for 30 s"
        assert feed.states(eth) == [State.PENDING, State.LIVE]
        assert feed.server.opened == 1
        await feed.server.push(channel("ticker"), ticker(1))
        await until(lambda: feed.state(TICKER) is State.LIVE)
        clock.now += 40.0
        await until(lambda: feed.state(TICKER) is feed.state(eth) is State.RECONNECTING)
        assert feed.reason(eth) == "every topic that should have spoken is silent"


# --- candles ------------------------------------------------------------------------------------


async def test_a_candle_is_confirmed_when_a_later_one_comes_if_its_beginning_was_seen() -> None:
    async with deribit() as feed:
        await feed.goes_live(CANDLES)
        for data in (candle(0, 1), candle(1, 2), candle(1, 3), candle(2, 4), candle(2, 4), candle(5, 6)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 8)
        assert feed.candles() == [
            (0, 1, False), (1, 2, False), (1, 3, False),
            (1, 3, True), (2, 4, False), (2, 4, False),
            (2, 4, True), (5, 6, False),
        ]  # fmt: skip
        shown = feed.values(CANDLES)
        assert [event.seq for event in shown] == list(range(1, 9))
        assert [bool(event.key) for event in shown] == [not confirmed for _, _, confirmed in feed.candles()]
        assert shown[0].key == f"{CANDLES.text}:{NOON_MS}"
        assert {event.venue_ns for event in shown} == {0}


async def test_who_comes_late_is_given_the_running_candle() -> None:
    async with deribit() as feed:
        await feed.goes_live(CANDLES)
        for data in (candle(0, 1), candle(1, 2), candle(2, 3)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 4)
        feed.events.clear()
        feed.driver.want(CANDLES, "late")
        assert [event.kind for event in feed.events] == [EventKind.STATUS, EventKind.SNAPSHOT]
        assert feed.candles() == [(2, 3, False)]


async def test_an_older_candle_is_dropped() -> None:
    async with deribit() as feed:
        await feed.goes_live(CANDLES)
        for data in (candle(0, 1), candle(1, 2), candle(0, 9), candle(2, 3)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 4)
        assert feed.candles() == [(0, 1, False), (1, 2, False), (1, 2, True), (2, 3, False)]
        assert feed.driver.statistics()["repeated"] == 1


async def test_a_candle_that_was_open_at_a_cut_is_never_confirmed() -> None:
    async with deribit() as feed:
        await feed.goes_live(CANDLES)
        for data in (candle(0, 1), candle(1, 2)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 2)
        await feed.server.cut()
        await until(lambda: feed.states(CANDLES)[-2:] == [State.RECONNECTING, State.LIVE])
        assert len(feed.gaps(CANDLES)) == 1
        for data in (candle(1, 3), candle(2, 4), candle(3, 5)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 6)
        assert feed.candles()[2:] == [(1, 3, False), (2, 4, False), (2, 4, True), (3, 5, False)]


async def test_a_candle_of_which_a_message_could_not_be_read_is_never_confirmed() -> None:
    async with deribit() as feed:
        await feed.goes_live(CANDLES)
        for data in (candle(0, 1), candle(1, 2), {"tick": "?"}, candle(2, 3), candle(3, 4)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 4)
        assert feed.candles() == [(0, 1, False), (1, 2, False), (2, 3, False), (3, 4, False)]
        assert len(feed.gaps(CANDLES)) == 1


async def test_a_candle_after_which_it_was_silent_for_too_long_is_never_confirmed() -> None:
    config = DriverConfig(shard=ShardConfig(silence_s={"kline": 30.0, "ticker": 60.0}))
    clock = StandingClock()
    async with deribit(config, clock=clock) as feed:
        await feed.goes_live(CANDLES, TICKER)  # the ticker keeps the connection from being replaced
        for data in (candle(0, 1), candle(1, 2)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 2)
        clock.now += 40.0
        await until(lambda: feed.state(CANDLES) is State.STALE)
        for data in (candle(2, 3), candle(3, 4), candle(4, 5)):
            await feed.server.push(channel("kline"), data)
        await until(lambda: len(feed.values(CANDLES)) == 6)
        assert feed.candles()[2:] == [(2, 3, False), (3, 4, False), (3, 4, True), (4, 5, False)]
        assert feed.gaps(CANDLES) == []


async def beat(feed: DeribitFeed, until_gone: Topic) -> None:
    """Send heartbeats until a topic's connection is given up."""

    def messages() -> int:
        return int(str(feed.driver.statistics()["messages"]))

    while feed.state(until_gone) is not State.RECONNECTING:
        before = messages()
        await feed.server.tell(HEARTBEAT)
        await until(lambda: messages() > before or not feed.server.connections)  # noqa: B023 - awaited here


def prices(values: list[Envelope]) -> list[str]:
    """The mark prices of tickers."""
    return [json.loads(event.payload)["markPrice"] for event in values]


def deque_of(*errors: dict[str, Any]) -> deque[dict[str, Any]]:
    """Errors that the next requests are answered with."""
    return deque(errors)
