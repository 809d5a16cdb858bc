"""P9: one venue frame in, one client frame out of the feed: decode, merge, number, encode, frame.

Real frames come from ``FEEDMUX_CAPTURES`` when it is set; the rest are recorded from the native
venue. Everything between the link and the outboxes runs as in the gateway, in this process.
Figures are messages per second of CPU time: other processes on the core do not count.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.report import Cell, say, spread, table
from bench.system.native import SERVER_CORE, Venue, pinned

TARGET = 250_000
_RECORDED = 2_000
_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
_CAPTURE = "bybit/fastmm_linear_tickers_btc_eth_20260930_excerpt.jsonl"

Feed = Callable[[bytes], object]
"""Takes one frame of the venue."""


class _Topic(msgspec.Struct):
    topic: str = ""
    type: str = ""


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure each set of frames in several rounds."""
    rounds = 3 if quick else 5
    sets = {
        "tickers, captured": _captured(),
        "tickers, made": _recorded("tickers"),
        "trades, made": _recorded("publicTrade"),
    }
    with pinned(SERVER_CORE):
        measured = {
            name: asyncio.run(_measure(frames, seconds / rounds, rounds))
            for name, frames in sets.items()
            if frames
        }
    rows: list[list[Cell]] = [
        [name, int(of["median"]), int(of["lowest"]), int(of["highest"]), len(sets[name])]
        for name, of in measured.items()
    ]
    table("Feed: decode, merge, encode", ["P9 feed", "msg/s of CPU", "lowest", "highest", "frames"], rows)
    say(f"target: at least {TARGET:,} msg/s")
    if not sets["tickers, captured"]:
        say("FEEDMUX_CAPTURES is not set: no real frames were measured.")
    return {"target_per_s": TARGET, "frames_per_cpu_s": measured}


async def _measure(frames: Sequence[bytes], seconds: float, rounds: int) -> dict[str, float]:
    published = [0]
    feed = connect_feed(frames, published)
    rates = []
    for frame in frames:
        feed(frame)
    for _ in range(rounds):
        before, fed, started = published[0], 0, time.process_time()
        while time.process_time() - started < seconds:
            for frame in frames:
                feed(frame)
            fed += len(frames)
        took = time.process_time() - started
        written = published[0] - before
        if written < 0.99 * fed:
            raise RuntimeError(f"of {fed:,} frames only {written:,} were published: the feed skipped work")
        rates.append(fed / took)
    return spread(rates)


# ------------------------------------------------------------------------------------------------
# ADAPTER: the only place that knows how the feed is driven.
# ------------------------------------------------------------------------------------------------


def connect_feed(frames: Sequence[bytes], published: list[int]) -> Feed:
    """A feed that wants every topic of ``frames``, is confirmed, and counts what it publishes.

    Each published envelope is encoded for its clients, as the hub would have it done, once.

    Args:
        frames: what it will be fed.
        published: its first element is raised by one for each frame that clients would be sent.
    """
    # isort: off
    from feedmux.feed.driver import Driver, DriverConfig
    from feedmux.model.event import Envelope, EventKind
    from feedmux.model.topic import PUBLIC, Topic
    from feedmux._native.text import data_frame
    from feedmux.feed.market import merging
    from feedmux.venue.bybit import INTERVALS, Bybit
    from feedmux.wire.place import Place, Places
    from feedmux.wire.stream import StreamFormat
    # isort: on

    encode = StreamFormat(
        Places("mudrex", [Place("bybit.linear", "bybit", "linear", "futures", INTERVALS)]),
        data_frame=data_frame,
    ).frame
    values = (EventKind.SNAPSHOT, EventKind.UPDATE)

    class Publisher:
        def publish(self, envelope: Envelope, /) -> None:
            if encode(envelope) is not None and envelope.kind in values:
                published[0] += 1

    link = _Wire()
    driver = Driver(
        Bybit("linear"),
        Publisher(),
        merging=merging(),
        make_link=link.attach,
        config=DriverConfig(),
        clock=_Clock(),
    )
    kinds = {"tickers": "ticker", "publicTrade": "trade"}
    for name in sorted({msgspec.json.decode(frame, type=_Topic).topic for frame in frames}):
        kind, _, symbol = name.partition(".")
        driver.want(Topic(PUBLIC, "bybit", "linear", kinds[kind], symbol), "bench")
    link.user.opened()
    received: Feed = link.user.received
    return received


class _Wire:
    """Stands where the link would: it confirms every request, and sends nothing anywhere."""

    user: Any

    def attach(self, user: Any) -> Any:
        self.user = user
        return self

    def send(self, payload: bytes) -> None:
        request = msgspec.json.decode(payload)
        answer = {
            "success": True,
            "ret_msg": "",
            "conn_id": "c",
            "req_id": request["req_id"],
            "op": "subscribe",
        }
        self.user.received(msgspec.json.encode(answer))

    def prove(self) -> None:
        """The connection has shown that it works; nothing to do here."""

    def replace(self, reason: str) -> None:
        raise RuntimeError(f"the feed gave its connection up: {reason}")


class _Clock:
    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)


# ------------------------------------------------------------------------------------------------


def _captured() -> list[bytes]:
    """The captured tickers, snapshots first: that the first pass and every later one are whole."""
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        return []
    lines = (Path(folder) / _CAPTURE).read_bytes().splitlines()
    heads = [(msgspec.json.decode(line, type=_Topic), line) for line in lines]
    tickers = [(head, line) for head, line in heads if head.topic.startswith("tickers.")]
    return [line for _, line in sorted(tickers, key=lambda one: one[0].type != "snapshot")]


def _recorded(kind: str) -> list[bytes]:
    """Frames of the native venue; a ticker's snapshots come first, as it sends them."""
    from websockets.sync.client import connect

    request = {"op": "subscribe", "args": [f"{kind}.{symbol}" for symbol in _SYMBOLS], "req_id": "1"}
    frames: list[bytes] = []
    with Venue(arguments=["--rate", 20_000]) as venue:
        url = f"ws://127.0.0.1:{venue.port}/v5/public/linear"
        with connect(url, compression=None) as connection:
            connection.send(msgspec.json.encode(request), text=True)
            while len(frames) < _RECORDED:
                frame = connection.recv(5, decode=False)
                if b'"topic"' in frame[:10]:
                    frames.append(frame)
    return frames
