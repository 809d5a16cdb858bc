from __future__ import annotations

import asyncio
import os
import signal

import pytest

from feedmux.app.config import InvalidConfiguration
from feedmux.app.own_gateway import GatewayDied, OwnGateway
from support.running import SOURCE

pytestmark = pytest.mark.e2e

SETTINGS = {
    "host": "127.0.0.1", "port": "0", "bybit_ws_url": "ws://127.0.0.1:9/v5/public/linear",
    "drain_seconds": "0", "log_json": "false",
}  # fmt: skip


@pytest.fixture(autouse=True)
def same_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child runs the package under test, whatever else is installed."""
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_serves_while_it_is_needed_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BRAND", "somebody else's")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    async with OwnGateway(SETTINGS) as gateway:
        await gateway.check()
        assert gateway.url == f"ws://127.0.0.1:{gateway.port}/ws"
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /stats HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        assert is_alive(gateway.pid)
    assert not is_alive(gateway.pid)


async def test_settings_that_cannot_work_are_refused_before_anything_starts() -> None:
    with pytest.raises(InvalidConfiguration, match="--max-clinets is not a setting"):
        OwnGateway(SETTINGS | {"max_clinets": "3"})


async def test_one_that_does_not_start_says_why() -> None:
    async with OwnGateway(SETTINGS) as first:
        with pytest.raises(
            GatewayDied, match=r"ended with status 2; its last words: cannot listen on 127\.0\.0\.1"
        ):
            async with OwnGateway(SETTINGS | {"port": str(first.port)}):
                pass


async def test_one_that_dies_is_noticed() -> None:
    async with OwnGateway(SETTINGS) as gateway:
        os.kill(gateway.pid, signal.SIGKILL)
        with pytest.raises(GatewayDied, match="our own gateway ended by SIGKILL; its last words: "):
            await gateway.check()
