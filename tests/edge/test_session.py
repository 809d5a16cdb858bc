from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from feedmux.edge.login import EXPIRED
from feedmux.edge.session import Rules, Session
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.event import State
from feedmux.model.topic import Topic
from support.clocks import StandingClock
from support.edge import CONFIG, FREE, Edge, ticker, trades
from support.frames import BINARY, PING, PONG, TEXT, masked
from support.loops import on_asyncio, on_both_loops
from support.rango import ADMIN, ALICE, Roles
from support.raw import Raw, request
from support.waiting import until
from support.ws_scene import PLACES, WsScene

BTC, ETH = ticker("BTCUSDT"), ticker("ETHUSDT")
BTC_STREAM = "mudrex.futures.ticker.BTCUSDT"
SOON = Rules(subscribe_timeout_s=0.01)


def error(code: str, message: str) -> dict[str, Any]:
    return {"op": "error", "code": code, "message": message}


async def fence(client: Raw, topic: str = "FENCE") -> None:
    """Nothing of the protocol comes before the answer to a new request, if nothing is waiting."""
    answer = await client.subscribe(f"trade:{topic}")
    assert answer["args"] == [f"trade:{topic}"], answer


@on_both_loops
async def test_answers_are_those_of_the_protocol_to_the_byte() -> None:
    async with Edge() as edge:
        edge.source.fates["NOPE"] = State.REFUSED
        edge.source.reason = "no such symbol"
        with await edge.client() as client:
            await client.ask("subscribe", "ticker:BTCUSDT", "tickers.ETHUSDT")
            assert (await client.frame()).payload == (
                b'{"op": "subscribe", "success": true, "args": ["ticker:BTCUSDT", "tickers.ETHUSDT"],'
                b' "message": "Subscribed to 2 streams", "rejected": null}'
            )
            await client.ask("subscribe", "ticker:NOPE", "trade:BTCUSDT")
            assert (await client.frame()).payload == (
                b'{"op": "subscribe", "success": true, "args": ["trade:BTCUSDT"], "message": "Subscribed to'
                b" 1 streams. 1 rejected \\u2014 see 'rejected' for details.\","
                b' "rejected": [{"arg": "ticker:NOPE", "reason": "no such symbol"}]}'
            )
            await client.ask("unsubscribe", "ticker:BTCUSDT", "ticker:SOLUSDT", "nonsense")
            assert (await client.frame()).payload == (
                b'{"op": "unsubscribe", "success": true, "args": ["ticker:BTCUSDT"],'
                b' "message": "Unsubscribed from 1 streams"}'
            )
            await client.ask("ping")
            pong = await client.message()
            assert list(pong) == ["op", "timestamp"]
            assert isinstance(pong["timestamp"], int)


INVALID = [
    (b"{", "INVALID_JSON", "Invalid JSON message"),
    (b"[1]", "INVALID_JSON", "Invalid JSON message"),
    (b"", "INVALID_JSON", "Invalid JSON message"),
    (b'{"op":"subscribe"}', "INVALID_ARGS", "No streams specified"),
    (b'{"op":"unsubscribe","args":[]}', "INVALID_ARGS", "No streams specified"),
    (b'{"op":"subscribe","args":"ticker:BTCUSDT"}', "INVALID_ARGS", "No streams specified"),
    (b'{"op":"auth","args":["x"]}', "UNKNOWN_OP", "Unknown operation: auth"),
    (b"{}", "UNKNOWN_OP", "Unknown operation: None"),
]


@on_asyncio
async def test_what_is_no_request_gets_an_error_and_the_socket_stays() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            for payload, code, message in INVALID:
                await client.send_frame(TEXT, payload)
                assert await client.message() == error(code, message), payload
            await client.send_frame(BINARY, b"\xff\xfe")
            assert await client.message() == error("INVALID_JSON", "Invalid JSON message")
            await fence(client)


@on_asyncio
async def test_one_arg_that_is_not_a_string_is_rejected_and_the_others_stand() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await client.ask("subscribe", 5, "ticker:BTCUSDT", None, "foo:BTCUSDT")
            answer = await client.message()
            assert answer["args"] == ["ticker:BTCUSDT"]
            assert [entry["arg"] for entry in answer["rejected"]] == [5, None, "foo:BTCUSDT"]
            assert edge.count("streams") == 1
            await client.ask("unsubscribe", 5, "ticker:BTCUSDT")
            assert (await client.message())["args"] == ["ticker:BTCUSDT"]


@on_both_loops
async def test_requests_may_be_binary() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await client.send_frame(BINARY, request("subscribe", "ticker:BTCUSDT"))
            assert (await client.message())["args"] == ["ticker:BTCUSDT"]


