"""Clients that read in crumbs, reset, interrupt, change their minds: nothing leaks, nobody else notices."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from websockets.asyncio.client import connect

from support.frames import PING, TEXT, masked
from support.processes import Gateway, Message, Stage
from support.raw import request
from support.running import environment
from support.streams import judge, of
from support.waiting import eventually

MEGABYTE = 1024 * 1024
SYMBOLS = ("BTC", "ETH", "SOL", "XRP", "DOGE")
STREAMS = ("mudrex.futures.ticker.BTCUSDT", "mudrex.futures.trade.BTCUSDT")
TRADES = [f"trade:{symbol}USDT" for symbol in SYMBOLS]
ALL = [f"{kind}:{symbol}USDT" for kind in ("ticker", "trade", "kline:1m") for symbol in SYMBOLS]
SMALL = {"SEND_BUFFER_BYTES": 16_384, "UNSENT_BYTES": 8192, "OUTBOX_MAX_BYTES": 131_072}
BUSY = ("--rate", "200", "--trade-rate", "4000")


class Footprint(NamedTuple):
    """What a gateway holds for its clients, besides memory."""

    clients: int
    subscriptions: int
    topics: int
    slow: int
    waiting_bytes: int
    descriptors: int

    def is_at_rest(self) -> bool:
        """No client is behind, not even for a moment."""
        return self.slow == 0 == self.waiting_bytes


async def footprint(gateway: Gateway) -> Footprint:
    body = await gateway.stats()
    return Footprint(
        body["connections"]["active_connections"],
        body["pubsub"]["total_subscriptions"],
        body["pubsub"]["active_channels"],
        body["slow_clients"]["now"],
        body["slow_clients"]["waiting_bytes"],
        gateway.running.descriptors(),
    )


@asynccontextmanager
async def bystander(gateway: Gateway) -> AsyncIterator[None]:
    """A client that misses nothing meanwhile; then the gateway holds as much as it did before.

    It is a process that writes into a file, so that nothing that the test does makes it slow.
    """
    with tempfile.NamedTemporaryFile() as file:
        command = ("-m", "feedmux", "tail", "ticker:BTCUSDT", "trade:BTCUSDT", "--url", gateway.url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, env=environment()
        )
        try:
            await told(file.name, [], "it has begun")
            before = await eventually(lambda: footprint(gateway), Footprint.is_at_rest, "nothing waits")
            yield
            await eventually(lambda: footprint(gateway), before.__eq__, f"as before: {before}")
            messages = await told(file.name, read(file.name), "it goes on")
        finally:
            process.terminate()
            await process.wait()
    for stream in STREAMS:
        (run,) = judge(messages, stream)
        assert run.values[-1]["seq"] - run.values[0]["seq"] == len(run.values) - 1


def read(name: str) -> list[Message]:
    """The whole lines of a file."""
    return [json.loads(line) for line in Path(name).read_text().splitlines(keepends=True) if line[-1] == "\n"]


async def told(name: str, before: Sequence[Message], what: str) -> list[Message]:
    """Wait until there are ten more messages of each stream."""

    async def now() -> list[Message]:
        return read(name)

    def more(messages: list[Message]) -> bool:
        return all(len(of(messages, stream)) >= len(of(before, stream)) + 10 for stream in STREAMS)

    return await eventually(now, more, what)


def in_order(messages: Sequence[Message], stream: str) -> int:
    """Read a stream of trades: each hole has a gap that names it; how many gaps there are."""
    expected, gaps = 0, 0
    for message in of(messages, stream):
        first = message["data"]["from"] if message["type"] == "gap" else message["seq"]
        assert first == (expected or first), f"{expected} was expected: {message}"
        expected = 1 + (message["data"]["to"] if message["type"] == "gap" else message["seq"])
        gaps += message["type"] == "gap"
    return gaps


async def test_one_that_reads_a_byte_at_a_time_gets_whole_frames_and_is_told_what_it_missed(
    stage: Stage,
) -> None:
    venue = await stage.venue(*BUSY)
    gateway = await stage.gateway(venue.url, **SMALL)
    async with bystander(gateway):
        crumbs = await stage.deaf(gateway, *TRADES)
        streams = [f"mudrex.futures.trade.{symbol}USDT" for symbol in SYMBOLS]
        read = gaps = 0
        async with asyncio.timeout(40):
            while read < 50_000 or not gaps:
                await crumbs.read(1)
                await asyncio.sleep(0)  # the bystander reads, too
                read += 1
                if read % 1000 == 0:
                    gaps = sum(in_order(crumbs.messages, stream) for stream in streams)
        assert crumbs.closed is None
        crumbs.close()
    assert (await gateway.stats())["closed_by_code"] == {}


async def test_resets_in_the_middle_of_frames_leave_nothing_behind(stage: Stage) -> None:
    venue = await stage.venue(*BUSY)
    gateway = await stage.gateway(venue.url, UNSUBSCRIBE_LINGER=0.5, **SMALL)
    async with bystander(gateway):
        memory = 0
        for _ in range(8):
            crowd = await asyncio.gather(*(stage.deaf(gateway, *TRADES) for _ in range(25)))
            await gateway.shows(lambda body: body["slow_clients"]["now"] == 25, "every socket is full")
            await asyncio.gather(*(client.read(3000 + at) for at, client in enumerate(crowd)))
            for at, client in enumerate(crowd):
                if at % 2:  # in the middle of a frame of its own, too
                    client.sock.send(masked(TEXT, request("ping"))[:at])
                client.reset()
            await gateway.shows(lambda body: body["connections"]["active_connections"] == 1, "they are gone")
            memory = memory or gateway.running.memory_bytes()
        assert gateway.running.memory_bytes() - memory < 4 * MEGABYTE
        await venue.carries("publicTrade.BTCUSDT", "tickers.BTCUSDT")
    body = await gateway.stats()
    assert body["connections"]["total_connections_lifetime"] == 201
    assert body["closed_by_code"] == {}


async def test_one_that_talks_a_byte_at_a_time_between_its_data_is_understood(stage: Stage) -> None:
    venue = await stage.venue(*BUSY)
    gateway = await stage.gateway(venue.url, MAX_MESSAGE_RATE_PER_CLIENT=1_000_000, **SMALL)
    loop = asyncio.get_running_loop()
    async with bystander(gateway):
        talker = await stage.deaf(gateway, *TRADES)
        words = b"".join(masked(TEXT, request("ping")) + masked(PING, b"%d" % n) for n in range(300))
        async with asyncio.timeout(30):
            for at in range(len(words)):
                if at % 30 == 0:
                    await gateway.shows(lambda body: body["slow_clients"]["now"] == 1, "its socket is full")
                await loop.sock_sendall(talker.sock, words[at : at + 1])
                await asyncio.sleep(0)
                if at % 30 == 29:
                    await talker.read(5000)
            while sum(message.get("op") == "pong" for message in talker.messages) < 300:
                await talker.read()
        for symbol in SYMBOLS:
            in_order(talker.messages, f"mudrex.futures.trade.{symbol}USDT")
        talker.close()
    assert (await gateway.stats())["closed_by_code"] == {}


async def change_minds(gateway: Gateway, count: int, *, most: int) -> Counter[str]:
    """Subscribe and unsubscribe ``count`` times, ``most`` requests ahead of the answers; what these were."""
    told: Counter[str] = Counter()
    async with connect(gateway.url, compression=None, max_queue=None) as socket:
        room = asyncio.Semaphore(most)

        async def ask() -> None:
            for number in range(count):
                await room.acquire()
                arg = ALL[number // 2 % len(ALL)]
                await socket.send(request("unsubscribe" if number % 2 else "subscribe", arg))

        asking = asyncio.create_task(ask())
        async with asyncio.timeout(60):
            while told.total() < count:
                message = json.loads(await socket.recv())
                if "op" in message:
                    told[message.get("code", message["op"])] += 1
                    room.release()
            await asking
    return told


async def test_changes_of_mind_beyond_the_rate_are_errors_and_cost_the_venue_little(stage: Stage) -> None:
    venue = await stage.venue(*BUSY)
    gateway = await stage.gateway(venue.url, UNSUBSCRIBE_LINGER=0.5)
    async with bystander(gateway):
        told = await change_minds(gateway, 700, most=700)
        assert told["RATE_LIMIT_EXCEEDED"] > 300
        assert told["subscribe"] > 5
        assert set(told) == {"subscribe", "unsubscribe", "RATE_LIMIT_EXCEEDED"}
        await venue.carries("publicTrade.BTCUSDT", "tickers.BTCUSDT")
    assert (await venue.requests())["subscribe"] < 100


async def test_thousands_of_changes_of_mind_leave_nothing_behind(stage: Stage) -> None:
    venue = await stage.venue(*BUSY)
    gateway = await stage.gateway(venue.url, MAX_MESSAGE_RATE_PER_CLIENT=1_000_000, UNSUBSCRIBE_LINGER=0.5)
    async with bystander(gateway):
        await change_minds(gateway, 2000, most=8)
        await venue.carries("publicTrade.BTCUSDT", "tickers.BTCUSDT")
        memory = gateway.running.memory_bytes()
        for _ in range(5):
            told = await change_minds(gateway, 4000, most=8)
            assert told == {"subscribe": 2000, "unsubscribe": 2000}
            await venue.carries("publicTrade.BTCUSDT", "tickers.BTCUSDT")
        assert gateway.running.memory_bytes() - memory < 2 * MEGABYTE
