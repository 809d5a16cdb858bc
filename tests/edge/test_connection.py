from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import struct

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from feedmux._native.outbox import Outbox
from feedmux.core.outbox import OutboxLimits
from feedmux.edge.connection import PIECE_BYTES, Connection
from feedmux.edge.handshake import Handshake
from feedmux.edge.house import ServerConfig
from feedmux.edge.session import Session
from support.clocks import StandingClock
from support.edge import CONFIG, FREE, Edge, ticker, trades
from support.frames import BINARY, CLOSE, PING, PONG, TEXT, Frame, masked
from support.loops import on_asyncio, on_both_loops
from support.raw import Raw, request
from support.waiting import until

SUBSCRIBE = request("subscribe", "ticker:BTCUSDT")
CONTINUED = 0


def changed(**fields: object) -> ServerConfig:
    return msgspec.structs.replace(CONFIG, **fields)


PARTS = {Connection, Handshake, Session, Outbox}
NARROW = changed(send_buffer_bytes=4096, max_frames=1_000_000_000, stall_timeout_s=60.0)
"""Sockets that are full after a few kilobytes."""


@on_both_loops
async def test_a_request_may_come_in_fragments_with_a_ping_between_them() -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await client.send(masked(TEXT, SUBSCRIBE[:10], first=0))
            await client.send(masked(CONTINUED, b"", first=0))
            await client.send_frame(PING, b"!")
            assert await client.frame() == (PONG, b"!")
            await client.send(masked(CONTINUED, SUBSCRIBE[10:20], first=0))
            await client.send(masked(CONTINUED, SUBSCRIBE[20:]))
            assert (await client.message())["args"] == ["ticker:BTCUSDT"]
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"


@on_both_loops
async def test_text_may_be_cut_inside_a_character() -> None:
    text = '{"op":"é"}'.encode()
    cut = text.index("é".encode()) + 1
    async with Edge() as edge:
        with await edge.client() as client:
            await client.send(masked(TEXT, text[:cut], first=0) + masked(CONTINUED, text[cut:]))
            assert (await client.message())["message"] == "Unknown operation: é"


TOO_BIG = b"x" * 600_000
NEVER_READ = b"x" * 12_000_000
"""More than all buffers between us hold: who sends it is still sending when the answer comes."""

