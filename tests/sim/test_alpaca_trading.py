"""The stream of order updates, seen by an independent WebSocket client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from feedmux.sim.alpaca import TRADING_PATH, AlpacaSim
from feedmux.sim.alpaca_options import DEMO
from feedmux.sim.alpaca_trading import EVENTS, Update
from support.alpaca_client import DEADLINE_S, STILL, captured, running

LOGIN = {"action": "authenticate", "data": {"key_id": DEMO.key, "secret_key": DEMO.secret}}
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}
AUTHORIZED = {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}


class Listener:
    """A peer of the trading stream; knows what kind of frame came last."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.kind: type[object] = object

    async def ask(self, request: dict[str, Any]) -> Any:
        await self.socket.send(json.dumps(request))
        return await self.receive()

    async def receive(self) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            message = await self.socket.recv()
        self.kind = type(message)
        return json.loads(message)


@asynccontextmanager
async def listener(sim: AlpacaSim) -> AsyncIterator[Listener]:
    async with connect(sim.url(TRADING_PATH), ping_interval=None) as socket:
        yield Listener(socket)


@pytest.mark.parametrize(("paper", "kind"), [(True, bytes), (False, str)])
async def test_paper_speaks_binary_frames_that_hold_json_and_live_text(paper: bool, kind: type) -> None:
    async with running(msgspec.structs.replace(STILL, paper=paper)) as sim, listener(sim) as peer:
        assert await peer.ask(LOGIN) == AUTHORIZED
        assert peer.kind is kind


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (LOGIN, "authorized"),
        ({"action": "auth", "key": DEMO.key, "secret": DEMO.secret}, "authorized"),
        ({"action": "auth", "key": DEMO.key, "secret": "wrong"}, "unauthorized"),
        ({"action": "authenticate", "data": {}}, "unauthorized"),
        ({"action": "authenticate"}, "unauthorized"),
    ],
)
async def test_both_ways_to_log_in_are_answered_alike(request_: dict[str, Any], status: str) -> None:
    async with running(STILL) as sim, listener(sim) as peer:
        answer = {"stream": "authorization", "data": {"status": status, "action": "authenticate"}}
        assert await peer.ask(request_) == answer


async def test_who_listens_without_a_login_is_unauthorized() -> None:
    async with running(STILL) as sim, listener(sim) as peer:
        answer = await peer.ask(LISTEN)
        assert answer == {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
        assert sim.update_order(Update("new", "AAPL")) == 0


async def test_listening_replaces_the_set_and_leaves_out_what_does_not_exist() -> None:
    async with running(STILL) as sim, listener(sim) as peer:
        await peer.ask(LOGIN)
        streams = {"streams": ["account_updates", "trade_updates"]}
        answer = await peer.ask({"action": "listen", "data": streams})
        assert answer == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        assert sim.update_order(Update("new", "AAPL")) == 1
        assert (await peer.receive())["data"]["event"] == "new"
        answer = await peer.ask({"action": "listen", "data": {"streams": []}})
        assert answer == {"stream": "listening", "data": {"streams": []}}
        assert sim.update_order(Update("fill", "AAPL")) == 0


async def test_what_becomes_of_an_order_is_told_to_all_who_listen() -> None:
    async with running(STILL) as sim, listener(sim) as one, listener(sim) as other:
        for peer in (one, other):
            await peer.ask(LOGIN)
            await peer.ask(LISTEN)
        assert sim.update_order(Update("fill", "AAPL", "buy", 7, 231.5)) == 2
        told = await one.receive()
        assert told == await other.receive()
        data = told["data"]
        assert (told["stream"], data["event"], data["qty"], data["price"]) == (
            "trade_updates", "fill", "7", "231.5",
        )  # fmt: skip
        assert data["position_qty"] == "7"
        assert (data["order"]["status"], data["order"]["filled_qty"]) == ("filled", "7")
        sim.update_order(Update("partial_fill", "AAPL", "sell", 9, 231.5))
        assert (await one.receive())["data"]["position_qty"] == "-2"
        sim.update_order(Update("canceled", "AAPL"))
        assert "position_qty" not in (await one.receive())["data"]


async def test_an_update_has_what_one_of_the_venue_has() -> None:
    real = captured("docs_trade_updates_examples.jsonl")[-1]["data"]
    async with running(STILL) as sim, listener(sim) as peer:
        await peer.ask(LOGIN)
        await peer.ask(LISTEN)
        sim.update_order(Update("fill", "AAPL", "buy", 7, 231.5))
        told = (await peer.receive())["data"]
    for theirs, ours in ((real, told), (real["order"], told["order"])):
        assert set(theirs) == set(ours)
        assert {key for key in theirs if type(theirs[key]) is not type(ours[key])} == set()


async def test_every_event_of_the_venue_can_be_told_and_no_other() -> None:
    async with running(STILL) as sim, listener(sim) as peer:
        await peer.ask(LOGIN)
        await peer.ask(LISTEN)
        for event in EVENTS:
            sim.update_order(Update(event, "AAPL"))
            assert (await peer.receive())["data"]["event"] == event


@pytest.mark.parametrize("message", ["hello", '{"action":7}', '{"action":"dance"}', b"\xff"])
async def test_a_message_without_sense_is_not_answered_and_harms_nothing(message: str | bytes) -> None:
    async with running(STILL) as sim, listener(sim) as peer:
        await peer.socket.send(message)
        assert await peer.ask(LOGIN) == AUTHORIZED


async def test_connections_are_not_limited_here() -> None:
    async with running(STILL) as sim, listener(sim) as one, listener(sim) as other:
        assert await one.ask(LOGIN) == await other.ask(LOGIN) == AUTHORIZED


async def test_a_mute_stream_tells_nothing_and_a_stalled_one_answers_later() -> None:
    async with running(STILL) as sim, listener(sim) as peer:
        await peer.ask(LOGIN)
        await peer.ask(LISTEN)
        sim.mute(["trade_updates"])
        assert sim.update_order(Update("new", "AAPL")) == 0
        sim.unmute()
        sim.mute(pongs=False)
        await peer.socket.send(json.dumps(LOGIN))
        sim.unmute()
        assert await peer.receive() == AUTHORIZED
