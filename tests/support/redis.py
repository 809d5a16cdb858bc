"""A real Redis of the test run: this machine's, or Debian's unpacked; it keeps nothing.

A server has its port, its socket and its folder for itself, writes nothing to disk, and listens on this
machine alone. The system ends it when the test run dies. What tests say to it they say over
:mod:`support.resp`, so that no library of the code under test is between.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from support.certificates import HOST, Authority
from support.debian import PLACE, DebianProgram, debian_program
from support.programs import free_port
from support.resp import Answer, Resp, RespEnded
from support.running import environment
from support.waiting import until

PROGRAM: Final = "redis-server"
PACKAGES: Final = [PROGRAM]

_START_S: Final = 20.0
_STOP_S: Final = 10.0
_TRIES: Final = 5
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


def redis_program(say: Callable[[str], None]) -> DebianProgram:
    """Redis, fetched if need be; the test fails if it cannot be had.

    Args:
        say: is told what is fetched.
    """
    places = (os.environ.get("PATH", ""), "/usr/sbin", str(PLACE / PROGRAM / "usr/bin"))
    if shutil.which(PROGRAM, path=os.pathsep.join(places)) is None:
        say("redis-server is not here: fetching Debian's, 3 MB, into build/debian ...")
    return debian_program(PROGRAM, PACKAGES)


def _die_with_us() -> None:
    """Runs in a process that is being started: its end comes with that of the thread that starts it."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class RedisServer:
    """One server, in a process of its own.

    It is started from the main thread: the system ends it with the thread that did.

    Args:
        program: see :func:`redis_program`.
        folder: for its socket and its log; it does not exist yet. Its path is short: the path of a
            Unix socket has at most 107 bytes.
        password: of the user ``default``; empty: whoever comes may do everything.
        users: more users, each as ``ACL SETUSER`` takes it, e.g. ``"reader on >secret +subscribe"``.
        tls: whether it also listens on :attr:`tls_port`.
        options: more of its options, by name, e.g. ``{"maxmemory": "2mb"}``.
    """

    arguments: tuple[str, ...] = ("redis.conf",)
    """What the program is started with."""
    serves = "Ready to accept connections"
    """What it writes when it serves."""

    def __init__(
        self,
        program: DebianProgram,
        folder: Path,
        *,
        password: str = "",
        users: tuple[str, ...] = (),
        tls: bool = False,
        options: dict[str, str] | None = None,
    ) -> None:
        self._program, self.folder = program, folder
        self._users, self._options = users, options or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._admin = secrets.token_hex(8)
        self.password = password
        self.port, self.tls_port = free_port(), 0
        folder.mkdir(parents=True)
        if tls:
            self.authority = Authority(folder)
            self.tls_port = free_port()

    # Life

    def start(self) -> None:
        """Start it, and wait until it serves; on the same ports as before, if it ran before."""
        for _ in range(_TRIES):
            self.launch()
            deadline = time.monotonic() + _START_S
            while not self.is_ready and not self.has_ended and time.monotonic() < deadline:
                time.sleep(0.01)
            if self.is_ready:
                return
            self.kill()
            self.port, self.tls_port = free_port(), self.tls_port and free_port()
        raise AssertionError(f"Redis does not start:\n{self.log[-4000:]}")

    async def restart(self) -> None:
        """Start it again on the ports that it had, while the test's own tasks go on. It has forgotten all."""
        self.launch()
        await until(lambda: self.is_ready or self.has_ended, "Redis serves", _START_S)
        assert self.is_ready, self.log[-4000:]

    async def stop(self) -> None:
        """Let it end in order, as an administrator does."""
        assert self._process is not None
        self._process.terminate()
        await until(lambda: self.has_ended, "Redis has ended", _STOP_S)
        self.kill()

    def kill(self) -> None:
        """End it at once; twice is allowed."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None

    def launch(self) -> None:
        """Begin to start it."""
        (self.folder / "log").write_bytes(b"")
        (self.folder / "redis.conf").write_text("\n".join([*self._configuration(), ""]))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program.path), *self.arguments],
                cwd=self.folder,
                env=environment(self._program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_us,  # noqa: PLW1509 - one system call, and no lock
            )

    def signal(self, number: int) -> None:
        """Send it a signal, e.g. SIGSTOP: then it holds its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def is_ready(self) -> bool:
        """Whether it serves."""
        return not self.has_ended and self.serves in self.log

    @property
    def has_ended(self) -> bool:
        """Whether it does not run any more."""
        return self._process is None or self._process.poll() is not None

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def socket_path(self) -> str:
        """Where it listens besides its port."""
        return str(self.folder / "socket")

    @property
    def url(self) -> str:
        """Where it is, as settings say it."""
        return f"redis://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def run_id(self) -> str:
        """How this run of it calls itself."""
        info = self.ask("INFO", "server")
        assert isinstance(info, bytes)
        return next(line[7:] for line in info.decode().splitlines() if line.startswith("run_id:"))

    # Administration

    def client(self) -> Resp:
        """Somebody who may do everything; a context manager."""
        client = Resp.connect(self.port)
        client.enter("admin", self._admin)
        return client

    def ask(self, *command: str | bytes) -> Answer:
        """What it answers to one command of an administrator.

        Raises:
            RespError: an error.
        """
        with self.client() as client:
            return client.ask(*command)

    def kill_clients(self, kind: str = "normal") -> int:
        """End connections, as ``CLIENT KILL`` does; how many there were.

        Args:
            kind: ``normal`` or ``pubsub``, as Redis calls who has no subscription and who has one.
        """
        killed = self.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        assert isinstance(killed, int)
        return killed

    def sleep(self, seconds: float) -> Resp:
        """Begin to answer nobody for so long, as a Redis does that runs a slow command.

        Returns:
            Who asked for it, and gets the answer when it is over; to be closed.
        """
        client = self.client()
        client.send("DEBUG", "SLEEP", f"{seconds:g}")
        return client

    def subscribers(self, *channels: str) -> list[int]:
        """How many listen to each channel."""
        answer = self.ask("PUBSUB", "NUMSUB", *channels)
        assert isinstance(answer, list)
        return [count for count in answer[1::2] if isinstance(count, int)]

    def _configuration(self) -> list[str]:
        default = f">{self.password}" if self.password else "nopass"
        lines = [
            f"bind {HOST}",
            f"port {self.port}",
            f"unixsocket {self.socket_path}",
            'save ""',
            "appendonly no",
            "daemonize no",
            "enable-debug-command yes",
            f"user default on {default} ~* &* +@all",
            f"user admin on >{self._admin} ~* &* +@all",
        ]
        if self.tls_port:
            lines += [
                f"tls-port {self.tls_port}",
                f"tls-cert-file {self.authority.files.cert}",
                f"tls-key-file {self.authority.files.key}",
                f"tls-ca-cert-file {self.authority.ca_file}",
                "tls-auth-clients no",
            ]
        lines += [f"user {user}" for user in self._users]
        return lines + [f"{name} {value}" for name, value in self._options.items()]


def nobody(port: int) -> bool:
    """Whether nobody listens on a port."""
    try:
        Resp.connect(port).close()
    except (OSError, RespEnded):
        return True
    return False