BROKEN = {
    "text that is not UTF-8": (masked(TEXT, b'{"op":"\xff"}'), 1007),
    "fragments that are not UTF-8": (masked(TEXT, b"\xc3", first=0) + masked(CONTINUED, b"("), 1007),
    "a message too big": (masked(TEXT, NEVER_READ), 1009),
    "fragments too big": (
        masked(TEXT, TOO_BIG, first=0) + masked(CONTINUED, TOO_BIG),
        1009,
    ),
    "RSV1": (masked(TEXT, b"{}", first=0xC0), 1002),
    "RSV2": (masked(TEXT, b"{}", first=0xA0), 1002),
    "RSV3": (masked(PING, b"", first=0x90), 1002),
    "a stray continuation": (masked(CONTINUED, b"{}"), 1002),
    "a message inside a message": (masked(TEXT, b"{", first=0) + masked(TEXT, b"{}"), 1002),
    "no mask": (masked(TEXT, b"{}", mask=False), 1002),
    "an unknown opcode": (masked(3, b"{}"), 1002),
    "a ping too long": (masked(PING, b"x" * 126), 1002),
    "a ping in fragments": (masked(PING, b"x", first=0), 1002),
    "a close of one byte": (masked(CLOSE, b"\x03"), 1002),
    "a close with a code that cannot be": (masked(CLOSE, struct.pack("!H", 1005)), 1002),
    "a reason that is not UTF-8": (masked(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=list(BROKEN))
@on_both_loops
async def test_who_breaks_the_protocol_is_closed_with_the_code_that_says_so(data: bytes, code: int) -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await client.subscribe("ticker:BTCUSDT")
            await client.send(data)
            assert (await client.closed()).close_code == code
            assert edge.count("closed_by_code") == {str(code): 1}
            assert (edge.count("clients"), edge.source.held) == (0, set())
            edge.source.tick(ticker())
            with contextlib.suppress(EOFError, OSError):
                await client.send_frame(CLOSE, struct.pack("!H", code))
                while (await client.frame()).opcode != TEXT:
                    pass
                raise AssertionError("data after the close")
        await until(lambda: edge.count("sockets") == 0)


@pytest.mark.parametrize("payload", [b"", struct.pack("!H", 1000), struct.pack("!H", 4321) + b"bye"])
@on_both_loops
async def test_a_close_is_echoed_and_the_connection_ends(payload: bytes) -> None:
    async with Edge() as edge:
        with await edge.client() as client:
            await client.subscribe("ticker:BTCUSDT")
            await client.send(
                masked(TEXT, request("ping")) + masked(CLOSE, payload) + masked(TEXT, SUBSCRIBE)
            )
            assert (await client.message())["op"] == "pong"
            assert await client.frame() == (CLOSE, payload)
            with pytest.raises(EOFError):
                await client.frame()
            assert edge.count("closed_by_code") == {}
            assert (edge.count("clients"), edge.source.held) == (0, set())
        await until(lambda: edge.count("sockets") == 0)


@on_both_loops
async def test_who_does_not_follow_a_close_is_aborted() -> None:
    clock = StandingClock()
    async with Edge(clock=clock) as edge:
        with await edge.client() as client:
            clock.now += CONFIG.idle_timeout_s
            assert (await client.closed()).close_code == 4000
            assert edge.count("sockets") == 1
            clock.now += CONFIG.close_timeout_s
            await until(lambda: edge.count("sockets") == 0)
            with pytest.raises(EOFError):
                await client.frame()


@on_both_loops
async def test_the_client_over_the_limit_is_told_so_and_a_place_that_is_free_again_is_given() -> None:
    async with Edge(changed(max_clients=1)) as edge:
        with await edge.client() as first:
            with await edge.client() as second:
                await second.ask("ping")
                close = await second.frame()
                assert (close.close_code, close.payload[2:]) == (4003, b"Connection limit reached")
            await first.ask("ping")
            assert (await first.message())["op"] == "pong"
            await first.send_frame(CLOSE)
            with await edge.client() as third:
                await third.ask("ping")
                assert (await third.message())["op"] == "pong"
        assert edge.count("clients_lifetime") == 2


@on_asyncio
async def test_idle_is_who_says_nothing_and_has_no_streams() -> None:
    clock = StandingClock()
    async with Edge(
        changed(idle_timeout_s=40.0, ping_interval_s=10.0, pong_timeout_s=30.0), clock=clock
    ) as edge:
        with await edge.client() as silent, await edge.client() as reader, await edge.client() as talker:
            await reader.subscribe("ticker:BTCUSDT")
            began = clock.now
            closed = asyncio.create_task(silent.closed())
            while not closed.done():
                await talker.send_frame(PING)
                for client in (reader, talker):
                    for frame in client.read_nowait():
                        assert frame.opcode in (PING, PONG), frame
                        if frame.opcode == PING:
                            await client.send_frame(PONG)
                await asyncio.sleep(0.005)
                clock.now += 1.0
            assert (await closed).payload[2:] == b"Idle timeout"
            assert 40.0 <= clock.now - began < 200.0
            assert edge.count("clients") == 2
            await reader.ask("unsubscribe", "ticker:BTCUSDT")
            assert (await reader.message())["op"] == "unsubscribe"
            clock.now += 40.0
            assert (await reader.closed()).close_code == 4000


@on_asyncio
async def test_who_does_not_answer_pings_is_closed_and_who_does_stays() -> None:
    clock = StandingClock()
    async with Edge(clock=clock) as edge, connect(edge.url) as alive:
        with await edge.client() as dead:
            await dead.subscribe("ticker:BTCUSDT")
            clock.now += CONFIG.ping_interval_s
            assert await dead.frame() == (PING, b"")
            for _ in range(
                2
            ):  # the pong is sent after the ping came, so with the second of them at the latest
                await alive.send('{"op":"ping"}')
                assert json.loads(await alive.recv())["op"] == "pong"
            clock.now += CONFIG.pong_timeout_s
            close = await dead.frame()
            assert (close.close_code, close.payload[2:]) == (1011, b"keepalive ping timeout")
        assert edge.count("closed_by_code") == {"1011": 1}
        await alive.send('{"op":"ping"}')
        assert json.loads(await alive.recv())["op"] == "pong"


@on_both_loops
async def test_a_library_sees_the_code_of_a_close_and_sends_its_own() -> None:
    async with Edge() as edge:
        async with connect(edge.url) as client:
            await client.send(b"x" * 1_500_000)
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        async with connect(edge.url) as client:
            await client.close(3000, "enough")
            assert (client.close_code, client.close_reason) == (3000, "enough")
        await until(lambda: edge.count("sockets") == 0)


FLOODS = {
    "requests": masked(TEXT, request("ping")),
    "pings": masked(PING, b""),
    "fragments": masked(TEXT, b"", first=0) + masked(CONTINUED, b"", first=0) * 1999 + masked(CONTINUED, b""),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=list(FLOODS))
@on_both_loops
async def test_a_flood_is_left_unread_and_delays_nobody_else(flood: bytes) -> None:
    loop = asyncio.get_running_loop()
    async with Edge() as edge:
        with await edge.client() as flooder, await edge.client() as other:
            flooding = asyncio.create_task(flooder.send(flood * (2_000_000 // len(flood))))
            delays, frames = [], 0
            for _ in range(20):
                asked = loop.time()
                await other.ask("ping")
                assert (await other.message())["op"] == "pong"
                delays.append(loop.time() - asked)
                frames += len(flooder.read_nowait())
            assert sum(delays) < 1.0
            smallest = min(len(flood), 26)
            assert frames <= CONFIG.max_frames + PIECE_BYTES // smallest, "at most one piece too much"
            flooding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flooding


@on_asyncio
async def test_a_flood_gets_errors_and_its_rest_is_read_when_the_second_is_over() -> None:
    clock = StandingClock()
    async with Edge(changed(max_frames=150), clock=clock) as edge:
        with await edge.client() as flooder:
            await flooder.ask("ping")
            answers = [await flooder.message()]
            clock.now += 0.9
            await flooder.send(masked(TEXT, request("ping")) * 299)
            answers += [await flooder.message() for _ in range(149)]
            clock.now += 0.1
            answers += [await flooder.message() for _ in range(150)]
            ops = [answer["op"] for answer in answers]
            assert ops[:101] == ["pong"] * 100 + ["error"]
            assert 100 < ops.count("pong") < 300
            assert {a["code"] for a in answers if a["op"] == "error"} == {"RATE_LIMIT_EXCEEDED"}


def seqs(frames: list[Frame]) -> list[int]:
    return [json.loads(frame.payload)["seq"] for frame in frames if frame.opcode == TEXT]


async def read_until(client: Raw, seq: int) -> list[int]:
    got: list[int] = []
    while not got or got[-1] != seq:
        got += seqs([await client.frame()])
    return got


@on_both_loops
async def test_values_of_a_client_that_does_not_read_are_conflated() -> None:
    async with Edge(NARROW) as edge:
        with await edge.client(receive_buffer=4096) as slow, await edge.client() as fast:
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
            last = edge.source.tick(ticker("BTCUSDT"), price=0)
            assert await read_until(slow, last) == [last]
            await until(lambda: edge.count("slow") == 0)


@on_both_loops
async def test_trades_beyond_the_bound_are_let_go_and_the_slow_client_is_told_which() -> None:
    config = msgspec.structs.replace(NARROW, outbox=OutboxLimits(100, 20_000))
    async with Edge(config) as edge:
        with await edge.client(receive_buffer=4096) as slow, await edge.client() as fast:
            for client in (slow, fast):
                await client.subscribe("trade:BTCUSDT")
            got: list[int] = []
            while edge.count("lost") < 200:
                last = edge.source.trade(trades(), "x" * 300)
                await asyncio.sleep(0)
                got += seqs(fast.read_nowait())
                assert edge.count("waiting_bytes") <= 20_000
            expected = 1
            gaps = 0
            while expected <= last:
                message = await slow.message()
                if message["type"] == "gap":
                    hole = message["data"]
                    assert (hole["from"], hole["reason"], message["epoch"]) == (expected, "slow", 1)
                    expected = hole["to"] + 1
                    gaps += 1
                else:
                    assert message["seq"] == expected
                    expected += 1
            assert gaps == edge.count("gaps_sent") > 0
            assert (edge.count("closed_by_code"), edge.count("clients")) == ({}, 2)
            if not got or got[-1] != last:
                got += await read_until(fast, last)
            assert got == list(range(1, last + 1))


@on_both_loops
async def test_where_holes_are_not_wished_the_bound_closes_the_slow_client_and_no_other() -> None:
    config = msgspec.structs.replace(NARROW, outbox=OutboxLimits(100, 50_000, gaps=False))
    async with Edge(config) as edge:
        with await edge.client(receive_buffer=4096) as slow, await edge.client() as fast:
            for client in (slow, fast):
                await client.subscribe("trade:BTCUSDT")
            got: list[int] = []
            for _ in range(500):
                last = edge.source.trade(trades(), "x" * 300)
                await asyncio.sleep(0)
                got += seqs(fast.read_nowait())
                assert edge.count("waiting_bytes") <= 2 * 50_000
            if got[-1] != last:
                got += await read_until(fast, last)
            assert got == list(range(1, 501))
            assert edge.count("closed_by_code") == {"4008": 1}
            assert edge.count("clients") == 1
            arrived: list[int] = []
            while (frame := await slow.frame()).opcode != CLOSE:
                arrived += seqs([frame])
            assert arrived == list(range(1, len(arrived) + 1)), "nothing is left out before the close"
            assert (frame.close_code, frame.payload[2:10]) == (4008, b"Too slow")


@on_both_loops
async def test_who_reads_nothing_for_too_long_is_closed_and_then_aborted() -> None:
    config = msgspec.structs.replace(
        NARROW, stall_timeout_s=5.0, max_lag_s=1e6, close_timeout_s=5.0, ping_interval_s=1e6
    )
    clock = StandingClock()
    async with Edge(config, clock=clock) as edge:
        with await edge.client(receive_buffer=4096) as slow, await edge.client() as fast:
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
async def test_who_reads_a_little_now_and_then_may_stay_until_it_is_too_far_behind() -> None:
    config = msgspec.structs.replace(
        NARROW, stall_timeout_s=20.0, max_lag_s=40.0, ping_interval_s=4.0, pong_timeout_s=4.0
    )
    clock = StandingClock()
    async with Edge(config, clock=clock) as edge:
        with await edge.client(receive_buffer=4096) as slow:
            await slow.subscribe("trade:BTCUSDT")
            edge.source.trade(trades(), "x" * 5_000_000)
            await until(lambda: edge.count("slow"))
            full = clock.now
            paces = set()
            while not edge.count("closed_by_code"):
                assert clock.now - full < 200.0
                slow.read_nowait(4000)
                paces |= {pace for pace, count in edge.count("clients_by_pace").items() if count}
                await asyncio.sleep(0.01)
                clock.now += 1.0
            assert clock.now - full > 30.0, "neither a stall nor a pong that waits behind the data ends it"
            assert edge.count("closed_by_code") == {"4008": 1}
            assert "conflating" in paces


@on_both_loops
async def test_who_asks_and_asks_and_never_reads_is_aborted() -> None:
    config = msgspec.structs.replace(NARROW, max_control_bytes=10_000)
    async with Edge(config, FREE) as edge:
        with await edge.client(receive_buffer=4096) as client:
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    await client.send_frame(BINARY, b"?")
            await until(lambda: edge.count("sockets") == 0)
            assert edge.count("closed_by_code") == {"4008": 1}


@on_both_loops
async def test_a_large_frame_under_way_does_not_count_as_answers_that_wait() -> None:
    config = msgspec.structs.replace(NARROW, max_control_bytes=1000)
    async with Edge(config) as edge:
        with await edge.client(receive_buffer=4096) as client:
            await client.subscribe("trade:BTCUSDT")
            edge.source.trade(trades(), "x" * 500_000)
            await until(lambda: edge.count("slow"))
            await client.ask("ping")
            assert (await client.message())["data"] == "x" * 500_000
            assert (await client.message())["op"] == "pong"


class Chatter:
    """Sends pings of two kinds without end, and checks every frame that comes back.

    Args:
        client: a WebSocket that has subscribed to the trades.
    """

    def __init__(self, client: Raw) -> None:
        self._client = client
        self._dice = random.Random(20)
        self.pinged = self.asked = 0
        self.pongs = self.answers = self.trades = 0

    @property
    def messages(self) -> int:
        """In both directions."""
        return self.pinged + self.asked + self.pongs + self.answers + self.trades

    async def speak(self) -> None:
        """Send a few pings at once."""
        data = b""
        for _ in range(self._dice.randrange(4)):
            data += masked(PING, b"%d" % self.pinged) + masked(TEXT, request("ping"))
            self.pinged += 1
            self.asked += 1
        await self._client.send(data)

    def listen(self) -> tuple[int, int, int]:
        """Read some of what is here; return how many trades, answers and pongs there were so far."""
        for frame in self._client.read_nowait(self._dice.choice((100, 3000, 65536))):
            if frame.opcode == PONG:
                assert frame.payload == b"%d" % self.pongs
                self.pongs += 1
                continue
            message = json.loads(frame.payload)
            if message.get("op") == "pong":
                self.answers += 1
            else:
                self.trades += 1
                assert message["seq"] == self.trades
        return self.trades, self.answers, self.pongs


@pytest.mark.e2e
@on_both_loops
async def test_pongs_and_answers_never_land_inside_a_frame_of_a_full_socket() -> None:
    dice = random.Random(11)
    payloads = ["x" * dice.choice((10, 100, 300, 300, 2000, 20_000)) for _ in range(100)]
    config = msgspec.structs.replace(
        NARROW,
        send_buffer_bytes=8192,
        max_control_bytes=10_000_000,
        outbox=OutboxLimits(100_000, 100_000_000),
    )
    async with Edge(config, FREE) as edge:
        with await edge.client(receive_buffer=16384) as client:
            await client.subscribe("trade:BTCUSDT")
            chatter = Chatter(client)
            sent = full = 0
            while chatter.messages < 20_000:
                bound = 200_000 if chatter.messages // 2000 % 2 else 1  # much waits, or only a rest
                if edge.count("waiting_bytes") < bound:
                    for _ in range(dice.randrange(8)):
                        edge.source.trade(trades(), dice.choice(payloads))
                        sent += 1
                    await chatter.speak()
                full += edge.count("slow")
                await asyncio.sleep(0)
                chatter.listen()
            expected = (sent, chatter.asked, chatter.pinged)
            await until(lambda: chatter.listen() == expected, f"{expected} trades, answers and pongs")
            assert full > 400, "the socket was full most of the time"


@on_both_loops
async def test_who_has_to_wait_for_his_turn_to_speak_is_answered_in_order_and_not_read_meanwhile() -> None:
    async with Edge(changed(requests_turn_s=1e-9), FREE) as edge:
        clients = [await edge.client() for _ in range(10)]
        with contextlib.ExitStack() as stack:
            for client in clients:
                stack.enter_context(client)
            for number in range(20):
                for client in clients:
                    await client.send(masked(TEXT, request("subscribe", f"ticker:S{number}USDT")))
            gone = clients.pop()
            gone.close()
            for client in clients:
                for number in range(20):
                    assert (await client.message())["args"] == [f"ticker:S{number}USDT"]
            await until(lambda: edge.count("sockets") == 9)


def parts() -> list[object]:
    """The parts of all clients that this process holds."""
    return [thing for thing in gc.get_objects() if type(thing) in PARTS]


@on_both_loops
async def test_clients_that_go_leave_nothing_for_the_collector_of_circles() -> None:
    async with Edge() as edge:
        gc.collect()
        gc.disable()
        here = {id(part) for part in parts()}
        try:
            for _ in range(20):
                with await edge.client() as client:
                    await client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT")
                    edge.source.tick(ticker())
                    await client.message()
            await until(lambda: edge.count("sockets") == 0)
            left = [type(part) for part in parts() if id(part) not in here]
        finally:
            gc.enable()
        assert left == []


@pytest.mark.e2e
@on_both_loops
async def test_a_descriptor_that_is_used_again_never_gets_what_was_meant_for_another() -> None:
    dice = random.Random(3)
    names = ("AAA", "BBB", "CCC")
    async with Edge(NARROW) as edge:
        here: list[tuple[str, Raw]] = []
        seen = 0
        descriptors: set[int] = set()

        def publish() -> None:
            for each in names:
                edge.source.trade(trades(each), f"{each}:" + "x" * 500)

        for _ in range(400):
            name = dice.choice(names)
            # In every turn of the loop, so also in the one that matters; or not before the number that
            # is free belongs to somebody: a write to it until then would fail, and be the last.
            every_turn = dice.random() < 0.5
            connecting = asyncio.create_task(edge.client(receive_buffer=4096))
            while not connecting.done():
                if every_turn:
                    publish()
                await asyncio.sleep(0)
            client = await connecting
            publish()
            descriptors.add(client.fd)
            await client.ask("subscribe", f"trade:{name}")
            here.append((name, client))
            for mine, reader in here:
                for frame in reader.read_nowait():
                    assert frame.opcode == TEXT
                    message = json.loads(frame.payload)
                    if "op" in message:
                        assert message["args"] == [f"trade:{mine}"]
                        continue
                    assert message["stream"].endswith(mine), f"{mine} got {message['stream']}"
                    # A machine that is busy may let a connection wait for thousands of turns: then more
                    # waits for those who are here already than may, and they are told of a gap.
                    if message["type"] != "gap":
                        assert message["data"].startswith(f"{mine}:"), f"{mine} got {message['data'][:9]}"
                        seen += 1
            while len(here) > dice.randrange(1, 8):
                _, gone = here.pop(dice.randrange(len(here)))
                gone.close()
        for _, client in here:
            client.close()
        assert seen > 200
        assert len(descriptors) < 50, "numbers were used again"
        await until(lambda: edge.count("sockets") == 0)
        assert edge.source.held == set()