@on_both_loops
async def test_the_answer_comes_first_then_the_status_then_the_snapshot_then_updates() -> None:
    async with Edge() as edge:
        with await edge.client() as first, await edge.client() as late:
            await first.subscribe("ticker:BTCUSDT")
            edge.source.tick(BTC, price="1")
            edge.source.say(BTC, State.STALE, "nothing came for 5 s")
            edge.source.default = None
            await late.ask("subscribe", "ticker:BTCUSDT")
            await until(lambda: edge.count("streams") == 2)
            edge.source.tick(BTC, price="2")
            answer, status, snapshot, update = [await late.message() for _ in range(4)]
            assert answer["args"] == ["ticker:BTCUSDT"]
            assert status == {
                "stream": BTC_STREAM,
                "type": "status",
                "data": {"state": "stale", "reason": "nothing came for 5 s"},
                "timestamp": 1_700_000_000_000,
                "source": "mudrex",
                "epoch": 1,
            }
            assert (snapshot["type"], snapshot["data"], snapshot["seq"]) == ("snapshot", {"price": "1"}, 1)
            assert (update["type"], update["data"], update["seq"]) == ("update", {"price": "2"}, 2)


@on_both_loops
async def test_nothing_of_a_stream_comes_before_the_answer_that_names_it() -> None:
    async with Edge(rules=SOON) as edge:
        edge.source.default = None
        with await edge.client() as client:
            await client.ask("subscribe", "ticker:BTCUSDT", "ticker:ETHUSDT")
            await until(lambda: len(edge.source.held) == 2)
            edge.source.say(BTC, State.LIVE)
            for price in range(50):
                edge.source.tick(BTC, price=price)
                await asyncio.sleep(0)
            edge.source.say(ETH, State.LIVE)
            assert (await client.message())["op"] == "subscribe"
            snapshot = await client.message()
            assert (snapshot["type"], snapshot["seq"]) == ("snapshot", 50)


@on_both_loops
async def test_answers_keep_their_order_while_pings_and_errors_do_not_wait() -> None:
    async with Edge() as edge:
        edge.source.fates["SLOW"] = None
        with await edge.client() as client:
            await client.ask("subscribe", "trade:SLOW")
            await client.ask("subscribe", "trade:FAST")
            await client.ask("unsubscribe", "trade:FAST")
            await client.ask("ping")
            await client.ask("dance")
            await client.send_frame(PING, b"are you there")
            assert (await client.message())["op"] == "pong"
            assert (await client.message())["code"] == "UNKNOWN_OP"
            assert await client.frame() == (PONG, b"are you there")
            edge.source.trade(trades("FAST"))
            edge.source.say(trades("SLOW"), State.LIVE)
            answers = [await client.message() for _ in range(3)]
            assert [(a["op"], a["args"]) for a in answers] == [
                ("subscribe", ["trade:SLOW"]),
                ("subscribe", ["trade:FAST"]),
                ("unsubscribe", ["trade:FAST"]),
            ]
            await fence(client)
            assert trades("FAST") not in edge.source.held


@on_asyncio
async def test_at_most_sixteen_requests_wait() -> None:
    async with Edge() as edge:
        edge.source.fates["SLOW"] = None
        with await edge.client() as client:
            for _ in range(16):
                await client.ask("subscribe", "trade:SLOW")
            for op in ("subscribe", "unsubscribe"):
                await client.ask(op, "trade:MORE")
                told = await client.message()
                assert told == error("RATE_LIMIT_EXCEEDED", "Max 16 requests may wait for their answers")
            edge.source.say(trades("SLOW"), State.LIVE)
            assert [(await client.message())["args"] for _ in range(16)] == [["trade:SLOW"]] * 16
            await fence(client)
            assert trades("MORE") not in edge.source.held


@on_asyncio
async def test_what_is_not_confirmed_in_time_is_pending_and_its_fate_a_status() -> None:
    async with Edge(rules=SOON) as edge:
        edge.source.default = State.PENDING
        with await edge.client() as client:
            answer = await client.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT")
            assert answer == {
                "op": "subscribe",
                "success": True,
                "args": ["ticker:BTCUSDT", "ticker:ETHUSDT"],
                "message": "Subscribed to 2 streams",
                "rejected": None,
                "pending": ["ticker:BTCUSDT", "ticker:ETHUSDT"],
            }
            edge.source.say(BTC, State.LIVE)
            edge.source.say(ETH, State.REFUSED, "no such symbol")
            live, refused = await client.message(), await client.message()
            assert (live["stream"], live["type"], live["data"]) == (BTC_STREAM, "status", {"state": "live"})
            assert refused["data"] == {"state": "refused", "reason": "no such symbol"}
            await until(lambda: edge.source.held == {BTC})
            assert edge.count("streams") == 1


@on_asyncio
async def test_a_stream_that_is_still_pending_is_named_pending_again() -> None:
    async with Edge(rules=SOON) as edge:
        edge.source.default = None
        with await edge.client() as client:
            for _ in range(2):
                assert (await client.subscribe("ticker:BTCUSDT"))["pending"] == ["ticker:BTCUSDT"]
            edge.source.say(BTC, State.LIVE)
            assert (await client.message())["type"] == "status"
            assert "pending" not in await client.subscribe("ticker:BTCUSDT")
            edge.source.tick(BTC, price="1")
            assert (await client.message())["type"] == "update"
            await fence(client)
            assert edge.count("streams") == 2


