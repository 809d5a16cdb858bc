"""Foreign clients whose sockets are full most of the time get every message whole and in order.

One is on picows, one on node's ``ws``. They read in bursts and pauses, and talk meanwhile, so that
answers and pongs are due while a frame is half written; both check all that they get (``tests/peers/``).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from support.processes import Gateway, Stage
from support.programs import Program, node

MESSAGES = int(os.environ.get("FEEDMUX_PEER_MESSAGES", "200000"))
"""To both clients together; `make peers` wants a million."""
PATIENCE_S = 30 + MESSAGES / 5_000
SEND_BUFFER_BYTES = 16_384
STEADY = [f"trade:{symbol}USDT" for symbol in ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH")]
STEADY += ["ticker:AAAUSDT", "ticker:BBBUSDT", "kline:1m:AAAUSDT", "kline:1m:BBBUSDT"]
FICKLE = ["trade:ZZZUSDT", "ticker:ZZZUSDT", "kline:1m:ZZZUSDT"]
WINDOWS = (10_000, 500)
"""How many of the venue's messages may be on their way: much waits at the gateway, or little."""
PHASE = 20_000
NARROW = {
    "SEND_BUFFER_BYTES": SEND_BUFFER_BYTES,
    "UNSENT_BYTES": SEND_BUFFER_BYTES // 2,
    "OUTBOX_MAX_BYTES": 8_000_000,
    "OUTBOX_MAX_FRAMES": 1_000_000,
    "FANOUT_CALLBACK_TIMEOUT": 60,
    "CLIENT_MAX_LAG": 3600,
    "CLIENT_PING_TIMEOUT": 60,
    "MAX_MESSAGE_RATE_PER_CLIENT": 1_000_000,
    "UNSUBSCRIBE_LINGER": 3600,
    "TICKER_SILENCE": 3600,
    "KLINE_SILENCE": 3600,
}


class Peer:
    """A client: how far it has read, and in the end what it counted."""

    def __init__(self, program: Program, news: asyncio.Event) -> None:
        self._program = program
        self._news = news
        self.ready = asyncio.Event()
        self.seen = 0
        self.counts: dict[str, int] = {}

    async def follow(self) -> None:
        """Read what it says to its end."""
        while not self.counts:
            said: dict[str, Any] = json.loads(await self._program.line())
            if "seen" in said:
                self.seen = said["seen"]
                self.ready.set()
            else:
                self.counts = said
            self._news.set()


async def feed(venue: Program, clients: list[Peer], news: asyncio.Event) -> None:
    """Let the venue send as long as a client reads: in turns so much that it waits, and little."""
    for client in clients:
        await client.ready.wait()
    sent = 0
    while reading := [client.seen for client in clients if not client.counts]:
        window = WINDOWS[sent // PHASE % len(WINDOWS)]
        if sent - min(reading) < window:
            venue.tell(str(window // 2))
            sent += window // 2
        else:
            news.clear()
            await news.wait()


async def look(gateway: Gateway, seen: list[dict[str, Any]]) -> None:
    """Note how slow the clients are, again and again."""
    while True:
        seen.append((await gateway.stats())["slow_clients"])
        await asyncio.sleep(0.1)


async def test_every_frame_of_a_full_socket_is_whole_and_in_order_for_foreign_clients(stage: Stage) -> None:
    javascript, news, looks = node(), asyncio.Event(), list[dict[str, Any]]()
    async with Program.run(sys.executable, "-m", "peers.venue") as venue:
        gateway = await stage.gateway((await venue.line()).strip(), **NARROW)
        told = {"url": gateway.url, "messages": MESSAGES // 2, "steady": STEADY, "fickle": FICKLE}
        async with (
            Program.run(sys.executable, "-m", "peers.picows_client", json.dumps(told)) as python,
            Program.run(javascript, "ws_client.mjs", json.dumps(told)) as script,
        ):
            clients = [Peer(program, news) for program in (python, script)]
            looking = asyncio.create_task(look(gateway, looks))
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
                for client in clients:
                    tasks.create_task(client.follow())
                tasks.create_task(feed(venue, clients, news))
            looking.cancel()
    for client in clients:
        check(client.counts)
    body = await gateway.shows(lambda body: body["connections"]["active_connections"] == 0, "both are gone")
    assert body["closed_by_code"] == {}
    assert body["slow_clients"]["conflated"] > 1000, "tickers waited for sockets"
    assert sum(seen["now"] > 0 for seen in looks) > len(looks) / 2, "a socket was full most of the time"
    assert body["slow_clients"]["waiting_bytes"] == 0


def check(counts: dict[str, int]) -> None:
    """What one client got was of every kind, and much of it was cut by its socket."""
    assert counts["values"] >= MESSAGES // 2
    assert counts["longest"] > 3 * SEND_BUFFER_BYTES, "frames that no send takes as a whole"
    for kind in ("trade updates", "ticker updates", "kline updates", "ticker snapshots", "pongs"):
        assert counts[kind] > 0, (kind, counts)
    assert counts["answers to pong"] > 100, counts
    assert counts["answers to subscribe"] > len(STEADY) + 100, counts
    assert counts["pauses"] > 50, counts
