"""A simulated Deribit as people and scripts run it: a process, its clients, its faults, its end."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

from websockets.asyncio.client import connect

from support.deribit_client import Client
from support.processes import Stage

BOOK = "book.BTC-PERPETUAL.raw"
ORDERS = "user.orders.any.any.raw"


async def do(control: str, verb: str, **fields: object) -> Any:
    async with connect(control, compression=None) as socket:
        await socket.send(json.dumps({"do": verb, **fields}))
        answer = json.loads(await socket.recv())
    assert answer["ok"], answer
    return answer


async def logged_in(url: str, stage: Stage) -> Client:
    socket = await connect(url, compression=None, max_queue=None, ping_interval=None)
    peer = Client(socket)
    await peer.result(
        "public/auth", grant_type="client_credentials", client_id="bot", client_secret="s3cret:with-colon"
    )
    return peer


async def test_a_day_of_a_bot_with_everything_that_goes_wrong(stage: Stage) -> None:
    """It trades, misses a change, loses an answer, its token, its connection; nothing of it is lost."""
    sim = await stage.run(
        "sim", "deribit", "--port", "0", "--rate", "50", "--account", "bot:s3cret:with-colon",
        "--instruments", "BTC-PERPETUAL, SOL_USDC-PERPETUAL",
    )  # fmt: skip
    url = (await sim.line(r"simulated Deribit: (ws://\S+)"))[1]
    control = (await sim.line(r"from outside: (ws://\S+)"))[1]
    bot = await logged_in(url, stage)
    listed = await bot.result("public/get_instruments", currency="any")
    assert [item["instrument_name"] for item in listed] == ["BTC-PERPETUAL", "SOL_USDC-PERPETUAL"]
    assert sorted(await bot.result("private/subscribe", channels=[BOOK, ORDERS])) == [BOOK, ORDERS]
    assert await bot.result("private/enable_cancel_on_disconnect", scope="account") == "ok"

    # a change is left out: the chain breaks
    last = (await bot.data(BOOK))["change_id"]
    assert (await do(control, "skip", channel=BOOK))["channels"] == 1
    while (data := await bot.data(BOOK))["prev_change_id"] == last:
        last = data["change_id"]
    assert data["prev_change_id"] > last

    # an answer is lost: the order is there all the same
    await do(control, "drop_answer", method="private/buy")
    await bot.send("private/buy", instrument_name="BTC-PERPETUAL", amount=100, price=60_000, label="lost")
    assert (await bot.data(ORDERS))["label"] == "lost"

    # the token ends: private calls are refused until it is refreshed
    assert (await do(control, "expire_tokens"))["tokens"] == 1
    assert (await bot.error("private/get_open_orders"))["code"] == 13009
    await bot.socket.close()

    # the connection is gone: so is what the next one leaves behind
    second = await logged_in(url, stage)
    await second.result(
        "private/buy", instrument_name="BTC-PERPETUAL", amount=100, price=60_000, label="gone"
    )
    assert await do(control, "cut") == {"ok": True, "connections": 1}
    assert await second.closed() is None
    third = await logged_in(url, stage)
    async with asyncio.timeout(10):
        while "gone" in {order["label"] for order in await third.result("private/get_open_orders")}:
            pass
    report = await do(control, "report")
    assert report["connections_ever"] == 3
    assert report["requests"]["private/buy"] == 2

    # it ends when it is told to
    assert await sim.stop(signal.SIGTERM) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
    assert await third.closed() in {None, (1001, "")}
    assert sim.stderr == []


async def test_ctrl_c_closes_connections_and_ends_it(stage: Stage) -> None:
    sim = await stage.run("sim", "deribit", "--port", "0")
    url = (await sim.line(r"simulated Deribit: (ws://\S+) \(log in simulated simulated-secret\)"))[1]
    async with connect(url, compression=None) as socket:
        peer = Client(socket)
        assert await peer.log_in()
        assert await sim.stop(signal.SIGINT) in {0, 128 + signal.SIGINT}
        assert await peer.closed() == (1001, "")
    assert sim.stderr == []


async def test_options_that_cannot_work_are_one_sentence_without_secrets(stage: Stage) -> None:
    for options, sentence in (
        (
            ("--instruments", "BTC"),
            "feedmux: instruments: 'BTC' does not work; expected a name like BTC-PERPETUAL",
        ),
        (("--heartbeat-min", "0"), "feedmux: heartbeat_min_s: 0.0 does not work; expected a number above 0"),
        (("--account", "me"), "feedmux: account: 'me' does not work; expected <client id>:<secret>"),
        (("--account", "me:hunter2", "--account", "me:hunter3"), "feedmux: accounts: 'me' does not work"),
    ):
        running = await stage.run("sim", "deribit", "--port", "0", *options)
        assert await running.end() == 2
        (line,) = running.stderr
        assert line.startswith(sentence)
        assert "hunter" not in running.text