@on_both_loops
async def test_a_topic_refused_while_its_answer_still_waits_is_rejected() -> None:
    async with Edge() as edge:
        edge.source.fates |= {"SLOW": None, "BTCUSDT": State.LIVE}
        with await edge.client() as client:
            await client.ask("subscribe", "trade:SLOW")
            await client.ask("subscribe", "ticker:BTCUSDT")
            await until(lambda: edge.count("streams") == 2)
            edge.source.say(BTC, State.REFUSED, "delisted")
            edge.source.say(trades("SLOW"), State.LIVE)
            assert (await client.message())["args"] == ["trade:SLOW"]
            answer = await client.message()
            assert (answer["success"], answer["args"]) == (False, [])
            assert answer["rejected"] == [{"arg": "ticker:BTCUSDT", "reason": "delisted"}]


@pytest.mark.parametrize("fate", [State.LIVE, None])
@on_both_loops
async def test_a_stream_given_back_and_wanted_again_while_answers_wait_is_held(fate: State | None) -> None:
    async with Edge() as edge:
        edge.source.fates["SLOW"] = None
        with await edge.client() as client:
            await client.subscribe("trade:A", "trade:B", "trade:C")
            await client.ask("subscribe", "trade:SLOW")
            await client.ask("unsubscribe", "trade:A", "trade:B", "trade:C")
            await client.ask("subscribe", "trade:A")
            await client.ask("subscribe", "trade:B")
            await until(lambda: len(edge.source.wants) == 4)
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"
            edge.source.default = fate
            edge.source.say(trades("SLOW"), State.LIVE)
            assert [(await client.message())["op"] for _ in range(2)] == ["subscribe", "unsubscribe"]
            edge.source.say(trades("A"), State.LIVE)
            edge.source.say(trades("B"), State.LIVE)
            assert [(await client.message())["args"] for _ in range(2)] == [["trade:A"], ["trade:B"]]
            edge.source.trade(trades("A"), "a")
            edge.source.trade(trades("B"), "b")
            assert [(await client.message())["data"] for _ in range(2)] == ["a", "b"]
            assert edge.source.held == {trades("A"), trades("B"), trades("SLOW")}


@on_asyncio
async def test_an_arg_named_twice_counts_once() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            assert (await client.subscribe("ticker:BTCUSDT", "tickers.BTCUSDT"))["args"] == [
                "ticker:BTCUSDT",
                "tickers.BTCUSDT",
            ]
            assert (await client.subscribe("ticker:BTCUSDT"))["args"] == ["ticker:BTCUSDT"]
            assert edge.count("streams") == 1
            edge.source.tick(BTC, price="1")
            assert (await client.message())["seq"] == 1
            await client.ask("unsubscribe", "ticker:BTCUSDT", "tickers.BTCUSDT")
            assert (await client.message())["args"] == ["ticker:BTCUSDT"]
            assert edge.source.held == set()


@on_both_loops
async def test_after_unsubscribing_nothing_comes_any_more() -> None:
    async with Edge() as edge:
        with await edge.client() as client, await edge.client() as other:
            await client.subscribe("trade:BTCUSDT")
            await other.subscribe("trade:BTCUSDT")
            await client.ask("unsubscribe", "trade:BTCUSDT")
            assert (await client.message())["args"] == ["trade:BTCUSDT"]
            edge.source.trade(trades(), [1])
            assert (await other.message())["data"] == [1]
            await fence(client)


@on_asyncio
async def test_more_streams_than_allowed_are_refused_as_a_whole() -> None:
    async with Edge(rules=Rules(max_subscriptions=3)) as edge:
        with await edge.client() as client:
            await client.subscribe("trade:A", "trade:B")
            told = error("LIMIT_EXCEEDED", "Max 3 subscriptions allowed")
            assert await client.subscribe("trade:A", "trade:C") == told
            assert edge.source.held == {trades("A"), trades("B")}
            assert (await client.subscribe("trade:C"))["args"] == ["trade:C"]


@on_asyncio
async def test_messages_over_the_rate_are_dropped_and_the_socket_stays() -> None:
    clock = StandingClock()
    async with Edge(rules=Rules(max_rate=10), clock=clock) as edge:
        with await edge.client() as client:
            for _ in range(15):
                await client.ask("ping")
            answers = [await client.message() for _ in range(15)]
            assert [answer["op"] for answer in answers] == ["pong"] * 10 + ["error"] * 5
            assert answers[-1] == error("RATE_LIMIT_EXCEEDED", "Max 10 messages per second")
            clock.now += 1.0
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"


