from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import ssl
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import picows
import pytest
from websockets.asyncio.client import connect

from feedmux.client.clock import SystemClock
from feedmux.core.outbox import OutboxLimits
from feedmux.edge.connection import PIECE_BYTES
from feedmux.edge.doorway import Doorway
from feedmux.edge.house import ServerConfig
from feedmux.edge.session import Rules
from feedmux.edge.tls import Tls
from feedmux.edge.tls_transport import READ_BYTES, TlsTransport
from feedmux.model.ports import Clock
from support.certificates import Authority, SecureRaw
from support.clocks import StandingClock
from support.edge import CONFIG, FREE, Edge, parted, ticker, trades
from support.frames import CLOSE, PING, PONG, TEXT, Frame, masked
from support.loops import on_asyncio, on_both_loops
from support.raw import Raw, request
from support.waiting import until

GET: Final = b"GET /ready HTTP/1.1\r\nHost: test\r\n\r\n"
NEVER_READ: Final = b"x" * 12_000_000
"""More than all buffers between us hold: who sends it is still sending when the answer comes."""


class Secured:
    """A certificate and the contexts on both of its sides."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.tls: Tls
        self.trust = self.authority.trusting()

    def edge(self, config: ServerConfig = CONFIG, *, free: bool = False, clock: Clock | None = None) -> Edge:
        """A server with counters of its own."""
        self.tls = Tls(self.authority.files)
        return Edge(config, FREE if free else Rules(), tls=self.tls, clock=clock)

    async def client(self, edge: Edge, *, receive_buffer: int = 0) -> SecureRaw:
        return await SecureRaw.websocket(edge.port, self.trust, receive_buffer=receive_buffer)


@pytest.fixture(scope="module", name="secured")
def _secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    yield Secured(tmp_path_factory.mktemp("certificates"))


def changed(**fields: object) -> ServerConfig:
    return msgspec.structs.replace(CONFIG, **fields)


NARROW = changed(send_buffer_bytes=4096, max_frames=1_000_000_000, stall_timeout_s=60.0)
"""Sockets that are full after a few kilobytes."""


# The handshake


@on_both_loops
async def test_a_library_gets_its_stream_in_order_and_says_goodbye(secured: Secured) -> None:
    async with secured.edge() as edge:
        url = f"wss://127.0.0.1:{edge.port}/ws"
        async with connect(url, ssl=secured.trust) as client:
            await client.send(request("subscribe", "ticker:BTCUSDT"))
            assert json.loads(await client.recv())["success"]
            for price in range(1000):
                edge.source.tick(ticker(), price=price)
                if price % 7 == 0:
                    await asyncio.sleep(0)
            assert [json.loads(await client.recv())["seq"] for _ in range(1000)] == list(range(1, 1001))
            await client.close(3000, "enough")
            assert (client.close_code, client.close_reason) == (3000, "enough")
        await until(lambda: edge.count("sockets") == 0)
        assert edge.count("tls_failed") == 0


class Listener(picows.WSListener):
    """Keeps the texts that it is sent."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self.texts.append(frame.get_payload_as_bytes())


@on_both_loops
async def test_another_library_gets_messages_of_every_size(secured: Secured) -> None:
    sizes = (1, 100, 16_300, 16_384, 20_000, 300_000, 1)
    async with secured.edge() as edge:
        url = f"wss://127.0.0.1:{edge.port}/ws"
        transport, listener = await picows.ws_connect(Listener, url, ssl_context=secured.trust)
        assert isinstance(listener, Listener)
        transport.send(picows.WSMsgType.TEXT, request("subscribe", "trade:BTCUSDT"))
        await until(lambda: listener.texts)
        for size in sizes:
            edge.source.trade(trades(), "x" * size)
        await until(lambda: len(listener.texts) == 1 + len(sizes))
        assert [len(json.loads(text)["data"]) for text in listener.texts[1:]] == list(sizes)
        transport.disconnect()
        await transport.wait_disconnected()


