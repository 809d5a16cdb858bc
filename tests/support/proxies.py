"""Real proxies of Debian, each a process on a port of its own that can be killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from support.debian import DebianProgram, debian_program
from support.programs import free_port
from support.running import environment
from support.waiting import until

USER, PASSWORD = "ada", "s3cret"
_TRIES = 10

Arguments = Callable[["RealProxy"], Sequence[str]]


class RealProxy:
    """A proxy that others have written.

    Args:
        program: what is started.
        arguments: of it; asked for at each start.
        scheme: of its URL.
        folder: for its files.
        user: what it lets pass: ``user:password``; empty: everybody.
    """

    def __init__(
        self, program: DebianProgram, arguments: Arguments, *, scheme: str, folder: Path, user: str = ""
    ) -> None:
        self._program, self._arguments = program, arguments
        self._scheme, self._user = scheme, user
        self._process: Process | None = None
        self.folder = folder
        self.rules: list[str] = []
        """More lines of its configuration; they count from the next start."""
        self.port = free_port()

    @property
    def name(self) -> str:
        """Its URL, as it may be shown."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its URL for somebody whom it lets pass."""
        return self.url_for(self._user)

    def url_for(self, user: str) -> str:
        """Its URL for ``user:password``."""
        return f"{self._scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        for _ in range(_TRIES):
            with (self.folder / "log").open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    self._program.path,
                    *self._arguments(self),
                    cwd=self.folder,
                    env=environment(self._program.environment),
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            await until(lambda: self._has_ended or self._listens, f"the proxy listens:\n{self.log}")
            if not self._has_ended:
                return
            self.port = free_port()
        raise AssertionError(self.log)

    async def kill(self) -> None:
        """End it and all its children at once; what it carried breaks."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to it and all its children, if they are there."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    @property
    def _has_ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    @property
    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def tinyproxy(folder: Path, user: str = "") -> RealProxy:
    """HTTP CONNECT."""

    def arguments(proxy: RealProxy) -> list[str]:
        lines = [f"Port {proxy.port}", "Listen 127.0.0.1", "Timeout 600", "MaxClients 100", "LogLevel Info"]
        lines += [f"BasicAuth {user.replace(':', ' ')}"] if user else []
        (folder / "conf").write_text("\n".join([*lines, *proxy.rules, ""]))
        return ["-d", "-c", "conf"]

    program = debian_program("tinyproxy", ["tinyproxy-bin"])
    return RealProxy(program, arguments, scheme="http", folder=folder, user=user)


def microsocks(folder: Path, user: str = "") -> RealProxy:
    """SOCKS5."""

    def arguments(proxy: RealProxy) -> list[str]:
        name, _, password = user.partition(":")
        return ["-i", "127.0.0.1", "-p", str(proxy.port), *(["-u", name, "-P", password] if user else [])]

    program = debian_program("microsocks", ["microsocks"])
    return RealProxy(program, arguments, scheme="socks5", folder=folder, user=user)


def dante(folder: Path) -> RealProxy:
    """SOCKS4."""

    def arguments(proxy: RealProxy) -> list[str]:
        lines = [f"internal: 127.0.0.1 port = {proxy.port}", "external: 127.0.0.1", "logoutput: stderr"]
        lines += ["clientmethod: none", "socksmethod: none", "client pass { from: 0/0 to: 0/0 }"]
        lines += ["socks pass {", "from: 0/0 to: 0/0", "proxyprotocol: socks_v4", "log: connect", "}"]
        (folder / "conf").write_text("\n".join([*lines, *proxy.rules, ""]))
        return ["-f", "conf", "-p", str(folder / "pid"), "-N", "1"]

    program = debian_program("danted", ["dante-server"])
    return RealProxy(program, arguments, scheme="socks4", folder=folder)


@asynccontextmanager
async def started(proxy: RealProxy) -> AsyncIterator[RealProxy]:
    """A proxy that runs; nothing of it is left after the block."""
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.kill()


@asynccontextmanager
async def behind_tls(proxy: RealProxy, context: ssl.SSLContext) -> AsyncIterator[str]:
    """Put TLS before a proxy, as a load balancer does; the URL, without a user."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
