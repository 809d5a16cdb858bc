"""A small Alpaca that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from support.waiting import until

Message = dict[str, Any]

KEY, SECRET = "AKFEEDMUXTESTS", "s3cret-of-the-tests"
CHANNELS = ("trades", "quotes", "bars", "updatedBars")


def error(code: int, words: str) -> Message:
    """One of Alpaca's errors."""
    return {"T": "error", "code": code, "msg": words}


CONNECTION_LIMIT = error(406, "connection limit exceeded")
SYMBOL_LIMIT = error(405, "symbol limit exceeded")


class Guest:
    """One connection: whether it was let in, and what it has of each channel."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.is_in = False
        self.has: dict[str, list[str]] = {name: [] for name in CHANNELS}

    async def tell(self, *objects: Message) -> None:
        """Send objects in one frame."""
        await self.say(json.dumps(objects))

    async def say(self, text: str) -> None:
        """Send a text as it stands."""
        try:
            await self.connection.send(text)
        except ConnectionClosed:
            return


class AlpacaServer:
    """Answers as Alpaca's documents say it does.

    Attributes:
        greets: whether it says that a connection is there.
        welcomes_none: whether it says 406 and closes right after it has let somebody in.
        answers: errors that the next logins are answered with instead; the connection stays.
        refusals: errors that the next requests are answered with instead.
        denied: symbols that it leaves out of its answers.
        deaf: actions that are not answered at all.
        requests: all that was asked, in order, with the number of its connection.
        guests: those that are open.
        opened: how many there ever were.
    """

    def __init__(self) -> None:
        self.greets = True
        self.welcomes_none = False
        self.answers: deque[Message] = deque()
        self.refusals: deque[Message] = deque()
        self.denied: set[str] = set()
        self.deaf: set[str] = set()
        self.requests: list[tuple[int, Message]] = []
        self.guests: list[Guest] = []
        self.opened = 0
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen on a port that the system chooses."""
        self._server = await serve(self._serve, "127.0.0.1", 0, compression=None, close_timeout=0.5)

    async def stop(self) -> None:
        """End all connections."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/v2/test"

    def asked(self, action: str) -> list[Message]:
        """Every request of a kind, in order."""
        return [request for _, request in self.requests if request.get("action") == action]

    def subscribed(self) -> dict[str, list[str]]:
        """What is subscribed now, over all connections, without what is empty."""
        found = {name: [symbol for one in self.guests for symbol in one.has[name]] for name in CHANNELS}
        return {name: sorted(symbols) for name, symbols in found.items() if symbols}

    async def carries(self, **channels: list[str]) -> None:
        """Wait until exactly this is subscribed."""
        await until(lambda: self.subscribed() == channels, f"{channels} are subscribed")

    async def push(self, *objects: Message) -> None:
        """Send one frame to everybody."""
        for guest in list(self.guests):
            await guest.tell(*objects)

    async def cut(self) -> None:
        """Break every connection without a word."""
        for guest in list(self.guests):
            guest.connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> None:
        self.opened += 1
        number, guest = self.opened, Guest(connection)
        self.guests.append(guest)
        if self.greets:
            await guest.tell({"T": "success", "msg": "connected"})
        try:
            async for text in connection:
                request = json.loads(text)
                self.requests.append((number, request))
                if request["action"] not in self.deaf:
                    await self._answer(guest, request)
        except ConnectionClosed:
            pass
        finally:
            self.guests.remove(guest)

    async def _answer(self, guest: Guest, request: Message) -> None:
        if request["action"] == "auth":
            await guest.tell(self._login(guest, request))
            if self.welcomes_none:
                await guest.tell(CONNECTION_LIMIT)
                await guest.connection.close()
        elif not guest.is_in:
            await guest.tell(error(401, "not authenticated"))
        elif self.refusals:
            await guest.tell(self.refusals.popleft())
        else:
            self._change(guest, request)
            extra = {"corrections": guest.has["trades"], "cancelErrors": guest.has["trades"]}
            await guest.tell({"T": "subscription", **guest.has, **extra})

    def _login(self, guest: Guest, request: Message) -> Message:
        if self.answers:
            return self.answers.popleft()
        if (request["key"], request["secret"]) != (KEY, SECRET):
            return error(402, "auth failed")
        guest.is_in = True
        return {"T": "success", "msg": "authenticated"}

    def _change(self, guest: Guest, request: Message) -> None:
        for name in CHANNELS:
            for symbol in request.get(name, ()):
                if request["action"] == "unsubscribe":
                    guest.has[name] = [one for one in guest.has[name] if one != symbol]
                elif symbol not in guest.has[name] and symbol not in self.denied:
                    guest.has[name].append(symbol)