@on_both_loops
async def test_tls_1_2_is_spoken_and_1_1_is_not(secured: Secured) -> None:
    async with secured.edge() as edge:
        for version, spoken in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            trust = secured.authority.trusting()
            trust.minimum_version = trust.maximum_version = version
            trust.set_alpn_protocols(["h2", "http/1.1"])
            with await SecureRaw.websocket(edge.port, trust) as client:
                assert client.cipher.version() == spoken
                assert client.cipher.selected_alpn_protocol() == "http/1.1"
                await client.ask("ping")
                assert (await client.message())["op"] == "pong"
        trust = secured.authority.trusting()
        trust.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, EOFError)):
            await SecureRaw.secured(edge.port, trust)
        assert edge.count("tls_failed") == 1
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_plain_http_is_served_over_tls_and_the_end_is_announced(secured: Secured) -> None:
    async with secured.edge() as edge:
        with await SecureRaw.secured(edge.port, secured.trust) as client:
            await client.send(GET)
            assert parted(await client.read_to_end())[::2] == (200, b'{"ok": true}')
        with await SecureRaw.secured(edge.port, secured.trust) as client:
            await client.send(GET)
            assert await client.ends_well()
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_who_speaks_no_tls_is_told_so_in_plain_words(secured: Secured) -> None:
    async with secured.edge() as edge:
        status, _, body = await edge.http(GET)
        assert (status, body) == (400, b'{"error": "This port speaks TLS; use https:// or wss://"}')
        assert (await edge.http(GET.replace(b"GET", b"POST") + NEVER_READ))[0] == 400
        await until(lambda: edge.count("sockets") == 0)
        assert edge.count("tls_failed") == 2


