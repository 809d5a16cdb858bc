from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from support.gateway import Gateway, until

pytestmark = pytest.mark.e2e

SOURCE = Path(__file__).parents[3] / "src"
ALTERNATE_SCREEN, MAIN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start ``feedmux tail``; what still runs at the end of a test is killed."""
    started: list[Process] = []

    # a size in the environment would outweigh the terminal's own
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}

    async def start_one(*args: str, stdout: int = PIPE) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "feedmux", "tail", *args,
            env=inherited | {"PYTHONPATH": str(SOURCE), "TERM": "xterm-256color"},
            stdout=stdout,
            stderr=PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def finish(process: Process) -> tuple[int, list[dict[str, object]], str]:
    """Wait for the end: exit code, the lines of stdout, stderr."""
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in (out or b"").splitlines()], err.decode()


async def test_a_pipe_gets_every_message_as_one_json_line(start: Start) -> None:
    async with Gateway() as gateway:
        process = await start("ticker:BTCUSDT", "trade:ETHUSDT", "--url", gateway.url, "--count", "30")
        code, lines, err = await finish(process)
    assert (code, len(lines), err) == (0, 30, "")
    assert {line["stream"] for line in lines} == {
        "mudrex.futures.ticker.BTCUSDT",
        "mudrex.futures.trade.ETHUSDT",
    }
    assert "status" in {line["type"] for line in lines}


async def test_status_messages_can_be_left_out(start: Start) -> None:
    async with Gateway() as gateway:
        process = await start("ticker:BTCUSDT", "--url", gateway.url, "--count", "30", "--no-status")
        code, lines, _ = await finish(process)
    assert (code, {line["type"] for line in lines}) == (0, {"update"})


async def test_without_streams_it_follows_bitcoin_and_stops_in_time(start: Start) -> None:
    async with Gateway() as gateway:
        code, lines, err = await finish(await start("--url", gateway.url, "--seconds", "0.5"))
    assert (code, err) == (0, "")
    assert {line["stream"] for line in lines} == {"mudrex.futures.ticker.BTCUSDT"}


async def test_a_rejected_stream_is_named_and_the_others_stand(start: Start) -> None:
    async with Gateway(refuse=["ticker:NOPE"]) as gateway:
        process = await start("ticker:NOPE", "ticker:BTCUSDT", "--url", gateway.url, "--count", "1")
        code, lines, err = await finish(process)
    assert (code, len(lines)) == (0, 1)
    assert err == "feedmux: ticker:NOPE was rejected: no such symbol\n"


async def test_when_everything_is_rejected_it_ends_with_the_reason(start: Start) -> None:
    async with Gateway(refuse=["ticker:NOPE"]) as gateway:
        code, lines, err = await finish(await start("ticker:NOPE", "--url", gateway.url))
    assert (code, lines) == (1, [])
    assert err == "feedmux: ticker:NOPE was refused: no such symbol\n"


async def test_a_reader_that_leaves_ends_it_quietly(start: Start) -> None:
    async with Gateway() as gateway:
        read, write = os.pipe()
        process = await start("--url", gateway.url, stdout=write)
        os.close(write)
        loop = asyncio.get_running_loop()
        assert b"BTCUSDT" in await loop.run_in_executor(None, os.read, read, 65536)
        os.close(read)
        code, _, err = await finish(process)
    assert (code, err) == (0, "")


async def test_a_lost_connection_is_told_and_made_again(start: Start) -> None:
    async with Gateway() as gateway:
        process = await start("--url", gateway.url)
        assert process.stdout is not None and process.stderr is not None
        async with asyncio.timeout(20):
            await process.stdout.readline()
            await gateway.cut()
            lost, back = await process.stderr.readline(), await process.stderr.readline()
            while len(gateway.subscribed()) < 2:
                await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        await finish(process)
    assert lost.startswith(b"feedmux: the server closed the connection (1001: maintenance); next attempt in ")
    assert back == b"feedmux: connected\n"


async def test_a_gateway_that_says_not_to_come_back_is_not_asked_again(start: Start) -> None:
    async with Gateway() as gateway:
        process = await start("--url", gateway.url)
        assert process.stdout is not None
        async with asyncio.timeout(20):
            await process.stdout.readline()
            await gateway.cut(4501, "no such user")
        code, _, err = await finish(process)
    assert (code, err) == (
        1,
        "feedmux: the connection was refused: the server closed the connection (4501: no such user); "
        "this code says not to come back\n",
    )
    assert len(gateway.connections) == 1


async def test_ctrl_c_ends_it_without_a_traceback(start: Start) -> None:
    async with Gateway() as gateway:
        process = await start("--url", gateway.url)
        assert process.stdout is not None
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        code, _, err = await finish(process)
    assert (code, err) == (130, "")


async def test_a_url_that_cannot_work_is_one_sentence(start: Start) -> None:
    code, _, err = await finish(await start("--url", "http://127.0.0.1/ws"))
    assert code == 2
    assert err.startswith("feedmux: url: 'http://127.0.0.1/ws' does not work; expected ")


class Terminal:
    """A terminal that a process writes to, and what it wrote since somebody asked last."""

    def __init__(self, width: int) -> None:
        self.ours, self.theirs = pty.openpty()
        self._text = ""
        self.resize(width)
        asyncio.get_running_loop().add_reader(self.ours, self._read)

    def _read(self) -> None:
        self._text += os.read(self.ours, 1 << 20).decode(errors="replace")

    def resize(self, width: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, width, 0, 0))

    async def shows(self, text: str) -> str:
        """Wait until ``text`` was written; forget it, and return and forget what came before it."""
        await until(lambda: text in self._text)
        before, _, self._text = self._text.partition(text)
        return before

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.ours)
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    terminal = Terminal(80)
    yield terminal
    terminal.close()


async def test_a_terminal_gets_a_table_that_follows_its_size(start: Start, terminal: Terminal) -> None:
    async with Gateway() as gateway:
        process = await start("ticker:BTCUSDT", "--url", gateway.url, stdout=terminal.theirs)
        await terminal.shows(ALTERNATE_SCREEN)
        assert "messages" not in await terminal.shows("ticker BTCUSDT")
        terminal.resize(120)
        process.send_signal(signal.SIGWINCH)
        await terminal.shows("messages")
        process.send_signal(signal.SIGINT)
        code, _, err = await finish(process)
        await terminal.shows(MAIN_SCREEN)
    assert (code, err) == (130, "")


async def test_the_last_table_stays_on_the_terminal(start: Start, terminal: Terminal) -> None:
    async with Gateway() as gateway:
        process = await start("ticker:BTCUSDT", "--url", gateway.url, "--count", "5", stdout=terminal.theirs)
        code, _, err = await finish(process)
        await terminal.shows(MAIN_SCREEN)
        await terminal.shows("ticker BTCUSDT")
    assert (code, err) == (0, "")
