"""A venue that speaks first, lets one connection in and numbers no answers: a small Alpaca, real sockets."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import msgspec
import pytest

from feedmux.feed import greeting
from feedmux.feed.driver import DriverConfig
from feedmux.feed.greeting import LONGEST_WAIT_S
from feedmux.feed.shard import ShardConfig
from feedmux.model.event import EventKind, State
from feedmux.model.venue import Greeted
from feedmux.venue.alpaca import Alpaca
from support.alpaca_feed import AlpacaFeed, alpaca, bar, quote, topic, trade
from support.alpaca_server import CONNECTION_LIMIT, KEY, SECRET, SYMBOL_LIMIT, error
from support.clocks import StandingClock
from support.feeds import QUICK
from support.waiting import until

TICKER, TRADES, CANDLES = topic("ticker"), topic("trade"), topic("kline")
ALL = (TICKER, TRADES, CANDLES)
WHOLE = {"quotes": ["AAPL"], "trades": ["AAPL"], "bars": ["AAPL"], "updatedBars": ["AAPL"]}
IMPATIENT = DriverConfig(shard=ShardConfig(answer_timeout_s=0.3))


FIRST_WAIT_S = 0.05


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wait is a tenth of the real one; how the others grow from it is not touched."""
    monkeypatch.setattr(greeting, "FIRST_WAIT_S", FIRST_WAIT_S)


