from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import os
import time
from pathlib import Path

import msgspec
import picows
import pytest

from feedmux.core.stats import Histogram, add_up
from feedmux.edge.connection import Connection
from feedmux.edge.house import RULES
from feedmux.edge.server import CannotListen
from feedmux.model.event import Envelope, EventKind
from support.clocks import StandingClock
from support.edge import CONFIG, Edge, ticker, trades
from support.frames import CLOSE, TEXT
from support.loops import on_asyncio, on_both_loops
from support.raw import Raw, request
from support.waiting import until


@on_both_loops
async def test_a_port_that_is_taken_is_said_in_a_sentence_that_helps() -> None:
    async with Edge() as first:
        with pytest.raises(CannotListen) as failed:
            await Edge(msgspec.structs.replace(CONFIG, port=first.port)).server.start()
        assert str(failed.value) == (
            f"cannot listen on 127.0.0.1:{first.port}: {os.strerror(errno.EADDRINUSE)}"
            " (another process listens there; stop it or choose another port)"
        )


@on_both_loops
async def test_an_address_that_is_not_ours_is_said_too() -> None:
    for host, why in (
        ("192.0.2.1", "does not have that address"),
        ("no such host", "expected an address of this machine"),
    ):
        with pytest.raises(CannotListen, match=why):
            await Edge(msgspec.structs.replace(CONFIG, host=host)).server.start()


@on_both_loops
async def test_statistics_count_what_is_and_what_was() -> None:
    async with Edge(msgspec.structs.replace(CONFIG, max_clients=2)) as edge:
        assert edge.server.statistics() == {
            "clients": 0,
            "clients_lifetime": 0,
            "sockets": 0,
            "deadlines": 0,
            "streams": 0,
            "messages_sent": 0,
            "conflated": 0,
            "gaps_sent": 0,
            "lost": 0,
            "clients_by_pace": {"ok": 0, "conflating": 0, "stalled": 0},
            "slow": 0,
            "waiting_bytes": 0,
            "closed_by_code": {},
            "failed_requests": 0,
            "loop_lag": [0],
            "draining": False,
            "tls_failed": 0,
            "half_open": 0,
            "refused_half_open": 0,
            "handshakes_timed_out": 0,
            "refused_by_status": {},
        }
        with await edge.client() as first, await edge.client() as second, await edge.client() as third:
            assert (await third.closed()).close_code == 4003
            await first.subscribe("ticker:BTCUSDT", "trade:BTCUSDT")
            await second.subscribe("ticker:BTCUSDT")
            edge.source.tick(ticker())
            edge.source.trade(trades())
            assert [(await first.message())["seq"] for _ in range(2)] == [1, 1]
            assert (await second.message())["seq"] == 1
            assert edge.server.clients == edge.count("clients") == 2
            assert (edge.count("sockets"), edge.count("streams"), edge.count("messages_sent")) == (3, 3, 3)
            await second.send(b"\x00\x00")
            await second.closed()
            assert (edge.count("clients"), edge.count("streams"), edge.count("messages_sent")) == (1, 2, 3)
            assert edge.count("closed_by_code") == {"1002": 1, "4003": 1}
        await until(lambda: edge.count("sockets") == 0)
        assert (edge.count("clients"), edge.count("clients_lifetime"), edge.count("messages_sent")) == (
            0,
            2,
            3,
        )


async def leave(client: Raw) -> float:
    """Wait for the server's goodbye, answer it and say when it came."""
    close = await client.closed()
    assert (close.close_code, close.payload[2:]) == (1001, b"Server going away")
    came = asyncio.get_running_loop().time()
    await client.send_frame(CLOSE, close.payload)
    assert await client.read() == b""
    client.close()
    return came


@on_both_loops
async def test_draining_sends_everybody_away_one_after_the_other() -> None:
    async with Edge() as edge:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as clients:
            leaving = [clients.enter_context(await edge.client()) for _ in range(5)]
            port, began = edge.port, loop.time()
            _, left = await asyncio.gather(edge.server.drain(0.1, 0.5), asyncio.gather(*map(leave, leaving)))
            assert left[0] - began >= 0.09, "there is a time of grace"
            assert left == sorted(left)
            assert 0.2 < left[-1] - left[0] < 0.5, "spread over four fifths of the time"
            assert loop.time() - began < 0.6, "nobody is waited for who has left"
        assert edge.count("closed_by_code") == {"1001": 5}
        assert (edge.count("sockets"), edge.count("draining")) == (0, True)
        with pytest.raises(ConnectionRefusedError):
            await Raw.connect(port)


@on_both_loops
async def test_draining_aborts_who_does_not_read_and_who_does_not_ask() -> None:
    config = msgspec.structs.replace(
        CONFIG, send_buffer_bytes=4096, stall_timeout_s=60.0, close_timeout_s=60.0
    )
    async with Edge(config) as edge:
        with await edge.client(receive_buffer=4096) as slow, await edge.connect() as mute:
            await slow.subscribe("trade:BTCUSDT")
            edge.source.trade(trades(), "x" * 100_000)
            await until(lambda: edge.count("slow") == 1 and edge.count("sockets") == 2)
            port = edge.port
            await edge.server.drain(0.0, 0.05)
            assert await mute.read() == b""
            with pytest.raises(EOFError):
                await slow.closed()
            await until(lambda: edge.count("sockets") == 0)
            with pytest.raises(ConnectionRefusedError):
                await Raw.connect(port)