@on_both_loops
async def test_a_client_that_leaves_while_its_request_waits_leaves_no_demand() -> None:
    async with Edge() as edge:
        edge.source.default = None
        with await edge.client() as client:
            await client.ask("subscribe", "ticker:BTCUSDT")
            await client.ask("subscribe", "ticker:ETHUSDT")
            await client.ask("unsubscribe", "ticker:ETHUSDT")
            await until(lambda: edge.source.held == {BTC, ETH})
        await until(lambda: not edge.source.held, "nothing is held any more")
        edge.source.say(BTC, State.LIVE)
        assert edge.hub.statistics()["topics"] == 0
        assert edge.count("clients") == 0


@on_asyncio
async def test_data_that_was_there_first_comes_before_an_answer() -> None:
    async with Edge() as edge:
        edge.source.fates["SLOW"] = None
        with await edge.client() as client:
            await client.subscribe("ticker:BTCUSDT")
            await client.ask("subscribe", "trade:SLOW")
            await until(lambda: trades("SLOW") in edge.source.held)
            edge.source.tick(BTC)
            edge.source.say(trades("SLOW"), State.LIVE)
            edge.source.trade(trades("SLOW"))
            edge.source.tick(BTC)
            got = [await client.message() for _ in range(4)]
            assert [message.get("seq", message.get("op")) for message in got] == [1, "subscribe", 1, 2]


@pytest.mark.parametrize("budget", range(0, 500, 50))
@on_asyncio
async def test_a_client_that_is_given_up_in_the_middle_of_its_requests_leaves_no_demand(budget: int) -> None:
    config = msgspec.structs.replace(
        CONFIG, max_control_bytes=budget, max_frames=100_000, send_buffer_bytes=1, stall_timeout_s=60.0
    )
    async with Edge(config, FREE) as edge:
        edge.source.fates["SLOW"] = None
        with await edge.client(receive_buffer=1) as client:
            await client.subscribe("trade:A", "trade:B", "trade:C")
            edge.source.trade(trades("A"), "x" * 100_000)
            await until(lambda: edge.count("slow"))
            requests = (
                request("subscribe", "trade:SLOW"),
                request("unsubscribe", "trade:A", "trade:B", "trade:C"),
                request("subscribe", "trade:B"),
                request("subscribe", "trade:C"),
            )
            await client.send(b"".join(masked(TEXT, each) for each in requests))
            await until(lambda: trades("SLOW") in edge.source.held)
            edge.source.say(trades("SLOW"), State.LIVE)
            await until(lambda: edge.count("sockets") == 0)
            assert edge.source.held == set()
            assert edge.count("closed_by_code") == {"4008": 1}


# Options


async def wish(client: Raw, *args: str, **options: object) -> dict[str, Any]:
    """Subscribe with options; the answer."""
    asked = {"op": "subscribe", "args": args, "options": options}
    await client.send_frame(TEXT, json.dumps(asked).encode())
    return await client.message()


@on_both_loops
async def test_the_answer_to_options_is_that_of_the_protocol_to_the_byte() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            asked = (
                b'{"op":"subscribe","args":["ticker:BTCUSDT","trade:BTCUSDT"],'
                b'"options":{"fields":["price","bid"],"max_rate":7}}'
            )
            await client.send_frame(TEXT, asked)
            assert (await client.frame()).payload == (
                b'{"op": "subscribe", "success": true, "args": ["ticker:BTCUSDT"], "message": "Subscribed to'
                b" 1 streams. 1 rejected \\u2014 see 'rejected' for details.\","
                b' "rejected": [{"arg": "trade:BTCUSDT", "reason": "max_rate lets newer values replace older'
                b' ones, which trade:BTCUSDT only allows with \\"conflate\\": true"}],'
                b' "options": {"fields": ["price", "bid"], "max_rate": 5},'
                b' "notes": ["max_rate 7 is served as 5, the next step below it"]}'
            )
            assert edge.source.held == {BTC}


@on_asyncio
async def test_options_that_are_none_get_an_error_and_nothing_is_subscribed_or_changed() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await wish(client, "ticker:BTCUSDT", fields=["price"])
            told = await wish(client, "ticker:BTCUSDT", "ticker:ETHUSDT", fields=["bid"], max_rate=0)
            assert told == error("INVALID_ARGS", "max_rate: expected a number from 0.1 to 1000")
            assert edge.source.held == {BTC}
            edge.source.tick(BTC, price="1", bid="2")
            assert (await client.message())["data"] == {"price": "1"}


@on_both_loops
async def test_options_of_a_held_stream_change_in_place() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await wish(client, "ticker:BTCUSDT", fields=["price"])
            edge.source.tick(BTC, price="1", bid="2")
            assert (await client.message())["data"] == {"price": "1"}
            assert (await wish(client, "ticker:BTCUSDT", fields=["bid"]))["options"] == {"fields": ["bid"]}
            edge.source.tick(BTC, price="3", bid="4")
            update = await client.message()
            assert (update["type"], update["seq"], update["data"]) == ("update", 2, {"bid": "4"})
            assert "options" not in await client.subscribe("ticker:BTCUSDT")
            edge.source.tick(BTC, price="5", bid="6")
            assert (await client.message())["data"] == {"bid": "6"}, "no options: as they are"
            assert (await wish(client, "ticker:BTCUSDT"))["options"] == {}
            edge.source.tick(BTC, price="7", bid="8")
            assert (await client.message())["data"] == {"price": "7", "bid": "8"}, "empty: the defaults"
            assert edge.source.wants == [BTC]
            assert edge.count("streams") == 1


