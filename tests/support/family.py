"""The processes of a gateway with workers, and who of its clients is whose."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
from pathlib import Path

import pytest

from support.processes import Client, Gateway, Stage

TICKER = "mudrex.futures.ticker.BTCUSDT"
TRADES = "mudrex.futures.trade.BTCUSDT"
LIVELY = ("--rate", "25", "--trade-rate", "25")
QUICK = {"WORKERS": 2, "UNSUBSCRIBE_LINGER": 0.2, "SHM_RING_BYTES": 1 << 20, "DRAIN_GRACE": 0}


_PIDFD_GETFD = 438
"""The number of the system call, which Python has no function for. Source: pidfd_getfd(2), Linux 5.6."""


class Child:
    """A child process of a gateway.

    Args:
        pid: its number.
        name: what its parent calls it.
        descriptor: its number of its end of the control socket.
    """

    def __init__(self, pid: int, name: str, descriptor: int) -> None:
        self.pid, self.name, self.descriptor = pid, name, descriptor

    def control(self) -> socket.socket:
        """Its end of the control socket once more: what is said there is said by the child."""
        libc = ctypes.CDLL(None, use_errno=True)
        process = os.pidfd_open(self.pid)
        found = libc.syscall(_PIDFD_GETFD, process, self.descriptor, 0)
        os.close(process)
        if found < 0:
            pytest.skip(f"this system does not lend a child's descriptors: {os.strerror(ctypes.get_errno())}")
        return socket.socket(fileno=found)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    @property
    def is_there(self) -> bool:
        try:
            return "Z" not in Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False


def children(gateway: Gateway) -> dict[str, Child]:
    """The processes under a gateway's parent, by name."""
    parent = gateway.running.process.pid
    found = {}
    for pid in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "feedmux.app.child" in words:
            found[words[-2]] = Child(pid, words[-2], int(words[-3]))
    return found


def served_by(gateway: Gateway, clients: list[Client]) -> dict[str, list[Client]]:
    """The clients of each worker, by who has the other end of their socket."""
    ports = {client.local_port: client for client in clients}
    by_inode = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, inode = (line.split()[place] for place in (1, 2, 9))
        if int(local.rpartition(":")[2], 16) == gateway.port:
            by_inode[f"socket:[{inode}]"] = int(remote.rpartition(":")[2], 16)
    found: dict[str, list[Client]] = {}
    for name, child in children(gateway).items():
        for link in Path(f"/proc/{child.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was closed just now
                port = by_inode.get(str(link.readlink()))
                if port in ports:
                    found.setdefault(name, []).append(ports[port])
    return found


async def crowd(stage: Stage, gateway: Gateway, count: int = 12) -> dict[str, list[Client]]:
    """So many clients that read everything, by worker; every worker has some."""
    clients: list[Client] = []
    while True:
        clients += await asyncio.gather(*(stage.client(gateway) for _ in range(count)))
        by_worker = served_by(gateway, clients)
        if len(by_worker) == 2:
            break
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT") for client in clients))
    await asyncio.gather(*(client.data(TICKER, count=3) for client in clients))
    return by_worker