@on_both_loops
async def test_an_empty_house_is_drained_at_once() -> None:
    async with Edge() as edge:
        async with asyncio.timeout(5):
            await edge.server.drain(0.0, 30.0)


@on_both_loops
async def test_a_restarted_server_gets_the_port_of_the_one_before_it() -> None:
    async with Edge() as first:
        port = first.port
        with await first.client() as client:
            await first.server.stop()
            assert await client.read() == b""
    async with Edge(msgspec.structs.replace(CONFIG, port=port)) as second:
        assert second.port == port


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@on_both_loops
async def test_200_clients_that_come_and_go_leave_nothing() -> None:
    clock = StandingClock()
    async with Edge(clock=clock) as edge:
        (await edge.client()).close()  # the loop keeps a descriptor from its first stream on
        before = open_descriptors()
        for round_ in range(200):
            with await edge.client() as client:
                await client.send_frame(TEXT, request("subscribe", "ticker:BTCUSDT", "trade:BTCUSDT"))
                if round_ % 3:
                    await client.message()
                if round_ % 3 == 1:
                    await client.send_frame(CLOSE)
                    await client.closed()
        await until(lambda: edge.count("sockets") == 0)
        assert edge.count("clients_lifetime") == 201
        assert (edge.source.held, edge.hub.statistics()["topics"]) == (set(), 0)
        await until(lambda: open_descriptors() <= before)
        clock.now += CONFIG.idle_timeout_s
        await until(lambda: edge.count("deadlines") == 0, "no entry of the wheel outlives its time")
        gc.collect()
        assert not [each for each in gc.get_objects() if isinstance(each, Connection)]


class Listener(picows.WSListener):
    """Keeps the texts that it is sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.closed = 0

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.texts.append(frame.get_payload_as_utf8_text())
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            self.closed = frame.get_close_code().value
            transport.send_close(frame.get_close_code())


@on_both_loops
async def test_a_fast_client_of_another_kind_gets_its_stream_until_the_end() -> None:
    async with Edge() as edge:
        transport, listener = await picows.ws_connect(Listener, edge.url)
        assert isinstance(listener, Listener)
        transport.send(picows.WSMsgType.TEXT, request("subscribe", "ticker:BTCUSDT"))
        await until(lambda: listener.texts)
        for price in range(1000):
            edge.source.tick(ticker(), price=price)
        await until(lambda: len(listener.texts) == 1001)
        assert [json.loads(text)["seq"] for text in listener.texts[1:]] == list(range(1, 1001))
        await edge.server.drain(0.0, 5.0)
        assert listener.closed == 1001
        await transport.wait_disconnected()


@on_asyncio
async def test_who_connects_while_the_server_ends_is_aborted() -> None:
    async with Edge() as edge:
        raw = await edge.connect()
        await edge.server.stop()
        with raw:
            assert await raw.read() == b""
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_a_loop_that_is_held_up_shows_as_lag() -> None:
    def lag() -> Histogram:
        return Histogram.from_plain(edge.count("loop_lag"))

    async with Edge() as edge:
        await until(lambda: lag().count)
        before = lag().count
        time.sleep(0.3)  # noqa: ASYNC251 - what holds a loop up
        await until(lambda: lag().count > before)
        worst = lag().percentile(100)
        assert worst is not None
        assert 0.15e9 < worst < 2e9


@on_both_loops
async def test_values_that_reached_their_client_are_measured_once_per_flush() -> None:
    def received() -> Histogram:
        return Histogram.from_plain(edge.latency.statistics()["receive_to_send"])

    async with Edge() as edge:
        with await edge.client() as client:
            await client.subscribe("ticker:BTCUSDT")
            passed_ns = 0
            for count in (1, 2):
                passed_ns -= time.time_ns()
                for _ in range(3):
                    edge.source.tick(ticker())
                for _ in range(3):
                    await client.message()
                passed_ns += time.time_ns()
                assert received().count == count
                assert 0 < received().sum <= passed_ns


@on_both_loops
async def test_a_value_that_no_flush_follows_is_forgotten() -> None:
    async with Edge() as edge:
        edge.latency.oldest = Envelope(ticker(), 1, 1, EventKind.UPDATE, 0, 0, "", b"{}")
        await until(lambda: edge.latency.oldest is None)
        assert edge.latency.statistics()["receive_to_send"] == [0]


@on_both_loops
async def test_statistics_add_up_by_their_rules() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await client.subscribe("ticker:BTCUSDT")
            one = edge.server.statistics()
            total = add_up(one, one, RULES)
        assert (total["clients"], total["streams"], total["draining"]) == (2, 2, False)
