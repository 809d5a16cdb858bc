"""What a simulated Deribit answers, seen by an independent WebSocket client."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feedmux.sim.deribit_auth import sign
from feedmux.sim.deribit_options import DEMO, INSTRUMENTS, DeribitOptions
from feedmux.sim.deribit_session import METHODS
from support.deribit_client import EVERYTHING, OTHER, PERPETUAL, STILL, Client, Message, client, running

QUICK = DeribitOptions(rate=0, credits=None, heartbeat_min_s=0.05, heartbeat_grace_s=0.3)
OPTION = "BTC-28DEC29-80000-C"


def captured(name: str) -> list[Message]:
    """Real frames; the test is skipped where there are none."""
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no real frames to compare with")
    text = (Path(folder) / "deribit" / name).read_text()
    if name.endswith(".json"):
        return [json.loads(text)]
    return [json.loads(line) for line in text.splitlines() if line]


# -- envelopes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ident", [1, -7, "abc", "", "\N{SNOWMAN}"])
async def test_an_answer_repeats_the_id_and_says_when_and_where(ident: object) -> None:
    async with running() as sim, client(sim) as peer:
        before = time.time_ns() // 1000
        answer = await peer.raw(json.dumps({"method": "public/test", "id": ident}))
    assert list(answer) == ["jsonrpc", "id", "result", "usIn", "usOut", "usDiff", "testnet"]
    assert (answer["jsonrpc"], answer["id"], answer["testnet"]) == ("2.0", ident, True)
    assert before <= answer["usIn"] <= answer["usOut"]
    assert answer["usDiff"] == answer["usOut"] - answer["usIn"]


async def test_a_request_without_an_id_is_answered_without_one() -> None:
    async with running() as sim, client(sim) as peer:
        answer = await peer.raw('{"jsonrpc":"2.0","method":"public/test","params":{}}')
    assert answer["result"] == {"version": "1.2.26"}
    assert "id" not in answer


async def test_text_that_is_no_json_is_refused_and_the_socket_stays_open() -> None:
    async with running() as sim, client(sim) as peer:
        answer = await peer.raw("hello")
        assert answer["error"] == {"code": 11050, "data": "invalid json", "message": "bad_request"}
        assert "id" not in answer
        assert (await peer.raw(b"\xff\x00"))["error"]["code"] == 11050
        assert (await peer.raw('[{"id":1,"method":"public/test"}]'))["error"]["code"] == 11050
        assert (await peer.raw('{"id":5,"method":"public/test","params":[1]}'))["error"]["code"] == -32602
        assert await peer.result("public/test") == {"version": "1.2.26"}


async def test_the_members_of_answers_can_come_in_any_order() -> None:
    options = msgspec.structs.replace(STILL, any_order=True, testnet=False)
    async with running(options) as sim, client(sim) as peer:
        answers = [await peer.call("public/test") for _ in range(30)]
    assert len({tuple(answer) for answer in answers}) > 5
    assert {frozenset(answer) for answer in answers} == {
        frozenset({"jsonrpc", "id", "result", "usIn", "usOut", "usDiff", "testnet"})
    }
    assert {answer["testnet"] for answer in answers} == {False}


# -- every method, and every way to call it wrong ----------------------------------------------


async def test_public_methods_answer() -> None:
    async with running() as sim, client(sim) as peer:
        assert await peer.result("public/test") == {"version": "1.2.26"}
        assert await peer.result("public/hello", client_name="me", client_version="1") == {
            "version": "1.2.26"
        }
        assert abs(await peer.result("public/get_time") - time.time() * 1000) < 60_000
        assert (await peer.result("public/status"))["locked"] == "false"
        assert await peer.result("public/set_heartbeat", interval=10) == "ok"
        assert await peer.result("public/disable_heartbeat") == "ok"
        assert await peer.result("public/unsubscribe_all") == "ok"
        assert (await peer.result("public/get_index_price", index_name="btc_usd"))["index_price"] > 0


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"currency": "any"}, set(INSTRUMENTS)),
        ({"currency": "BTC"}, {n for n in INSTRUMENTS if n.startswith("BTC-")}),
        ({"currency": "BTC", "kind": "option"}, {OPTION, "BTC-28DEC29-80000-P"}),
        ({"currency": "USDC", "kind": "future"}, {"BTC_USDC-PERPETUAL"}),
        ({"currency": "BTC", "expired": True}, set()),
        ({"currency": "EURR"}, set()),
    ],
)
async def test_instruments_are_listed(params: dict[str, object], names: set[str]) -> None:
    async with running(EVERYTHING) as sim, client(sim) as peer:
        listed = await peer.result("public/get_instruments", **params)
        assert {item["instrument_name"] for item in listed} == names
        for item in listed:
            name = item["instrument_name"]
            assert item == await peer.result("public/get_instrument", instrument_name=name)


async def test_a_book_and_a_ticker_are_shown() -> None:
    async with running(EVERYTHING) as sim, client(sim) as peer:
        for name in INSTRUMENTS:
            book = await peer.result("public/get_order_book", instrument_name=name, depth=20)
            ticker = await peer.result("public/ticker", instrument_name=name)
            assert len(book["bids"]) == len(book["asks"]) == 20
            assert book["bids"] == sorted(book["bids"], reverse=True)
            assert book["asks"] == sorted(book["asks"])
            assert (ticker["best_bid_price"], ticker["best_bid_amount"]) == tuple(book["bids"][0])
            assert (ticker["best_ask_price"], ticker["best_ask_amount"]) == tuple(book["asks"][0])
            assert ("current_funding" in ticker) == name.endswith("PERPETUAL")
            assert ("greeks" in ticker) == (name.count("-") == 3)
        assert len((await peer.result("public/get_order_book", instrument_name=PERPETUAL))["bids"]) == 5


async def test_last_trades_come_newest_first_unless_asked_for_otherwise() -> None:
    async with running() as sim, client(sim) as peer:
        for _ in range(40):
            sim.floor.exchange.step(sim.floor.moment())
        method = "public/get_last_trades_by_instrument"
        some = await peer.result(method, instrument_name=PERPETUAL, count=5)
        seqs = [trade["trade_seq"] for trade in some["trades"]]
        assert seqs == sorted(seqs, reverse=True)
        assert (len(seqs), some["has_more"]) == (5, True)
        every = await peer.result(method, instrument_name=PERPETUAL, count=1000, sorting="asc")
        assert [t["trade_seq"] for t in every["trades"]][-5:] == seqs[::-1]
        assert every["has_more"] is False


def said(reason: str, param: str) -> Message:
    return {"reason": reason, "param": param}


WRONG: list[tuple[str, dict[str, Any], int, object]] = [
    ("public/nope", {}, -32601, None),
    ("private/nope", {}, -32601, None),
    ("", {}, -32601, None),
    ("public/ticker", {}, -32602, said("value required", "instrument_name")),
    ("public/ticker", {"instrument_name": 5}, -32602, said("wrong format", "instrument_name")),
    ("public/ticker", {"instrument_name": "NOPE-PERPETUAL"}, 10020, None),
    ("public/get_order_book", {"instrument_name": "NOPE-PERPETUAL"}, 10020, None),
    ("public/get_last_trades_by_instrument", {"instrument_name": "NOPE"}, 10020, None),
    (
        "public/get_order_book",
        {"instrument_name": PERPETUAL, "depth": 7},
        -32602,
        said("invalid value", "depth"),
    ),
    ("public/get_instruments", {}, -32602, said("value required", "currency")),
    ("public/get_instruments", {"currency": "BTC", "kind": "x"}, -32602, said("invalid value", "kind")),
    ("public/get_index_price", {"index_name": "x"}, -32602, said("invalid value", "index_name")),
    ("public/set_heartbeat", {"interval": 5}, -32602, said("value must be >= 10", "interval")),
    ("public/set_heartbeat", {"interval": "30"}, -32602, said("wrong format", "interval")),
    ("public/set_heartbeat", {}, -32602, said("value required", "interval")),
    ("public/hello", {}, -32602, said("value required", "client_name")),
    ("public/subscribe", {}, -32602, said("value required", "channels")),
    ("public/subscribe", {"channels": "x"}, -32602, said("wrong format", "channels")),
    ("public/subscribe", {"channels": ["quote.BTC-PERPETUAL", "book.BTC-PERPETUAL.raw"]}, 13778, None),
    ("public/auth", {}, -32602, said("value required", "grant_type")),
]


@pytest.mark.parametrize(("method", "params", "code", "data"), WRONG)
async def test_what_is_wrong_is_refused_in_the_venues_words(
    method: str, params: dict[str, Any], code: int, data: object
) -> None:
    async with running() as sim, client(sim) as peer:
        error = await peer.error(method, **params)
    assert error["code"] == code
    assert error.get("data") == data


@pytest.mark.parametrize("method", sorted(name for name in METHODS if name.startswith("private/")))
async def test_private_methods_want_a_login(method: str) -> None:
    async with running() as sim, client(sim) as peer:
        assert await peer.error(method) == {
            "code": 13009,
            "data": {"reason": "invalid_token", "param": "access_token"},
            "message": "unauthorized",
        }


# -- logging in --------------------------------------------------------------------------------


async def test_credentials_let_in_and_wrong_ones_do_not() -> None:
    async with running() as sim, client(sim) as peer:
        wrong = {"grant_type": "client_credentials", "client_id": DEMO.client_id, "client_secret": "x"}
        assert await peer.error("public/auth", **wrong) == {"code": 13004, "message": "invalid_credentials"}
        assert (await peer.error("private/get_positions"))["code"] == 13009
        granted = await peer.log_in()
        assert (granted["token_type"], granted["expires_in"]) == ("bearer", 900)
        assert await peer.result("private/get_positions") == []


async def test_a_signature_lets_in_and_an_old_one_does_not() -> None:
    async with running() as sim, client(sim) as peer:
        now = await peer.result("public/get_time")
        for timestamp, nonce, fits in ((now, "n1", True), (now - 120_000, "n2", False)):
            answer = await peer.call(
                "public/auth",
                grant_type="client_signature",
                client_id=DEMO.client_id,
                timestamp=timestamp,
                nonce=nonce,
                data="",
                signature=sign(DEMO.secret, f"{timestamp}\n{nonce}\n"),
            )
            assert ("result" in answer) is fits


async def test_an_old_token_is_refused_until_it_is_refreshed() -> None:
    async with running() as sim, client(sim) as peer:
        granted = await peer.log_in()
        assert sim.expire_tokens() == 1
        error = await peer.error("private/get_positions")
        assert (error["code"], error["data"]["reason"]) == (13009, "invalid_token")
        refresh = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
        renewed = await peer.result("public/auth", **refresh)
        assert renewed["refresh_token"] != granted["refresh_token"]
        assert await peer.result("private/get_positions") == []
        assert (await peer.error("public/auth", **refresh))["data"]["param"] == "refresh_token"


async def test_tokens_end_by_themselves() -> None:
    options = msgspec.structs.replace(STILL, expires_in_s=0.05)
    async with running(options) as sim, client(sim) as peer:
        assert (await peer.log_in())["expires_in"] == 0.05
        async with asyncio.timeout(5):
            while "result" in await peer.call("private/get_positions"):
                pass


async def test_a_sessions_token_may_be_used_on_another_connection() -> None:
    async with running() as sim, client(sim) as one, client(sim) as two:
        plain, named = await one.log_in(), await one.log_in(scope="session:bot")
        assert (await two.error("private/get_positions", access_token=plain["access_token"]))["code"] == 13009
        assert await two.result("private/get_positions", access_token=named["access_token"]) == []
        assert (await two.error("private/get_positions"))["code"] == 13009


async def test_a_small_scope_is_forbidden_to_trade() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.log_in(scope="trade:read")
        assert await peer.result("private/get_open_orders") == []
        error = await peer.error("private/buy", instrument_name=PERPETUAL, amount=10, type="market")
        assert error == {"code": 13021, "message": "forbidden"}


async def test_logging_out_closes_without_an_answer_and_voids_the_token() -> None:
    async with running() as sim, client(sim) as peer, client(sim) as other:
        token = (await peer.log_in(scope="session:bot"))["access_token"]
        await peer.send("private/logout")
        assert await peer.closed() == (1000, "")
        assert (await other.error("private/get_positions", access_token=token))["code"] == 13009


# -- heartbeats --------------------------------------------------------------------------------


async def test_an_idle_connection_gets_heartbeats_and_test_requests_and_lives_by_answering() -> None:
    patient = msgspec.structs.replace(QUICK, heartbeat_grace_s=30)
    async with running(patient) as sim, client(sim) as peer:
        assert await peer.result("public/set_heartbeat", interval=0.05) == "ok"
        for _ in range(4):
            assert [await peer.beat(), await peer.beat()] == ["heartbeat", "test_request"]
            await peer.socket.send('{"jsonrpc":"2.0","method":"public/test","params":{}}')
        assert await peer.result("public/disable_heartbeat") == "ok"


async def test_a_busy_connection_gets_test_requests_only() -> None:
    options = msgspec.structs.replace(QUICK, rate=200, heartbeat_grace_s=30)
    async with running(options) as sim, client(sim) as peer:
        await peer.subscribe(
            "quote.BTC-PERPETUAL", "ticker.BTC-PERPETUAL.100ms", "ticker.ETH-PERPETUAL.100ms"
        )
        await peer.data("quote.BTC-PERPETUAL")
        await peer.result("public/set_heartbeat", interval=0.25)
        assert [await peer.beat() for _ in range(3)] == ["test_request"] * 3


async def test_who_does_not_answer_is_closed_with_4000() -> None:
    async with running(QUICK) as sim, client(sim) as peer:
        await peer.result("public/set_heartbeat", interval=0.05)
        assert await peer.closed() == (4000, "heartbeat close")
        assert sim.statistics()["cut_heartbeat"] == 1


async def test_only_public_test_is_an_answer() -> None:
    async with running(QUICK) as sim, client(sim) as peer:
        await peer.result("public/set_heartbeat", interval=0.05)

        async def chatter() -> None:
            while True:
                await peer.send("public/get_time")
                await asyncio.sleep(0.01)

        talking = asyncio.create_task(chatter())
        assert await peer.closed() == (4000, "heartbeat close")
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def test_heartbeats_can_be_faster_than_asked_for() -> None:
    options = msgspec.structs.replace(QUICK, heartbeat_min_s=10, heartbeat_speed=1000)
    async with running(options) as sim, client(sim) as peer:
        assert (await peer.error("public/set_heartbeat", interval=5))["data"][
            "reason"
        ] == "value must be >= 10"
        assert await peer.result("public/set_heartbeat", interval=30) == "ok"
        assert await peer.beat() == "heartbeat"


# -- subscribing -------------------------------------------------------------------------------


async def test_the_answer_has_the_channels_in_another_order() -> None:
    names = [f"chart.trades.BTC-PERPETUAL.{n}" for n in (1, 3, 5, 10)]
    async with running() as sim, client(sim) as peer:
        for _ in range(20):
            accepted = await peer.subscribe(*names)
            assert accepted != names
            assert sorted(accepted) == sorted(names)
            given_up = await peer.result("public/unsubscribe", channels=names)
            assert sorted(given_up) == sorted(names)


async def test_unknown_channels_are_dropped_without_a_word() -> None:
    async with running() as sim, client(sim) as peer:
        assert await peer.subscribe("book.NOPE-PERPETUAL.100ms", "book.BTC-PERPETUAL.50ms") == []
        assert await peer.subscribe("nope", "quote.BTC-PERPETUAL") == ["quote.BTC-PERPETUAL"]
        assert await peer.subscribe("user.orders.BTC-PERPETUAL.100ms") == [], "private ones are unknown here"


async def test_named_channels_can_be_dropped_too() -> None:
    options = msgspec.structs.replace(EVERYTHING, drop=("quote.BTC-PERPETUAL",))
    async with running(options) as sim, client(sim) as peer:
        assert await peer.subscribe("quote.BTC-PERPETUAL", "quote.ETH-PERPETUAL") == ["quote.ETH-PERPETUAL"]


async def test_raw_takes_a_login_and_refuses_the_whole_call() -> None:
    names = ["book.BTC-PERPETUAL.raw", "quote.BTC-PERPETUAL"]
    async with running() as sim, client(sim) as peer:
        assert await peer.error("public/subscribe", channels=names) == {
            "code": 13778,
            "message": "raw_subscriptions_not_available_for_unauthorized",
        }
        assert sim.statistics()["channels"] == {}
        await peer.log_in()
        assert sorted(await peer.subscribe(*names)) == names


async def test_the_answer_comes_before_the_data_and_again_gives_no_snapshot() -> None:
    name = "book.BTC-PERPETUAL.100ms"
    async with running() as sim, client(sim) as peer:
        await peer.subscribe(name)
        assert not peer.notifications
        assert (await peer.data(name))["type"] == "snapshot"
        assert await peer.subscribe(name) == [name]
        sim.move(PERPETUAL, 83_100)
        assert (await peer.data(name))["type"] == "change"
        assert await peer.result("public/unsubscribe", channels=[name, "quote.BTC-PERPETUAL"]) == [name]
        assert await peer.result("public/unsubscribe", channels=[name]) == []
        await peer.subscribe(name)
        assert (await peer.data(name))["type"] == "snapshot"


async def test_unsubscribing_from_all_leaves_private_channels_unless_it_is_private() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        names = ["quote.BTC-PERPETUAL", "user.orders.BTC-PERPETUAL.raw"]
        assert sorted(await peer.result("private/subscribe", channels=names)) == names
        assert await peer.result("public/unsubscribe_all") == "ok"
        assert sim.statistics()["channels"] == {"user.orders.BTC-PERPETUAL.raw": 1}
        assert await peer.result("private/unsubscribe_all") == "ok"
        assert sim.statistics()["channels"] == {}


async def test_who_comes_in_as_somebody_else_reads_only_his_own_news() -> None:
    name = "user.orders.BTC-PERPETUAL.raw"
    async with running() as sim, client(sim, DEMO) as peer, client(sim, OTHER) as trader:
        await peer.result("private/subscribe", channels=[name])
        await peer.log_in(OTHER)
        order = {"instrument_name": PERPETUAL, "amount": 10, "price": 80_000}
        await trader.result("private/buy", **order)
        await peer.result("public/test")
        assert peer.kept(name) == []
        await peer.result("private/subscribe", channels=[name])
        placed = await trader.result("private/buy", **order)
        assert (await peer.data(name))["order_id"] == placed["order"]["order_id"]


# -- credits -----------------------------------------------------------------------------------


async def flood(peer: Client, method: str, count: int, **params: object) -> list[Message]:
    """Ask many times at once; all answers."""
    idents = [await peer.send(method, **params) for _ in range(count)]
    return [await peer.answer(ident) for ident in idents]


@pytest.mark.parametrize(
    ("method", "params", "burst"),
    [
        ("public/test", {}, 100),
        ("public/subscribe", {"channels": []}, 10),
        ("public/get_instruments", {"currency": "any"}, 50),
        ("private/cancel_all", {}, 20),
    ],
)
async def test_one_request_too_many_is_refused_and_the_connection_closed(
    method: str, params: dict[str, Any], burst: int
) -> None:
    options = DeribitOptions(rate=0)
    async with running(options) as sim, client(sim, DEMO) as peer:
        sent = 0
        while True:
            (answer,) = await flood(peer, method, 1, **params)
            if "error" in answer:
                break
            sent += 1
        assert answer["error"] == {"code": 10028, "message": "too_many_requests"}
        assert burst - 1 <= sent <= 2 * burst
        assert await peer.closed() == (1008, "too_many_requests")


async def test_connections_of_an_account_share_its_credits_and_others_do_not() -> None:
    options = DeribitOptions(rate=0, accounts=(DEMO, OTHER), credits=0.05)
    order = {"instrument_name": PERPETUAL, "amount": 10, "price": 80_000}
    async with (
        running(options) as sim,
        client(sim, DEMO) as one,
        client(sim, DEMO) as two,
        client(sim, OTHER) as three,
    ):
        assert all("result" in answer for answer in await flood(one, "private/buy", 1, **order))
        assert (await two.error("private/buy", **order))["code"] == 10028
        assert await two.closed() == (1008, "too_many_requests")
        assert "order" in await three.result("private/buy", **order)


async def test_without_a_login_each_connection_has_its_own_credits() -> None:
    async with running(DeribitOptions(rate=0, credits=0.1)) as sim, client(sim) as one, client(sim) as two:
        answers = []
        for _ in range(60):
            answers += await flood(one, "public/test", 1)
            if "error" in answers[-1]:
                break
        assert answers[-1]["error"]["code"] == 10028
        assert await two.result("public/test") == {"version": "1.2.26"}


async def test_credits_can_be_switched_off() -> None:
    async with running(STILL) as sim, client(sim) as peer:
        assert all("result" in answer for answer in await flood(peer, "public/subscribe", 300, channels=[]))


# -- captures ----------------------------------------------------------------------------------


async def test_errors_look_like_captured_ones() -> None:
    real = captured("fastmm_testnet_errors_20260913.jsonl")
    async with running() as sim, client(sim) as peer:
        own = [
            await peer.call(
                "public/auth", grant_type="client_credentials", client_id="nobody", client_secret="nothing"
            ),
            await peer.call("public/set_heartbeat", interval=5),
            await peer.call("public/get_instruments", currency="BTC", kind="nope"),
        ]
    assert [list(message) for message in own] == [list(message) for message in real]
    assert [message["error"] for message in own] == [message["error"] for message in real]


async def test_a_test_request_looks_like_a_captured_one() -> None:
    (real,) = captured("nautilus/ws_test_request.json")
    async with running(QUICK) as sim, client(sim) as peer:
        await peer.result("public/set_heartbeat", interval=0.05)
        assert await peer.notified(lambda m: m["params"]["type"] == "test_request") == real