@on_both_loops
async def test_a_snapshot_can_be_declined_and_asked_for_again() -> None:
    async with Edge() as edge:
        with await edge.client() as first, await edge.client() as client:
            await first.subscribe("ticker:BTCUSDT")
            edge.source.tick(BTC, price="1")
            edge.source.say(BTC, State.STALE, "quiet")
            assert (await wish(client, "ticker:BTCUSDT", snapshot=False))["options"] == {"snapshot": False}
            assert (await client.message())["type"] == "status"
            await wish(client, "ticker:BTCUSDT", "tickers.BTCUSDT", snapshot=True, fields=["price"])
            snapshot = await client.message()
            assert (snapshot["type"], snapshot["seq"], snapshot["data"]) == ("snapshot", 1, {"price": "1"})
            await wish(client, "ticker:BTCUSDT")
            edge.source.tick(BTC, price="2")
            assert (await client.message())["seq"] == 2, "once, and only when it was asked for"


@on_both_loops
async def test_each_request_that_waits_has_its_own_options_in_its_turn() -> None:
    async with Edge() as edge:
        edge.source.fates["BTCUSDT"] = None
        with await edge.client() as client:
            for options in ({"fields": ["price"]}, None, {"fields": ["bid"]}, {"snapshot": True}):
                asked = {"op": "subscribe", "args": ["ticker:BTCUSDT"]}
                with_options = asked if options is None else asked | {"options": options}
                await client.send_frame(TEXT, json.dumps(with_options).encode())
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"
            edge.source.say(BTC, State.LIVE)
            answers = [await client.message() for _ in range(4)]
            assert [answer.get("options") for answer in answers] == [
                {"fields": ["price"]},
                None,
                {"fields": ["bid"]},
                {"snapshot": True},
            ]
            edge.source.tick(BTC, price="1", bid="2")
            assert (await client.message())["data"] == {"price": "1", "bid": "2"}


@on_asyncio
async def test_a_stream_that_is_pending_has_its_options_when_it_comes() -> None:
    async with Edge(rules=SOON) as edge:
        edge.source.default = None
        with await edge.client() as client:
            answer = await wish(client, "ticker:BTCUSDT", fields=["price"])
            assert list(answer)[-3:] == ["rejected", "pending", "options"]
            edge.source.say(BTC, State.LIVE)
            edge.source.tick(BTC, price="1", bid="2")
            assert (await client.message())["type"] == "status"
            assert (await client.message())["data"] == {"price": "1"}


@on_asyncio
async def test_who_holds_all_it_may_can_still_change_how_it_is_served() -> None:
    async with Edge(rules=Rules(max_subscriptions=3)) as edge:
        with await edge.client() as client:
            await client.subscribe("ticker:A", "ticker:B", "ticker:C")
            changed = await wish(client, "ticker:A", "ticker:B", "ticker:C", fields=["price"])
            assert changed["args"] == ["ticker:A", "ticker:B", "ticker:C"]
            told = error("LIMIT_EXCEEDED", "Max 3 subscriptions allowed")
            assert await wish(client, "ticker:A", "ticker:D", fields=["price"]) == told
            assert await wish(client, *["ticker:A"] * 4, fields=["price"]) == told


@on_asyncio
async def test_the_seventeenth_set_of_fields_comes_whole_and_the_answer_says_so() -> None:
    async with Edge() as edge:
        clients = [await edge.client() for _ in range(17)]
        for number, client in enumerate(clients[:16]):
            assert "notes" not in await wish(client, "ticker:BTCUSDT", fields=[f"f{number}"])
        last = clients[16]
        answer = await wish(last, "ticker:BTCUSDT", "ticker:ETHUSDT", fields=["price"])
        assert answer["notes"] == [
            "ticker:BTCUSDT comes with all its fields: 16 other sets of fields are in use there"
        ]
        edge.source.tick(BTC, price="1", f3="2")
        edge.source.tick(ETH, price="1", f3="2")
        assert [(await last.message())["data"] for _ in range(2)] == [
            {"price": "1", "f3": "2"},
            {"price": "1"},
        ]
        assert (await clients[3].message())["data"] == {"f3": "2"}
        clients[3].close()
        await until(lambda: edge.count("clients") == 16)
        assert "notes" not in await wish(last, "ticker:BTCUSDT", fields=["price"])
        for client in clients:
            client.close()


