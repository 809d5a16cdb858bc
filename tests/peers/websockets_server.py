"""A server on PyPI's ``websockets`` that a link is tried with: ``ws_server.mjs`` does the same on node.

Its argument is JSON: ``port``, ``deflate`` (whether it would compress) and ``claims`` (extensions that it
says were agreed on, whatever the client offered). The first line of its output is ``{"port": …}``; then
every connection that ends is a line ``{"code": …, "reason": …}``. What is no request comes back as it
is; the methods of JSON-RPC requests are those of :class:`Connection`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

TOLD: dict[str, Any] = json.loads(sys.argv[1])


def say(**what: object) -> None:
    """One line to whoever started this."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Connection:
    """One client."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def take(self, message: str | bytes) -> None:
        """Answer a request; send anything else back."""
        request = read(message)
        if request is None:
            await self._connection.send(message)
            return
        method = getattr(self, f"on_{request['method'].rpartition('/')[2]}", None)
        answer = {"jsonrpc": "2.0", "id": request.get("id")}
        if method is None:
            answer["error"] = {"code": -32601, "message": "Method not found"}
        else:
            answer["result"] = await method(request.get("params"))
        if "id" in request:
            await self._connection.send(json.dumps(answer))

    async def on_echo(self, params: Any) -> Any:
        return params

    async def on_subscribe(self, params: Any) -> Any:
        return params["channels"]

    async def on_publish(self, params: Any) -> None:
        """Send data of a channel before the answer."""
        await self._connection.send(
            json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})
        )

    async def on_fill(self, params: Any) -> None:
        """Send a text of so many bytes."""
        await self._connection.send("x" * params["bytes"])

    async def on_fragments(self, params: Any) -> int:
        """Send one message in these parts, hexadecimal, and a PING after each; how many PONGs came."""
        pongs = []

        async def parts() -> AsyncIterator[bytes]:
            for number, part in enumerate(params["parts"]):
                yield bytes.fromhex(part)
                pongs.append(await self._connection.ping(f"part {number}"))

        await self._connection.send(parts(), text=params["text"])
        return len(await asyncio.gather(*pongs))

    async def on_ping(self, params: Any) -> str:
        """Send a PING with this payload; the PONG's."""
        await (await self._connection.ping(params["payload"]))
        return str(params["payload"])

    async def on_agreed(self, params: Any) -> dict[str, str]:
        """What the client offered, and what came of it."""
        del params
        request = self._connection.request
        assert request is not None
        names = [extension.name for extension in self._connection.protocol.extensions]
        return {"offered": request.headers.get("Sec-WebSocket-Extensions", ""), "agreed": ", ".join(names)}

    async def on_close(self, params: Any) -> None:
        """Close the connection, without a code if that is null."""
        if params["code"] is None:
            async with self._connection.send_context():
                self._connection.protocol.send_close()
            return
        await self._connection.close(params["code"], params["reason"])

    async def on_cut(self, params: Any) -> None:
        """Cut the connection."""
        del params
        self._connection.transport.abort()

    async def on_raw(self, params: Any) -> None:
        """Send bytes, hexadecimal, that may be no frame."""
        self._connection.transport.write(bytes.fromhex(params["bytes"]))


def read(message: str | bytes) -> dict[str, Any] | None:
    """A request; None when it is something else."""
    if isinstance(message, bytes):
        return None
    try:
        request = json.loads(message)
    except ValueError:
        return None
    return request if isinstance(request, dict) and "method" in request else None


async def converse(connection: ServerConnection) -> None:
    """Serve one client to its end."""
    client = Connection(connection)
    try:
        async for message in connection:
            await client.take(message)
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    say(code=connection.close_code, reason=connection.close_reason)


def claim(connection: ServerConnection, request: Request, response: Response) -> None:
    """Add what nobody offered."""
    del connection, request
    if TOLD["claims"]:
        response.headers["Sec-WebSocket-Extensions"] = TOLD["claims"]


async def main() -> None:
    """Serve until somebody ends this process."""
    compression = "deflate" if TOLD["deflate"] else None
    async with serve(
        converse,
        "127.0.0.1",
        TOLD["port"],
        compression=compression,
        process_response=claim,
        max_size=None,
        close_timeout=1,
    ) as server:
        say(port=next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
