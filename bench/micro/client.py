"""What a link costs beside the library that it stands on: ``python -m bench.micro.client [--seconds S]``.

One client and one echo server, each on a core of its own, one message under way at a time. *picows* is a
listener of that library and nothing else, *carrier* what a feed stands on, *link* what a program
uses, its JSON decoded, *request* a JSON-RPC call and its answer. They take turns; the table has the
medians of the rounds. ``CPU`` is the client's, for one round trip.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.report import Cell, say, spread, table
from bench.results import store
from bench.system.native import SERVER_CORE, pinned
from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.link import connect
from feedmux.client.settings import LinkConfig

ROUNDS = 7
MOST_RATIO = 1.15
_MESSAGE = b'{"price":"67000.10","amount":"1.500","pad":"' + b"x" * 80 + b'"}'
_SERVER = """
import asyncio, json, sys, uvloop
from picows import WSListener, WSMsgType, ws_create_server

class Echo(WSListener):
    def on_ws_connected(self, transport):
        self.transport = transport

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.TEXT:
            text = frame.get_payload_as_bytes()
            if text.startswith(b'{"jsonrpc"'):
                number = json.loads(text)["id"]
                text = b'{"jsonrpc":"2.0","id":%d,"result":[1]}' % number
            transport.send(WSMsgType.TEXT, text)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

async def main():
    server = await ws_create_server(lambda request: Echo(), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

uvloop.run(main())
"""

Trip = Callable[[], Awaitable[object]]


class Plain(WSListener):
    """picows, used as its examples use it."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes]
        self.transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.answer.set_result(frame.get_payload_as_bytes())

    async def trip(self) -> object:
        """Send a message and wait for it."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.send(WSMsgType.TEXT, _MESSAGE)
        return await self.answer


class Carried:
    """The user of a carrier."""

    def __init__(self, url: str) -> None:
        self.carrier = Carrier(
            url, self, config=LinkConfig(), clock=SystemClock(), dice=random.SystemRandom()
        )
        self.is_open = asyncio.Event()
        self.answer: asyncio.Future[bytes]

    def opened(self) -> None:
        self.is_open.set()

    def received(self, payload: bytes) -> None:
        self.answer.set_result(payload)

    received_binary = received

    def lost(self, reason: str) -> None:
        self.is_open.clear()

    def retrying(self, reason: str, wait_s: float) -> None:
        pass

    def ping(self) -> bytes | None:
        return None

    async def trip(self) -> object:
        """Send a message and wait for it."""
        self.answer = asyncio.get_running_loop().create_future()
        self.carrier.send(_MESSAGE)
        return await self.answer


async def _measure(trip: Trip, seconds: float) -> tuple[float, float]:
    """(microseconds, microseconds of CPU) of a round trip."""
    for _ in range(200):
        await trip()
    count, used, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(100):
            await trip()
        count += 100
    return (time.perf_counter() - began) / count * 1e6, (time.process_time() - used) / count * 1e6


async def _rounds(url: str, seconds: float) -> dict[str, list[tuple[float, float]]]:
    _, plain = await ws_connect(Plain, url)
    assert isinstance(plain, Plain)
    carried = Carried(url)
    running = asyncio.ensure_future(carried.carrier.run())
    await carried.is_open.wait()
    async with connect(url) as link:

        async def through_the_link() -> object:
            await link.send(_MESSAGE.decode())
            return await anext(link)

        async def request() -> object:
            return await link.request("public/test")

        trips: dict[str, Trip] = {
            "picows": plain.trip,
            "carrier": carried.trip,
            "link": through_the_link,
            "request": request,
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in trips}
        for _ in range(ROUNDS):
            for name, trip in trips.items():
                taken[name].append(await _measure(trip, seconds))
    carried.carrier.close()
    await running
    plain.transport.disconnect()
    return taken


def run(*, seconds: float) -> dict[str, Any]:
    """Measure all of them in turns."""
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"ws://127.0.0.1:{int(server.stdout.readline())}/"
        with pinned(SERVER_CORE):
            taken = uvloop.run(_rounds(url, seconds))
    finally:
        server.terminate()
        server.wait()
    plain = taken["picows"]
    figures = {
        name: {
            "round_trip_us": spread([trip for trip, _ in rounds]),
            "cpu_us": spread([cpu for _, cpu in rounds]),
            "ratio": spread([trip / other for (trip, _), (other, _) in zip(rounds, plain, strict=True)]),
        }
        for name, rounds in taken.items()
    }
    rows: list[list[Cell]] = [
        [name, each["round_trip_us"]["median"], each["cpu_us"]["median"], each["ratio"]["median"],
         each["ratio"]["lowest"], each["ratio"]["highest"]]
        for name, each in figures.items()
    ]  # fmt: skip
    columns = ["Round trips", "µs", "CPU µs", "to picows", "lowest", "highest"]
    table(f"A message of {len(_MESSAGE)} bytes and its echo", columns, rows)
    say(f"target: link / picows at most {MOST_RATIO}")
    return {"rounds": ROUNDS, "target_ratio": MOST_RATIO, **figures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    parser.add_argument("--store", action="store_true", help="keep the result")
    options = parser.parse_args()
    found = run(seconds=options.seconds)
    if options.store:
        say(f"stored in {store('client', found, quick=False)}")
