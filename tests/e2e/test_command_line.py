"""Every command as people and scripts run it: in a pipe, in a terminal, with right and wrong settings."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from pathlib import Path

import pytest

from support.processes import Stage, Venue
from support.running import SOURCE, Running, environment
from support.terminal import ALTERNATE_SCREEN, CTRL_C, HIDE_CURSOR, MAIN_SCREEN, SHOW_CURSOR, Terminal

EXAMPLE = SOURCE.parent / ".env.example"
PRICE = r"\d\d,?\d\d\d\.\d\d"
INTERRUPTED = {0, 128 + signal.SIGINT}
BTC = "mudrex.futures.ticker.BTCUSDT"


def is_tidy(terminal: Terminal) -> bool:
    """Whether the terminal was left as it was found."""
    back = terminal.raw.rfind(MAIN_SCREEN) > terminal.raw.rfind(ALTERNATE_SCREEN) >= 0
    return back and terminal.raw.rfind(SHOW_CURSOR) > terminal.raw.rfind(HIDE_CURSOR)


# tail


async def test_tail_writes_json_lines_into_a_pipe(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    tail = await stage.run("tail", "ticker:BTCUSDT", "nope", "--url", gateway.url, "--count", "5")
    assert await tail.end() == 0
    messages = [json.loads(line) for line in tail.stdout]
    assert [message["type"] for message in messages] == ["snapshot", *["update"] * 4]
    assert {message["stream"] for message in messages} == {BTC}
    assert tail.stderr == ["feedmux: nope was rejected: Invalid stream format: nope"]


async def test_tail_ends_quietly_when_its_reader_has_enough(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    command = shlex.join([sys.executable, "-m", "feedmux", "tail", "trade:BTCUSDT", "--url", gateway.url])
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"{command} | head -n 2; echo ended with ${{PIPESTATUS[0]}}",
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(15):
        out, err = await shell.communicate()
    first, second, code = out.decode().splitlines()
    assert json.loads(first)["stream"] == json.loads(second)["stream"] == "mudrex.futures.trade.BTCUSDT"
    assert (code, err) == ("ended with 0", b"")


async def test_tail_shows_a_live_table_in_a_terminal_and_leaves_it_tidy(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    terminal = await stage.terminal("tail", "ticker:BTCUSDT", "kline:1h:ETHUSDT", "--url", gateway.url)
    await terminal.shows(PRICE)
    await terminal.shows("BTCUSDT")
    await terminal.shows("ETHUSDT")
    await venue.do("refuse_connections")
    await venue.do("cut")
    await terminal.shows("reconnecting")
    terminal.press(CTRL_C)
    assert await terminal.end() in INTERRUPTED
    assert is_tidy(terminal)


async def test_tail_waits_for_a_gateway_that_comes_back(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    tail = await stage.run("tail", "ticker:BTCUSDT", "--url", gateway.url)
    await tail.line(f'"stream":"{BTC}"')
    assert await gateway.running.stop() == 0
    await tail.line("next attempt in")
    seen = len(tail.stdout)
    again = await stage.gateway(venue.url, "--port", str(gateway.port))
    assert again.port == gateway.port
    await tail.line("connected")
    await again.shows(lambda body: body["connections"]["total_messages_sent"] > 3, "it reads again")
    await tail.stop(signal.SIGINT)
    assert json.loads(tail.stdout[seen])["type"] == "snapshot"


# demo


async def test_demo_in_a_pipe_says_where_it_is_and_shows_prices_within_three_seconds(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    demo = await stage.run("demo", "--port", "0")
    await demo.line(rf"ticker.*BTCUSDT.* {PRICE}", 3.0)
    assert loop.time() - started < 3.0
    match = await demo.line(r"(ws://127\.0\.0\.1:\d+/ws)")
    tail = await stage.run("tail", "ticker:ETHUSDT", "--url", match[1], "--count", "2")
    assert await tail.end() == 0
    assert await demo.stop(signal.SIGINT) in INTERRUPTED
    assert demo.stderr == []


async def test_demo_in_a_terminal_shows_a_table_and_leaves_it_tidy(stage: Stage) -> None:
    demo = await stage.terminal("demo", "--port", "0")
    await demo.shows(PRICE, 3.0)
    await demo.shows(r"ws://127\.0\.0\.1:\d+/ws")
    demo.press(CTRL_C)
    assert await demo.end() in INTERRUPTED
    assert is_tidy(demo)


async def test_demo_takes_another_port_when_its_own_is_taken_and_stops_by_itself(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    demo = await stage.run("demo", "--port", str(gateway.port), "--seconds", "1")
    match = await demo.line(r"ws://127\.0\.0\.1:(\d+)/ws")
    assert int(match[1]) != gateway.port
    assert await demo.end() == 0


# config


async def test_what_config_prints_is_a_configuration(stage: Stage, tmp_path: Path) -> None:
    for form, name in (("env", ".env"), ("toml", "feedmux.toml")):
        printed = await stage.run(
            "config", "print", "--format", form, "--set", "port=0", "--set", "brand=acme"
        )
        assert await printed.end() == 0
        (tmp_path / name).write_text("\n".join(printed.stdout) + "\n")
        checked = await stage.run("config", "check", cwd=str(tmp_path))
        assert await checked.end() == 0, checked.text
        assert "The configuration works" in checked.text
        assert name in checked.text
        (tmp_path / name).unlink()


async def test_config_print_shows_where_values_come_from_and_no_secrets(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BRAND=acme\n")
    env = {"PORT": "1234", "REDIS_URL": "redis://me:hunter2@cache:6379"}
    printed = await stage.run("config", "print", env=env, cwd=str(tmp_path))
    assert await printed.end() == 0
    rows = {line.split()[0]: line for line in printed.stdout if line.strip()}
    assert "1234" in rows["PORT"]
    assert "environment" in rows["PORT"]
    assert "acme" in rows["BRAND"]
    assert ".env" in rows["BRAND"]
    assert "hunter2" not in printed.text


WRONG = {
    "PORT": ("99999", "PORT: '99999' does not work; expected a whole number from 0 to 65535"),
    "BYBIT_CATEGORY": (
        "option",
        "BYBIT_CATEGORY: 'option' does not work; expected one of linear, spot, inverse",
    ),
    "BYBIT_WS_URL": (
        "http://x",
        "BYBIT_WS_URL: 'http://x' does not work; expected a URL that begins with ws:// or wss://",
    ),
}


@pytest.mark.parametrize("command", [("serve",), ("config", "check")])
async def test_every_wrong_setting_is_named_and_nothing_is_started(
    stage: Stage, command: tuple[str, ...]
) -> None:
    env = {name: value for name, (value, _) in WRONG.items()}
    running = await stage.run(*command, "--set", "clinets=3", env=env)
    assert await running.end() == 2
    assert running.stdout == []
    for _, sentence in WRONG.values():
        assert f"feedmux: {sentence}" in running.stderr
    assert any(line.startswith("feedmux: --set clinets is not a setting") for line in running.stderr)
    assert len(running.stderr) == len(WRONG) + 1


# serve


async def test_serve_on_a_taken_port_says_so_in_one_sentence(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    second = await stage.run("serve", "--host", "127.0.0.1", "--port", str(gateway.port))
    assert await second.end() == 2
    (sentence,) = second.output
    assert sentence.startswith(f"feedmux: cannot listen on 127.0.0.1:{gateway.port}: ")
    assert "Address already in use" in sentence


async def served(stage: Stage, venue: Venue, running: Running) -> int:
    """Wait until a gateway that was started by hand has given a price; its port."""
    match = await running.line(r"Listening on ws://[\d.]+:(\d+)/ws")
    tail = await stage.run("tail", "ticker:BTCUSDT", "--url", f"ws://127.0.0.1:{match[1]}/ws", "--count", "1")
    assert await tail.end() == 0, tail.text + running.text
    assert (await venue.report())["connections_ever"] >= 1
    return int(match[1])


async def test_serve_reads_a_toml_file_dotenv_environment_and_flags_in_that_order(
    stage: Stage, tmp_path: Path
) -> None:
    venue = await stage.venue()
    (tmp_path / "feedmux.toml").write_text(f'port = 1\nhost = "127.0.0.1"\nbybit_ws_url = "{venue.url}"\n')
    (tmp_path / ".env").write_text("PORT=2\nBRAND=dotenv\nSOMEBODY_ELSES=1\n")
    env = {"PORT": "3", "LOG_LEVEL": "info"}
    running = await stage.run("serve", "--port", "0", env=env, cwd=str(tmp_path))
    port = await served(stage, venue, running)
    tail = await stage.run("tail", "ticker:BTCUSDT", "--url", f"ws://127.0.0.1:{port}/ws", "--count", "1")
    assert await tail.end() == 0
    assert json.loads(tail.stdout[0])["source"] == "dotenv"
    assert await running.stop() == 0


async def test_serve_starts_with_the_example_file(stage: Stage, tmp_path: Path) -> None:
    venue = await stage.venue()
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    env = {"PORT": "0", "BYBIT_WS_URL": venue.url}
    running = await stage.run("serve", env=env, cwd=str(tmp_path))
    await served(stage, venue, running)
    assert "does nothing" not in running.text
    for line in running.stderr:
        assert {"timestamp", "level", "logger", "message"} <= set(json.loads(line))
    assert await running.stop(signal.SIGINT) == 0


async def test_serve_takes_another_market(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, "--venue", "bybit.inverse")
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSD")
    await client.data("mudrex.inverse.ticker.BTCUSD")
    await venue.carries("tickers.BTCUSD", market="inverse")


# sim and the rest


async def test_sim_says_how_to_point_a_gateway_at_it(stage: Stage) -> None:
    sim = await stage.run("sim", "bybit", "--port", "0", "--symbols", "ABCUSDT")
    match = await sim.line(r"BYBIT_WS_URL=(ws://\S+) feedmux serve")
    gateway = await stage.gateway(match[1])
    client = await stage.client(gateway)
    await client.subscribe("ticker:ABCUSDT")
    await client.data("mudrex.futures.ticker.ABCUSDT")
    taken = await stage.run("sim", "bybit", "--port", match[1].split(":")[2].split("/")[0])
    assert await taken.end() == 2
    assert len(taken.output) == 1
    assert await sim.stop(signal.SIGINT) in INTERRUPTED
    assert sim.stderr == []
    await client.status("reconnecting")


async def test_without_a_command_there_is_help_and_a_wrong_one_is_named(stage: Stage) -> None:
    helped, wrong, version = [await stage.run(*args) for args in ((), ("nope",), ("--version",))]
    assert await helped.end() in {0, 2}
    for command in ("serve", "demo", "tail", "sim", "config"):
        assert command in helped.text
    assert await wrong.end() == 2
    assert "nope" in wrong.text
    assert await version.end() == 0
    assert version.text.startswith("feedmux ")
