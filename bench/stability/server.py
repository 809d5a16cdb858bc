"""A server for links to be tried on: it keeps subscriptions, ends connections as told, and counts aloud.

``python -m bench.stability.server`` prints the port and serves until it is ended. It speaks JSON-RPC 2.0:
``public/subscribe``, ``public/unsubscribe``; ``held`` says what this connection is subscribed to; ``flood``
sends numbered messages at a rate; the notification ``end`` ends the connection that it came on. Any other
request is not answered.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

WAYS = ("reset", "fin", "close", "close_without_code", "garbage")
"""How a connection can end."""
NUMBERS = "numbers"
"""The channel of the numbered messages."""
MESSAGE_BYTES = 250
_TICK_S = 0.001
_RESET = struct.pack("ii", 1, 0)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Peer(WSListener):
    """One connection."""

    def __init__(self) -> None:
        self._held: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            self._take(_decode(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for task in self._tasks:
            task.cancel()

    def _take(self, request: dict[str, Any]) -> None:
        match request["method"], request.get("params"):
            case "public/subscribe", {"channels": channels}:
                self._held |= dict.fromkeys(channels)
                self._answer(request, channels)
            case "public/unsubscribe", {"channels": channels}:
                self._answer(request, [channel for channel in channels if self._held.pop(channel, 0) is None])
            case "held", _:
                self._answer(request, list(self._held))
            case "end", {"how": str(how)}:
                self._end(how)
            case "flood", {"rate": rate, "seconds": seconds, "without": without}:
                task = asyncio.create_task(self._flood(request, rate, seconds, without))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _answer(self, request: dict[str, Any], result: object) -> None:
        self._transport.send(
            WSMsgType.TEXT, _encode({"jsonrpc": "2.0", "id": request["id"], "result": result})
        )

    def _end(self, how: str) -> None:
        below = self._transport.underlying_transport
        sock = below.get_extra_info("socket")
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            below.abort()
        elif how == "fin":
            below.close()
        else:
            below.write(
                {"close": b"\x88\x02\x03\xf4", "close_without_code": b"\x88\x00"}.get(how, b"\xff\xff\xff")
            )

    async def _flood(self, request: dict[str, Any], rate: int, seconds: float, without: int) -> None:
        """Send ``rate`` messages a second, each with its number and the time at which it was to be sent."""
        pad = "x" * (MESSAGE_BYTES - len(_numbered(rate, time.monotonic_ns(), "")))
        began, sent, total = time.monotonic_ns(), 0, round(rate * seconds)
        while sent < total:
            due = min(total, (time.monotonic_ns() - began) * rate // 1_000_000_000)
            for number in range(sent, due):
                if number != without:
                    at = began + number * 1_000_000_000 // rate
                    self._transport.send(WSMsgType.TEXT, _numbered(number, at, pad))
            sent = max(sent, due)
            await asyncio.sleep(_TICK_S)
        self._answer(request, total)


def _numbered(number: int, at_ns: int, pad: str) -> bytes:
    data = b'{"n":%d,"at":%d,"pad":"%s"}' % (number, at_ns, pad.encode())
    head = b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"%s","data":' % NUMBERS.encode()
    return head + data + b"}}"


def _accept(request: WSUpgradeRequest) -> WSListener:
    del request
    return Peer()


async def _serve() -> None:
    server = await ws_create_server(_accept, "127.0.0.1", 0)
    print(f"listening on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
