"""Check what the load claims to have seen: a small server says a thing, the load must count just that."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any

from bench.system.native import Floor, Load
from bench.system.run import Running, Workload, clean, load_of, part, relay, start, symbols
from bench.system.run import run as run_once

TRADE = "mudrex.futures.trade.BTCUSDT"
LONGER = "mudrex.futures.trade.1000PEPEUSDT"
TICKER = "mudrex.futures.ticker.BTCUSDT"
_AGE_NS = 5_000_000
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def expect(fact: bool, otherwise: object) -> None:
    """Fail the check with what was seen."""
    if not fact:
        raise AssertionError(otherwise)


# ---- a server that says what it is told -------------------------------------------------------------------


def value(stream: str, seq: int, *, pad: int = 0) -> str:
    """A message of the gateway's shape, 5 ms old."""
    born = time.monotonic_ns() - _AGE_NS
    data: dict[str, Any] = {"id": f"{born:017d}{'-' * pad}", "symbol": "BTCUSDT"}
    message: dict[str, Any] = {"stream": stream, "type": "update", "data": [data]}
    if ".ticker." in stream:
        message["data"] = {"symbol": "BTCUSDT", "turnover24h": f"{born:017d}"}
    return _compact({**message, "timestamp": 1, "source": "mudrex", "seq": seq})


def gap(stream: str, first: int, last: int) -> str:
    """What the gateway sends when it leaves values out."""
    named = {"from": first, "to": last, "reason": "slow"}
    return _compact({"stream": stream, "type": "gap", "data": named, "epoch": 1})


def _compact(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def frame(text: str) -> bytes:
    """One unmasked text frame."""
    payload = text.encode()
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def _serve(peer: socket.socket, said: bytes, piece: int) -> None:
    with contextlib.suppress(OSError), peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key.split(b":")[1].strip() + _GUID).digest())
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        peer.recv(65536)
        peer.sendall(frame('{"op":"subscribe","success":true,"args":[],"rejected":null}'))
        for at in range(0, len(said), piece):
            peer.sendall(said[at : at + piece])
            if piece < len(said):
                time.sleep(0.0005)  # so that the load meets the pieces one by one
        while peer.recv(4096):
            continue


@contextlib.contextmanager
def saying(messages: Sequence[str], *, piece: int = 1 << 30) -> Iterator[int]:
    """A server that says the same to every client, ``piece`` bytes at a time; gives its port."""
    said = b"".join(frame(message) for message in messages)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    Thread(target=_serve, args=(listener.accept()[0], said, piece), daemon=True).start()

        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def seen(messages: Sequence[str], *, piece: int = 1 << 30, options: Sequence[object] = ()) -> dict[str, Any]:
    """What the load reports of these messages."""
    topics = ["--topics", "trade:A,trade:B,ticker:A"]
    arguments = [*topics, "--warmup", 0, "--seconds", 0.3, *options]
    with saying(messages, piece=piece) as port, Load(port, clients=1, arguments=arguments) as load:
        load.ready()
        while (line := load.line(10))["event"] != "result":
            continue
    return line


# ---- the checks ------------------------------------------------------------------------------------------

_CASES: dict[str, tuple[list[int], dict[str, int]]] = {
    "in order": ([5, 6, 7, 8], {}),
    "a loss": ([5, 6, 10, 11], {"lost": 3}),
    "two losses": ([5, 7, 9], {"lost": 2}),
    "a duplicate": ([5, 6, 6, 7], {"duplicates": 1}),
    "a swap": ([5, 7, 6, 8], {"lost": 1, "disorder": 1}),
    "a step back": ([5, 6, 7, 5], {"disorder": 1}),
}
_COUNTED = ("lost", "duplicates", "disorder", "gap_messages", "announced", "conflated")


def _expect_counts(result: dict[str, Any], wanted: dict[str, int], what: str) -> None:
    counted = {name: result[name] for name in _COUNTED if result[name]}
    expect(counted == wanted, f"{what}: counted {counted} instead of {wanted}: {result}")


def load_counts_losses_duplicates_and_swaps() -> None:
    """Each fault by itself, and beside a stream that has none, whole and in pieces of 7 bytes."""
    for what, (order, wanted) in _CASES.items():
        for piece in (1 << 30, 7):
            messages = []
            for place, seq in enumerate(order):
                messages += [value(TRADE, seq), value(LONGER, place + 1, pad=40)]
            result = seen(messages, piece=piece)
            _expect_counts(result, wanted, f"{what}, pieces of {piece}")
            expect(result["received_in_all"] == len(messages) and result["streams"] == 2, result)


