"""Masking keys as they are on the wire, of this process and of others."""

from __future__ import annotations

import asyncio
import sys

from support.peers import raw_server, upgrade
from support.waiting import until

PROGRAM = """
import asyncio, sys
from feedmux.client.link import connect

async def main():
    link = await connect(sys.argv[1])
    for number in range(20):
        await link.send(str(number))
    await asyncio.sleep(0)
    await link.close()

asyncio.run(main())
"""


async def test_no_two_processes_and_no_two_frames_share_a_key() -> None:
    keys: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        for _ in range(21):  # the CLOSE too
            head = await reader.readexactly(2)
            key = await reader.readexactly(4)
            await reader.readexactly(head[1] & 0x7F)
            keys.append(key)

    async with raw_server(talk) as port:
        programs = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, f"ws://127.0.0.1:{port}/")
            for _ in range(2)
        ]
        for program in programs:
            assert await program.wait() == 0
        await until(lambda: len(keys) == 42)
    assert len(set(keys)) == 42
