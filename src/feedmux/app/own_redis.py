"""A Redis in a process of its own, for as long as somebody looks at a cluster.

It listens on a Unix socket in a folder of its own and nowhere else, and keeps nothing. A shell is its parent
and waits for the end of its own standard input: so Redis and the folder are gone with whoever
started them, even one that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path
from typing import Final

from feedmux.app.own_process import OwnProcess
from feedmux.model.errors import LocalError

PROGRAM: Final = "redis-server"
_ELSEWHERE: Final = ("/usr/sbin", "/usr/local/sbin")
"""Where it may be besides in the path."""
_READY: Final = b"eady to accept connections"
_START_S: Final = 10.0
_MOST_SAID: Final = 3

_SHELL: Final = """\
folder=$1; shift
"$@" &
exec >/dev/null 2>&1
read -r _
kill -9 $!
wait
rm -rf "$folder"
"""
"""Its input is a pipe, in which nobody ever writes; the redirection leaves the output to Redis alone."""


class NoRedisServer(LocalError):
    """There is no Redis on this machine that could be started."""

    code = "NO_REDIS_SERVER"

    def __str__(self) -> str:
        return (
            f"{PROGRAM} is neither in PATH nor in {' or '.join(_ELSEWHERE)}; "
            f"install it (Debian and Ubuntu: sudo apt-get install {PROGRAM})"
        )


class RedisDied(LocalError):
    """The Redis of our own did not begin.

    Args:
        said: its last lines.
    """

    code = "REDIS_DIED"

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said

    def __str__(self) -> str:
        return f"our {PROGRAM} did not start; its last words: {self.said or 'none'}"


class OwnRedis(OwnProcess):
    """A Redis that was started to look at; an async context manager.

    Raises:
        NoRedisServer: this machine has none.
    """

    def __init__(self) -> None:
        super().__init__("output of Redis")
        self._program = program()
        self._folder = Path()
        self._said: list[str] = []

    async def _start(self) -> Process:
        self._folder = Path(tempfile.mkdtemp(prefix="feedmux-"))
        return await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", _SHELL, "sh", str(self._folder), self._program, *self._options(),
            stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True,
        )  # fmt: skip

    @property
    def path(self) -> Path:
        """Its socket."""
        return self._folder / "redis.sock"

    @property
    def url(self) -> str:
        """Where it is, as ``REDIS_URL`` says it."""
        return f"unix://{self.path}"

    def _options(self) -> list[str]:
        said = {
            "port": "0", "unixsocket": str(self.path), "unixsocketperm": "700", "save": "",
            "appendonly": "no", "daemonize": "no", "dir": str(self._folder), "logfile": "",
        }  # fmt: skip
        return [word for name, value in said.items() for word in (f"--{name}", value)]

    async def _begun(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                async for line in self._process.stdout:
                    if _READY in line:
                        return
                    self._said = [*self._said[1 - _MOST_SAID :], line.decode(errors="replace").strip()]
        raise RedisDied("; ".join(filter(None, self._said)))

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while await self._process.stdout.read(65_536):
            pass


def program() -> str:
    """Where it is.

    Raises:
        NoRedisServer: nowhere.
    """
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *_ELSEWHERE))
    found = shutil.which(PROGRAM, path=places)
    if found is None:
        raise NoRedisServer
    return found
