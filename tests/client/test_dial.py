from __future__ import annotations

import asyncio
import socket

import pytest

from feedmux.client.dial import dial


async def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        there, nowhere = server.getsockname(), dead.getsockname()

        async def resolve(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", each) for each in (nowhere, there)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        for turn in range(3):
            with await dial("h", 80, turn) as sock:
                assert sock.getpeername() == there


async def test_the_last_reason_counts_when_no_address_answers() -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await dial("127.0.0.1", dead.getsockname()[1], 0)
