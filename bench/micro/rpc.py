"""What a request costs before and after its way: its id, its message, its tokens, its answer.

Single functions in this process, in microseconds of CPU time; nothing of it is stored. Run it with
``python -m bench.micro.rpc``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.report import Cell, spread, table
from bench.system.native import SERVER_CORE, pinned

_CALLS = 10_000

Call = Callable[[], object]


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure each function in several rounds."""
    rounds = 3 if quick else 5
    with pinned(SERVER_CORE):
        measured = {name: _measure(call, seconds / rounds, rounds) for name, call in connect().items()}
    rows: list[list[Cell]] = [
        [name, of["median"], of["lowest"], of["highest"]] for name, of in measured.items()
    ]
    table("Requests: one at a time", ["", "µs of CPU", "lowest", "highest"], rows)
    return {"us_per_call": measured}


def _measure(call: Call, seconds: float, rounds: int) -> dict[str, float]:
    costs = []
    for _ in range(rounds):
        done, started = 0, time.process_time()
        while time.process_time() - started < seconds:
            for _ in range(_CALLS):
                call()
            done += _CALLS
        costs.append((time.process_time() - started) * 1e6 / done)
    return spread(costs)


# ------------------------------------------------------------------------------------------------
# ADAPTER: the only place that knows what is measured.
# ------------------------------------------------------------------------------------------------


def connect() -> dict[str, Call]:
    """What is measured, by name."""
    # isort: off
    from feedmux.core.allowance import deribit
    from feedmux.core.budget import Queue, single
    from feedmux.core.jsonrpc import JsonRpc
    from feedmux.core.requests import Requests
    # isort: on

    rpc, budget, venue = JsonRpc(), single(1e9, 1e9), deribit()
    queue: Queue[int] = Queue(budget, 16)
    alone, among = Requests(10_000), Requests(10_000)
    for _ in range(9_000):
        among.begin(0.0, 1e9)
    data = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "ticker", "data": {}}}
    answer = {"jsonrpc": "2.0", "id": 7, "result": {}, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False}

    def in_and_out(requests: Requests) -> Call:
        def call() -> None:
            request_id = requests.begin(0.0, 30.0, what="public/test")
            requests.sent(request_id)
            requests.settle(request_id)

        return call

    def through_the_queue() -> None:
        queue.push("x", 1)
        queue.pop(0.0)

    return {
        "begin, sent, settle; none in flight": in_and_out(alone),
        "begin, sent, settle; 9,000 in flight": in_and_out(among),
        "build a call": lambda: rpc.request(7, "public/test", {}),
        "read an answer": lambda: rpc.reply(answer),
        "see that it is data": lambda: rpc.reply(data),
        "take a token": lambda: budget.take(0.0, "x"),
        "ask Deribit's budget in vain": lambda: venue.take(0.0, "private/buy"),
        "wait in the queue for nobody": through_the_queue,
    }


if __name__ == "__main__":
    run(seconds=2.0, quick=False)
