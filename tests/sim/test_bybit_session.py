"""What a simulated Bybit answers, seen by an independent WebSocket client."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from feedmux.sim.candle import INTERVALS
from feedmux.sim.options import SimOptions
from support.bybit_client import client, running, topics_of


async def test_linear_sends_a_snapshot_and_deltas_before_it_acknowledges() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.send("subscribe", "tickers.BTCUSDT", req_id="r1")
        kinds = [message["type"] for message in await peer.before_answer()]
        assert kinds[0] == "snapshot"
        assert len(kinds) >= 3
        assert set(kinds[1:]) == {"delta"}


async def test_spot_acknowledges_before_it_sends_data() -> None:
    async with running() as sim, client(sim, "spot") as peer:
        await peer.send("subscribe", "tickers.BTCUSDT")
        assert (await peer.receive())["success"] is True
        assert (await peer.receive())["topic"] == "tickers.BTCUSDT"


@pytest.mark.parametrize("market", ["linear", "spot"])
async def test_the_order_of_data_and_acknowledgement_can_be_switched(market: str) -> None:
    for data_first in (True, False):
        options = SimOptions(rate=100, data_before_ack=data_first)
        async with running(options) as sim, client(sim, market) as peer:
            await peer.send("subscribe", "tickers.BTCUSDT")
            assert ("topic" in await peer.receive()) is data_first


async def test_a_delayed_acknowledgement_holds_the_data_of_spot_back_and_not_of_linear() -> None:
    options = SimOptions(rate=100, ack_delay_s=0.1)
    async with running(options) as sim, client(sim) as linear, client(sim, "spot") as spot:
        await spot.send("subscribe", "tickers.BTCUSDT")
        await linear.send("subscribe", "tickers.BTCUSDT")
        assert "success" in await spot.receive()
        assert len(await linear.before_answer()) >= 8


@pytest.mark.parametrize(
    ("market", "op", "sent", "ret_msg", "req_id"),
    [
        ("linear", "subscribe", {"req_id": "x"}, "", "x"),
        ("linear", "subscribe", {}, "", ""),
        ("linear", "unsubscribe", {}, "", ""),
        ("inverse", "subscribe", {}, "", ""),
        ("spot", "subscribe", {"req_id": "x"}, "subscribe", "x"),
        ("spot", "subscribe", {}, "subscribe", None),
        ("spot", "unsubscribe", {}, "unsubscribe", None),
        ("linear", "ping", {"req_id": "p1"}, "pong", "p1"),
        ("linear", "ping", {}, "pong", ""),
        ("inverse", "ping", {}, "pong", ""),
        ("spot", "ping", {}, "pong", None),
        ("spot", "ping", {"req_id": "p1"}, "pong", "p1"),
    ],
)
async def test_an_answer_has_the_markets_shape(
    market: str, op: str, sent: dict[str, str], ret_msg: str, req_id: str | None
) -> None:
    args = [] if op == "ping" else ["tickers.BTCUSD" if market == "inverse" else "tickers.BTCUSDT"]
    async with running() as sim, client(sim, market) as peer:
        answer = await peer.ask(op, *args, **sent)
        again = await peer.ask("ping")
    expected = {"success": True, "ret_msg": ret_msg, "conn_id": answer["conn_id"]}
    if req_id is not None:
        expected["req_id"] = req_id
    assert list(answer.items()) == list((expected | {"op": op}).items())
    assert again["conn_id"] == answer["conn_id"]
    assert [len(part) for part in answer["conn_id"].split("-")] == [20, 5]


BAD_TOPICS = [
    "tickers.NOPEUSDT",
    "tickers.btcusdt",
    "tickers.",
    "orderbook.500.BTCUSDT",
    "liquidation.BTCUSDT",
    "kline.2.BTCUSDT",
    "kline.BTCUSDT",
    "position",
    "tickers.ETHUSDT",
]


@pytest.mark.parametrize("topic", BAD_TOPICS)
async def test_linear_refuses_a_whole_request_and_names_its_first_bad_topic(topic: str) -> None:
    async with running(SimOptions(rate=100, refuse=("tickers.ETHUSDT",))) as sim, client(sim) as peer:
        answer = await peer.ask("subscribe", "tickers.BTCUSDT", topic, "tickers.WORSEUSDT", req_id="e1")
        assert list(answer.items()) == [
            ("success", False),
            ("ret_msg", f"error:handler not found,topic:{topic}"),
            ("conn_id", answer["conn_id"]),
            ("req_id", "e1"),
            ("op", "subscribe"),
        ]
        assert topics_of(sim, "linear") == {}
        assert (await peer.ask("subscribe", "tickers.BTCUSDT"))["success"] is True


async def test_spot_refuses_an_unknown_symbol_in_its_own_words() -> None:
    async with running() as sim, client(sim, "spot") as peer:
        answer = await peer.ask("subscribe", "tickers.BTCUSDT", "tickers.NOSUCHSYM")
        assert list(answer.items()) == [
            ("success", False),
            ("ret_msg", "Invalid symbol :[tickers.NOSUCHSYM]"),
            ("conn_id", answer["conn_id"]),
            ("op", "subscribe"),
        ]
        assert topics_of(sim, "spot") == {}


async def test_spot_takes_ten_args_and_refuses_eleven() -> None:
    args = [f"kline.{interval}.BTCUSDT" for interval in INTERVALS]
    async with running() as sim, client(sim, "spot") as peer:
        assert (await peer.ask("subscribe", *args[:11]))["ret_msg"] == "args size >10"
        assert topics_of(sim, "spot") == {}
        assert (await peer.ask("subscribe", *args[:10]))["success"] is True


@pytest.mark.parametrize("market", ["linear", "spot"])
async def test_what_is_subscribed_already_refuses_the_request_and_goes_on(market: str) -> None:
    async with running() as sim, client(sim, market) as peer:
        await peer.ask("subscribe", "tickers.ETHUSDT")
        answer = await peer.ask("subscribe", "tickers.ETHUSDT", "tickers.BTCUSDT")
        assert (answer["success"], answer["ret_msg"]) == (
            False,
            "error:already subscribed,topic:tickers.ETHUSDT",
        )
        assert topics_of(sim, market) == {"tickers.ETHUSDT": 1}
        assert len(await peer.data("tickers.ETHUSDT", 2)) == 2


async def test_a_topic_named_twice_in_one_request_refuses_it() -> None:
    async with running() as sim, client(sim) as peer:
        answer = await peer.ask("subscribe", "tickers.BTCUSDT", "tickers.BTCUSDT")
        assert answer["ret_msg"] == "error:already subscribed,topic:tickers.BTCUSDT"
        assert topics_of(sim, "linear") == {}


@pytest.mark.parametrize(
    ("text", "ret_msg", "op"),
    [
        ("hello", "Failed to decode incoming data:readObjectStart: expect { or n, but found h, ", ""),
        ("[1]", "Failed to decode incoming data:readObjectStart: expect { or n, but found [, ", ""),
        ('{"op":"subscribe","args":[{}]}', "Failed to decode incoming data:", ""),
        ('{"op":"dance"}', "error:invalid op", "dance"),
        ("{}", "error:invalid op", ""),
        ('{"op":"subscribe","args":[]}', "args size is 0", "subscribe"),
    ],
)
async def test_a_senseless_request_is_answered_and_the_connection_stays(
    text: str, ret_msg: str, op: str
) -> None:
    async with running() as sim, client(sim) as peer:
        await peer.socket.send(text)
        answer = await peer.receive()
        assert (answer["success"], answer["req_id"], answer["op"]) == (False, "", op)
        assert answer["ret_msg"].startswith(ret_msg)
        assert (await peer.ask("ping"))["ret_msg"] == "pong"


async def test_a_connection_holds_21000_characters_of_args_and_gets_room_back() -> None:
    many = [f"tickers.AAAAAAAA{n:05}" for n in range(875)]  # 24 characters each with quotes and comma
    async with running(SimOptions(any_symbol=True, data_before_ack=False)) as sim, client(sim) as peer:
        assert (await peer.ask("subscribe", *many))["ret_msg"] == "args length >21000"
        assert (await peer.ask("subscribe", *many[:874]))["success"] is True
        assert (await peer.ask("subscribe", many[874]))["success"] is False
        await peer.ask("unsubscribe", many[0])
        assert (await peer.ask("subscribe", many[874]))["success"] is True


async def test_after_unsubscribing_no_more_data_comes() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.ask("subscribe", "tickers.BTCUSDT", "tickers.ETHUSDT")
        await peer.ask("unsubscribe", "tickers.BTCUSDT")
        later = [(await peer.receive())["topic"] for _ in range(10)]
        assert set(later) == {"tickers.ETHUSDT"}


async def test_an_unknown_path_is_not_found() -> None:
    async with running() as sim:
        with pytest.raises(InvalidStatus, match="404"):
            await connect(sim.url("option"))
        with pytest.raises(InvalidStatus, match="404"):
            await connect(f"ws://127.0.0.1:{sim.port}/elsewhere/linear")
