"""A simulated Deribit that misbehaves when told to, and its limits, seen by an independent client."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from feedmux.model.errors import InvalidSetting
from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_options import DEMO, DeribitOptions
from feedmux.sim.venue_server import CONTROL_PATH, run
from support.deribit_client import (
    DEADLINE_S,
    LIVELY,
    PERPETUAL,
    STILL,
    Client,
    client,
    control,
    running,
    until,
)

QUOTE = f"quote.{PERPETUAL}"


# -- answers -----------------------------------------------------------------------------------


async def test_an_answer_can_be_late_and_others_overtake_it() -> None:
    async with running() as sim, client(sim) as peer:
        sim.delay(0.3, "public/hello", count=1)
        late = await peer.send("public/hello", client_name="me", client_version="1")
        early = await peer.send("public/test")
        first, second = await peer.receive(), await peer.receive()
        assert (first["id"], second["id"]) == (early, late)


async def test_data_waits_for_an_answer_that_is_late() -> None:
    async with running(LIVELY) as sim, client(sim) as peer:
        sim.delay(0.1, "public/subscribe")
        await peer.subscribe(QUOTE)
        assert not peer.notifications
        assert await peer.data(QUOTE)


async def test_every_answer_can_be_late() -> None:
    async with running(msgspec.structs.replace(STILL, answer_delay_s=0.05)) as sim, client(sim) as peer:
        started = asyncio.get_running_loop().time()
        assert await peer.result("public/test")
        assert asyncio.get_running_loop().time() - started >= 0.04


async def test_an_answer_can_be_lost_although_the_request_was_done() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        sim.drop_answer("private/buy")
        await peer.send("private/buy", instrument_name=PERPETUAL, amount=10, price=80_000)
        await peer.send("public/test")
        assert (await peer.receive())["result"] == {"version": "1.2.26"}
        assert len(await peer.result("private/get_open_orders")) == 1


async def test_an_answer_can_come_twice() -> None:
    async with running() as sim, client(sim) as peer:
        sim.repeat_answer("public/test")
        ident = await peer.send("public/test")
        assert [(await peer.receive())["id"] for _ in range(2)] == [ident, ident]
        assert (await peer.call("public/test"))["id"] == ident + 1


async def test_too_many_requests_can_be_forced() -> None:
    async with running() as sim, client(sim) as peer, client(sim) as other:
        sim.limit("public/get_time")
        assert await peer.result("public/test")
        assert (await peer.error("public/get_time"))["code"] == 10028
        assert await peer.closed() == (1008, "too_many_requests")
        assert await other.result("public/get_time")


async def test_maintenance_refuses_everything_and_is_announced() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.subscribe("platform_state")
        sim.maintenance(True)
        told = await peer.notified(lambda m: "maintenance" in m["params"]["data"])
        assert told["params"]["data"] == {"maintenance": True}
        for method in ("public/test", "public/nope"):
            assert await peer.error(method) == {"code": 11051, "message": "system_maintenance"}
        sim.behave()
        assert await peer.result("public/test")
        told = await peer.notified(lambda m: "maintenance" in m["params"]["data"])
        assert told["params"]["data"] == {"maintenance": False}


async def test_a_mute_venue_loses_requests() -> None:
    async with running() as sim, client(sim) as peer:
        sim.mute(pongs=False)
        await peer.send("public/test")
        await until(lambda: sim.statistics().get("unheard") == 1)
        sim.unmute()
        ident = await peer.send("public/test")
        assert (await peer.receive())["id"] == ident


async def test_a_mute_venue_beats_no_more_and_holds_answers_back() -> None:
    options = msgspec.structs.replace(STILL, heartbeat_min_s=0.02)
    async with running(options) as sim, client(sim) as peer:
        await peer.result("public/set_heartbeat", interval=0.02)
        await peer.beat()
        sim.delay(0.3, "public/hello")
        late = await peer.send("public/hello", client_name="me", client_version="1")
        await until(lambda: sim.statistics()["postponed_answers"] == 1)
        sim.mute(pongs=False)
        sent = sim.statistics()["frames_sent"]
        async with client(sim) as other:
            await other.send("public/test")
            await until(lambda: sim.statistics().get("unheard") == 1)
        assert (sim.statistics()["frames_sent"], sim.statistics()["postponed_answers"]) == (sent, 1)
        sim.unmute()
        assert (await peer.answer(late))["result"]
        assert await peer.beat() in {"heartbeat", "test_request"}


# -- connections -------------------------------------------------------------------------------


async def test_a_cut_resets_every_connection_without_a_close_frame() -> None:
    async with running() as sim, client(sim) as one, client(sim) as other:
        assert sim.cut() == 2
        for peer in (one, other):
            with pytest.raises(ConnectionClosedError) as caught:
                await peer.receive()
            assert caught.value.rcvd is None
            assert isinstance(caught.value.__cause__, ConnectionResetError)
        await until(lambda: sim.statistics()["connections"] == 0)


@pytest.mark.parametrize(("code", "reason"), [(1001, "maintenance"), (4001, "go away"), (1012, "")])
async def test_all_connections_can_be_closed_with_a_code(code: int, reason: str) -> None:
    async with running() as sim, client(sim) as one, client(sim) as other:
        assert (sim.cut(clean=True) if code == 1001 else sim.close(code, reason)) == 2
        assert [await one.closed(), await other.closed()] == [(code, reason)] * 2
        await until(lambda: sim.statistics()["connections"] == 0)


async def test_one_connection_of_an_address_too_many_is_refused() -> None:
    async with running(msgspec.structs.replace(STILL, max_connections=2)) as sim, client(sim) as one:
        async with client(sim):
            with pytest.raises(InvalidStatus, match="429"):
                await connect(sim.url())
            assert sim.statistics()["connections_refused"] == 1
            async with control(sim) as do:
                assert (await do("report"))["connections"] == 2
        await until(lambda: sim.statistics()["connections"] == 1)
        async with client(sim) as again:
            assert await again.result("public/test")
        assert await one.result("public/test")


async def test_connections_are_refused_until_they_are_accepted_again() -> None:
    async with running() as sim:
        sim.refuse_connections(True)
        with pytest.raises(InvalidStatus, match="503"):
            await connect(sim.url())
        async with control(sim) as do:
            assert await do("refuse_connections", refuse=False) == {"ok": True}
        async with client(sim) as peer:
            assert await peer.result("public/test")


async def test_another_path_is_not_found() -> None:
    async with running() as sim:
        with pytest.raises(InvalidStatus, match="404"):
            await connect(sim.url("/ws/api/v1"))


async def test_a_silent_connection_without_a_subscription_is_cut_and_others_are_not() -> None:
    async with (
        running(msgspec.structs.replace(STILL, idle_cut_s=0.3)) as sim,
        client(sim) as busy,
        client(sim) as idle,
    ):
        await busy.subscribe(QUOTE)
        assert await idle.closed() is None
        assert await busy.result("public/test")
        assert sim.statistics()["cut_idle"] == 1


async def test_a_connection_that_leaves_too_much_unread_is_closed_as_too_slow() -> None:
    options = msgspec.structs.replace(STILL, depth=500, instruments=(PERPETUAL,), backlog_bytes=100_000)
    async with running(options) as sim, client(sim) as other:
        async with connect(sim.url(), max_queue=1, ping_interval=None, compression=None) as socket:
            deaf = Client(socket)
            for _ in range(800):  # more than the kernel takes
                await deaf.send("public/get_order_book", instrument_name=PERPETUAL, depth=1000)
            await until(lambda: "cut_slow" in sim.statistics())
            assert await other.result("public/test")
            socket.transport.abort()  # it reads nothing, so it would wait for a close that it cannot see
        await until(lambda: sim.statistics()["connections"] == 1)


async def test_deflate_is_agreed_to_when_it_is_offered() -> None:
    async with running() as sim:
        async with connect(sim.url()) as socket:
            assert socket.response is not None
            assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
            await socket.send('{"id":1,"method":"public/test"}')
            assert json.loads(await socket.recv())["id"] == 1
        async with connect(sim.url(), compression=None) as socket:
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers


# -- life --------------------------------------------------------------------------------------


async def test_a_simulator_is_driven_and_asked_through_its_control_endpoint() -> None:
    async with running() as sim, client(sim, DEMO) as peer, control(sim) as do:
        await peer.subscribe(QUOTE)
        await peer.data(QUOTE)
        assert await do("move", instrument=PERPETUAL, price=84_000) == {"ok": True}
        assert (await peer.data(QUOTE))["best_bid_price"] == 83_999.5
        report = await do("report")
        assert (report["connections"], report["channels"]) == (1, {QUOTE: 1})
        assert report["requests"] == {"public/auth": 1, "public/subscribe": 1}
        assert await do("expire_tokens") == {"ok": True, "tokens": 1}
        assert "did you mean 'mute'" in (await do("mut"))["error"]


async def test_a_port_that_is_taken_is_named() -> None:
    async with running() as sim:
        with pytest.raises(InvalidSetting, match=f"127.0.0.1:{sim.port}"):
            await DeribitSim(DeribitOptions(port=sim.port)).start()


async def test_stopping_closes_connections_and_frees_the_port() -> None:
    async with running() as sim, client(sim, DEMO) as peer:
        await peer.result("private/enable_cancel_on_disconnect")
        port = sim.port
        await sim.stop()
        assert await peer.closed() == (1001, "")
        await sim.stop()
    async with running(DeribitOptions(port=port)) as again:
        assert again.port == port


async def test_what_is_gone_leaves_nothing() -> None:
    async with running() as sim:
        for _ in range(3):
            async with client(sim, DEMO) as peer:
                await peer.result("private/subscribe", channels=[QUOTE, f"user.orders.{PERPETUAL}.raw"])
                await peer.data(QUOTE)
        await until(lambda: sim.statistics()["connections"] == 0)
        await until(lambda: not sim.floor.streams)
        assert not sim.floor.members
        assert sim.statistics()["tokens"] == 0
        assert sim.statistics()["connections_ever"] == 3


async def test_running_goes_on_until_it_is_cancelled() -> None:
    ready: asyncio.Queue[DeribitSim] = asyncio.Queue()
    task = asyncio.create_task(run(DeribitSim, STILL, ready.put_nowait))
    sim = await asyncio.wait_for(ready.get(), DEADLINE_S)
    url = sim.url()
    async with client(sim) as peer:
        assert await peer.result("public/test")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(OSError, match=r".*"):
        await connect(url)
    assert CONTROL_PATH == "/control"
