"""What every venue dialect promises: on its simulator, and with `make live` on the venue itself."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest

from feedmux.model.event import EventKind, State
from support.dialects import DIALECTS, DialectFeed, dialect_feed

KINDS = ("ticker", "kline", "trade")
DAY_NS = 86_400 * 1_000_000_000


@pytest.fixture(params=DIALECTS)
async def feed(request: pytest.FixtureRequest) -> AsyncIterator[DialectFeed]:
    async with dialect_feed(request.param) as feed:
        yield feed


async def test_every_kind_is_confirmed_and_brings_values_without_a_hole(feed: DialectFeed) -> None:
    ticker, kline, trade = topics = [feed.topic(kind) for kind in KINDS]
    await feed.goes_live(*topics)
    # Nobody is sure to trade on a testnet.
    wanted = {ticker: 3, kline: 1} if feed.is_live else {ticker: 3, kline: 3, trade: 3}
    await feed.until(lambda: all(len(feed.values(t)) >= n for t, n in wanted.items()), "values of all")
    for topic in topics:
        values = feed.values(topic)
        assert [value.seq for value in values] == list(range(1, len(values) + 1)), topic
        assert len({value.epoch for value in values}) <= 1, topic
    assert all(abs(time.time_ns() - value.venue_ns) < DAY_NS for value in feed.values(ticker))
    assert feed.gaps() == []


async def test_values_are_of_the_instrument_that_was_asked_for(feed: DialectFeed) -> None:
    ticker, kline = feed.topic("ticker"), feed.topic("kline")
    await feed.goes_live(ticker, kline)
    await feed.until(lambda: feed.values(ticker) and feed.values(kline), "values of both")
    assert feed.values(ticker)[0].kind is EventKind.SNAPSHOT
    price, candle = (json.loads(feed.values(topic)[0].payload) for topic in (ticker, kline))
    assert price["symbol"] == candle["symbol"] == ticker.instrument
    assert candle["interval"] == "1m"


async def test_what_the_venue_does_not_have_is_refused_in_its_words_and_the_others_stand(
    feed: DialectFeed,
) -> None:
    stranger = feed.stranger
    if stranger is None:
        pytest.skip("it takes whatever looks right, and says nothing of what does not exist")
    feed.driver.want(stranger, "me")
    await feed.goes_live(feed.topic("ticker"))
    await feed.until(lambda: feed.state(stranger) is State.REFUSED, "it is refused")
    assert feed.reason(stranger)
    await feed.until(lambda: feed.values(feed.topic("ticker")), "the other one speaks")


async def test_on_another_connection_everything_is_there_again_in_a_new_epoch(feed: DialectFeed) -> None:
    topics = [feed.topic(kind) for kind in KINDS]
    await feed.goes_live(*topics)
    ticker = topics[0]
    await feed.until(lambda: feed.values(ticker), "a value")
    before = feed.values(ticker)[-1].epoch
    feed.carriers[0].replace("the test wants another one")
    await feed.until(lambda: feed.values(ticker)[-1].epoch > before, "values of another epoch")
    back = [State.RECONNECTING, State.LIVE]
    await feed.until(lambda: all(feed.states(topic)[-2:] == back for topic in topics), "all are back")
    assert feed.carried()["opens"] == 2


async def test_pings_are_answered(feed: DialectFeed) -> None:
    await feed.goes_live(feed.topic("ticker"))
    await feed.until(lambda: feed.carried()["round_trip_s"] is not None, "a pong")
    assert feed.carried()["opens"] == 1
