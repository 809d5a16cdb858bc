"""Check the native tools against each other and against independent peers, and the installed rivals.

A benchmark that counts wrongly is worse than none; so what the tools claim is tried here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from bench import buscheck, hopcheck, loadcheck
from bench.loadcheck import expect
from bench.report import say
from bench.rivals import selfcheck as rivals
from bench.system.native import Floor, Load, Venue
from bench.system.run import Workload, clean, floor, relay
from bench.system.run import run as run_once


def run() -> bool:
    """Run every check; True when all hold."""
    held = True
    named = [(check.__name__.replace("_", " "), check) for check in CHECKS]
    for name, check in [*named, *buscheck.checks(), *rivals.checks()]:
        started = time.monotonic()
        try:
            check()
            verdict = "holds"
        except AssertionError as error:
            held, verdict = False, f"FAILS: {error}"
        say(f"{name}: {verdict} ({time.monotonic() - started:.1f} s)")
    return held


def _venue_client(venue: Venue) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{venue.port}/v5/public/linear", compression=None)


def _ask(connection: ClientConnection, request: dict[str, Any]) -> dict[str, Any]:
    connection.send(json.dumps(request))
    answer: dict[str, Any] = json.loads(connection.recv(5))
    return answer


def venue_answers_as_bybit_does() -> None:
    """Acknowledgement, refusal and pong have the documented shapes, seen by an independent client."""
    with Venue() as venue, _venue_client(venue) as connection:
        wanted = {"success": True, "ret_msg": "", "conn_id": "c", "req_id": "x", "op": "subscribe"}
        got = _ask(connection, {"req_id": "x", "op": "subscribe", "args": ["publicTrade.BTCUSDT"]})
        expect(got == wanted, got)
        got = _ask(connection, {"op": "ping", "req_id": "p"})
        expect(got == {**wanted, "ret_msg": "pong", "req_id": "p", "op": "ping"}, got)
        got = _ask(connection, {"op": "subscribe", "args": ["kline.1.BTCUSDT"], "req_id": "k"})
        expect(not got["success"] and got["ret_msg"].endswith("topic:kline.1.BTCUSDT"), got)


def venue_keeps_its_rate_and_its_times() -> None:
    """500 trades a second for one second: as many as promised, none twice, times in order."""
    with Venue(client_bytes=420, arguments=["--rate", 500, "--seconds", 1]) as venue:
        with _venue_client(venue) as connection:
            _ask(connection, {"op": "subscribe", "args": ["publicTrade.BTCUSDT"], "req_id": "x"})
            trades = []
            try:
                while True:
                    trades.append(json.loads(connection.recv(0.5))["data"][0])
            except TimeoutError:
                times = [int(trade["i"].partition("-")[0]) for trade in trades]
        expect(480 <= len(trades) <= 520, f"{len(trades)} trades")
        expect(times == sorted(times) and len(set(times)) == len(times), "times repeat or go back")
        expect(abs(times[-1] - times[0] - 2_000_000 * (len(times) - 1)) < 1_000_000, "not every 2 ms")
        keys = ["T", "s", "S", "v", "p", "L", "i", "BT", "RPI", "seq"]
        expect(list(trades[0]) == keys, trades[0])


def venue_sends_ticker_snapshot_before_deltas() -> None:
    """A ticker begins with its snapshot; cs never falls."""
    with Venue(arguments=["--rate", 1000]) as venue, _venue_client(venue) as connection:
        connection.send('{"op":"subscribe","args":["tickers.BTCUSDT"]}')
        messages = [json.loads(connection.recv(5)) for _ in range(50)]
    data = [message for message in messages if "topic" in message]
    expect(data[0]["type"] == "snapshot", data[0])
    expect(all(message["type"] == "delta" for message in data[1:]), "a second snapshot")
    orders = [message["cs"] for message in data]
    expect(orders == sorted(orders), orders)
    times = [int(message["data"]["turnover24h"]) for message in data[1:]]
    expect(times == sorted(times) and 0 <= time.monotonic_ns() - times[-1] < 5_000_000_000, times)


def floor_message_has_the_wanted_size_and_shape() -> None:
    """An independent client reads the C loop's messages; 250 and 420 bytes are met."""
    for wanted in (250, 420):
        with (
            Floor(client_bytes=wanted) as floor,
            connect(f"ws://127.0.0.1:{floor.port}/ws", compression=None) as connection,
        ):
            answer = _ask(connection, {"op": "subscribe", "args": ["trade:BTCUSDT"]})
            expect(answer["success"] and answer["args"] == ["trade:BTCUSDT"], answer)
            floor.tell("rate 100")
            text = connection.recv(5, decode=True)
        message = json.loads(text)
        expect(abs(len(text) - wanted) <= 8, f"{len(text)} bytes instead of {wanted}")
        expect(list(message) == ["stream", "type", "data", "timestamp", "source", "seq"], message)


def load_reports_a_close_with_its_code() -> None:
    """A client that the server closes is counted, and the code is kept."""

    def close_soon(connection: ServerConnection) -> None:
        connection.recv()
        connection.send('{"op":"subscribe","success":true,"args":["trade:BTCUSDT"],"rejected":null}')
        connection.close(4008, "slow")

    with serve(close_soon, "127.0.0.1", 0, compression=None) as server:
        result = _load_against(server)
    expect(result["closed"] == 1 and result["close_code"] == 4008, result)


def _load_against(server: Any) -> dict[str, Any]:
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.socket.getsockname()[1]
    with Load(port, clients=1, arguments=["--warmup", 0, "--seconds", 0.3]) as load:
        while (line := load.line(10))["event"] != "result":
            continue
    server.shutdown()
    thread.join(5)
    return line


def load_counts_every_stream_of_every_client() -> None:
    """16 streams in one send, 50 clients: nothing lost, all streams seen, the rate is right."""
    symbols = [f"S{number:03d}USDT" for number in range(16)]
    topics = ",".join(f"trade:{symbol}" for symbol in symbols)
    with (
        Floor(symbols=symbols) as floor,
        Load(floor.port, clients=50, arguments=["--topics", topics, "--warmup", 0.1, "--seconds", 1]) as load,
    ):
        load.ready()
        floor.tell("rate 100")
        while (result := load.line(10))["event"] != "result":
            continue
    expect(clean(result) and result["streams"] == 16 and not result["untimed"], result)
    expect(abs(result["deliveries"] - 80_000) <= 3_200, result["deliveries"])


def closed_loop_has_one_message_per_read() -> None:
    """Behind the venue's window the relay is kept busy and nothing is batched or lost."""
    sample = run_once(relay, Workload(command="window 2", clients=200, seconds=1))
    expect(clean(sample), sample)
    expect(sample["frames_per_read"] < 1.5, sample)
    expect(sample["deliveries_per_s"] > 50_000, sample)


def floor_saturates_without_loss() -> None:
    """The C loop at full speed loses nothing, and the load is not what limits it."""
    sample = run_once(floor, Workload(command="saturate", clients=200, seconds=1))
    expect(clean(sample), sample)
    expect(sample["load_busy"] < 0.97, sample)


CHECKS: Sequence[Callable[[], None]] = (
    venue_answers_as_bybit_does,
    venue_keeps_its_rate_and_its_times,
    venue_sends_ticker_snapshot_before_deltas,
    floor_message_has_the_wanted_size_and_shape,
    load_reports_a_close_with_its_code,
    load_counts_every_stream_of_every_client,
    closed_loop_has_one_message_per_read,
    floor_saturates_without_loss,
    *loadcheck.CHECKS,
    *hopcheck.CHECKS,
    *buscheck.CHECKS,
)
