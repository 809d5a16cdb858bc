"""``feedmux bench`` as people run it: on a gateway of its own, on a real one, on ones that go wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from support.descent import children, is_gone
from support.processes import Stage
from support.running import Running
from support.waiting import until
from support.ws_server import acknowledge, send_steadily, trade, ws_server

TOPICS = ("--topics", "trade:BTCUSDT,ticker:BTCUSDT")
SHORT = ("--seconds", "1", "--warmup", "0.2")


async def test_without_a_url_it_sweeps_the_rates_of_a_gateway_of_its_own(
    stage: Stage, tmp_path: Path
) -> None:
    running = await stage.run(
        "bench", "--clients", "50", "--rates", "50,200", *SHORT, "--json", "o.json", "--svg", "o.svg",
        cwd=str(tmp_path), env={"PORT": "1", "BRAND": "not-for-the-measured-one"},
    )  # fmt: skip
    assert await running.end(60) == 0, running.text
    measured = json.loads((tmp_path / "o.json").read_text())
    assert [point["rate"] for point in measured["points"]] == [50, 200]
    for point in measured["points"]:
        assert point["lost"] == point["disorder"] == point["closed"] == 0
        # each of 50 clients has 20 of 100 topics: a message reaches ten of them
        assert 0.7 < point["deliveries_per_s"] / (point["rate"] * 10) < 1.3
        assert point["latency"]["measured"] == point["deliveries"]
        assert 0 < point["latency"]["p50_ms"] <= point["latency"]["p99_ms"] <= point["latency"]["max_ms"]
        assert point["cpu_us_per_delivery"] > 0
    assert ET.parse(tmp_path / "o.svg").getroot().tag.endswith("svg")
    assert max(map(len, running.stdout)) <= 80
    assert [line.split()[0] for line in running.stdout if re.match(r" *\d", line)] == ["50", "200"]
    assert running.stderr == [
        line
        for line in running.stderr
        if re.fullmatch(r"50 clients subscribed in [\d.]+ s, \d+ messages/s", line)
    ]


async def test_a_real_gateway_is_measured_at_the_rate_of_its_data(stage: Stage) -> None:
    venue = await stage.venue("--trade-rate", "50")
    gateway = await stage.gateway(venue.url)
    running = await stage.run(
        "bench", gateway.url, "--clients", "20", *TOPICS, *SHORT, "--processes", "2",
        "--same-clock", "--pid", str(gateway.running.process.pid), "--json", "-",
    )  # fmt: skip
    assert await running.end(60) == 0, running.text
    measured = json.loads("\n".join(running.stdout))
    assert measured["workload"]["server"] == gateway.url
    assert measured["workload"]["processes"] == 2
    (point,) = measured["points"]
    assert "rate" not in point
    assert point["deliveries"] > 20 * 10
    assert point["lost"] == 0
    assert 0 <= point["latency"]["p50_ms"] < 1000
    assert point["server_busy"] >= 0


async def test_without_the_same_clock_the_latency_of_a_real_gateway_is_unknown(
    stage: Stage, tmp_path: Path
) -> None:
    venue = await stage.venue("--trade-rate", "50")
    gateway = await stage.gateway(venue.url)
    running = await stage.run(
        "bench", gateway.url, "--clients", "5", *TOPICS, *SHORT, "--svg", "o.svg", cwd=str(tmp_path)
    )
    assert await running.end(60) == 0, running.text
    text = " ".join(running.text.split())
    assert "note: latency is not known: the messages carry no intended time" in text
    assert "o.svg was not drawn: latency is not known" in text
    assert not (tmp_path / "o.svg").exists()


async def test_losses_are_seen_and_end_with_1(stage: Stage, tmp_path: Path) -> None:
    async def talk(connection: ServerConnection) -> None:
        await acknowledge(connection)
        await send_steadily(connection, (trade(seq) for seq in range(1, 2000) if seq % 10))

    async with ws_server(talk) as url:
        running = await stage.run(
            "bench", url, "--clients", "3", "--topics", "trade:BTCUSDT", *SHORT, "--json", "o.json",
            cwd=str(tmp_path),
        )  # fmt: skip
        assert await running.end(60) == 1
    (point,) = json.loads((tmp_path / "o.json").read_text())["points"]
    assert point["lost"] > 0
    assert f"feedmux: in this run, {point['lost']:,} messages were lost without a word" in running.stderr


async def test_a_gateway_that_is_full_is_named(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, MAX_CLIENTS_TOTAL=5)
    running = await stage.run("bench", gateway.url, "--clients", "9", *TOPICS)
    assert await running.end(60) == 1
    assert "is full, it took 5 clients and closed the next with 4003" in running.text


async def test_clients_that_are_closed_end_it_with_1(stage: Stage) -> None:
    async def talk(connection: ServerConnection) -> None:
        await acknowledge(connection)
        await send_steadily(connection, map(trade, range(1, 120)))
        await connection.close(4008, "slow")

    async with ws_server(talk) as url:
        running = await stage.run(
            "bench", url, "--clients", "2", "--topics", "trade:BTCUSDT", "--warmup", "0", "--seconds", "3"
        )
        assert await running.end(60) == 1
    assert "feedmux: in this run, the server closed 2 clients (4008)" in running.stderr


async def begun(stage: Stage, *args: str) -> tuple[Running, set[int]]:
    """A bench that is in its first run, and the processes that it started."""
    running = await stage.run("bench", "--clients", "10", "--rates", "50", "--seconds", "600", *args)
    await running.line("10 clients subscribed")
    assert running.process.pid is not None
    started = children(running.process.pid)
    assert len(started) == 3, "a venue, a gateway and a load"
    return running, started


async def test_ctrl_c_ends_everything_that_was_started(stage: Stage) -> None:
    running, started = await begun(stage)
    assert await running.stop(signal.SIGINT) == 130
    assert all(is_gone(pid) for pid in started)
    assert "Traceback" not in running.text


async def test_ctrl_c_in_a_later_run_shows_what_was_measured_before(stage: Stage) -> None:
    running = await stage.run("bench", "--clients", "10", "--rates", "50,60", "--seconds", "3")
    await running.line(r"10 clients subscribed .* 60 messages/s")
    assert await running.stop(signal.SIGINT) == 130
    assert [line.split()[0] for line in running.stdout if re.match(r" *\d", line)] == ["50"]


async def test_when_it_is_killed_nothing_of_it_stays(stage: Stage) -> None:
    running, started = await begun(stage)
    running.signal(signal.SIGKILL)
    await until(lambda: all(is_gone(pid) for pid in started), "all of them are gone")


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


async def dies(stage: Stage, who: str) -> tuple[int, list[str]]:
    """Kill one of the processes; how the bench ends, and what it says besides progress."""
    running, started = await begun(stage)
    (victim,) = [pid for pid in started if who in command_of(pid)]
    os.kill(victim, signal.SIGKILL)
    code = await running.end(60)
    assert all(is_gone(pid) for pid in started)
    return code, [line for line in running.stderr if line.startswith("feedmux:")]


async def test_a_gateway_that_dies_is_named(stage: Stage) -> None:
    code, (sentence,) = await dies(stage, "own_gateway")
    assert code == 1
    assert sentence.startswith("feedmux: our own gateway ended by SIGKILL; its last words: ")


async def test_a_load_that_dies_is_named(stage: Stage) -> None:
    code, (sentence,) = await dies(stage, "generator load")
    assert code == 1
    assert sentence == "feedmux: the native load ended by SIGKILL: it did not say why"
