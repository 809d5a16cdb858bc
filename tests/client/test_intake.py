"""However fast a server sends, what else a process does has its turns."""

from __future__ import annotations

import asyncio

from feedmux.client.intake import MOST_BYTES
from support.peers import TEXT, frame, make_link, raw_server, running, says

SIZE, COUNT = 1_000, 40_000
"""More than systems buffer: the server still sends while it is read."""


async def test_a_server_that_never_pauses_is_not_read_for_ever() -> None:
    loop = asyncio.get_running_loop()
    taken, most = 0, 0
    over = asyncio.Event()

    def turn() -> None:
        nonlocal taken, most
        taken, most = 0, max(most, taken)
        if not over.is_set():
            loop.call_soon(turn)

    def received(_: bytes) -> None:
        nonlocal taken
        taken += 1
        if len(user.events) > COUNT:
            over.set()

    async with raw_server(says(frame(TEXT, b"x" * SIZE) * COUNT)) as port:
        link, user = make_link(f"ws://127.0.0.1:{port}/")
        user.on_received = received
        async with running(link):
            turn()
            async with asyncio.timeout(30):
                await over.wait()
    assert len(user.all("received")) == COUNT
    assert most <= 3 * MOST_BYTES / SIZE  # it reads on until it has twice as much


async def test_a_message_that_is_longer_than_a_read_is_whole() -> None:
    long = bytes(range(48, 58)) * (MOST_BYTES // 2)
    async with raw_server(says(frame(TEXT, long), frame(TEXT, b"short"))) as port:
        link, user = make_link(f"ws://127.0.0.1:{port}/")
        async with running(link):
            assert await user.saw("received", 2) == [long, b"short"]
