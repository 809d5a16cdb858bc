"""A writer process: answers wants over the socket it was lent and keeps every held topic moving.

Arguments: the socket's descriptor, the epoch. Ends when its reader does.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from feedmux.bus.stream import StreamWriter
from support.buses import ScriptedSource


async def main(descriptor: int, epoch: int) -> None:
    writer = StreamWriter()
    source = ScriptedSource(writer, epoch)
    writer.serve(source)
    await writer.attach(socket.socket(fileno=descriptor), "reader")
    while ("forget", None, "reader") not in source.calls:
        for topic, _ in source.demand.wants():
            source.advance(topic)
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
