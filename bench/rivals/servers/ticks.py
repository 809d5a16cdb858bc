"""What the Python servers share: the messages, their times, the commands, the answer to a subscription.

Messages have the shape and the bytes of client_message in native/ws.h. ``rate R`` keeps a schedule of
intended times on a timer of the kernel (timerfd): what is due goes out in one turn, each message with its
own intended time. ``saturate`` is one tick per turn of the event loop, skipped while a client holds it up.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

SATURATED_BATCH = 10
"""Messages per tick over random topics, the same in floor.c."""
HOLDS_UP = 65_536
"""A client with more bytes than this waiting in its server holds the next tick up."""
_LONGEST_TURN_NS = 10_000_000
_SHARE = 16
_PADDED_FOR = 100_000
"""The seq that --client-bytes counts with."""

Batch = list[tuple[str, bytes]]
"""Topic and message, in the order in which they were made."""


class Stream:
    """The messages of one topic."""

    def __init__(self, symbol: str, size: int) -> None:
        self.topic = f"trade:{symbol}"
        self._seq = 0
        self._before = f'{{"stream":"mudrex.futures.trade.{symbol}","type":"update","data":[{{"id":"'.encode()
        self._after = (
            f'","symbol":"{symbol}","price":"80682.00","quantity":"0.015","side":"buy","time":'.encode()
        )
        pad = size - len(self._text(0, 1_700_000_000_000, _PADDED_FOR))
        if pad > 0:
            self._after = b"-" + b"x" * (pad - 1) + self._after

    def message(self, intended_ns: int, ms: int) -> bytes:
        """The next message."""
        self._seq += 1
        return self._text(intended_ns, ms, self._seq)

    def _text(self, intended_ns: int, ms: int, seq: int) -> bytes:
        return b'%b%017d%b%d,"isBlockTrade":false}],"timestamp":%d,"source":"mudrex","seq":%d}' % (
            self._before, intended_ns, self._after, ms, ms, seq,
        )  # fmt: skip


class Ticks:
    """Makes the messages of a tick and counts them; reads its options from the command line."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--symbols", default="BTCUSDT")
        parser.add_argument("--topics", type=int, default=0)
        parser.add_argument("--client-bytes", type=int, default=420)
        options = parser.parse_args()
        self.random = options.topics > 0
        symbols = [f"S{i:03d}USDT" for i in range(options.topics)] or options.symbols.split(",")
        self._streams = [Stream(symbol, options.client_bytes) for symbol in symbols]
        self.batch = 1
        self.counted = {"ticks": 0, "messages": 0, "latest_by_ns": 0}

    def make(self, intended_ns: int) -> Batch:
        """One of each symbol, or a batch over random topics."""
        ms = time.time_ns() // 1_000_000
        streams = random.choices(self._streams, k=self.batch) if self.random else self._streams
        made = [(stream.topic, stream.message(intended_ns, ms)) for stream in streams]
        counted = self.counted
        counted["ticks"] += 1
        counted["messages"] += len(made)
        counted["latest_by_ns"] = max(counted["latest_by_ns"], time.monotonic_ns() - intended_ns)
        return made


def answer(text: str | bytes) -> tuple[list[str], str]:
    """The topics that a client's text asks for, and what it is told."""
    request = json.loads(text)
    if request.get("op") != "subscribe":
        return [], '{"op":"pong","timestamp":0}'
    told = {"op": "subscribe", "success": True, "args": request["args"], "message": "Subscribed"}
    return request["args"], json.dumps({**told, "rejected": None}, separators=(",", ":"))


