"""A reader process: holds topics over the socket it was lent and prints what arrives.

Arguments: the socket's descriptor, the bus' name, then the topics' texts. Each event is one line of JSON:
topic, epoch, seq, kind, payload.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import msgspec

from feedmux.model.event import Envelope
from feedmux.model.topic import Topic
from support.bus_ends import borrow, make_reader


class Printer:
    """A sink that writes lines to standard output, until the writer is gone."""

    def __init__(self) -> None:
        self.is_over = asyncio.Event()

    def receive(self, envelope: Envelope, /) -> None:
        line = (
            envelope.topic.text,
            envelope.epoch,
            envelope.seq,
            int(envelope.kind),
            envelope.payload.decode(),
        )
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        sys.stdout.buffer.flush()
        if b"reconnecting" in envelope.payload:
            self.is_over.set()


async def main(descriptor: int, kind: str, topics: list[str]) -> None:
    printer = Printer()
    reader = make_reader(kind, printer)
    for text in topics:
        reader.want(Topic.parse(text))
    await borrow(reader, socket.socket(fileno=descriptor))
    await printer.is_over.wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
