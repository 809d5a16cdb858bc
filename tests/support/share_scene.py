"""A WebSocket server, a broker beside it, and clients that block: all that a story about sharing needs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from feedmux.share.broker import Broker
from feedmux.share.config import ShareConfig
from feedmux.share.door import claim
from support.running import environment
from support.share_client import DEADLINE_S, ShareClient

Message = str | bytes
T = TypeVar("T")


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Return once ``condition()`` is true.

    Raises:
        AssertionError: it was not in time.
    """
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what or condition
        time.sleep(0.005)


class Upstream:
    """A WebSocket server that remembers, and does what a test says."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: list[ServerConnection] = []
        self._server: Server | None = None
        self.requests: list[Request] = []
        """Every upgrade that was asked for."""
        self.heard: list[tuple[int, Message]] = []
        """The number of the connection, from 1, and what it said."""
        self.codes: list[int | None] = []
        """With what each connection was closed by the other side, in the order of their ends."""
        self.status: HTTPStatus | None = None
        """With what upgrades are refused; None: they are not."""
        self.greeting: list[Message] = []
        self.connections = 0
        self._gate = asyncio.Event()
        self._gate.set()
        self.url = ""

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def messages(self, connection: int | None = None) -> list[Message]:
        """What was heard on one connection, or on all."""
        return [message for number, message in self.heard if connection in {None, number}]

    def hears(self, *messages: Message, connection: int | None = None) -> None:
        """Wait until exactly these were heard."""
        wait_until(
            lambda: self.messages(connection) == list(messages),
            f"heard {self.heard}, expected {messages}",
        )

    def say(self, *messages: Message) -> None:
        """Send to all."""

        async def send() -> None:
            for message in messages:
                for connection in self._open:
                    await connection.send(message)

        self.do(send())

    def cut(self, code: int = 1012, reason: str = "restart") -> None:
        """Close all connections."""

        async def close() -> None:
            for connection in list(self._open):
                await connection.close(code, reason)

        self.do(close())

    def hold(self) -> None:
        """Answer no upgrade until :meth:`let`."""
        self._loop.call_soon_threadsafe(self._gate.clear)
        self.do(asyncio.sleep(0))

    def let(self) -> None:
        self._loop.call_soon_threadsafe(self._gate.set)

    async def start(self) -> None:
        self._server = await serve(
            self._talk,
            "127.0.0.1",
            0,
            compression=None,
            max_size=None,
            process_request=self._asked,
            close_timeout=1.0,
            subprotocols=None,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
        )
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/stream"

    async def stop(self) -> None:
        self._gate.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _asked(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        await self._gate.wait()
        return None if self.status is None else connection.respond(self.status, "no\n")

    async def _talk(self, connection: ServerConnection) -> None:
        self.connections += 1
        number = self.connections
        self._open.append(connection)
        try:
            for message in self.greeting:
                await connection.send(message)
            async for message in connection:
                self.heard.append((number, message))
        except ConnectionClosed:
            pass
        finally:
            self._open.remove(connection)
            self.codes.append(connection.close_code)


class BrokerProcess:
    """``feedmux share`` in a process of its own."""

    def __init__(
        self, name: str, *options: str, settings: dict[str, str] | None = None, **popen: Any
    ) -> None:
        command = [sys.executable, "-m", "feedmux", "share", "--name", name, *options]
        self.process = subprocess.Popen(
            command, env=environment(settings), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, **popen,
        )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Wait until it has ended by itself; its exit code, and what it wrote."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out + err

    def dispose(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def status(self, name: str) -> int:
        """A figure of the system's books, kB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise AssertionError(name)


class ShareScene:
    """All of it; the broker of :meth:`broker` runs in this process, that of :meth:`spawn` does not."""

    def __init__(self) -> None:
        self.name = f"test-{uuid4().hex[:12]}"
        self._stack = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.upstream = Upstream(self._loop)
        self.running: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._stack.callback(self._close_loop)
        self.upstream.do(self.upstream.start())
        self._stack.callback(lambda: self.upstream.do(self.upstream.stop()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return self.upstream.url

    def broker(self, **options: Any) -> Broker:
        """A broker in this process."""
        config = ShareConfig(name=self.name, **options)

        async def start() -> Broker:
            listener = claim(self.name)
            assert listener is not None
            made = Broker(config, listener)
            self.running = asyncio.get_running_loop().create_task(made.run())
            return made

        broker = self.upstream.do(start())
        self._stack.callback(self._end_broker, broker)
        return broker

    def spawn(self, *options: str, **popen: Any) -> BrokerProcess:
        """A broker in a process of its own; need not have begun to listen."""
        process = BrokerProcess(self.name, *options, **popen)
        self._stack.callback(process.dispose)
        return process

    def client(self) -> ShareClient:
        """A client that was welcomed."""
        return self.own(ShareClient.welcomed(self.name))

    def stranger(self) -> ShareClient:
        """A client that has said nothing yet."""
        return self.own(ShareClient(self.name))

    def own(self, client: ShareClient) -> ShareClient:
        self._stack.callback(client.close)
        return client

    @property
    def running_is_over(self) -> bool:
        """Whether the broker in this process has ended."""
        return self.running is None or self.running.done()

    def call(self, function: Callable[[], object]) -> None:
        """Call something where the broker runs."""

        async def called() -> None:
            function()

        self.upstream.do(called())

    def wait_over(self) -> None:
        """Wait until the broker in this process has ended by itself."""
        running = self.running
        assert running is not None
        wait_until(running.done, "the broker ends")
        running.result()

    def _end_broker(self, broker: Broker) -> None:
        running = self.running
        assert running is not None

        async def end() -> None:
            broker.stop("the test is over")
            await running

        self.upstream.do(end())

    def _close_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        with suppress(RuntimeError):
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


@contextmanager
def share_scene() -> Iterator[ShareScene]:
    """A scene that leaves nothing behind: no descriptor, and no place that is held."""
    with ShareScene() as scene:
        yield scene


def open_descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
