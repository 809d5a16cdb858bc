"""A real HAProxy of Debian with the configuration that is shipped, and the names that it asks for."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from support.debian import debian_program
from support.documents import ROOT
from support.programs import free_port
from support.running import environment
from support.waiting import until

CONFIGURATION: Final = ROOT / "haproxy.cfg"
_A: Final = b"\x00\x01"
_ANSWER: Final = b"\x81\x80\x00\x01"
_TTL_S: Final = b"\x00\x00\x00\x00"
_FIRST_NAME: Final = b"\xc0\x0c"


class Names(asyncio.DatagramProtocol):
    """A server of names that gives every name the same addresses, as Docker's does those of a service.

    Source: RFC 1035 §4.1.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = [bytes(map(int, address.split("."))) for address in addresses]

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\x00", 12) + 5
        question = data[12:end]
        found = self._addresses if question[-4:-2] == _A else []
        records = [_FIRST_NAME + question[-4:] + _TTL_S + b"\x00\x04" + address for address in found]
        counts = len(records).to_bytes(2, "big") + bytes(4)
        self._transport.sendto(data[:2] + _ANSWER + counts + question + b"".join(records), addr)


@asynccontextmanager
async def balancer(folder: Path, addresses: Sequence[str], port: int) -> AsyncIterator[str]:
    """Run it before the nodes that listen on ``port`` of these addresses; its own, ``host:port``.

    Three lines of its configuration are others: where it listens, who knows names, and the nodes' port.
    """
    program = debian_program("haproxy", ["haproxy"])
    loop, own = asyncio.get_running_loop(), free_port()
    transport, _ = await loop.create_datagram_endpoint(lambda: Names(addresses), ("127.0.0.1", 0))
    asked = transport.get_extra_info("sockname")[1]
    text = CONFIGURATION.read_text()
    for old, new in (
        ("bind :8000", f"bind 127.0.0.1:{own}"),
        ("parse-resolv-conf", f"nameserver test 127.0.0.1:{asked}"),
        ("node:8000", f"node:{port}"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "haproxy.cfg").write_text(text)
    with (folder / "haproxy.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            program.path, "-db", "-f", "haproxy.cfg", cwd=folder, env=environment(program.environment),
            stdin=DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        await until(lambda: process.returncode is not None or _listens(own), "HAProxy listens")
        yield f"127.0.0.1:{own}"
        said = (folder / "haproxy.log").read_text()
        assert process.returncode is None, said
        assert not re.search(r"\[(ALERT|WARNING)\].*(config|parsing)", said), said
    finally:
        await _ended(process)
        transport.close()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


async def _ended(process: Process) -> None:
    """It and its children are gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    await until(lambda: process.returncode is not None, "HAProxy has ended")
