"""The servers on asyncio with uvloop, by the first argument.

``picows``: picows as its examples use it, ``transport.send`` for each client of a topic; one sends at once,
each time. ``broadcast``: ``websockets.broadcast``. ``gather``: one ``asyncio.gather`` per message over
``asyncio.wait_for(client.send(message), 5)``, what is first written when nothing is known of the cost.
None of them knows topics, so this server keeps a set of clients for each.

Saturation: a tick per turn of the event loop; ``gather`` also waits for the end of each gather. After each
tick a sixteenth of the clients is looked at; one that has more than 64 KiB in its transport's buffer holds
the ticks up until it has less. ``broadcast`` skips nobody and picows buffers without a bound, so neither
drops; ``gather`` gives a client up for this message after 5 s, which the load sees as a jump of seq.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable

import ticks
import uvloop
from ticks import Batch, Rows

_SEND_TIMEOUT_S = 5
_BACKLOG = 4096

Sending = tuple[int, Rows, Callable[[Batch], Awaitable[None]]]
"""The port, who is subscribed, and how a batch is sent."""


async def serve_picows() -> Sending:
    """picows: a listener per client, its transport in the rows."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    rows = Rows(lambda client: client.underlying_transport.get_write_buffer_size())

    class Client(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
            elif frame.msg_type == WSMsgType.TEXT:
                topics, told = ticks.answer(frame.get_payload_as_ascii_text())
                transport.send(WSMsgType.TEXT, told.encode())
                rows.join(transport, topics)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            rows.leave(transport)

    async def publish(batch: Batch) -> None:
        for topic, message in batch:
            for transport in rows.of(topic):
                transport.send(WSMsgType.TEXT, message)

    server = await ws_create_server(lambda _request: Client(), "127.0.0.1", 0, backlog=_BACKLOG)
    return server.sockets[0].getsockname()[1], rows, publish


async def serve_websockets(make_publish: Callable[[Rows], Callable[[Batch], Awaitable[None]]]) -> Sending:
    """websockets: a handler per client, its connection in the rows."""
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed

    rows = Rows(lambda client: client.transport.get_write_buffer_size())

    async def handle(client: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in client:
                topics, told = ticks.answer(text)
                await client.send(told)
                rows.join(client, topics)
        rows.leave(client)

    server = await serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=_BACKLOG)
    return server.sockets[0].getsockname()[1], rows, make_publish(rows)


def by_broadcast(rows: Rows) -> Callable[[Batch], Awaitable[None]]:
    """websockets' own way to send one message to many."""
    from websockets.asyncio.server import broadcast

    async def publish(batch: Batch) -> None:
        for topic, message in batch:
            broadcast(rows.of(topic), message.decode())

    return publish


def by_gather(rows: Rows) -> Callable[[Batch], Awaitable[None]]:
    """A task and a timer for each delivery."""

    async def publish(batch: Batch) -> None:
        for topic, message in batch:
            text = message.decode()
            sends = (asyncio.wait_for(client.send(text), _SEND_TIMEOUT_S) for client in rows.of(topic))
            await asyncio.gather(*sends, return_exceptions=True)

    return publish


async def main(kind: str) -> None:
    """Serve until the commands end."""
    logging.disable(logging.WARNING)  # the transports warn of each write to a client that went
    made = ticks.Ticks()
    if kind == "picows":
        port, rows, publish = await serve_picows()
    else:
        port, rows, publish = await serve_websockets(by_gather if kind == "gather" else by_broadcast)
    await ticks.Driver(made, publish, rows.__len__, rows.full).run(port)


if __name__ == "__main__":
    uvloop.run(main(sys.argv.pop(1)))
