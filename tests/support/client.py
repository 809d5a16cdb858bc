"""A WebSocket client of a gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from support.running import DEADLINE_S
from support.streams import VALUES, of

Message = dict[str, Any]


class Client:
    """A WebSocket client that keeps all that it was sent."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[Message] = []
        self.times: list[float] = []
        """When each of them came, seconds on a clock that never goes back."""
        self.closed: tuple[int, str] | None = None
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def local_port(self) -> int:
        """The port at its end of the socket."""
        return int(self.socket.local_address[1])

    @property
    def seen(self) -> int:
        """How many messages came so far: where to look on from."""
        return len(self.messages)

    async def ask(self, request: object) -> Message:
        """Send a request; the next answer to one of its kind."""
        seen = self.seen
        await self.send(request)
        op = request.get("op") if isinstance(request, dict) else None
        return await self.wait(lambda m: m.get("op") in {op, "error", "pong"}, seen=seen)

    async def subscribe(self, *args: str) -> Message:
        """Subscribe; the answer."""
        return await self.ask({"op": "subscribe", "args": list(args)})

    async def unsubscribe(self, *args: str) -> Message:
        """Give streams back; the answer."""
        return await self.ask({"op": "unsubscribe", "args": list(args)})

    async def send(self, request: object) -> None:
        """Send JSON, or a text or bytes as they are."""
        await self.socket.send(request if isinstance(request, str | bytes) else json.dumps(request))

    async def wait(
        self, wanted: Callable[[Message], object], *, seen: int = 0, deadline_s: float = DEADLINE_S
    ) -> Message:
        """The first message from number ``seen`` on that is ``wanted``, now or later.

        Every message is shown to ``wanted`` once, in order.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    self._news.clear()
                    while seen < len(self.messages):
                        message = self.messages[seen]
                        seen += 1
                        if wanted(message):
                            return message
                    if self.closed is not None:
                        raise AssertionError(f"closed with {self.closed} before it came; {self._latest}")
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {deadline_s} s; {self._latest}") from None

    async def status(
        self, state: str, stream: str | None = None, *, seen: int = 0, deadline_s: float = DEADLINE_S
    ) -> Message:
        """The next status message with this state, of one stream or of any."""
        return await self.wait(
            lambda m: (
                m.get("type") == "status" and m["data"]["state"] == state and stream in {None, m["stream"]}
            ),
            seen=seen,
            deadline_s=deadline_s,
        )

    async def data(
        self, stream: str, *, seen: int = 0, count: int = 1, deadline_s: float = DEADLINE_S
    ) -> Message:
        """The next value of a stream, or the last of the next ``count``."""
        numbers = iter(range(count, 0, -1))
        return await self.wait(
            lambda m: m.get("stream") == stream and m["type"] in VALUES and next(numbers) == 1,
            seen=seen,
            deadline_s=deadline_s,
        )

    def of(self, stream: str) -> list[Message]:
        """All messages of one stream so far."""
        return of(self.messages, stream)

    async def end(self, deadline_s: float = DEADLINE_S) -> tuple[int, str]:
        """Wait until the server has closed; code and reason."""
        await asyncio.wait({self._reading}, timeout=deadline_s)
        assert self.closed is not None, f"not closed within {deadline_s} s; {self._latest}"
        return self.closed

    @property
    def _latest(self) -> str:
        return f"the latest of {len(self.messages)} messages: {self.messages[-5:]}"

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                self.times.append(time.monotonic())
                self.messages.append(json.loads(text))
                self._news.set()
        except ConnectionClosed:
            pass
        self.closed = (self.socket.close_code or 1006, self.socket.close_reason or "")
        self._news.set()

    async def close(self) -> None:
        """Go away."""
        await self.socket.close()
        await self._reading