@on_both_loops
async def test_a_pace_is_kept_while_another_client_gets_everything() -> None:
    async with Edge() as edge:
        with await edge.client() as slow, await edge.client() as fast:
            await wish(slow, "ticker:BTCUSDT", max_rate=20)
            await fast.subscribe("ticker:BTCUSDT")
            loop = asyncio.get_running_loop()
            began = loop.time()
            for price in range(10):
                edge.source.tick(BTC, price=price)
            assert [(await fast.message())["seq"] for _ in range(10)] == list(range(1, 11))
            assert [(await slow.message())["seq"] for _ in range(2)] == [1, 10]
            assert loop.time() - began > 0.048
            edge.source.tick(BTC)
            edge.source.say(BTC, State.STALE)
            assert [(await slow.message())["type"] for _ in range(2)] == ["update", "status"]
            await fence(slow)


@on_both_loops
async def test_giving_a_stream_back_forgets_its_options() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await wish(client, "ticker:BTCUSDT", fields=["price"], max_rate=1)
            await client.ask("unsubscribe", "ticker:BTCUSDT")
            assert (await client.message())["args"] == ["ticker:BTCUSDT"]
            await client.subscribe("ticker:BTCUSDT")
            for number in range(3):
                edge.source.tick(BTC, price="1", n=number)
            assert [(await client.message())["data"]["n"] for _ in range(3)] == [0, 1, 2]


# RabbitMQ's streams, and who may have them


def subscribed(*args: str, **more: Any) -> dict[str, Any]:
    counted = f"Subscribed to {len(args)} streams"
    return {
        "op": "subscribe", "success": True, "args": [*args], "message": counted, "rejected": None, **more,
    }  # fmt: skip


def rejected(answers: list[Any]) -> dict[str, str]:
    """What the only answer rejects, and why."""
    (answer,) = answers
    return {each["arg"]: each["reason"] for each in answer["rejected"] or ()}


def taken(uid: str, **more: Any) -> dict[str, Any]:
    return {"op": "auth", "success": True, "uid": uid, **more, "message": f"Authenticated as {uid}"}


def value(stream: str, kind: str, data: object, seq: int, **more: int) -> dict[str, Any]:
    return {
        "stream": f"acme.rabbitmq.{stream}", "type": kind, "data": data, "timestamp": 0, "source": "acme",
        "seq": seq, **more,
    }  # fmt: skip


def ended(stream: str, timestamp: int = 1_000_000) -> dict[str, Any]:
    reason = "the role of this client does not open it any more"
    return {
        "stream": f"acme.rabbitmq.{stream}", "type": "status",
        "data": {"state": "refused", "reason": reason}, "timestamp": timestamp, "source": "acme", "epoch": 0,
    }  # fmt: skip


def test_public_streams_are_everybodys_and_bodies_come_as_they_are() -> None:
    scene = WsScene()
    client = scene.client()
    assert client.subscribe("stream:eurusd.trades", "stream:global.tickers@rabbitmq") == [
        subscribed("stream:eurusd.trades", "stream:global.tickers@rabbitmq")
    ]
    for routing_key, body in (("public.eurusd.trades", [{"tid": 7}]), ("global.tickers", None)):
        scene.exchange.publish(routing_key, body)
    for routing_key in ("admin.eurusd.trades", "private.ALICE.trades", "admin.global.tickers"):
        scene.exchange.publish(routing_key, "of another scope")
    assert client.told == [
        value("eurusd.trades", "update", [{"tid": 7}], 1),
        value("global.tickers", "update", None, 1),
    ]
    assert client.unsubscribe("stream:eurusd.trades@rabbitmq")[0]["args"] == ["stream:eurusd.trades@rabbitmq"]
    scene.exchange.publish("public.eurusd.trades", 2)
    assert client.told == []


def test_private_streams_are_their_users_alone() -> None:
    scene = WsScene()
    alice, again, admin = (scene.client(who, "stream:order") for who in (ALICE, ALICE, ADMIN))
    scene.exchange.publish("private.ALICE.order", {"id": 1})
    scene.exchange.publish("private.BOB.order", {"id": 2})
    assert alice.told == again.told == [value("order", "update", {"id": 1}, 1)]
    assert admin.told == []


def test_what_a_client_may_not_have_is_rejected_with_a_reason_and_the_others_stand() -> None:
    scene = WsScene()
    asked = ("stream:order", "stream:admin.a.b", "stream:staff.a.b", "stream:a.b")
    anonymous, member = scene.client(), scene.client(ALICE)
    first = 'is not public: show a token first, with {"op": "auth"} or when you connect'
    assert rejected(anonymous.subscribe(*asked)) == {arg: f"{arg} {first}" for arg in asked[:3]}
    role = "is not open to the role of this client"
    assert rejected(member.subscribe(*asked)) == {"stream:admin.a.b": f"stream:admin.a.b {role}"}
    scene.rights.authenticate = None
    no_key = "is not public, and this server has no key to check tokens with"
    assert rejected(anonymous.subscribe(*asked)) == {arg: f"{arg} {no_key}" for arg in asked[:3]}
    scene.exchange.publish("admin.a.b", "secret")
    scene.exchange.publish("private.ADMIN.order", "somebody else's")
    assert anonymous.told == member.told == []