@on_both_loops
async def test_garbage_that_begins_like_tls_is_turned_away(secured: Secured) -> None:
    async with secured.edge() as edge:
        for garbage in (b"\x16" + b"\x00" * 100, b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" * 99):
            with await edge.connect() as raw:
                await raw.send(garbage)
                await raw.read_to_end()
        await until(lambda: edge.count("sockets") == 0)
        assert edge.count("tls_failed") == 3


@on_both_loops
async def test_a_handshake_that_does_not_go_on_is_cut_off_in_time(secured: Secured) -> None:
    clock = StandingClock()
    async with secured.edge(clock=clock) as edge:
        with await edge.connect() as mute, await edge.connect() as half:
            await half.send(b"\x16\x03\x01")
            await until(lambda: edge.count("sockets") == 2)
            clock.now += CONFIG.handshake_timeout_s
            assert await mute.read_to_end() == await half.read_to_end() == b""
            await until(lambda: edge.count("sockets") == 0)
        with await SecureRaw.secured(edge.port, secured.trust) as client:
            clock.now += CONFIG.handshake_timeout_s
            assert parted(await client.read_to_end())[0] == 408
        assert edge.count("tls_failed") == 1, "the one that had begun"


@on_both_loops
async def test_a_handshake_may_come_byte_by_byte(secured: Secured) -> None:
    class Dribbling(SecureRaw):
        async def send_below(self, data: bytes) -> None:
            for at in range(len(data)):
                await super().send_below(data[at : at + 1])
                await asyncio.sleep(0)

    async with secured.edge() as edge:
        with await Dribbling.websocket(edge.port, secured.trust) as client:
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"


@on_both_loops
async def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(secured: Secured) -> None:
    class Eager(SecureRaw):
        """Sends its first words together with its last part of the handshake."""

        words = GET

        async def send_below(self, data: bytes) -> None:
            if self.cipher.version() and self.words:
                self.cipher.write(self.words)
                self.words, data = b"", data + self._outgoing.read()
            await super().send_below(data)

    async with secured.edge() as edge:
        with await Eager.secured(edge.port, secured.trust) as client:
            assert parted(await client.read_to_end())[0] == 200


@on_both_loops
async def test_handshakes_wait_for_their_turn_and_those_who_are_in_do_not(secured: Secured) -> None:
    async with secured.edge(changed(handshake_turn_s=1e-9)) as edge:
        with await secured.client(edge) as early:
            await early.subscribe("ticker:BTCUSDT")
            coming = [asyncio.create_task(secured.client(edge)) for _ in range(30)]
            seen = [edge.count("clients")]
            while seen[-1] < 31:
                edge.source.tick(ticker())
                await asyncio.sleep(0)
                seen.append(edge.count("clients"))
            assert max(later - earlier for earlier, later in pairwise(seen)) <= 2, "at most one in each turn"
            for client in await asyncio.gather(*coming):
                client.close()
            assert [(await early.message())["seq"] for _ in seen[1:]] == list(range(1, len(seen)))
            assert edge.count("half_open") == 0
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_tls_handshakes_wait_before_anything_is_asked(secured: Secured) -> None:
    async with secured.edge(changed(handshake_turn_s=1e-9)) as edge:
        coming = [asyncio.create_task(SecureRaw.secured(edge.port, secured.trust)) for _ in range(30)]
        waiting = [0]
        while not all(task.done() for task in coming):
            await asyncio.sleep(0)
            waiting.append(edge.server.house.doorway.waiting)
        assert max(waiting) > 3
        for task in coming:
            (await task).close()
        await until(lambda: edge.count("sockets") == 0)
        assert (edge.count("half_open"), edge.count("tls_failed")) == (0, 0)


@on_both_loops
async def test_who_goes_in_the_middle_of_the_handshake_is_no_longer_half_open(secured: Secured) -> None:
    async with secured.edge(changed(handshake_turn_s=1e-9)) as edge:
        for hello in (b"", b"\x16\x03\x01\x02\x00"):
            raws = [await edge.connect() for _ in range(5)]
            for raw in raws:
                await raw.send(hello)
            await until(lambda: edge.count("half_open") == 5)
            for raw in raws:
                raw.close()
            await until(lambda: edge.count("half_open") == 0)
        assert edge.count("tls_failed") == 5


@on_both_loops
async def test_a_client_that_does_not_trust_us_leaves_nothing(secured: Secured) -> None:
    stranger = ssl.create_default_context()
    async with secured.edge() as edge:
        for _ in range(20):
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(f"wss://127.0.0.1:{edge.port}/ws", ssl=stranger)
        await until(lambda: edge.count("sockets") == 0)
        assert edge.count("tls_failed") == 20


@on_both_loops
async def test_a_new_certificate_is_for_those_who_come_and_keeps_those_who_are_there(
    tmp_path: Path,
) -> None:
    secured = Secured(tmp_path)
    first = secured.authority.shown
    async with secured.edge() as edge:
        with await secured.client(edge) as old:
            await old.subscribe("ticker:BTCUSDT")
            half = await edge.connect()
            second = secured.authority.renew()
            assert secured.tls.reload()
            with half, await secured.client(edge) as new:
                assert (old.certificate, new.certificate) == (first, second)
                await new.subscribe("ticker:BTCUSDT")
                for _ in range(3):
                    seq = edge.source.tick(ticker())
                    assert (await old.message())["seq"] == (await new.message())["seq"] == seq
            secured.authority.damage()
            assert not secured.tls.reload()
            with await secured.client(edge) as third:
                assert third.certificate == second
            assert edge.count("clients") == 2


class Sipper(asyncio.Protocol):
    """Pauses after everything that it is given."""

    def __init__(self) -> None:
        self.sips: list[bytes] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.sips.append(data)
        self.transport.pause_reading()


@on_both_loops
async def test_who_pauses_gets_nothing_and_then_the_rest_although_nothing_new_comes(secured: Secured) -> None:
    loop = asyncio.get_running_loop()
    doorway = Doorway(9, 1.0, clock=SystemClock(), loop=loop)
    sipper = Sipper()
    tls = Tls(secured.authority.files)
    server = await loop.create_server(
        lambda: TlsTransport(tls, sipper, doorway=doorway, loop=loop), "127.0.0.1", 0
    )
    data = random.Random(5).randbytes(5 * READ_BYTES)
    with await SecureRaw.secured(server.sockets[0].getsockname()[1], secured.trust) as client:
        sending = asyncio.create_task(client.send(data))
        while sum(map(len, sipper.sips)) < len(data):
            sips = len(sipper.sips)
            await until(lambda sips=sips: len(sipper.sips) > sips)  # type: ignore[misc]
            for _ in range(3):
                await asyncio.sleep(0)
            assert len(sipper.sips) == sips + 1, "one at a time"
            assert not sipper.transport.is_reading()
            sipper.transport.resume_reading()
        await sending
        assert b"".join(sipper.sips) == data
    await until(sipper.transport.is_closing)
    server.close()
    await server.wait_closed()


# The end


@on_both_loops
async def test_who_breaks_the_protocol_reads_why_although_it_is_still_sending(secured: Secured) -> None:
    for data, code in ((masked(TEXT, NEVER_READ), 1009), (masked(TEXT, b"{}", mask=False), 1002)):
        async with secured.edge() as edge:
            with await secured.client(edge) as client:
                await client.subscribe("ticker:BTCUSDT")
                await client.send(data)
                assert (await client.closed()).close_code == code
                with contextlib.suppress(OSError):
                    await client.send_frame(CLOSE, struct.pack("!H", code))
                assert await client.ends_well()
                assert edge.count("closed_by_code") == {str(code): 1}
            await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_a_close_is_echoed_behind_what_was_asked_before_it(secured: Secured) -> None:
    async with secured.edge() as edge:
        with await secured.client(edge) as client:
            payload = struct.pack("!H", 4321) + b"bye"
            await client.send(masked(TEXT, request("ping")) + masked(CLOSE, payload))
            assert (await client.message())["op"] == "pong"
            assert await client.frame() == (CLOSE, payload)
            assert await client.ends_well()
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_the_ends_that_a_peer_can_bring_about_leave_nothing(secured: Secured) -> None:
    async with secured.edge() as edge:
        for end in ("close notify", "end of the stream", "reset", "garbage"):
            with await secured.client(edge) as client:
                await client.subscribe("ticker:BTCUSDT")
                if end == "close notify":
                    await client.say_goodbye()
                    assert await client.ends_well()
                elif end == "garbage":
                    await client.send_below(b"\x17\x03\x03\x00\x20" + b"?" * 32)
                    assert await client.read_to_end() == b""
                elif end == "reset":
                    client.sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER
            await until(lambda: edge.count("sockets") == 0, end)
            assert edge.source.held == set(), end
            edge.source.tick(ticker())
        assert edge.count("closed_by_code") == {}


@on_both_loops
async def test_who_does_not_follow_a_close_is_aborted(secured: Secured) -> None:
    clock = StandingClock()
    async with secured.edge(clock=clock) as edge:
        with await secured.client(edge) as client:
            clock.now += CONFIG.idle_timeout_s
            assert (await client.closed()).close_code == 4000
            assert edge.count("sockets") == 1
            clock.now += CONFIG.close_timeout_s
            await until(lambda: edge.count("sockets") == 0)


@on_asyncio
async def test_who_does_not_answer_pings_is_closed_and_who_does_stays(secured: Secured) -> None:
    clock = StandingClock()
    async with secured.edge(clock=clock) as edge:
        url = f"wss://127.0.0.1:{edge.port}/ws"
        async with connect(url, ssl=secured.trust) as alive:
            with await secured.client(edge) as dead:
                await dead.subscribe("ticker:BTCUSDT")
                clock.now += CONFIG.ping_interval_s
                assert await dead.frame() == (PING, b"")
                for _ in range(
                    2
                ):  # the pong is sent after the ping came, so with the second of them at the latest
                    await alive.send('{"op":"ping"}')
                    assert json.loads(await alive.recv())["op"] == "pong"
                clock.now += CONFIG.pong_timeout_s
                assert (await dead.frame()).close_code == 1011
            await alive.send('{"op":"ping"}')
            assert json.loads(await alive.recv())["op"] == "pong"


@on_both_loops
async def test_everybody_is_sent_away_and_nothing_is_left_in_memory(secured: Secured) -> None:
    async with secured.edge() as edge:
        clients = [await secured.client(edge) for _ in range(2)]
        draining = asyncio.create_task(edge.server.drain(0.0, 1.0))
        for client in clients:
            close = await client.closed()
            assert close.close_code == 1001
            await client.send_frame(CLOSE, close.payload)
            assert await client.ends_well()
            client.close()
        await draining
        assert edge.count("sockets") == 0
        gc.collect()
        assert not [each for each in gc.get_objects() if isinstance(each, ssl.SSLObject) and each.server_side]


# Clients that do not read


def seqs(frames: list[Frame]) -> list[int]:
    return [json.loads(frame.payload)["seq"] for frame in frames if frame.opcode == TEXT]


@on_both_loops
async def test_values_of_a_client_that_does_not_read_are_conflated(secured: Secured) -> None:
    async with secured.edge(NARROW) as edge:
        with await secured.client(edge, receive_buffer=4096) as slow, await secured.client(edge) as fast:
            for client in (slow, fast):
                await client.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT")
            got: list[Frame] = []
            for price in range(500):
                last = edge.source.tick(ticker("BTCUSDT"), price=price, pad="x" * 200)
                edge.source.tick(ticker("ETHUSDT"), price=price, pad="x" * 200)
                await asyncio.sleep(0)
                got += fast.read_nowait()
                assert edge.count("waiting_bytes") < 2000, "one value of each topic at most"
            while len(got) < 1000:
                got.append(await fast.frame())
            assert seqs(got)[::2] == seqs(got)[1::2] == list(range(1, 501))
            arrived: dict[str, list[int]] = {"BTCUSDT": [], "ETHUSDT": []}
            while not all(values and values[-1] == last for values in arrived.values()):
                message = await slow.message()
                arrived[message["stream"].rpartition(".")[2]].append(message["seq"])
            for values in arrived.values():
                assert values == sorted(set(values)), "never an older after a newer"
            assert edge.count("conflated") == 1000 - sum(map(len, arrived.values())) > 100
            await until(lambda: edge.count("slow") == 0)
            last = edge.source.tick(ticker("BTCUSDT"), price=0)
            assert (await slow.message())["seq"] == last


@on_both_loops
async def test_little_waits_where_it_can_no_longer_be_replaced(secured: Secured) -> None:
    """The buffers below the outbox hold as little over TLS as they hold without it."""
    async with secured.edge(NARROW) as edge:
        plain = await how_much_comes_late(edge, await secured.client(edge, receive_buffer=4096))
    async with Edge(NARROW) as edge:
        assert plain < await how_much_comes_late(edge, await edge.client(receive_buffer=4096)) + 40


async def how_much_comes_late(edge: Edge, slow: Raw) -> int:
    """How many values a client that has not read gets before the newest one."""
    with slow:
        await slow.subscribe("ticker:BTCUSDT")
        for price in range(2000):
            last = edge.source.tick(ticker(), price=price, pad="x" * 200)
            await asyncio.sleep(0)
        late = 0
        while (await slow.message())["seq"] != last:
            late += 1
        return late


@on_both_loops
async def test_trades_beyond_the_bound_close_the_slow_client_and_no_other(secured: Secured) -> None:
    config = msgspec.structs.replace(NARROW, outbox=OutboxLimits(100, 50_000, gaps=False))
    async with secured.edge(config) as edge:
        with await secured.client(edge, receive_buffer=4096) as slow, await secured.client(edge) as fast:
            for client in (slow, fast):
                await client.subscribe("trade:BTCUSDT")
            got: list[int] = []
            for _ in range(500):
                last = edge.source.trade(trades(), "x" * 300)
                await asyncio.sleep(0)
                got += seqs(fast.read_nowait())
            while got[-1] != last:
                got += seqs([await fast.frame()])
            assert got == list(range(1, 501))
            assert edge.count("closed_by_code") == {"4008": 1}
            arrived: list[int] = []
            while (frame := await slow.frame()).opcode != CLOSE:
                arrived += seqs([frame])
            assert arrived == list(range(1, len(arrived) + 1)), "nothing is left out before the close"
            assert (frame.close_code, frame.payload[2:10]) == (4008, b"Too slow")


@on_both_loops
async def test_who_reads_nothing_for_too_long_is_closed_and_then_aborted(secured: Secured) -> None:
    config = msgspec.structs.replace(
        NARROW, stall_timeout_s=5.0, max_lag_s=1e6, close_timeout_s=5.0, ping_interval_s=1e6
    )
    clock = StandingClock()
    async with secured.edge(config, clock=clock) as edge:
        with await secured.client(edge, receive_buffer=4096) as slow, await secured.client(edge) as fast:
            for client in (slow, fast):
                await client.subscribe("ticker:BTCUSDT")
            began = clock.now
            while edge.count("sockets") == 2:
                assert clock.now - began < 5000.0
                edge.source.tick(ticker(), pad="x" * 1000)
                await asyncio.sleep(0.002)
                fast.read_nowait()
                clock.now += 0.5
            assert edge.count("closed_by_code") == {"4008": 1}
            assert (edge.count("clients"), edge.count("waiting_bytes")) == (1, 0)


@on_both_loops
async def test_who_asks_and_asks_and_never_reads_is_aborted(secured: Secured) -> None:
    config = msgspec.structs.replace(NARROW, max_control_bytes=10_000)
    async with secured.edge(config, free=True) as edge:
        with await secured.client(edge, receive_buffer=4096) as client:
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    await client.ask("ping")
            await until(lambda: edge.count("sockets") == 0)
            assert edge.count("closed_by_code") == {"4008": 1}


@on_both_loops
async def test_a_flood_is_left_unread_and_its_rest_is_read_later(secured: Secured) -> None:
    clock = StandingClock()
    async with secured.edge(changed(max_frames=150), free=True, clock=clock) as edge:
        with await secured.client(edge) as flooder, await secured.client(edge) as other:
            await flooder.ask("ping")
            answers = [await flooder.message()]
            clock.now += 0.9
            for count in (149, 250):
                await flooder.send(masked(TEXT, request("ping")) * count)
            answers += [await flooder.message() for _ in range(149)]
            await other.ask("ping")
            assert (await other.message())["op"] == "pong"
            ahead = len(flooder.read_nowait())
            assert ahead <= PIECE_BYTES // len(masked(TEXT, request("ping"))), "at most one piece too much"
            clock.now += 0.1
            answers += [await flooder.message() for _ in range(250 - ahead)]
            assert {answer["op"] for answer in answers} == {"pong"}


@on_both_loops
async def test_pongs_answers_and_trades_keep_their_order_on_a_full_socket(secured: Secured) -> None:
    dice = random.Random(11)
    config = msgspec.structs.replace(
        NARROW,
        send_buffer_bytes=8192,
        max_control_bytes=10_000_000,
        outbox=OutboxLimits(100_000, 100_000_000),
    )
    async with secured.edge(config, free=True) as edge:
        with await secured.client(edge, receive_buffer=16384) as client:
            await client.subscribe("trade:BTCUSDT")
            sent = pinged = full = traded = ponged = answered = 0

            def listen() -> None:
                nonlocal traded, ponged, answered
                for frame in client.read_nowait(dice.choice((100, 3000, 65536))):
                    if frame.opcode == PONG:
                        assert frame.payload == b"%d" % ponged
                        ponged += 1
                    elif (message := json.loads(frame.payload)).get("op") == "pong":
                        answered += 1
                    else:
                        traded += 1
                        assert message["seq"] == traded

            while sent + pinged < 2000:
                if edge.count("waiting_bytes") < 200_000:
                    for _ in range(dice.randrange(8)):
                        edge.source.trade(trades(), "x" * dice.choice((10, 300, 300, 2000, 20_000)))
                        sent += 1
                    await client.send(masked(PING, b"%d" % pinged) + masked(TEXT, request("ping")))
                    pinged += 1
                full += edge.count("slow")
                await asyncio.sleep(0)
                listen()

            def heard_all() -> bool:
                listen()
                return (traded, ponged, answered) == (sent, pinged, pinged)

            await until(heard_all)
            assert full > 150, "the socket was full most of the time"
