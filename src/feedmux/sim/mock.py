"""A WebSocket server for tests of clients: it answers as told, remembers, and fails on demand.

::

    async with MockServer(lambda message: message) as server:      # an echo
        await my_client.connect(server.url)
        await server.assert_received({"op": "subscribe"})
        server.inject({"topic": "tickers.BTCUSDT"})
        await server.simulate_disconnect("reset")

It listens on an address of this machine, on a port that the system chooses, and speaks real WebSocket,
with TLS when it is given a context. What it receives goes to the script first, as long as one has steps
left for this client, and then to the answer function.

Deliberately absent: compression, a certificate of its own (making one takes a library that feedmux does
not need otherwise), and real loss of packets: a server that vanishes says nothing any more, but its
machine still acknowledges what arrives.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from feedmux.model.checks import require_kind, require_number, require_text, require_whole, type_of
from feedmux.model.errors import InvalidSetting, Overflow
from feedmux.sim.mailbox import Mailbox, Received
from feedmux.sim.mock_client import MockClient, MockConnection, Upgrade
from feedmux.sim.pattern import Message, Wanted, Wire, wire
from feedmux.sim.script import Disconnect, Say, Script, Step

Answers = Message | Iterable[Message] | None
"""What an answer function returns: a message, several, or nothing."""
Answer = Callable[[Wire], Answers | Awaitable[Answers]]

_STATUS: Final = "a known HTTP status from 300 to 599"
_CLOSE_TIMEOUT_S: Final = 1.0
_BACKLOG_BYTES: Final = 16 * 1024 * 1024
_FAILURES_KEPT: Final = 10


class MockServer:
    """A running server; used once, in ``async with``.

    Args:
        answer: called with each message (``str`` or ``bytes``); what it returns is sent back.
        script: what happens with each client first; see :mod:`feedmux.sim.script`.
        tls: a server's context; None: no TLS.
        subprotocols: what it speaks, the best first; a client that offers none of them is accepted
            without.
        host: the address to listen on, and the name in :attr:`url`.
        keep: how many received messages, and how many upgrade requests, are remembered.
        max_message_bytes: the longest message that it takes.

    Raises:
        InvalidSetting: one of them is something else; on entering, the address cannot be listened on.
    """

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        script: Sequence[Step] = (),
        tls: SSLContext | None = None,
        subprotocols: Sequence[str] = (),
        host: str = "127.0.0.1",
        keep: int = 1000,
        max_message_bytes: int = 1024 * 1024,
    ) -> None:
        _check(answer=answer, script=script, tls=tls, subprotocols=subprotocols)
        require_text("host", host)
        require_whole("max_message_bytes", max_message_bytes, "a whole number of bytes above 0", least=1)
        self._answer, self._steps, self._tls = answer, tuple(script), tls
        self._subprotocols, self._host = tuple(subprotocols), host
        self._max_message_bytes = max_message_bytes
        self._mailbox = Mailbox(keep)
        self._upgrades: deque[Upgrade] = deque(maxlen=keep)
        self._clients: dict[int, MockClient] = {}
        self._changed = asyncio.Event()
        self._refusal: tuple[HTTPStatus, Mapping[str, str]] | None = None
        self._refusals_left: int | None = None
        self._failures: list[Exception] = []
        self._server: Server | None = None
        self._port = self._connections_ever = self._refused = 0

    # -- life ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            self._server = await serve(
                self._converse,
                self._host,
                0,
                create_connection=MockConnection,
                process_request=self._admit,
                select_subprotocol=self._subprotocol,
                compression=None,
                ping_interval=None,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=self._max_message_bytes,
                server_header=None,
                ssl=self._tls,
            )
        except (OSError, UnicodeError) as error:
            raise InvalidSetting("host", self._host, f"an address to listen on ({error})") from error
        self._port = int(next(iter(self._server.sockets)).getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection (1001) and the listener.

        Raises:
            Exception: what the answer function or a predicate of the script raised, unless the block
                raised something itself.
        """
        assert self._server is not None
        for client in self.clients:
            client.connection.let_go()
        self._server.close()
        await self._server.wait_closed()
        if kind is None and self._failures:
            if len(self._failures) == 1:
                raise self._failures[0]
            raise ExceptionGroup("functions of the mock server raised", self._failures)

    @property
    def port(self) -> int:
        """The port it listens on, or listened on."""
        assert self._port, "entering the block comes first"
        return self._port

    @property
    def url(self) -> str:
        """Where a client connects; every path is served alike."""
        return f"{'ws' if self._tls is None else 'wss'}://{self._host}:{self.port}/ws"

    # -- what a test asks ------------------------------------------------------------------

    @property
    def received(self) -> tuple[Wire, ...]:
        """The latest messages of all clients, oldest first."""
        return tuple(one.message for one in self._mailbox.kept)

    @property
    def let_go(self) -> int:
        """How many messages came before those in :attr:`received`."""
        return self._mailbox.let_go

    @property
    def clients(self) -> tuple[MockClient, ...]:
        """Those that are connected, in the order in which they came."""
        return tuple(self._clients.values())

    @property
    def upgrades(self) -> tuple[Upgrade, ...]:
        """The latest requests to connect, refused ones included."""
        return tuple(self._upgrades)

    async def assert_received(self, wanted: Wanted, timeout_s: float = 5.0, *, times: int = 1) -> Received:
        """Wait until a message came that is wanted; what came before counts, as far as it is kept.

        Args:
            wanted: a text, bytes, a pattern, a mapping or a predicate; see
                :func:`feedmux.sim.pattern.matches`.
            timeout_s: how long it may take.
            times: how many such messages there must be.

        Raises:
            AssertionError: it did not come in time; says what came instead.
        """
        try:
            return await self._mailbox.wait(wanted, times=times, timeout_s=timeout_s)
        except AssertionError as error:
            if self._failures:
                error.add_note(f"a function of the mock server raised: {self._failures[0]!r}")
            raise

    async def wait_clients(self, count: int = 1, timeout_s: float = 5.0) -> tuple[MockClient, ...]:
        """Wait until exactly so many clients are connected, and return them.

        Raises:
            InvalidSetting: there cannot be so many, or it is no time.
            AssertionError: it did not come about in time.
        """
        require_whole("count", count, "a number of clients, 0 or more", least=0)
        require_number("timeout_s", timeout_s, "seconds, 0 or more", least=0)
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._clients) != count:
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"{len(self._clients)} clients are connected after {timeout_s:g} s; expected {count}"
            ) from None
        return self.clients

    def statistics(self) -> dict[str, object]:
        """Connections, refusals and messages."""
        return {
            "connections": len(self._clients),
            "connections_ever": self._connections_ever,
            "refused": self._refused,
            "received": len(self._mailbox.kept) + self._mailbox.let_go,
            "let_go": self._mailbox.let_go,
        }

    # -- what a test does ------------------------------------------------------------------

    def inject(self, message: Message, *, client: MockClient | None = None) -> int:
        """Send a message to every client, or to one.

        Returns:
            To how many.

        Raises:
            Overflow: a client reads nothing and too much waits for it.
        """
        chosen = [one for one in self._chosen(client) if one.is_open]
        for one in chosen:
            if one.connection.transport.get_write_buffer_size() > _BACKLOG_BYTES:
                raise Overflow(f"what waits for client {one.number}", f"{_BACKLOG_BYTES} bytes")
        broadcast([one.connection for one in chosen], wire(message))
        return len(chosen)

    async def simulate_disconnect(
        self, how: str | int = "normal", *, reason: str = "", client: MockClient | None = None
    ) -> int:
        """End the connection of every client, or of one.

        Args:
            how: ``normal`` (1000), ``going_away`` (1001), or a close code: a close frame, then the end;
                ``reset``: TCP is reset, without a word; ``vanish``: the server says nothing any more and
                looks at nothing, and the connection stays.
            reason: in the close frame.
            client: whose connection; all when None.

        Returns:
            How many there were.

        Raises:
            InvalidSetting: there is no such way to end.
        """
        step = Disconnect(how, reason)
        chosen = self._chosen(client)
        await asyncio.gather(*(one.connection.end(step) for one in chosen))
        return len(chosen)

    def refuse(
        self, status: int = 503, *, times: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer requests to connect with an HTTP status; those who are connected stay.

        Args:
            status: an error or a redirection, e.g. 401, 429 or 503.
            times: how often; None: until :meth:`accept`.
            headers: more headers of the answer, e.g. ``Retry-After``.

        Raises:
            InvalidSetting: the status is none that refuses, or one of the others is something else.
        """
        require_whole("status", status, _STATUS, least=300, most=599)
        if status not in set(HTTPStatus):
            raise InvalidSetting("status", status, _STATUS)
        if times is not None:
            require_whole("times", times, "a whole number above 0, or None", least=1)
        if headers is not None:
            require_kind("headers", headers, Mapping, "texts by name")
            if not all(isinstance(part, str) for pair in headers.items() for part in pair):
                raise InvalidSetting("headers", type_of(headers), "texts by name")
        self._refusal, self._refusals_left = (HTTPStatus(status), dict(headers or {})), times

    def accept(self) -> None:
        """Accept requests to connect again."""
        self._refusal = None

    # -- connections -----------------------------------------------------------------------

    def _chosen(self, client: MockClient | None) -> list[MockClient]:
        return list(self._clients.values()) if client is None else [client]

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._refusals_left == 0:
            self._refusal = self._refusals_left = None
        status = None if self._refusal is None else self._refusal[0]
        self._upgrades.append(Upgrade(request.path, request.headers, status))
        if self._refusal is None:
            return None
        if self._refusals_left is not None:
            self._refusals_left -= 1
        self._refused += 1
        response = connection.respond(self._refusal[0], "refused by the mock server\n")
        response.headers.update(self._refusal[1])
        return response

    def _subprotocol(self, _: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((Subprotocol(name) for name in self._subprotocols if name in offered), None)

    async def _converse(self, connection: ServerConnection) -> None:
        assert isinstance(connection, MockConnection)
        self._connections_ever += 1
        client = MockClient(connection, self._connections_ever)
        self._clients[client.number] = client
        self._change()
        try:
            await self._talk(client)
        except ConnectionClosed:
            pass  # with or without a close frame: both are how connections end
        except Exception as error:  # noqa: BLE001 - the outermost edge: the end of the block raises it
            if len(self._failures) < _FAILURES_KEPT:
                self._failures.append(error)
            await connection.close(1011, "a function of the mock server raised")
        finally:
            del self._clients[client.number]
            self._change()

    async def _talk(self, client: MockClient) -> None:
        script = Script(self._steps)
        await self._play(client, script.begin())
        async for message in client.connection:
            self._mailbox.add(Received(message, client.number))
            if not script.is_over:
                await self._play(client, script.take(message))
            elif self._answer is not None:
                answers = self._answer(message)
                await self._send(client, await answers if inspect.isawaitable(answers) else answers)

    async def _play(self, client: MockClient, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, Say):
                await self._send(client, step.message)
            elif isinstance(step, Disconnect):
                await client.connection.end(step)

    async def _send(self, client: MockClient, answers: Answers) -> None:
        if answers is None:
            return
        for message in (answers,) if isinstance(answers, str | bytes | Mapping) else answers:
            await client.connection.send(wire(message))

    def _change(self) -> None:
        """Wake those who wait for clients."""
        self._changed.set()
        self._changed = asyncio.Event()


def _check(*, answer: object, script: object, tls: object, subprotocols: object) -> None:
    """Refuse what a server cannot be made of."""
    if answer is not None and not callable(answer):
        raise InvalidSetting("answer", type_of(answer), "a function of a message")
    require_kind("script", script, (list, tuple), "steps in a list")
    for step in script if isinstance(script, list | tuple) else ():
        require_kind("script", step, Step, "steps: Say, Expect and Disconnect")
    if tls is not None:
        require_kind("tls", tls, SSLContext, "a server's ssl.SSLContext")
    require_kind("subprotocols", subprotocols, (list, tuple), "names in a list")
    for name in subprotocols if isinstance(subprotocols, list | tuple) else ():
        require_text("subprotocols", name)