def test_a_late_client_gets_an_object_whole_behind_the_answer_and_then_what_follows() -> None:
    scene = WsScene()
    scene.client(ANONYMOUS, "stream:eurusd.ob-inc")
    for kind, body in (("snap", {"sequence": 1}), ("inc", {"sequence": 2}), ("inc", {"sequence": 3})):
        scene.exchange.publish(f"public.eurusd.ob-{kind}", body)
    late = scene.come(ANONYMOUS, "stream:eurusd.ob-inc")
    scene.exchange.publish("public.eurusd.ob-inc", {"sequence": 4})
    whole = [
        value("eurusd.ob-inc", "snapshot", {"sequence": 1}, 1, epoch=1),
        value("eurusd.ob-inc", "update", {"sequence": 2}, 2),
        value("eurusd.ob-inc", "update", {"sequence": 3}, 3),
    ]
    assert late.told == [
        subscribed("stream:eurusd.ob-inc"),
        *whole,
        value("eurusd.ob-inc", "update", {"sequence": 4}, 4),
    ]


def test_an_object_is_served_whole_and_at_its_own_rate_whatever_the_options_say() -> None:
    scene = WsScene()
    book, trades = "stream:eurusd.ob-inc", "stream:eurusd.trades"
    client = scene.client()
    slow = f"max_rate would leave out increments of {book}, and each of them is needed by the next"
    assert rejected(client.subscribe(book, trades, max_rate=1, conflate=True)) == {book: slow}
    (answer,) = client.subscribe(book, trades, conflate=True, fields=["asks"])
    assert answer["args"] == [book, trades]
    assert answer["notes"] == [f"{book} is not conflated: each of its increments is needed by the next"]
    scene.exchange.publish("public.eurusd.ob-snap", {"asks": [1], "bids": [2], "sequence": 1})
    scene.exchange.publish("public.eurusd.ob-inc", {"bids": [3], "sequence": 2})
    scene.exchange.publish("public.eurusd.trades", ["asks"])
    assert [message["data"] for message in client.told] == [{"asks": [1]}, {}, ["asks"]]


def test_a_message_stream_has_a_rate_once_it_may_be_conflated() -> None:
    scene, trades = WsScene(), "stream:eurusd.trades"
    client = scene.client()
    assert '"conflate": true' in rejected(client.subscribe(trades, max_rate=1))[trades]
    assert client.subscribe(trades, max_rate=1, conflate=True)[0]["args"] == [trades]
    for number in range(3):
        scene.exchange.publish("public.eurusd.trades", number)
    scene.time.goes(1.0)
    assert [message["data"] for message in client.told] == [0, 2]


def test_a_first_message_says_who_the_client_is_and_opens_its_streams() -> None:
    scene = WsScene()
    scene.tokens |= {"admin": ADMIN, "until": Identity("ADMIN", "", 2000.5)}
    client = scene.client()
    assert client.log_in("admin") == [taken("ADMIN", role="admin")]
    assert rejected(client.subscribe("stream:order", "stream:admin.a.b")) == {}
    assert client.log_in("until") == [
        taken("ADMIN", expires=2_000_500),
        ended("admin.a.b"),
    ]
    scene.exchange.publish("admin.a.b", 1)
    scene.exchange.publish("private.ADMIN.order", 2)
    assert client.told == [value("order", "update", 2, 1)]
    assert client.session.identity.expires_s == 2000.5


@pytest.mark.parametrize(
    ("token", "cause", "message"),
    [
        ("bad", "TOKEN_BAD_SIGNATURE", "the token was refused: its signature is wrong"),
        ("bob", "OTHER_USER", "the token is another user's; open another connection with it"),
    ],
)
def test_a_token_that_is_not_taken_changes_nothing(token: str, cause: str, message: str) -> None:
    scene = WsScene()
    scene.tokens["bob"] = Identity("BOB", "admin")
    client = scene.client(ALICE, "stream:order")
    told = {"op": "error", "code": "AUTH_FAILED", "message": message, "cause": cause}
    assert client.log_in(token) == [told]
    assert client.session.identity == ALICE
    scene.exchange.publish("private.ALICE.order", 1)
    assert client.told == [value("order", "update", 1, 1)]


def test_where_there_are_no_keys_nothing_is_called_auth() -> None:
    scene = WsScene()
    scene.rights.authenticate = None
    client = scene.client()
    unknown = error("UNKNOWN_OP", "Unknown operation: auth")
    assert client.log_in("any") == client.ask("auth") == [unknown]