def actions(feed: AlpacaFeed, connection: int = 1) -> list[str]:
    return [request["action"] for number, request in feed.server.requests if number == connection]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that we logged; the small Alpaca logs what it is sent."""
    return "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("feedmux"))


# --- being let in -------------------------------------------------------------------------------


async def test_nothing_is_asked_for_before_the_venue_has_let_us_in() -> None:
    async with alpaca() as feed:
        feed.server.deaf.add("auth")
        feed.driver.want(TICKER, "me")
        await until(lambda: actions(feed) == ["auth"])
        feed.driver.want(TRADES, "me")
        feed.driver.drop(TRADES, "me")
        assert feed.link()["connected"] is False
        assert feed.link()["down_for"] > 0
        feed.server.guests[0].is_in = True
        await feed.server.push({"T": "success", "msg": "authenticated"})
        await until(lambda: "subscribe" in actions(feed))
        assert feed.link()["connected"] is True
        assert feed.link()["down_for"] == 0
        assert actions(feed)[0] == "auth"


async def test_the_greeting_waits_for_the_welcome_and_a_venue_that_says_nothing_is_replaced() -> None:
    async with alpaca(IMPATIENT) as feed:
        feed.server.greets = False
        feed.driver.want(TICKER, "me")
        await until(lambda: feed.server.opened >= 2)
        assert feed.server.requests == []
        feed.server.greets = True
        await until(lambda: feed.state(TICKER) is State.LIVE)


async def test_a_greeting_that_is_not_answered_costs_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with alpaca(IMPATIENT) as feed:
        feed.server.deaf.add("auth")
        feed.driver.want(TICKER, "me")
        await until(lambda: feed.server.opened >= 2)
        feed.server.deaf.clear()
        await until(lambda: feed.state(TICKER) is State.LIVE)
    assert "no answer to the greeting within 0.3 s" in logged(caplog)


async def test_where_one_connection_is_allowed_the_greeting_is_repeated_until_it_is_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with alpaca() as feed:
        feed.server.answers.extend([CONNECTION_LIMIT] * 3)
        feed.driver.want(TICKER, "me")
        await until(lambda: len(feed.server.asked("auth")) >= 1 and feed.link()["trouble"])
        words = "connection limit exceeded (406): another connection of the account is open"
        assert feed.link()["trouble"].startswith(words)
        await until(lambda: feed.state(TICKER) is State.LIVE)
        assert actions(feed) == ["auth"] * 4 + ["subscribe"]
        assert feed.server.opened == 1
        assert feed.link()["trouble"] == ""
    told = [one for one in caplog.records if "refused a greeting: connection limit" in one.getMessage()]
    assert [one.levelname for one in told] == ["WARNING", "DEBUG", "DEBUG"]


async def test_each_wait_is_longer_than_the_one_before() -> None:
    async with alpaca() as feed:
        feed.server.answers.extend([CONNECTION_LIMIT] * 3)
        times: list[float] = []
        clock = feed.driver._clock
        while len(times) < 4:
            await until(lambda: len(feed.server.asked("auth")) > len(times))
            times.append(clock.monotonic())
        waits = [after - before for before, after in pairwise(times)]
        assert waits[0] >= FIRST_WAIT_S * 0.9
        assert waits[1] >= FIRST_WAIT_S * 1.8
        assert waits[2] >= FIRST_WAIT_S * 3.6


async def test_a_connection_that_ends_while_we_wait_is_made_anew_and_greeted_once() -> None:
    async with alpaca() as feed:
        feed.server.answers.append(CONNECTION_LIMIT)
        feed.driver.want(TICKER, "me")
        await until(lambda: feed.link()["trouble"])
        await feed.server.cut()
        await until(lambda: feed.state(TICKER) is State.LIVE)
        await feed.server.push(quote(1))
        await until(lambda: feed.values(TICKER))
        assert actions(feed, 1) == ["auth"]
        assert actions(feed, 2) == ["auth", "subscribe"]


async def test_who_waits_on_a_connection_that_ended_does_not_greet_the_next_one_before_its_welcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(greeting, "FIRST_WAIT_S", 0.0)
    said: list[bytes] = []

    def say(payload: bytes) -> bool:
        said.append(payload)
        return True

    doorstep = greeting.Doorstep(
        say=say,
        entered=lambda: None,
        prove=lambda: None,
        replace=lambda _: None,
        complain=lambda _, __: None,
    )
    ours = greeting.Greeting(Alpaca(KEY, SECRET), doorstep, clock=StandingClock(), patience_s=10.0)
    ours.opened()
    ours.welcome()
    ours.answered(Greeted("no room", later=True))
    ours.lost()
    ours.opened()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(said) == 1
    ours.welcome()
    assert len(said) == 2


async def test_a_wrong_secret_is_told_and_tried_again_with_longer_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with alpaca(secret="wrong-secret-of-the-tests") as feed:
        feed.driver.want(TICKER, "me")
        await until(lambda: feed.server.opened >= 3)
        assert feed.link()["trouble"] == (
            "auth failed (402): it does not know this key and secret; "
            "see APCA_API_KEY_ID and APCA_API_SECRET_KEY"
        )
        assert feed.link()["connected"] is False
        assert feed.link()["link"]["failures_in_a_row"] >= 2
        assert feed.state(TICKER) is State.PENDING
        assert feed.server.asked("subscribe") == []
        shown = f"{feed.driver.statistics()}{feed.statuses(TICKER)}"
    told = [text for text in warned(caplog) if "refused a greeting" in text]
    assert told == [f"alpaca refused a greeting: {feed.link()['trouble']}"]
    everything = shown + logged(caplog)
    assert "wrong-secret" not in everything
    assert KEY not in everything


async def test_a_feed_that_the_plan_does_not_have_keeps_us_out() -> None:
    async with alpaca() as feed:
        feed.server.answers.extend([error(409, "insufficient subscription")] * 2)
        feed.driver.want(TICKER, "me")
        await until(lambda: feed.server.opened == 2 and feed.link()["trouble"])
        assert feed.link()["trouble"].startswith("insufficient subscription (409): the account's plan")
        await until(lambda: feed.state(TICKER) is State.LIVE)


async def test_already_in_is_in(caplog: pytest.LogCaptureFixture) -> None:
    async with alpaca() as feed:
        feed.server.answers.append(error(403, "already authenticated"))
        feed.driver.want(TICKER, "me")
        await until(lambda: "subscribe" in actions(feed))
    assert "alpaca says: already authenticated (403): it had let us in before, and was asked again" in warned(
        caplog
    )


async def test_who_is_thrown_out_begins_anew() -> None:
    async with alpaca() as feed:
        await feed.goes_live(TICKER)
        await feed.server.push(CONNECTION_LIMIT)
        await until(lambda: feed.states(TICKER)[-2:] == [State.RECONNECTING, State.LIVE])
        assert feed.server.opened == 2


async def test_who_is_let_in_and_thrown_out_again_and_again_comes_back_ever_later() -> None:
    clock = StandingClock()
    async with alpaca(clock=clock) as feed:
        feed.server.welcomes_none = True
        feed.driver.want(TICKER, "me")
        await until(lambda: feed.server.opened >= 2)
        clock.now += 7
        await until(lambda: feed.server.opened >= 4)
        assert feed.link()["link"]["failures_in_a_row"] >= 3
        await until(lambda: feed.link()["down_for"] == 7)
        feed.server.welcomes_none = False
        await until(lambda: feed.state(TICKER) is State.LIVE)
        await until(lambda: feed.link()["link"]["failures_in_a_row"] == 0)


async def test_a_connection_that_nothing_is_asked_of_is_good_when_it_has_stood_for_a_while() -> None:
    clock = StandingClock()
    async with alpaca(clock=clock) as feed:
        await until(lambda: feed.link()["connected"])
        assert feed.link()["link"]["state"] == "open"
        clock.now += LONGEST_WAIT_S
        await until(lambda: feed.link()["link"]["state"] == "proven")


@pytest.mark.parametrize("code", [401, 404, 407, 500])
async def test_what_the_venue_gives_up_is_made_anew(code: int, caplog: pytest.LogCaptureFixture) -> None:
    async with alpaca() as feed:
        await feed.goes_live(*ALL)
        await feed.server.push(error(code, "words"))
        await until(lambda: feed.states(TICKER)[-2:] == [State.RECONNECTING, State.LIVE])
        told = next(one for one in feed.statuses(TICKER) if one["state"] == "reconnecting")
        assert told["reason"].startswith(f"words ({code}): ")
        await feed.server.carries(**WHOLE)
    assert any(text.startswith(f"alpaca gives the connection up: words ({code})") for text in warned(caplog))


# --- the whole set ------------------------------------------------------------------------------


async def test_topics_are_added_and_taken_back_one_by_one() -> None:
    async with alpaca(DriverConfig(linger_s=0.0)) as feed:
        await feed.goes_live(TICKER)
        await feed.goes_live(TRADES, CANDLES)
        await feed.server.carries(**WHOLE)
        feed.driver.drop(TRADES, "me")
        await feed.server.carries(**{name: one for name, one in WHOLE.items() if name != "trades"})
        assert feed.server.asked("unsubscribe") == [{"action": "unsubscribe", "trades": ["AAPL"]}]
        assert feed.server.asked("subscribe")[0] == {"action": "subscribe", "quotes": ["AAPL"]}
        assert feed.states(TICKER) == [State.PENDING, State.LIVE]


async def test_what_the_set_does_not_list_is_refused_and_the_rest_lives() -> None:
    async with alpaca() as feed:
        feed.server.denied.add("NOPE")
        bad = topic("ticker", "NOPE")
        feed.driver.want(bad, "me")
        await feed.goes_live(TICKER)
        await until(lambda: feed.state(bad) is State.REFUSED)
        words = "alpaca refused it: its answer lists all that is subscribed, and this is not there"
        assert feed.reason(bad) == words


async def test_over_the_symbol_limit_each_is_asked_for_alone_and_only_what_is_too_much_is_refused() -> None:
    async with alpaca() as feed:
        feed.server.refusals.extend([SYMBOL_LIMIT, SYMBOL_LIMIT])  # the batch, and the first one alone
        topics = [topic("ticker", symbol) for symbol in ("A", "B", "C")]
        for one in topics:
            feed.driver.want(one, "me")
        await until(lambda: all(feed.state(one) in {State.LIVE, State.REFUSED} for one in topics))
        assert [feed.state(one) for one in topics] == [State.REFUSED, State.LIVE, State.LIVE]
        assert feed.reason(topics[0]) == (
            "alpaca refused it: symbol limit exceeded (405): "
            "the account's plan carries no more symbols of trades and quotes at a time"
        )
        assert len(feed.server.asked("subscribe")) == 4


async def test_a_request_that_is_not_answered_costs_the_connection_because_answers_have_no_number() -> None:
    async with alpaca(IMPATIENT) as feed:
        await feed.goes_live(TICKER)
        feed.server.deaf.add("subscribe")
        feed.driver.want(TRADES, "me")
        await until(lambda: State.RECONNECTING in feed.states(TICKER))
        told = next(one for one in feed.statuses(TICKER) if one["state"] == "reconnecting")
        assert told["reason"] == "a request was not answered within 0.3 s"
        feed.server.deaf.clear()
        await until(lambda: feed.state(TICKER) is feed.state(TRADES) is State.LIVE)


async def test_after_a_cut_everything_is_asked_for_again_and_the_hole_is_told() -> None:
    async with alpaca() as feed:
        await feed.goes_live(*ALL)
        await feed.server.push(trade(1), quote(1), bar(0, 126.5))
        await until(lambda: all(feed.values(one) for one in ALL))
        epoch = feed.values(TRADES)[0].epoch
        await feed.server.cut()
        await until(lambda: all(feed.states(one)[-2:] == [State.RECONNECTING, State.LIVE] for one in ALL))
        await feed.server.carries(**WHOLE)
        await feed.server.push(trade(2), quote(2), bar(1, 126.6))
        await until(lambda: all(len(feed.values(one)) == 2 for one in ALL))
        assert all(feed.values(one)[-1].epoch > epoch for one in ALL)
        gaps = {event.topic for event in feed.events if event.kind is EventKind.GAP}
        assert gaps == {TRADES, CANDLES}


# --- what is published --------------------------------------------------------------------------


async def test_quotes_stand_in_the_order_in_which_they_came_whatever_their_times() -> None:
    async with alpaca() as feed:
        await feed.goes_live(TICKER)
        await feed.server.push(quote(9, bid=1), quote(3, bid=2), quote(2, bid=3), quote(1, bid=4))
        await until(lambda: len(feed.values(TICKER)) == 4)
        assert [one["bid"]["price"] for one in feed.data(TICKER)] == ["1", "2", "3", "4"]
        assert feed.states(TICKER) == [State.PENDING, State.LIVE]


async def test_a_bar_is_closed_and_what_corrects_it_follows_marked() -> None:
    async with alpaca() as feed:
        await feed.goes_live(CANDLES)
        await feed.server.push(bar(0, 126.5))
        await feed.server.push(bar(1, 126.7))
        await feed.server.push(bar(0, 126.6, kind="u"))
        await until(lambda: len(feed.values(CANDLES)) == 3)
        shown = [(one["close"], one["confirmed"], one.get("corrected", False)) for one in feed.data(CANDLES)]
        assert shown == [("126.5", True, False), ("126.7", True, False), ("126.6", True, True)]
        assert {event.key for event in feed.values(CANDLES)} == {""}, "nothing replaces what is closed"


async def test_an_object_that_cannot_be_read_makes_a_gap_in_its_stream_alone() -> None:
    async with alpaca() as feed:
        await feed.goes_live(*ALL)
        await feed.server.push({**trade(1), "p": "dear"}, quote(1), {"T": "new", "S": "AAPL"})
        await until(lambda: feed.values(TICKER))
        gaps = {event.topic for event in feed.events if event.kind is EventKind.GAP}
        assert gaps == {TRADES}
        assert feed.server.opened == 1
        figures = feed.driver.statistics()
        assert (figures["malformed"], figures["foreign"]) == (1, 1)


async def test_a_frame_that_cannot_be_read_costs_the_connection() -> None:
    async with alpaca() as feed:
        await feed.goes_live(TICKER)
        await feed.server.guests[0].say('[{"T":"q","S":"AAP')
        await until(lambda: feed.states(TICKER)[-2:] == [State.RECONNECTING, State.LIVE])
        assert feed.server.opened == 2


# --- silence ------------------------------------------------------------------------------------


async def test_a_market_at_rest_is_stale_and_keeps_its_connection() -> None:
    clock = StandingClock()
    config = DriverConfig(shard=ShardConfig(silence_s={"ticker": 30.0}))
    async with alpaca(config, clock=clock) as feed:
        await feed.goes_live(TICKER)
        clock.now += 31
        await until(lambda: feed.state(TICKER) is State.STALE)
        await feed.server.push(quote(1))
        await until(lambda: feed.state(TICKER) is State.LIVE)
        assert feed.server.opened == 1


async def test_a_venue_that_answers_no_ping_is_replaced() -> None:
    impatient = msgspec.structs.replace(QUICK, ping_timeout_s=0.3)
    async with alpaca(link=impatient) as feed:
        await feed.goes_live(TICKER)
        for guest in feed.server.guests:
            guest.connection.transport.pause_reading()
        await until(lambda: feed.states(TICKER)[-2:] == [State.RECONNECTING, State.LIVE])
        assert "no answer to the ping" in next(
            one["reason"] for one in feed.statuses(TICKER) if one["state"] == "reconnecting"
        )


async def test_secrets_that_the_venue_repeats_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with alpaca() as feed:
        await feed.goes_live(TICKER)
        await feed.server.push(error(407, f"slow client {KEY} with {SECRET}"))
        await until(lambda: feed.states(TICKER)[-2:] == [State.RECONNECTING, State.LIVE])
        told = str(feed.statuses(TICKER)) + logged(caplog)
    assert "slow client *** with ***" in told
    assert KEY not in told
    assert SECRET not in told