def load_believes_a_gap_message() -> None:
    """What a gap message names is announced, not lost; what goes missing beside it is lost."""
    result = seen([value(TRADE, 1), gap(TRADE, 2, 4), value(TRADE, 5), value(TRADE, 6)])
    _expect_counts(result, {"gap_messages": 1, "announced": 3}, "a gap")
    result = seen([value(TRADE, 1), gap(TRADE, 2, 4), value(TRADE, 7)])
    _expect_counts(result, {"gap_messages": 1, "announced": 3, "lost": 2}, "a gap that is too short")


def load_times_trades_and_tickers() -> None:
    """A message that was 5 ms old when the server was asked is at least that old; all are timed."""
    messages = [value(stream, seq) for seq in range(1, 9) for stream in (TRADE, TICKER, LONGER)]
    result = seen(messages, piece=100)
    expect(not result["untimed"] and 12 <= result["deliveries"] <= 24, result)
    expect(_AGE_NS * 0.99 <= result["p50_ns"] < 1_000_000_000, result)


def load_counts_slow_clients_apart() -> None:
    """A jump of a slow client is conflation at a ticker and a loss at a trade; nobody else's."""
    messages = [value(TICKER, 1), value(TICKER, 5), value(TRADE, 1), value(TRADE, 3)]
    result = seen(messages, options=["--slow", 1, "--slow-waits"])
    _expect_counts(result["slow"], {"lost": 1, "conflated": 3}, "a slow client")
    _expect_counts(result, {}, "nobody")
    _expect_counts(seen(messages), {"lost": 4}, "a usual client")


def _under_way(options: Sequence[object], rate: int) -> tuple[Floor, Workload]:
    names = symbols(16)
    work = Workload(
        command=f"rate {rate}", clients=40, symbols=names, client_bytes=420, seconds=0, load=(*options,)
    )
    return Floor(client_bytes=420, symbols=names), work


def load_crawls_at_the_wanted_share() -> None:
    """Clients that read at a tenth get a tenth of the bytes, the others all, and back to all when told."""
    server, work = _under_way(["--slow", 0.25, "--slow-factor", 0.1, "--slow-waits"], 200)
    with server, load_of(server, work) as load:
        running = Running(server, server, load)
        start(running, work.command)
        load.tell("slow on")
        result = part(running, 2)
    slow = result["slow"]
    share = slow["bytes"] / slow["clients"] / (result["bytes"] / (work.clients - slow["clients"]))
    expect(0.05 < share < 0.15, f"they read {share:.3f} of what the others read")
    expect(slow["clients"] == 10 and not slow["closed"] and clean(result), result)
    expect(not slow["lost"] and slow["p50_ns"] > result["p50_ns"], result)


def load_stops_reading_and_comes_back() -> None:
    """Clients that stop are closed by the C loop at its bound, and come again; the others lose nothing."""
    server, work = _under_way(["--stop-reading", 0.05, "--slow-return", 1.5], 1000)
    with server, load_of(server, work) as load:
        running = Running(server, server, load)
        start(running, work.command)
        result = part(running, 3)
        closed = server.statistics()["closed_slow"]
    slow = result["slow"]
    expect(slow["clients"] == 2 and slow["returns"] >= 2, result)
    expect(closed >= 2, f"the C loop closed {closed}")
    expect(clean(result) and result["connected"] >= 38, result)


def relay_sends_what_it_read_at_once() -> None:
    """Ticks of 16 go through as they are, to those who want all, and to those who want some."""
    work = Workload(command="window 32 16", clients=100, symbols=symbols(16), seconds=1)
    sample = run_once(lambda w: relay(w, batch=True), work)
    batch = sample["server"]["messages"] / sample["server"]["ticks"]
    expect(clean(sample) and not sample["untimed"], sample)
    expect(15.5 <= batch <= 32 and sample["frames_per_read"] >= 15, f"{batch:.1f} per send: {sample}")
    some = Workload(command="rate 2000", clients=100, symbols=symbols(100), each=20, seconds=1)
    sample = run_once(lambda w: relay(w, batch=True), some)
    expect(clean(sample) and sample["streams"] == 100, sample)
    expect(abs(sample["deliveries_per_s"] - 40_000) < 6_000, sample)


CHECKS: Sequence[Callable[[], None]] = (
    load_counts_losses_duplicates_and_swaps,
    load_believes_a_gap_message,
    load_times_trades_and_tickers,
    load_counts_slow_clients_apart,
    load_crawls_at_the_wanted_share,
    load_stops_reading_and_comes_back,
    relay_sends_what_it_read_at_once,
)