def test_a_token_is_answered_while_requests_wait() -> None:
    scene = WsScene(max_waiting=1)
    scene.exchange.states["a.b"] = State.PENDING, ""
    scene.tokens["alice"] = ALICE
    client = scene.client()
    assert client.subscribe("stream:a.b") == []
    assert client.log_in("alice") == [taken("ALICE", role="member")]
    scene.exchange.say(topic_of("stream:a.b"), State.LIVE)
    assert client.told == [subscribed("stream:a.b")]


def topic_of(arg: str) -> Topic:
    return PLACES.parse(arg)


def auth(state: str, reason: str, expires: int, timestamp: int) -> dict[str, Any]:
    data = {"state": state, "reason": reason, "expires": expires}
    return {"type": "auth", "data": data, "timestamp": timestamp, "source": "acme"}


def test_who_has_an_old_token_is_warned_once_and_closed_when_it_expires() -> None:
    scene = WsScene()
    client = scene.client(Identity("U", "", 1300.0), "stream:order")
    assert client.session.next_deadline == 1240.0
    scene.later(240.0, client)
    soon = "the token expires soon; send a new one, or this connection will be closed"
    assert client.told == [auth("expiring", soon, 1_300_000, 1_240_000)]
    scene.later(59.0, client)
    assert (client.told, client.closed) == ([], None)
    scene.later(1.0, client)
    assert client.told == [auth("expired", "the token has expired", 1_300_000, 1_300_000)]
    assert client.closed == (EXPIRED, "Token expired")
    assert scene.exchange.held == set()
    assert client.session.next_deadline == float("inf")


def test_a_new_token_gives_more_time_and_the_connection_is_told_when_to_look() -> None:
    scene = WsScene()
    scene.tokens["new"] = Identity("U", "", 2000.0)
    client = scene.client(Identity("U", "", 1300.0), "stream:order")
    assert client.log_in("new") == [taken("U", expires=2_000_000)]
    assert client.reminders == [940.0]
    scene.later(400.0, client)
    assert (client.told, client.closed) == ([], None)


def test_a_request_that_waits_is_answered_in_time_though_a_token_expires_later() -> None:
    scene = WsScene(subscribe_timeout_s=5)
    scene.exchange.states["order"] = State.PENDING, ""
    client = scene.come(Identity("U", "", 1300.0), "stream:order")
    assert client.session.next_deadline == 1005.0
    scene.later(5.0, client)
    assert client.told == [subscribed("stream:order", pending=["stream:order"])]
    assert client.session.next_deadline == 1240.0


@pytest.mark.parametrize("statuses", [True, False])
def test_streams_that_are_not_open_any_more_end_and_the_others_stay(statuses: bool) -> None:
    scene = WsScene(statuses=statuses)
    args = ("stream:admin.a.b", "stream:order", "stream:a.b", "trade:BTCUSDT")
    client = scene.client(ADMIN, *args)
    scene.rights.access = Roles()
    client.session.recheck()
    assert client.told == ([ended("admin.a.b")] if statuses else [])
    scene.exchange.publish("admin.a.b", 1)
    scene.exchange.publish("public.a.b", 2)
    assert client.told == [value("a.b", "update", 2, 1)]
    assert client.session.subscriptions == 3


def test_a_request_that_waits_for_what_is_not_open_any_more_is_answered_so() -> None:
    scene = WsScene()
    scene.exchange.states |= dict.fromkeys(("a.b", "c.d"), (State.PENDING, ""))
    client = scene.client(ADMIN, "stream:admin.e.f")
    assert client.subscribe("stream:admin.a.b", "stream:admin.e.f", "stream:c.d") == []
    scene.rights.access = Roles()
    client.session.recheck()
    assert client.told == [ended("admin.e.f")]
    scene.exchange.say(topic_of("stream:c.d"), State.LIVE)
    (answer,) = client.told
    assert (answer["args"], len(answer["rejected"])) == (["stream:c.d"], 2)
    assert scene.exchange.held == {topic_of("stream:c.d")}


def test_nothing_is_held_for_who_goes_while_streams_are_taken_from_it() -> None:
    scene = WsScene()
    client = scene.client(ADMIN, "stream:admin.a.b", "stream:admin.c.d", "stream:a.b")
    scene.rights.access = Roles()
    client.when_told = lambda: client.close(4008, "Too slow")
    client.session.recheck()
    assert len(client.told) == 1
    assert scene.exchange.held == set()


def test_nothing_is_held_for_who_goes_when_its_token_is_taken() -> None:
    scene = WsScene()
    scene.tokens["less"] = Identity("ADMIN", "", 1030.0)
    client = scene.client(ADMIN, "stream:admin.a.b")
    client.when_told = lambda: client.close(4008, "Too slow")
    assert client.log_in("less") == [taken("ADMIN", expires=1_030_000)]
    assert scene.exchange.held == set()
    assert client.session.next_deadline == float("inf")


def test_a_session_of_nobody_keeps_nothing_of_tokens_and_little_else() -> None:
    session = WsScene().client().session
    assert not hasattr(session, "__dict__")
    assert session.next_deadline == float("inf")
    assert len(Session.__slots__) <= 7