class Rows:
    """The clients of each topic, for libraries that know no topics.

    Args:
        waiting: how many bytes wait in the server for a client.
    """

    def __init__(self, waiting: Callable[[object], int]) -> None:
        self._waiting = waiting
        self._rows: dict[str, set[object]] = {}
        self._ring: list[object] = []
        self._known: set[object] = set()
        self._at = 0

    def __len__(self) -> int:
        return len(self._ring)

    def of(self, topic: str) -> set[object]:
        """Who is subscribed to a topic."""
        return self._rows.get(topic, set())

    def join(self, client: object, topics: Sequence[str]) -> None:
        """Subscribe a client."""
        for topic in topics:
            self._rows.setdefault(topic, set()).add(client)
        if topics and client not in self._known:
            self._known.add(client)
            self._ring.append(client)

    def leave(self, client: object) -> None:
        """Forget a client."""
        for row in self._rows.values():
            row.discard(client)
        if client in self._known:
            self._known.remove(client)
            self._ring.remove(client)

    def full(self) -> bool:
        """Look at a sixteenth of the clients; stay at one that has too much waiting until it has less."""
        for _ in range(-(-len(self._ring) // _SHARE)):
            if self._waiting(self._ring[self._at % len(self._ring)]) > HOLDS_UP:
                return True
            self._at += 1
        return False


class Driver:
    """Obeys the commands: ``rate R``, ``saturate``, ``stop``, ``stats``, ``quit``.

    Args:
        ticks: makes the messages.
        publish: sends a batch.
        clients: how many are subscribed.
        full: whether a client holds the next tick up.
    """

    def __init__(
        self,
        ticks: Ticks,
        publish: Callable[[Batch], Awaitable[None]],
        clients: Callable[[], int],
        full: Callable[[], bool],
    ) -> None:
        self._ticks = ticks
        self._publish = publish
        self._clients = clients
        self._full = full
        self._mode = "stop"
        self._next_ns = self._step_ns = 0
        self._changed = asyncio.Event()
        self._alarm = _Alarm(self._changed.set)

    async def run(self, port: int) -> None:
        """Say the port, then make ticks as the commands want until there are no more commands."""
        os.set_blocking(0, False)
        asyncio.get_running_loop().add_reader(0, self._read_commands)
        print(json.dumps({"port": port}), flush=True)
        while True:
            if self._mode == "rate":
                await self._send_due()
            elif self._mode == "saturate" and self._clients():
                if not self._full():
                    await self._publish(self._ticks.make(time.monotonic_ns()))
                await asyncio.sleep(0)
                continue
            await self._changed.wait()
            self._changed.clear()

    async def _send_due(self) -> None:
        now = time.monotonic_ns()
        while self._mode == "rate" and self._next_ns <= now:
            await self._publish(self._ticks.make(self._next_ns))
            self._next_ns += self._step_ns
            if time.monotonic_ns() - now > _LONGEST_TURN_NS:
                break  # clients and commands have their turn; the alarm rings at once for the rest
        self._alarm.set(self._next_ns)

    def _read_commands(self) -> None:
        text = os.read(0, 4096)
        if not text:
            os._exit(0)  # no server outlives the process that started it
        for line in text.decode().splitlines():
            self._obey(*line.split())
        self._changed.set()

    def _obey(self, word: str, value: str = "") -> None:
        if word == "stats":
            print(json.dumps({**self._ticks.counted, "clients": self._clients()}), flush=True)
        elif word == "quit":
            os._exit(0)
        elif word == "rate":
            rate, self._mode = float(value), word
            many = self._ticks.random and rate > 2000
            self._ticks.batch = int(rate / 2000 + 0.5) if many else 1
            self._step_ns = int(self._ticks.batch * 1e9 / rate)
            self._next_ns = time.monotonic_ns() + self._step_ns
        elif word in {"saturate", "stop"}:
            self._mode, self._ticks.batch = word, SATURATED_BATCH
        else:
            print(f"unknown command: {word}", file=sys.stderr)


class _Alarm:
    """A timer of the kernel: the event loops' own have a resolution of 1 ms."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ring = ring
        self._timer: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._timer, self._rings)

    def set(self, at_ns: int) -> None:
        """Ring at a time of CLOCK_MONOTONIC, at once when it has passed."""
        at = (ctypes.c_long * 4)(0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000)
        self._libc.timerfd_settime(self._timer, 1, at, None)

    def _rings(self) -> None:
        os.read(self._timer, 8)
        self._ring()
