"""A simulated Bybit that misbehaves when told to, seen by an independent WebSocket client."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from feedmux.model.errors import InvalidSetting
from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions
from feedmux.sim.venue_server import run
from support.bybit_client import DEADLINE_S, FAST, Message, client, running, until

# -- switches ----------------------------------------------------------------------------------


async def test_a_mute_topic_is_silent_while_others_go_on_and_is_whole_again_after() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.ask("subscribe", "tickers.BTCUSDT", "tickers.ETHUSDT")
        sim.mute(["tickers.BTCUSDT"])
        await peer.ask("ping")
        later = [(await peer.receive())["topic"] for _ in range(20)]
        assert set(later) == {"tickers.ETHUSDT"}
        sim.unmute()
        assert (await peer.data("tickers.BTCUSDT", 1))[0]["type"] == "delta"


async def test_who_subscribes_to_a_mute_topic_gets_the_snapshot_when_it_speaks_again() -> None:
    async with running() as sim, client(sim) as peer:
        sim.mute()
        await peer.send("subscribe", "tickers.BTCUSDT")
        assert await peer.before_answer() == []
        sim.unmute()
        assert (await peer.receive())["type"] == "snapshot"


async def test_a_mute_venue_loses_requests_and_holds_acknowledgements_back() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.send("subscribe", "tickers.BTCUSDT", req_id="early")
        await peer.receive()  # the snapshot: the acknowledgement waits now
        sim.mute(pongs=False)
        await peer.send("ping", req_id="lost")
        await until(lambda: linear(sim).get("unheard") == 1)
        sim.unmute()
        assert (await peer.answer())["req_id"] == "early"
        assert (await peer.ask("ping", req_id="heard"))["req_id"] == "heard"


def linear(sim: BybitSim) -> Message:
    markets = sim.statistics()["markets"]
    assert isinstance(markets, dict)
    figures = markets["linear"]
    assert isinstance(figures, dict)
    return figures


async def test_without_pongs_pings_are_not_answered_and_requests_are() -> None:
    async with running(SimOptions(rate=100, pong=False)) as sim, client(sim) as peer:
        await peer.send("ping")
        assert (await peer.ask("dance"))["op"] == "dance"


async def test_a_cut_resets_every_connection_without_a_close_frame() -> None:
    async with running() as sim, client(sim) as one, client(sim, "spot") as other:
        assert sim.cut() == 2
        for peer in (one, other):
            with pytest.raises(ConnectionClosedError) as caught:
                await peer.answer()
            assert caught.value.rcvd is None
            assert isinstance(caught.value.__cause__, ConnectionResetError)
        await until(lambda: sim.statistics()["connections"] == 0)
        assert sim.statistics()["connections_ever"] == 2


async def test_a_clean_cut_says_that_the_venue_goes_away() -> None:
    async with running() as sim, client(sim) as peer:
        assert sim.cut(clean=True) == 1
        with pytest.raises(ConnectionClosedOK) as caught:
            await peer.answer()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001


async def test_connections_are_refused_until_they_are_accepted_again() -> None:
    async with running() as sim:
        sim.refuse_connections(True)
        with pytest.raises(InvalidStatus, match="503"):
            await connect(sim.url("linear"))
        async with client(sim, "control") as control:
            await control.socket.send('{"do":"refuse_connections","refuse":false}')
            assert await control.receive() == {"ok": True}
        async with client(sim) as peer:
            assert (await peer.ask("ping"))["ret_msg"] == "pong"
        assert sim.statistics()["connections_refused"] == 1


@pytest.mark.parametrize("kind", ["non-json", "truncated", "wrong-typed", "duplicated", "reordered"])
async def test_one_frame_of_garbage_comes_when_asked_for(kind: str) -> None:
    topic = "tickers.BTCUSDT"
    async with running() as sim, client(sim) as peer:
        assert sim.garbage(kind, topic) == 0
        await peer.send("subscribe", topic)
        seen = [*await peer.before_answer(), *await peer.data(topic, 1)]
        sim.mute()
        await peer.send("ping")
        before, last = [*seen, *await peer.before_answer()][-2:]
        assert sim.garbage(kind, topic) == 1
        spoilt = str(await peer.socket.recv())
    if kind in {"non-json", "truncated"}:
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(spoilt)
    elif kind == "wrong-typed":
        assert json.loads(spoilt)["cs"] == str(last["cs"])
    else:
        assert json.loads(spoilt) == (last if kind == "duplicated" else before)


async def test_every_fourth_frame_of_a_market_is_garbage_when_so_configured() -> None:
    async with running(SimOptions(rate=200, garbage_every=4)) as sim, client(sim) as peer:
        await peer.send("subscribe", "tickers.BTCUSDT")
        unreadable = 0
        async with asyncio.timeout(DEADLINE_S):
            while unreadable < 4:
                try:
                    json.loads(await peer.socket.recv())
                except ValueError:
                    unreadable += 1
        assert (await peer.ask("ping"))["ret_msg"] == "pong"


async def test_a_delisted_topic_falls_silent_and_is_refused_until_it_is_listed_again() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.ask("subscribe", "tickers.BTCUSDT", "tickers.ETHUSDT")
        sim.delist("tickers.BTCUSDT")
        await peer.ask("ping")
        assert {(await peer.receive())["topic"] for _ in range(10)} == {"tickers.ETHUSDT"}
        async with client(sim) as other:
            refusal = await other.ask("subscribe", "tickers.BTCUSDT")
            assert refusal["ret_msg"] == "error:handler not found,topic:tickers.BTCUSDT"
            sim.relist("tickers.BTCUSDT")
            assert (await other.ask("subscribe", "tickers.BTCUSDT"))["success"] is True


async def test_a_silent_connection_without_a_subscription_is_cut_and_others_are_not() -> None:
    options = SimOptions(rate=100, idle_cut_s=0.1)
    async with running(options) as sim, client(sim) as busy, client(sim) as idle:
        await busy.send("subscribe", "tickers.BTCUSDT")
        with pytest.raises(ConnectionClosedError) as caught:
            await idle.answer()
        assert caught.value.rcvd is None
        await busy.answer()
        assert (await busy.ask("ping"))["ret_msg"] == "pong"


async def test_a_connection_is_reset_when_its_time_is_up() -> None:
    async with running(SimOptions(rate=100, reset_after_s=0.1)) as sim, client(sim) as peer:
        await peer.send("subscribe", "tickers.BTCUSDT")
        with pytest.raises(ConnectionClosedError):
            await peer.until(lambda _: False)


async def test_a_connection_that_leaves_too_much_unread_is_cut() -> None:
    options = SimOptions(rate=1000, symbols=(), any_symbol=True, backlog_bytes=100_000)
    topics = [f"tickers.COIN{n}USDT" for n in range(50)]
    async with (
        running(options) as sim,
        connect(sim.url("linear"), max_queue=1, ping_interval=None) as socket,
    ):
        await socket.send(json.dumps({"op": "subscribe", "args": topics}))
        await until(lambda: "cut_slow" in linear(sim))
        assert sim.statistics()["connections_ever"] == 1
        socket.transport.abort()  # it reads nothing, so it would wait for a close that it cannot see


# -- life --------------------------------------------------------------------------------------


async def test_a_simulator_is_driven_and_asked_through_its_control_endpoint() -> None:
    async with running() as sim, client(sim) as peer, client(sim, "control") as control:
        await peer.ask("subscribe", "tickers.BTCUSDT", "tickers.ETHUSDT")
        await control.socket.send('{"do":"mute","topics":["tickers.BTCUSDT"],"pongs":true}')
        assert await control.receive() == {"ok": True}
        await peer.ask("ping")
        assert (await peer.receive())["topic"] == "tickers.ETHUSDT"
        await control.socket.send('{"do":"state","market":"linear","topic":"tickers.BTCUSDT"}')
        assert (await control.receive())["state"]["symbol"] == "BTCUSDT"
        await control.socket.send('{"do":"report"}')
        report = await control.receive()
        assert report["connections"] == 1
        assert report["markets"]["linear"]["topics"] == {"tickers.BTCUSDT": 1, "tickers.ETHUSDT": 1}
        await control.socket.send('{"do":"mut"}')
        assert "did you mean 'mute'" in (await control.receive())["error"]


async def test_a_port_that_is_taken_is_named() -> None:
    async with running() as sim:
        with pytest.raises(InvalidSetting, match=f"127.0.0.1:{sim.port}"):
            await BybitSim(SimOptions(port=sim.port)).start()


async def test_stopping_closes_connections_and_frees_the_port() -> None:
    async with running() as sim, client(sim) as peer:
        port = sim.port
        await sim.stop()
        with pytest.raises(ConnectionClosedOK):
            await peer.answer()
    async with running(SimOptions(port=port)) as again:
        assert again.port == port


async def test_running_goes_on_until_it_is_cancelled() -> None:
    ready: asyncio.Queue[BybitSim] = asyncio.Queue()
    task = asyncio.create_task(run(BybitSim, FAST, ready.put_nowait))
    sim = await asyncio.wait_for(ready.get(), DEADLINE_S)
    url = sim.url()
    async with client(sim) as peer:
        assert (await peer.ask("ping"))["ret_msg"] == "pong"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(OSError, match=r".*"):
        await connect(url)
