"""A bus over a Redis that refuses some of what its ends say: nothing is lost without a mark, and it heals."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from feedmux.model.event import EventKind, State
from support.buses import Collector, uncovered_holes
from support.envelopes import TICKER, TRADES
from support.redis import RedisServer
from support.redis_wiring import RedisWiring
from support.waiting import until

WORDS = ("&feedmux:writer", "&feedmux:asks")


@pytest_asyncio.fixture
async def wiring(redis: RedisServer) -> AsyncIterator[RedisWiring]:
    """A bus whose writer is the user ``w``."""
    redis.ask("ACL", "SETUSER", "w", "on", ">w", "~*", "&*", "+@all")
    wiring = RedisWiring(redis, beat_s=0.05, user="w")
    yield wiring
    await wiring.close()


def trouble(wiring: RedisWiring) -> str:
    return str(wiring.writer.statistics()["trouble"])


async def test_what_the_writer_may_not_publish_is_a_gap_as_soon_as_it_may(
    redis: RedisServer, wiring: RedisWiring, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TRADES)
    await until(lambda: sink.states(TRADES) == [State.LIVE])
    wiring.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    assert trouble(wiring) == ""
    caplog.set_level(logging.WARNING)
    redis.ask("ACL", "SETUSER", "w", "resetchannels", *WORDS)
    wiring.source.advance(TRADES)
    await until(lambda: trouble(wiring).startswith("Redis refused PUBLISH: NOPERM"))
    asked = wiring.writer.statistics()["published"]
    redis.ask("ACL", "SETUSER", "w", "&*")
    await until(lambda: trouble(wiring) == "", "it is allowed")
    await until(lambda: sink.of(TRADES, EventKind.GAP), "the reader is told")
    wiring.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES)[-1] == 3)
    assert not uncovered_holes(sink.events)
    assert isinstance(asked, int)


async def test_what_a_reader_may_not_hear_it_hears_as_soon_as_it_may(
    redis: RedisServer, wiring: RedisWiring
) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    redis.ask("ACL", "SETUSER", "default", "resetchannels", *WORDS)
    reader.want(TICKER)
    await until(lambda: str(reader.statistics()["trouble"]).startswith("Redis refused SUBSCRIBE: NOPERM"))
    assert sink.updates(TICKER) == []
    redis.ask("ACL", "SETUSER", "default", "&*")
    await until(lambda: sink.states(TICKER)[-1:] == [State.LIVE])
    await until(lambda: reader.statistics()["trouble"] == "")
    wiring.source.advance(TICKER)
    await until(lambda: sink.updates(TICKER) == [1])


async def test_what_a_reader_may_not_ask_is_asked_as_soon_as_it_may(
    redis: RedisServer, wiring: RedisWiring
) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    redis.ask("ACL", "SETUSER", "default", "resetchannels", "&feedmux:writer", "&feedmux:topic:*")
    reader.want(TICKER)
    await until(lambda: str(reader.statistics()["trouble"]).startswith("Redis refused PUBLISH: NOPERM"))
    redis.ask("ACL", "SETUSER", "default", "&*")
    await until(lambda: sink.states(TICKER)[-1:] == [State.LIVE])


async def test_asks_that_the_writer_may_not_hear_it_hears_as_soon_as_it_may(
    redis: RedisServer, wiring: RedisWiring
) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    redis.ask("ACL", "SETUSER", "w", "resetchannels", "&feedmux:writer", "&feedmux:topic:*")
    await until(lambda: trouble(wiring).startswith("Redis refused SUBSCRIBE: NOPERM"))
    reader.want(TICKER)
    redis.ask("ACL", "SETUSER", "w", "&*")
    await until(lambda: sink.states(TICKER)[-1:] == [State.LIVE])


async def test_however_long_it_is_refused_the_log_says_it_once_in_a_while(
    redis: RedisServer, wiring: RedisWiring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    reader = await wiring.reader("a", Collector())
    redis.ask("ACL", "SETUSER", "default", "resetchannels", "&feedmux:writer")
    reader.want(TICKER)

    def refusals() -> int:
        link = reader.statistics()["link"]
        assert isinstance(link, dict)
        return int(link["refused"])

    await until(lambda: refusals() > 20)
    lines = [record for record in caplog.records if "bus.redis_refused" in record.getMessage()]
    assert 1 <= len(lines) <= 3
