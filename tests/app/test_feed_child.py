from __future__ import annotations

from support.running import Running

_PROGRAM = """
import asyncio, sys
from feedmux.app import feed_child

class Broken:
    async def run(self):
        raise ZeroDivisionError("of all things")

async def main():
    task = asyncio.ensure_future(Broken().run())
    task.add_done_callback(feed_child._fail)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_feed_that_breaks_ends_its_process_with_a_sentence() -> None:
    running = await Running.start(_PROGRAM, program=("-c", "exec(__import__('sys').argv[1])"))
    await running.line(r"A feed ended: ZeroDivisionError: of all things")
    assert await running.process.wait() == 1
    assert not [line for line in running.output if "Traceback" in line]
