"""A simulated Alpaca that misbehaves when told to, seen by an independent WebSocket client."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from feedmux.model.errors import InvalidSetting
from feedmux.sim.alpaca import AlpacaSim
from feedmux.sim.alpaca_options import DEMO, AlpacaOptions
from feedmux.sim.venue_server import CONTROL_PATH, run
from support.alpaca_client import (
    AUTHENTICATED,
    CONNECTED,
    DEADLINE_S,
    STILL,
    Client,
    client,
    error,
    running,
    until,
)
from support.clocks import StandingClock


async def reader(peer: Client, **channels: list[str]) -> None:
    await peer.log_in()
    await peer.ask("subscribe", **channels)


# -- data on demand ----------------------------------------------------------------------------


async def test_a_given_trade_is_told_to_who_reads_it() -> None:
    async with running(STILL) as sim, client(sim) as peer, client(sim, "/v2/sip") as other:
        await reader(peer, trades=["AAPL"])
        await reader(other, trades=["AAPL"])
        assert sim.publish("AAPL", 231.4567, size=7, ident=9_007_199_254_740_991) == 2
        [trade] = await peer.receive()
        assert (trade["i"], trade["p"], trade["s"], trade["c"]) == (2**53 - 1, 231.4567, 7, ["@", "I"])
        assert (await other.receive())[0]["i"] == 2**53 - 1
        assert sim.publish("AAPL", 231, feed="sip") == 1
        assert (await other.receive())[0]["p"] == 231
        assert sim.publish("IBM", 1) == sim.publish("FAKEPACA", 1) == 0


async def test_corrections_and_cancellations_follow_trades_unasked() -> None:
    async with running(STILL) as sim, client(sim) as peer:
        await reader(peer, trades=["AAPL"])
        sim.publish("AAPL", 231, size=100, ident=5)
        assert sim.correct("AAPL", 232, 200) == sim.cancel("AAPL", "E") == 1
        trade, correction, cancel = [(await peer.receive())[0] for _ in range(3)]
        assert (trade["T"], correction["T"], cancel["T"]) == ("t", "c", "x")
        assert (correction["oi"], correction["op"], correction["cp"], correction["cs"]) == (5, 231, 232, 200)
        assert (cancel["i"], cancel["a"]) == (correction["ci"], "E")
        assert sim.cancel("AAPL") == 0


async def test_a_halted_symbol_is_silent_until_it_goes_on() -> None:
    async with running() as sim, client(sim) as peer:
        await reader(peer, trades=["AAPL", "IBM"], quotes=["AAPL"], statuses=["*"])
        await peer.data(lambda item: item["S"] == "AAPL")
        assert sim.halt("AAPL", True) == 1
        [status] = await peer.data(lambda item: item["T"] == "s")
        assert (status["S"], status["sc"]) == ("AAPL", "H")
        assert {item["S"] for item in await peer.data(lambda item: True, 20)} == {"IBM"}
        sim.halt("AAPL", False)
        await peer.data(lambda item: item["T"] == "s")
        await peer.data(lambda item: (item["T"], item["S"]) == ("t", "AAPL"))


async def test_halts_come_by_themselves_when_so_configured() -> None:
    options = AlpacaOptions(rate=50, status_rate=20, symbols=("IBM",))
    async with running(options) as sim, client(sim) as peer:
        await reader(peer, statuses=["IBM"])
        statuses = await peer.data(lambda item: item["T"] == "s", 4)
        assert [status["sc"] for status in statuses[:4]] == ["2", "3", "2", "3"]


async def test_any_symbol_trades_when_so_configured_and_only_then() -> None:
    async with running() as strict, client(strict) as peer:
        await peer.log_in()
        [answer] = await peer.ask("subscribe", trades=["ZZZ", "AAPL"])
        assert answer["trades"] == ["ZZZ", "AAPL"]
        assert {item["S"] for item in await peer.data(lambda item: True, 10)} == {"AAPL"}
    async with running(AlpacaOptions(rate=100, any_symbol=True)) as lax, client(lax) as peer:
        await reader(peer, trades=["ZZZ", "not a symbol"])
        assert {item["S"] for item in await peer.data(lambda item: True, 10)} == {"ZZZ"}


# -- errors on demand --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"), [(407, "slow client"), (500, "internal error"), (411, "insufficient scope")]
)
async def test_an_error_is_said_to_all_when_asked_for(code: int, words: str) -> None:
    async with running(STILL) as sim, client(sim) as peer, client(sim, "/v2/sip") as other:
        await reader(peer, trades=["AAPL"])
        assert await other.receive() == CONNECTED
        assert sim.say(code) == 2
        assert await peer.receive() == await other.receive() == error(code, words)
        sim.publish("AAPL", 1)
        assert (await peer.receive())[0]["T"] == "t"
        assert sim.say(code, close=True) == 2
        assert await peer.receive() == error(code, words)
        with pytest.raises(ConnectionClosedError):
            await peer.receive()


async def test_an_error_answers_the_next_request_of_its_kind() -> None:
    async with running(STILL) as sim, client(sim) as peer:
        sim.fail(408, "auth")
        sim.fail(410, "subscribe", 2)
        assert await peer.log_in() == error(408, "v2 not enabled")
        assert await peer.ask("auth", key=DEMO.key, secret=DEMO.secret) == AUTHENTICATED
        refusal = error(410, "invalid subscribe action for this feed")
        for _ in range(2):
            assert await peer.ask("subscribe", trades=["AAPL"]) == refusal
        [answer] = await peer.ask("subscribe", trades=["IBM"])
        assert answer["trades"] == ["IBM"]
        sim.fail(500, None, None)
        assert await peer.ask("unsubscribe", trades=["IBM"]) == error(500, "internal error")
        sim.behave()
        [answer] = await peer.ask("unsubscribe", trades=[])
        assert answer["trades"] == ["IBM"]


# -- switches ----------------------------------------------------------------------------------


async def test_a_cut_resets_every_connection_and_one_that_comes_back_at_once_may_meet_itself() -> None:
    async with running(STILL) as sim, client(sim) as peer, client(sim, "/stream"):
        await peer.log_in()
        sim.limit(linger_s=60)
        assert sim.cut() == 2
        with pytest.raises(ConnectionClosedError) as caught:
            await peer.receive()
        assert caught.value.rcvd is None
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        await until(lambda: sim.statistics()["connections"] == 0)
        async with client(sim) as again:
            assert await again.log_in() == error(406, "connection limit exceeded")
            sim.limit(2)
            assert await again.ask("auth", key=DEMO.key, secret=DEMO.secret) == AUTHENTICATED
        assert sim.statistics()["connections_ever"] == 3


async def test_a_lingering_place_is_free_after_its_time() -> None:
    clock = StandingClock()
    options = AlpacaOptions(rate=0, quote_rate=0, linger_s=90)
    async with running(options, clock=clock) as sim, client(sim) as again:
        async with client(sim) as peer:
            assert await peer.log_in() == AUTHENTICATED
        await until(lambda: sim.statistics()["connections"] == 1)
        assert await again.log_in() == error(406, "connection limit exceeded")
        clock.now += 90
        assert await again.ask("auth", key=DEMO.key, secret=DEMO.secret) == AUTHENTICATED


async def test_a_clean_cut_says_that_the_venue_goes_away() -> None:
    async with running(STILL) as sim, client(sim) as peer:
        await peer.log_in()
        assert sim.cut(clean=True) == 1
        with pytest.raises(ConnectionClosedOK) as caught:
            await peer.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001


async def test_mute_topics_are_silent_and_others_go_on() -> None:
    async with running() as sim, client(sim) as peer:
        await reader(peer, trades=["AAPL", "IBM"], quotes=["AAPL"])
        sim.mute(["trades:AAPL"])
        await peer.ask("subscribe", trades=[])
        seen = {(item["T"], item["S"]) for item in await peer.data(lambda item: True, 20)}
        assert seen == {("q", "AAPL"), ("t", "IBM")}
        sim.unmute()
        await peer.data(lambda item: (item["T"], item["S"]) == ("t", "AAPL"))


async def test_a_mute_venue_answers_and_sends_no_data() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.log_in()
        sim.mute()
        await peer.ask("subscribe", trades=["AAPL"])
        assert sim.publish("AAPL", 1) == 0
        [answer] = await peer.ask("subscribe", quotes=["IBM"])
        assert answer["quotes"] == ["IBM"]
        assert await (await peer.socket.ping()) > 0


async def test_a_stalled_venue_reads_and_writes_nothing_and_goes_on_where_it_was() -> None:
    async with running(AlpacaOptions(rate=200, connection_limit=2)) as sim, client(sim) as peer:
        await peer.log_in()
        sim.mute(pongs=False)
        pong = asyncio.ensure_future(await peer.socket.ping())
        await peer.send("subscribe", trades=["AAPL"])
        async with client(sim, "/v2/sip") as late:
            assert sim.say(500) == 2
            assert not pong.done()
            assert sim.publish("AAPL", 1) == 0
            assert sim.statistics()["sessions"] == [
                {"feed": "iex", "key": DEMO.key, "codec": "json", "subscriptions": {}},
                {"feed": "sip", "key": None, "codec": "json", "subscriptions": {}},
            ]
            sim.unmute()
            assert [await late.receive(), await late.receive()] == [CONNECTED, error(500, "internal error")]
        assert await peer.receive() == error(500, "internal error")
        [answer] = await peer.answer()
        assert answer["trades"] == ["AAPL"]
        assert await pong > 0
        await peer.data(lambda item: item["T"] == "t")


async def test_a_delisted_topic_is_silent_whoever_unmutes() -> None:
    async with running() as sim, client(sim) as peer:
        await reader(peer, trades=["AAPL", "IBM"])
        sim.delist("trades:AAPL")
        sim.unmute()
        await peer.ask("subscribe", trades=[])
        assert {item["S"] for item in await peer.data(lambda item: True, 10)} == {"IBM"}
        sim.relist("trades:AAPL")
        await peer.data(lambda item: item["S"] == "AAPL")


@pytest.mark.parametrize("kind", ["non-json", "truncated", "wrong-typed", "duplicated", "reordered"])
async def test_one_message_of_garbage_comes_when_asked_for(kind: str) -> None:
    async with running(STILL) as sim, client(sim) as peer:
        await reader(peer, trades=["AAPL"])
        assert sim.garbage(kind) == 0
        for ident in (1, 2):
            sim.publish("AAPL", 1, ident=ident)
        before, last = await peer.receive(), await peer.receive()
        assert sim.garbage(kind, "trades:IBM") == 0
        assert sim.garbage(kind, "trades:AAPL") == 1
        spoilt = await peer.socket.recv()
        if kind in {"non-json", "truncated"}:
            with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
                json.loads(spoilt)
        elif kind == "wrong-typed":
            assert json.loads(spoilt)[0]["i"] == {"value": 2}
        else:
            assert json.loads(spoilt) == (last if kind == "duplicated" else before)
        sim.publish("AAPL", 2)
        assert (await peer.receive())[0]["p"] == 2


async def test_connections_are_refused_until_they_are_accepted_again() -> None:
    async with running(STILL) as sim:
        sim.refuse_connections(True)
        with pytest.raises(InvalidStatus, match="503"):
            await connect(sim.url())
        async with connect(sim.url(CONTROL_PATH)) as control:
            await control.send('{"do":"refuse_connections","refuse":false}')
            assert json.loads(await control.recv()) == {"ok": True}
        async with client(sim) as peer:
            assert await peer.log_in() == AUTHENTICATED
        assert sim.statistics()["connections_refused"] == 1


# -- life --------------------------------------------------------------------------------------


async def test_a_simulator_is_driven_and_asked_through_its_control_endpoint() -> None:
    async with running(STILL) as sim, client(sim) as peer, connect(sim.url(CONTROL_PATH)) as control:
        await reader(peer, trades=["AAPL"])
        await control.send('{"do":"publish","symbol":"AAPL","price":231.5,"id":7}')
        assert json.loads(await control.recv()) == {"ok": True, "connections": 1}
        assert (await peer.receive())[0]["i"] == 7
        await control.send('{"do":"report"}')
        report = json.loads(await control.recv())
        assert (report["connections"], report["connections_ever"]) == (1, 1)
        assert report["sessions"][0]["subscriptions"]["trades"] == ["AAPL"]
        assert DEMO.secret not in json.dumps(report)


async def test_other_paths_are_not_found() -> None:
    async with running(STILL) as sim:
        for path in ("/", "/v2/otc", "/v2", "/stream/x"):
            with pytest.raises(InvalidStatus, match="404"):
                await connect(sim.url(path))


async def test_compression_is_agreed_to() -> None:
    async with running(STILL) as sim, client(sim) as peer:
        assert peer.socket.response is not None
        assert "permessage-deflate" in peer.socket.response.headers["Sec-WebSocket-Extensions"]
        assert await peer.log_in() == AUTHENTICATED


async def test_a_port_that_is_taken_is_named() -> None:
    async with running(STILL) as sim:
        with pytest.raises(InvalidSetting, match=f"127.0.0.1:{sim.port}"):
            await AlpacaSim(AlpacaOptions(port=sim.port)).start()


async def test_stopping_closes_connections_even_stalled_ones_and_frees_the_port() -> None:
    async with running(STILL) as sim, client(sim) as peer:
        await peer.log_in()
        port = sim.port
        sim.mute(pongs=False)
        sim.say(500)
        await sim.stop()
        assert await peer.receive() == error(500, "internal error")
        with pytest.raises(ConnectionClosedOK):
            await peer.receive()
    async with running(AlpacaOptions(port=port)) as again:
        assert again.port == port


async def test_running_goes_on_until_it_is_cancelled() -> None:
    ready: asyncio.Queue[AlpacaSim] = asyncio.Queue()
    task = asyncio.create_task(run(AlpacaSim, STILL, ready.put_nowait))
    sim = await asyncio.wait_for(ready.get(), DEADLINE_S)
    url = sim.url()
    async with client(sim) as peer:
        assert await peer.log_in() == AUTHENTICATED
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(OSError, match=r".*"):
        await connect(url)
