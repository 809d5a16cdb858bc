"""A simulated Alpaca as people and scripts run it: a process, its clients, its faults, its end."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from support.alpaca_client import AUTHENTICATED, Client, error
from support.processes import Stage

ME = {"key": "bot", "secret": "s3cret:with-colon"}
FULL = error(406, "connection limit exceeded")


async def do(control: str, verb: str, **fields: object) -> Any:
    async with connect(control, compression=None) as socket:
        await socket.send(json.dumps({"do": verb, **fields}))
        answer = json.loads(await socket.recv())
    assert answer["ok"], answer
    return answer


async def connected(url: str) -> Client:
    return Client(await connect(url, max_queue=None, ping_interval=None))


async def logged_in(url: str) -> tuple[Client, int]:
    """A client that waited until there was a place for it, and how often it was told that there was none."""
    peer, refused = await connected(url), 0
    answer = await peer.log_in(**ME)
    async with asyncio.timeout(20):
        while answer != AUTHENTICATED:
            assert answer == FULL
            refused += 1
            answer = await peer.ask("auth", **ME)
    return peer, refused


async def test_a_day_of_two_strategies_of_one_account_with_everything_that_goes_wrong(stage: Stage) -> None:
    """One is in, the other is not; a cut, its own ghost, a correction, an error, a stall."""
    sim = await stage.run(
        "sim", "alpaca", "--port", "0", "--rate", "50", "--account", "bot:s3cret:with-colon",
        "--symbols", "AAPL, XYZ",
    )  # fmt: skip
    url = (await sim.line(r"simulated Alpaca: (ws://\S+) \(log in as you said"))[1]
    orders = (await sim.line(r"orders are told at (ws://\S+)"))[1]
    control = (await sim.line(r"from outside: (ws://\S+)"))[1]
    one, _ = await logged_in(url)
    other = await connected(url)
    assert await other.log_in(**ME) == FULL
    [answer] = await one.ask("subscribe", trades=["XYZ"], quotes=["AAPL"])
    assert answer["corrections"] == ["XYZ"]
    await one.data(lambda item: item["T"] == "t")
    await one.data(lambda item: item["T"] == "q")

    # the connection is cut, and its ghost stays for a moment: 406 is waited out
    await other.socket.close()
    await do(control, "limit", linger_s=0.5)
    assert (await do(control, "cut"))["connections"] == 1
    with pytest.raises(ConnectionClosed):
        await one.data(lambda item: False)
    one, refused = await logged_in(url)
    assert refused > 0
    await one.ask("subscribe", trades=["XYZ"])

    # a trade is corrected, a subscription fails, the venue stands still
    await do(control, "publish", symbol="XYZ", price=77.7, id=2**45)
    [trade] = await one.data(lambda item: item.get("i") == 2**45)
    assert trade["p"] == 77.7
    assert (await do(control, "correct", symbol="XYZ", price=78))["connections"] == 1
    assert (await one.data(lambda item: item["T"] == "c"))[0]["cp"] == 78
    await do(control, "fail", code=500, action="subscribe")
    assert await one.ask("subscribe", trades=["AAPL"]) == error(500, "internal error")
    await do(control, "mute", pongs=False)
    await one.send("subscribe", trades=["AAPL"])
    report = await do(control, "report")
    assert (report["connections"], report["connections_ever"]) == (1, 3)
    assert [session["subscriptions"]["trades"] for session in report["sessions"]] == [["XYZ"]]
    await do(control, "unmute")
    [answer] = await one.answer()
    assert answer["trades"] == ["XYZ", "AAPL"]

    # orders are told in binary frames
    async with connect(orders) as socket:
        login = {"key_id": ME["key"], "secret_key": ME["secret"]}
        for request in (
            {"action": "authenticate", "data": login},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ):
            await socket.send(json.dumps(request))
            assert isinstance(await socket.recv(), bytes)
        assert (await do(control, "order", event="fill", symbol="XYZ", price=78))["connections"] == 1
        assert json.loads(await socket.recv())["data"]["event"] == "fill"

    assert await sim.stop(signal.SIGTERM) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
    assert sim.stderr == []


async def test_ctrl_c_closes_connections_and_ends_it(stage: Stage) -> None:
    sim = await stage.run("sim", "alpaca", "--port", "0")
    url = (await sim.line(r"simulated Alpaca: (ws://\S+) \(log in SIMULATED simulated-secret;"))[1]
    peer = await connected(url)
    assert await peer.log_in() == AUTHENTICATED
    assert await sim.stop(signal.SIGINT) in {0, 128 + signal.SIGINT}
    with pytest.raises(ConnectionClosed) as caught:
        await peer.receive()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    assert sim.stderr == []


async def test_options_that_cannot_work_are_one_sentence_without_secrets(stage: Stage) -> None:
    for options, sentence in (
        (("--symbols", "aapl"), "feedmux: symbols: 'aapl' does not work; expected upper-case letters"),
        (("--auth-deadline", "0"), "feedmux: auth_deadline_s: 0.0 does not work; expected a number above 0"),
        (("--entitled", "otc"), "feedmux: entitled: 'otc' does not work; expected one of iex, sip, test"),
        (("--account", "me"), "feedmux: account: 'me' does not work; expected <key>:<secret>"),
        (("--account", "me:hunter2", "--account", "me:hunter3"), "feedmux: accounts: 'me' does not work"),
    ):
        running = await stage.run("sim", "alpaca", "--port", "0", *options)
        assert await running.end() == 2
        (line,) = running.stderr
        assert line.startswith(sentence)
        assert "hunter" not in running.text
