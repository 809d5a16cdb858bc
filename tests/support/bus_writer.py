"""A writer process: answers wants over the socket it was lent and keeps every held topic moving.

Arguments: the socket's descriptor, the bus' name, the epoch. Ends when its reader does.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from support.bus_ends import lend, make_writer
from support.buses import ScriptedSource


async def main(descriptor: int, kind: str, epoch: int) -> None:
    writer = make_writer(kind)
    source = ScriptedSource(writer, epoch)
    writer.serve(source)
    await lend(writer, socket.socket(fileno=descriptor), "reader")
    while ("forget", None, "reader") not in source.calls:
        for topic, _ in source.demand.wants():
            source.advance(topic)
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
