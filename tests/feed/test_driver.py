"""The driver against a simulated venue, over real sockets in one process."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.user import CarrierUser
from feedmux.core.stats import add_up
from feedmux.feed.driver import RULES, Driver, DriverConfig, at_rest
from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.topic import PUBLIC, Topic
from feedmux.venue.bybit import Bybit
from support.clocks import StandingClock
from support.feeds import QUICK, feeding
from support.peers import TEXT, frame, raw_server, says
from support.published import Published
from support.waiting import DEADLINE, until


def topic(kind: str, symbol: str = "BTCUSDT", param: str = "", market: str = "linear") -> Topic:
    return Topic(PUBLIC, "bybit", market, kind, symbol, param)


BTC = topic("ticker")


async def test_a_wanted_topic_is_pending_then_live_then_has_values() -> None:
    async with feeding() as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: len(feed.values(BTC)) >= 3)
        assert feed.states(BTC) == [State.PENDING, State.LIVE]
        values = feed.values(BTC)
        assert [value.seq for value in values] == list(range(1, len(values) + 1))
        assert values[0].kind is EventKind.SNAPSHOT


async def test_where_no_feed_runs_the_figures_have_the_same_names_and_are_nothing() -> None:
    async with feeding() as feed:
        found = feed.statistics()
        rest = at_rest(Bybit("linear"))
        assert list(rest) == list(found)
        assert (rest.pop("venue"), rest.pop("market")) == ("bybit", "linear")
        assert not any(rest.values())


async def test_wanting_again_is_answered_with_the_state_and_a_snapshot() -> None:
    async with feeding() as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: feed.values(BTC))
        feed.events.clear()
        feed.driver.want(BTC, "you")
        assert [event.kind for event in feed.events] == [EventKind.STATUS, EventKind.SNAPSHOT]


async def test_one_subscription_upstream_however_many_ask() -> None:
    async with feeding() as feed:
        for holder in "abc":
            feed.driver.want(BTC, holder)
        await until(lambda: feed.values(BTC))
        assert feed.upstream() == ["tickers.BTCUSDT"]
        assert feed.requests()["subscribe"] == 1


async def test_the_last_holder_gives_the_topic_back_after_the_linger() -> None:
    clock = StandingClock()
    async with feeding(clock=clock) as feed:
        for holder in ("me", "you"):
            feed.driver.want(BTC, holder)
        await until(lambda: feed.values(BTC))
        feed.driver.drop(BTC, "me")
        feed.driver.forget("you")
        assert feed.upstream() == ["tickers.BTCUSDT"]
        clock.now += 6.0
        await until(lambda: feed.upstream() == [])


async def test_coming_back_within_the_linger_costs_nothing() -> None:
    async with feeding(DriverConfig(linger_s=60)) as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: feed.values(BTC))
        feed.driver.drop(BTC, "me")
        feed.events.clear()
        feed.driver.want(BTC, "me")
        assert [event.kind for event in feed.events] == [EventKind.STATUS, EventKind.SNAPSHOT]
        assert feed.requests() == {**feed.requests(), "subscribe": 1, "unsubscribe": 0}


@pytest.mark.parametrize("market", ["linear", "spot"])
async def test_bad_topics_are_refused_with_the_venues_reason_and_the_others_go_live(market: str) -> None:
    good = [topic("ticker", f"G{n}USDT", market=market) for n in range(70)]
    bad = [topic("ticker", f"B{n}USDT", market=market) for n in range(30)]
    refuse = tuple(f"tickers.{one.instrument}" for one in bad)
    async with feeding(market=market, any_symbol=True, refuse=refuse) as feed:
        mixed = good + bad
        random.Random(1).shuffle(mixed)
        for asker, one in enumerate(mixed):
            feed.driver.want(one, "me", asker % 7)
        await until(lambda: all(feed.state(one) is State.LIVE for one in good))
        await until(lambda: all(feed.state(one) is State.REFUSED for one in bad))
        assert feed.upstream() == sorted(f"tickers.{one.instrument}" for one in good)
        assert "refused it" in feed.reason(bad[0])


async def test_a_refusal_is_remembered() -> None:
    nope = topic("ticker", "NOPEUSDT")
    async with feeding() as feed:
        feed.driver.want(nope, "me")
        await until(lambda: feed.state(nope) is State.REFUSED)
        before = feed.requests()
        feed.driver.want(nope, "you")
        assert feed.states(nope)[-1] is State.REFUSED
        feed.driver.want(BTC, "you")
        await until(lambda: feed.values(BTC))
        assert feed.requests()["subscribe"] == before["subscribe"] + 1


def test_a_refusal_uses_up_no_epoch_and_is_not_older_than_what_was_begun() -> None:
    """While Redis is away a node of a cluster has a few thousand epochs, and clients ask again and again."""
    published, begun = Published(), itertools.count(100)
    driver = Driver(
        Bybit("linear"),
        published,
        make_link=lambda user: Carrier("ws://127.0.0.1:1", user, clock=SystemClock(), dice=random.Random(1)),
        config=DriverConfig(),
        clock=SystemClock(),
        begin=lambda _: next(begun),
    )
    nope = topic("ticker", "no instrument")
    for _ in range(5):
        driver.want(nope, "me")
    driver.want(BTC, "me")
    driver.want(nope, "me")
    assert [event.epoch for event in published.events if event.topic == nope] == [100] * 5 + [101]
    assert published.states(nope) == [State.REFUSED] * 6


async def test_who_drops_a_topic_on_hearing_that_it_is_refused_leaves_nothing_behind() -> None:
    nope = topic("ticker", "NOPEUSDT")
    async with feeding() as feed:

        def drops_what_is_refused(event: Envelope) -> None:
            if feed.state(event.topic) is State.REFUSED:
                feed.driver.drop(event.topic, "me")

        feed.then = drops_what_is_refused
        feed.driver.want(nope, "me")
        await until(lambda: feed.state(nope) is State.REFUSED)
        assert (feed.driver.statistics()["topics"], feed.driver.statistics()["lingering"]) == (0, 0)


async def test_a_refusal_is_forgotten_in_time() -> None:
    nope = topic("ticker", "NEWUSDT")
    clock = StandingClock()
    async with feeding(clock=clock, any_symbol=True, refuse=("tickers.NEWUSDT",)) as feed:
        feed.driver.want(nope, "me")
        await until(lambda: feed.state(nope) is State.REFUSED)
        feed.driver.drop(nope, "me")
        feed.sim.relist("tickers.NEWUSDT")
        clock.now += 59.0
        feed.driver.want(nope, "me")
        assert feed.state(nope) is State.REFUSED
        clock.now += 2.0
        feed.driver.want(nope, "me")
        await until(lambda: feed.state(nope) is State.LIVE)


async def test_a_name_that_cannot_be_an_instrument_never_goes_upstream() -> None:
    async with feeding() as feed:
        feed.driver.want(topic("ticker", "btc usdt"), "me")
        assert feed.state(topic("ticker", "btc usdt")) is State.REFUSED
        feed.driver.want(BTC, "me")
        await until(lambda: feed.values(BTC))
        assert feed.requests()["subscribe"] == 1


async def test_a_cut_is_told_and_mended_in_a_new_epoch() -> None:
    trades = topic("trade")
    async with feeding() as feed:
        for one in (BTC, trades):
            feed.driver.want(one, "me")
        await until(lambda: feed.values(BTC) and feed.values(trades))
        first = feed.values(BTC)[-1]
        feed.events.clear()
        feed.sim.cut()
        await until(lambda: feed.values(BTC) and feed.values(trades))
        assert feed.states(BTC) == [State.RECONNECTING, State.LIVE]
        fresh = feed.values(BTC)[0]
        assert fresh.kind is EventKind.SNAPSHOT
        assert fresh.epoch > first.epoch
        assert fresh.seq == 1
        gaps = [event for event in feed.events if event.kind is EventKind.GAP]
        assert [gap.topic for gap in gaps] == [trades]
        assert gaps[0].epoch < feed.values(trades)[0].epoch


async def test_nothing_old_is_given_to_who_comes_after_a_cut_before_the_new_snapshot() -> None:
    async with feeding() as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: feed.values(BTC))
        feed.sim.mute(["tickers.BTCUSDT"])
        feed.sim.cut()
        await until(lambda: feed.states(BTC)[-2:] == [State.RECONNECTING, State.LIVE])
        feed.events.clear()
        feed.driver.want(BTC, "late")
        assert [event.kind for event in feed.events] == [EventKind.STATUS]


async def test_a_silent_topic_among_live_ones_is_stale_and_nothing_else() -> None:
    eth = topic("ticker", "ETHUSDT")
    clock = StandingClock()
    async with feeding(clock=clock) as feed:
        for one in (BTC, eth):
            feed.driver.want(one, "me")
        await until(lambda: feed.values(BTC) and feed.values(eth))
        feed.sim.mute(["tickers.BTCUSDT"])
        async with asyncio.timeout(DEADLINE):
            while feed.state(BTC) is not State.STALE:
                seen = len(feed.values(eth))
                await until(lambda: len(feed.values(eth)) > seen)  # noqa: B023 - awaited here
                clock.now += 10.0
        assert feed.reason(BTC) == "no ticker for 30 s"
        feed.sim.unmute()
        await until(lambda: feed.state(BTC) is State.LIVE)
        assert feed.states(eth) == [State.PENDING, State.LIVE]
        assert feed.sim.statistics()["connections_ever"] == 1


@pytest.mark.parametrize("pongs", [True, False])
async def test_a_mute_link_is_replaced_pongs_or_not(*, pongs: bool) -> None:
    clock = StandingClock()
    async with feeding(clock=clock) as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: feed.values(BTC))
        feed.sim.mute(pongs=pongs)

        def gone_after_silence() -> bool:
            clock.now += 1.0
            return feed.state(BTC) is State.RECONNECTING

        await until(gone_after_silence)
        feed.sim.unmute()
        await until(lambda: feed.state(BTC) is State.LIVE)


async def test_quiet_trades_alone_are_no_fault() -> None:
    trades = topic("trade")
    clock = StandingClock()
    async with feeding(clock=clock, trade_rate=0.0) as feed:
        feed.driver.want(trades, "me")
        await until(lambda: feed.state(trades) is State.LIVE)
        clock.now += 3600.0
        pings = feed.pings()
        await until(lambda: feed.pings() >= pings + 3)
        assert feed.states(trades) == [State.PENDING, State.LIVE]
        assert feed.sim.statistics()["connections_ever"] == 1


@pytest.mark.parametrize("kind", ["truncated", "wrong-typed", "reordered"])
async def test_an_unreadable_or_reordered_ticker_is_asked_for_anew(kind: str) -> None:
    async with feeding() as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: len(feed.values(BTC)) >= 3)
        epoch = feed.values(BTC)[-1].epoch
        feed.sim.garbage(kind, "tickers.BTCUSDT")
        await until(lambda: feed.values(BTC)[-1].epoch > epoch)
        assert State.RECONNECTING in feed.states(BTC)
        await until(lambda: feed.state(BTC) is State.LIVE)
        await feed.agrees(BTC)


async def test_what_cannot_be_read_at_all_may_have_been_anything_so_the_link_is_replaced() -> None:
    trades = topic("trade")
    async with feeding() as feed:
        for one in (BTC, trades):
            feed.driver.want(one, "me")
        await until(lambda: feed.values(BTC) and feed.values(trades))
        feed.events.clear()
        feed.sim.garbage("non-json", "tickers.BTCUSDT")
        await until(lambda: feed.values(BTC) and feed.values(trades) and feed.state(trades) is State.LIVE)
        assert feed.states(BTC) == [State.RECONNECTING, State.LIVE]
        assert feed.reason(trades) == ""
        assert any(event.kind is EventKind.GAP and event.topic == trades for event in feed.events)
        await feed.agrees(BTC)


async def test_a_repeated_ticker_changes_nothing() -> None:
    async with feeding() as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: len(feed.values(BTC)) >= 3)
        feed.sim.garbage("duplicated", "tickers.BTCUSDT")
        count = len(feed.values(BTC))
        await until(lambda: len(feed.values(BTC)) >= count + 5)
        assert feed.states(BTC) == [State.PENDING, State.LIVE]
        await feed.agrees(BTC)


async def test_unreadable_trades_are_a_gap_and_a_new_epoch() -> None:
    trades = topic("trade")
    async with feeding(trade_rate=20.0) as feed:
        feed.driver.want(trades, "me")
        await until(lambda: feed.values(trades))
        feed.sim.garbage("truncated", "publicTrade.BTCUSDT")
        await until(lambda: any(event.kind is EventKind.GAP for event in feed.events))
        gap = next(event for event in feed.events if event.kind is EventKind.GAP)
        await until(lambda: feed.values(trades)[-1].epoch > gap.epoch)


async def test_more_characters_than_one_connection_carries_open_another() -> None:
    many = [topic("ticker", f"LONGNAME{n:04}USDT") for n in range(900)]
    async with feeding(any_symbol=True, rate=1.0, trade_rate=1.0) as feed:
        for one in many:
            feed.driver.want(one, "me")
        await until(lambda: all(feed.state(one) is State.LIVE for one in many))
        links = feed.statistics()["links"]
        assert len(links) == 2
        assert all(link["argument_characters"] <= 20_000 for link in links)
        for one in many:
            feed.driver.drop(one, "me")


async def test_acknowledgements_that_never_come_are_asked_for_again() -> None:
    trades, clock = topic("trade"), StandingClock()
    async with feeding(clock=clock, trade_rate=0.0) as feed:
        feed.sim.mute([], pongs=False)
        feed.driver.want(trades, "me")
        await until(lambda: feed.floor().get("unheard"), "the request is lost")
        feed.sim.unmute()
        assert feed.state(trades) is State.PENDING
        clock.now += 11.0
        await until(lambda: feed.state(trades) is State.LIVE)
        assert feed.requests()["subscribe"] == 1


async def test_statistics_count_what_happened() -> None:
    async with feeding() as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: len(feed.values(BTC)) >= 2)
        statistics = feed.statistics()
        assert statistics["topics"] == 1
        assert statistics["states"] == {"live": 1}
        assert statistics["published"] >= 2
        assert statistics["links"][0]["connected"]
        feed.driver.drop(BTC, "me")
        assert (feed.statistics()["lingering"], feed.statistics()["states"]) == (1, {})


async def test_what_is_not_ours_is_counted_apart_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Silent:
        def publish(self, envelope: Envelope, /) -> None:
            raise AssertionError("nobody wants anything")

    def link(user: CarrierUser) -> Carrier:
        return Carrier(
            f"ws://127.0.0.1:{port}/", user, config=QUICK, clock=SystemClock(), dice=random.Random(1)
        )

    foreign = [b'{"topic":"orderbook.50.BTCUSDT","data":{}}', b'{"op":"dance","success":true}'] * 2
    async with raw_server(says(*(frame(TEXT, payload) for payload in foreign))) as port:
        driver = Driver(Bybit("linear"), Silent(), make_link=link, config=DriverConfig(), clock=SystemClock())
        running = asyncio.create_task(driver.run())
        await until(lambda: driver.statistics()["foreign"] == 4)
        assert (driver.statistics()["malformed"], driver.statistics()["messages"]) == (0, 4)
        driver.close()
        await asyncio.wait_for(running, 10)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [
        "bybit.linear sent a message that nobody asked for: unknown topic: 'orderbook.50.BTCUSDT'"
    ]


async def test_what_a_connection_counted_is_kept_when_it_is_no_longer_needed() -> None:
    many = [topic("ticker", f"LONGNAME{n:04}USDT") for n in range(900)]
    async with feeding(DriverConfig(linger_s=0.1), any_symbol=True, rate=1.0, trade_rate=1.0) as feed:
        for one in many:
            feed.driver.want(one, "me")
        await until(lambda: all(feed.state(one) is State.LIVE for one in many))
        feed.sim.cut()
        await until(lambda: feed.statistics()["cuts"] == 2)
        assert len(feed.statistics()["links"]) == 2
        before = feed.statistics()["messages"]
        for one in many:
            feed.driver.drop(one, "me")
        await until(lambda: len(feed.statistics()["links"]) == 1)
        after = feed.statistics()
        assert after["messages"] >= before
        assert after["cuts"] == 2


async def test_statistics_add_up_by_their_rules() -> None:
    async with feeding() as feed:
        feed.driver.want(BTC, "me")
        await until(lambda: feed.values(BTC))
        one = feed.statistics()
        total = add_up(one, one, RULES)
        assert (total["venue"], total["topics"], len(total["links"])) == ("bybit", 2, 2)
        assert total["messages"] == 2 * one["messages"] > 0
