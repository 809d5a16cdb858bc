"""What a simulated Alpaca answers to one connection, seen by an independent WebSocket client."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosedError

from feedmux.sim.alpaca import AlpacaSim
from feedmux.sim.alpaca_options import DEMO, Account, AlpacaOptions
from feedmux.sim.alpaca_subscriptions import CHANNELS
from support.alpaca_client import (
    AUTHENTICATED,
    CONNECTED,
    STILL,
    Client,
    client,
    error,
    pass_time,
    running,
    until,
)
from support.clocks import StandingClock

HEADERS = {"APCA-API-KEY-ID": DEMO.key, "APCA-API-SECRET-KEY": DEMO.secret}
FULL = error(406, "connection limit exceeded")


def but(**settings: Any) -> AlpacaOptions:
    """A still market with other settings."""
    return msgspec.structs.replace(STILL, **settings)


def sessions(sim: AlpacaSim) -> list[dict[str, Any]]:
    found = sim.statistics()["sessions"]
    assert isinstance(found, list)
    return found


async def code_of_close(peer: Client) -> int | None:
    with pytest.raises(ConnectionClosedError) as caught:
        await peer.receive()
    return caught.value.rcvd.code if caught.value.rcvd else None


# -- logging in --------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("path", ["/v2/iex", "/v2/sip", "/v2/test"])
async def test_a_client_is_greeted_at_once_and_authenticated_when_it_asks(path: str, packed: bool) -> None:
    async with running(STILL) as sim, client(sim, path, packed=packed) as peer:
        assert await peer.receive() == CONNECTED
        assert await peer.ask("auth", key=DEMO.key, secret=DEMO.secret) == AUTHENTICATED
        assert sessions(sim)[0] == {
            "feed": path.removeprefix("/v2/"),
            "key": DEMO.key,
            "codec": "msgpack" if packed else "json",
            "subscriptions": {},
        }


async def test_headers_authenticate_and_both_successes_come_unasked() -> None:
    async with running(STILL) as sim, client(sim, headers=HEADERS) as peer:
        assert [await peer.receive(), await peer.receive()] == [CONNECTED, AUTHENTICATED]
        again = await peer.ask("auth", key=DEMO.key, secret=DEMO.secret)
        assert again == error(403, "already authenticated")


@pytest.mark.parametrize(
    "headers",
    [HEADERS | {"APCA-API-SECRET-KEY": "wrong"}, {"APCA-API-KEY-ID": DEMO.key}, {"apca-api-key-id": "x"}],
)
async def test_headers_that_are_wrong_fail_and_a_message_may_mend_it(headers: dict[str, str]) -> None:
    async with running(STILL) as sim, client(sim, headers=headers) as peer:
        assert [await peer.receive(), await peer.receive()] == [CONNECTED, error(402, "auth failed")]
        assert await peer.ask("auth", key=DEMO.key, secret=DEMO.secret) == AUTHENTICATED


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ({"action": "auth", "key": DEMO.key, "secret": "wrong"}, error(402, "auth failed")),
        ({"action": "auth", "key": "nobody", "secret": DEMO.secret}, error(402, "auth failed")),
        ({"action": "auth"}, error(402, "auth failed")),
        ({"action": "subscribe", "trades": ["AAPL"]}, error(401, "not authenticated")),
        ({"action": "unsubscribe", "trades": ["AAPL"]}, error(401, "not authenticated")),
        ({"action": "dance"}, error(400, "invalid syntax")),
        ({"key": DEMO.key}, error(400, "invalid syntax")),
    ],
)
async def test_what_fails_before_a_login_does_not_prevent_it(
    request_: dict[str, object], answer: list[dict[str, object]]
) -> None:
    async with running(STILL) as sim, client(sim) as peer:
        assert await peer.receive() == CONNECTED
        await peer.socket.send(json.dumps(request_))
        assert await peer.receive() == answer
        assert await peer.ask("auth", key=DEMO.key, secret=DEMO.secret) == AUTHENTICATED


@pytest.mark.parametrize(
    "message", ["hello", "[]", "", b"\xff\xfe", '{"action":"auth","key":1}', "[" * 50_000]
)
async def test_what_cannot_be_read_is_invalid_syntax(message: str | bytes) -> None:
    async with running(STILL) as sim, client(sim) as peer:
        await peer.log_in()
        await peer.socket.send(message)
        assert await peer.receive() == error(400, "invalid syntax")
        [answer] = await peer.ask("subscribe", trades=["AAPL"])
        assert answer["trades"] == ["AAPL"]


async def test_who_does_not_log_in_in_time_is_told_and_closed() -> None:
    clock = StandingClock()
    async with running(STILL, clock=clock) as sim, client(sim) as peer, client(sim, "/v2/sip") as good:
        assert await good.log_in() == AUTHENTICATED
        assert await peer.log_in(secret="wrong") == error(402, "auth failed")
        pass_time(sim, clock, 9.9)
        assert await peer.ask("subscribe", trades=["AAPL"]) == error(401, "not authenticated")
        pass_time(sim, clock, 0.1)
        assert await peer.receive() == error(404, "auth timeout")
        assert await code_of_close(peer) == 1008
        [answer] = await good.ask("subscribe", trades=["AAPL"])
        assert answer["T"] == "subscription"


async def test_a_feed_that_is_not_subscribed_to_is_refused_with_the_login() -> None:
    async with running(but(entitled=("iex",))) as sim, client(sim, "/v2/sip") as peer, client(sim) as other:
        assert await peer.log_in() == error(409, "insufficient subscription")
        assert await other.log_in() == AUTHENTICATED


# -- the limit of connections ------------------------------------------------------------------


async def test_a_second_connection_is_told_406_and_gets_in_when_the_first_is_gone() -> None:
    async with running(STILL) as sim, client(sim) as second:
        async with client(sim) as first:
            assert await first.log_in() == AUTHENTICATED
            assert await second.log_in() == FULL
            assert await second.ask("subscribe", trades=["AAPL"]) == error(401, "not authenticated")
        await until(lambda: len(sessions(sim)) == 1)
        assert await second.ask("auth", key=DEMO.key, secret=DEMO.secret) == AUTHENTICATED


async def test_headers_meet_the_limit_in_the_place_of_the_second_success() -> None:
    async with running(STILL) as sim, client(sim) as first, client(sim, headers=HEADERS) as second:
        assert await second.receive() == CONNECTED
        assert await second.receive() == AUTHENTICATED
        assert await first.log_in() == FULL


async def test_the_limit_may_be_told_after_the_login_and_ends_the_connection() -> None:
    options = but(limit_after_auth=True)
    async with running(options) as sim, client(sim) as first, client(sim) as second:
        assert await first.log_in() == AUTHENTICATED
        assert await second.log_in() == AUTHENTICATED
        assert await second.receive() == FULL
        assert await code_of_close(second) == 1008
        [answer] = await first.ask("subscribe", trades=["AAPL"])
        assert answer["trades"] == ["AAPL"]


async def test_the_limit_is_of_a_key_and_a_feed() -> None:
    accounts = (Account("one", "1"), Account("two", "2"))
    async with (
        running(but(accounts=accounts)) as sim,
        client(sim) as a,
        client(sim) as b,
        client(sim, "/v2/sip") as c,
        client(sim) as d,
    ):
        assert await a.log_in("one", "1") == AUTHENTICATED
        assert await b.log_in("two", "2") == AUTHENTICATED
        assert await c.log_in("one", "1") == AUTHENTICATED
        assert await d.log_in("one", "1") == FULL


async def test_a_406_sets_the_deadline_anew() -> None:
    clock = StandingClock()
    async with running(STILL, clock=clock) as sim, client(sim) as first, client(sim) as second:
        await first.log_in()
        assert await second.log_in() == FULL
        for _ in range(4):
            pass_time(sim, clock, 9)
            assert await second.ask("auth", key=DEMO.key, secret=DEMO.secret) == FULL
        pass_time(sim, clock, 10)
        assert await second.receive() == error(404, "auth timeout")


# -- subscribing -------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
async def test_subscribing_adds_and_unsubscribing_subtracts_and_both_tell_the_whole_set(packed: bool) -> None:
    async with running(STILL) as sim, client(sim, packed=packed) as peer:
        await peer.log_in()
        [answer] = await peer.ask("subscribe", trades=["AAPL"], quotes=["AMD"], bars=["*"])
        assert list(answer.items()) == [
            ("T", "subscription"),
            ("trades", ["AAPL"]),
            ("quotes", ["AMD"]),
            ("bars", ["*"]),
            ("updatedBars", []),
            ("dailyBars", []),
            ("statuses", []),
            ("lulds", []),
            ("corrections", ["AAPL"]),
            ("cancelErrors", ["AAPL"]),
        ]
        [answer] = await peer.ask("subscribe", trades=["IBM", "AAPL"], statuses=["*"])
        assert (answer["trades"], answer["statuses"]) == (["AAPL", "IBM"], ["*"])
        assert answer["corrections"] == answer["cancelErrors"] == answer["trades"]
        [answer] = await peer.ask("unsubscribe", trades=["AAPL", "VOO"], bars=["*"])
        assert (answer["trades"], answer["bars"], answer["quotes"]) == (["IBM"], [], ["AMD"])
        assert answer["corrections"] == ["IBM"]


async def test_empty_lists_are_omitted_when_so_configured() -> None:
    async with running(but(omit_empty=True)) as sim, client(sim) as peer:
        await peer.log_in()
        assert await peer.ask("subscribe", bars=["SPY"]) == [{"T": "subscription", "bars": ["SPY"]}]
        assert await peer.ask("unsubscribe", bars=["SPY"]) == [{"T": "subscription"}]


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({}, 400, "invalid syntax"),
        ({"trades": "AAPL"}, 400, "invalid syntax"),
        ({"corrections": ["AAPL"]}, 400, "invalid syntax"),
        ({"news": ["AAPL"]}, 410, "invalid subscribe action for this feed"),
        ({"trades": ["AAPL"], "orderbooks": ["AAPL"]}, 410, "invalid subscribe action for this feed"),
    ],
)
async def test_a_subscription_that_cannot_be_changes_nothing(
    request_: dict[str, object], code: int, words: str
) -> None:
    async with running(STILL) as sim, client(sim) as peer:
        await peer.log_in()
        await peer.ask("subscribe", trades=["IBM"])
        assert await peer.ask("subscribe", **request_) == error(code, words)
        [answer] = await peer.ask("subscribe", trades=[])
        assert answer["trades"] == ["IBM"]


async def test_too_many_symbols_leave_everything_as_it_was() -> None:
    async with running(but(symbol_limit=3)) as sim, client(sim) as peer, client(sim, "/v2/sip") as rich:
        await peer.log_in()
        await peer.ask("subscribe", trades=["A", "B"], bars=["A", "B", "C", "D"])
        refusal = await peer.ask("subscribe", quotes=["A", "B"], bars=["E"])
        assert refusal == error(405, "symbol limit exceeded")
        assert await peer.ask("subscribe", trades=["*"]) == refusal
        [answer] = await peer.ask("subscribe", quotes=["A"], bars=["*"])
        assert (answer["trades"], answer["quotes"]) == (["A", "B"], ["A"])
        assert answer["bars"] == ["A", "B", "C", "D", "*"]
        await rich.log_in()
        [answer] = await rich.ask("subscribe", trades=[f"X{number}" for number in range(100)])
        assert len(answer["trades"]) == 100


# -- data --------------------------------------------------------------------------------------


async def test_data_are_those_of_the_subscription_mixed_in_one_message() -> None:
    options = AlpacaOptions(rate=200, quote_rate=200)
    async with running(options) as sim, client(sim, "/v2/sip") as peer:
        await peer.log_in()
        await peer.ask("subscribe", trades=["AAPL", "IBM"], quotes=["IBM", "AMD"])
        batch = await peer.receive()
        while len(batch) < 4:
            batch = await peer.receive()
        assert {(item["T"], item["S"]) for item in batch} == {
            ("t", "AAPL"), ("t", "IBM"), ("q", "IBM"), ("q", "AMD"),
        }  # fmt: skip


async def test_a_batch_of_one_sends_data_one_by_one() -> None:
    options = AlpacaOptions(rate=200, quote_rate=200, batch=1)
    async with running(options) as sim, client(sim) as peer:
        await peer.log_in()
        await peer.ask("subscribe", trades=["AAPL", "IBM"], quotes=["IBM"])
        seen = [await peer.receive() for _ in range(30)]
        assert {len(batch) for batch in seen} == {1}
        assert {batch[0]["S"] for batch in seen} == {"AAPL", "IBM"}


async def test_a_wildcard_of_bars_is_every_symbol_and_bars_close_with_their_clock() -> None:
    options = AlpacaOptions(rate=50, quote_rate=0, candle_speed=600, symbols=("IBM", "SPY"))
    channels = {channel: ["*"] for channel in CHANNELS if channel not in {"trades", "quotes"}}
    async with running(options) as sim, client(sim) as peer:
        await peer.log_in()
        await peer.ask("subscribe", **channels)
        seen: set[tuple[str, str]] = set()
        wanted = {(kind, symbol) for kind in "budl" for symbol in ("IBM", "SPY")}
        while not seen >= wanted:
            seen |= {(item["T"], item["S"]) for item in await peer.data(lambda item: True)}
        assert seen == wanted


async def test_the_first_trades_are_the_same_for_the_same_seed() -> None:
    seen = []
    for packed in (False, True):
        async with running() as sim, client(sim, packed=packed) as peer:
            await peer.log_in()
            await peer.ask("subscribe", trades=["AAPL"])
            trades = await peer.data(lambda item: item["T"] == "t", 5)
            seen.append([{key: value for key, value in item.items() if key != "t"} for item in trades[:5]])
    assert seen[0] == seen[1]


async def test_packed_data_are_binary_with_times_as_extensions() -> None:
    async with running(STILL) as sim, client(sim, packed=True) as peer:
        await peer.log_in()
        await peer.ask("subscribe", trades=["AAPL"])
        assert sim.publish("AAPL", 126, size=1, ident=2**41) == 1
        raw = await peer.socket.recv()
        assert isinstance(raw, bytes)
        (item,) = msgspec.msgpack.decode(raw, type=list[dict[str, msgspec.Raw]])
        assert bytes(item["p"]) == b"\xcb\x40\x5f\x80\x00\x00\x00\x00\x00"
        assert bytes(item["t"])[:2] == b"\xd7\xff"
        assert msgspec.msgpack.decode(item["i"]) == 2**41


async def test_two_codecs_are_told_the_same_trade() -> None:
    async with (
        running(but(connection_limit=2)) as sim,
        client(sim) as text,
        client(sim, packed=True) as packed,
    ):
        for peer in (text, packed):
            await peer.log_in()
            await peer.ask("subscribe", trades=["AAPL"])
        assert sim.publish("AAPL", 126.5) == 2
        [one], [other] = await text.receive(), await packed.receive()
        assert one.pop("t").startswith(other.pop("t").strftime("%Y-%m-%dT%H:%M:%S"))
        assert one == other


async def test_data_may_come_late_after_unsubscribing_and_end_then() -> None:
    clock = StandingClock()
    async with running(but(late_s=0.5), clock=clock) as sim, client(sim) as peer:
        await peer.log_in()
        await peer.ask("subscribe", trades=["AAPL"])
        [answer] = await peer.ask("unsubscribe", trades=["AAPL"])
        assert answer["trades"] == []
        assert sim.publish("AAPL", 231.5) == 1
        assert (await peer.receive())[0]["p"] == 231.5
        pass_time(sim, clock, 0.5)
        assert sim.publish("AAPL", 231.5) == 0


async def test_without_lateness_an_acknowledged_unsubscription_is_the_end() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.log_in()
        await peer.ask("subscribe", trades=["AAPL", "IBM"])
        await peer.ask("unsubscribe", trades=["AAPL"])
        later = await peer.data(lambda item: True, 10)
        assert {item["S"] for item in later} == {"IBM"}


async def test_who_leaves_too_much_unread_is_a_slow_client() -> None:
    options = AlpacaOptions(rate=20_000, backlog_bytes=200_000)
    async with running(options) as sim, client(sim) as peer:
        await peer.log_in()
        peer.socket.transport.pause_reading()
        await peer.send("subscribe", trades=list(options.symbols))
        await until(lambda: error_counts(sim).get("407") == 1)
        peer.socket.transport.resume_reading()
        last: list[dict[str, Any]] = []
        with pytest.raises(ConnectionClosedError) as caught:
            while True:
                last = await peer.receive()
        assert last == error(407, "slow client")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008


def error_counts(sim: AlpacaSim) -> dict[str, int]:
    feeds = sim.statistics()["feeds"]
    assert isinstance(feeds, dict)
    found = feeds["iex"]["errors"]
    assert isinstance(found, dict)
    return found
