"""A Redis with a replica and three sentinels that watch both, in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.certificates import HOST
from support.debian import DebianProgram
from support.redis import RedisServer
from support.resp import Answer, Resp

MASTER: Final = "feeds"
PASSWORD: Final = "of-the-redis"
SENTINEL_PASSWORD: Final = "of-the-sentinels"

_DOWN_MS: Final = 300
_QUICK: Final = ("info-period", "200", "publish-period", "100", "ask-period", "200")
_DEADLINE_S: Final = 20.0


class Sentinel(RedisServer):
    """One of those who watch.

    Args:
        program: of Redis.
        folder: of its own.
        port: of the master.
    """

    arguments = ("redis.conf", "--sentinel")
    serves = "Sentinel ID is"

    def __init__(self, program: DebianProgram, folder: Path, port: int) -> None:
        super().__init__(program, folder)
        self._watched = port

    def client(self) -> Resp:
        """Somebody who may do everything; a context manager."""
        client = Resp.connect(self.port)
        client.enter("default", SENTINEL_PASSWORD)
        return client

    def fact(self, name: str) -> int:
        """A number of what it knows about the master."""
        answer = self.ask("SENTINEL", "MASTER", MASTER)
        assert isinstance(answer, list)
        return int(bytes_of(answer[answer.index(name.encode()) + 1]))

    def master_port(self) -> int:
        """Where it says that the master is."""
        answer = self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        assert isinstance(answer, list)
        return int(bytes_of(answer[1]))

    def _configuration(self) -> list[str]:
        return [
            f"bind {HOST}",
            f"port {self.port}",
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            f"sentinel monitor {MASTER} {HOST} {self._watched} 2",
            f"sentinel auth-pass {MASTER} {PASSWORD}",
            f"sentinel down-after-milliseconds {MASTER} {_DOWN_MS}",
            f"sentinel failover-timeout {MASTER} 3000",
        ]


class Watched:
    """A master, its replica, and the sentinels.

    Args:
        program: of Redis.
        folder: for those of all of them.
    """

    def __init__(self, program: DebianProgram, folder: Path) -> None:
        self._program, self._folder = program, folder
        self.servers: list[RedisServer] = []
        self.sentinels: list[Sentinel] = []

    def start(self) -> None:
        """Start all of them; wait until they know each other."""
        first = self._server("a", {})
        second = self._server("b", {"replicaof": f"{HOST} {first.port}"})
        soon(lambda: b"master_link_status:up" in bytes_of(second.ask("INFO", "replication")), "it is copied")
        for name in "xyz":
            sentinel = Sentinel(self._program, self._folder / name, first.port)
            self.sentinels.append(sentinel)
            sentinel.start()
            sentinel.ask("SENTINEL", "DEBUG", *_QUICK)
        for sentinel in self.sentinels:
            soon(lambda one=sentinel: one.fact("num-other-sentinels") == 2, "they know each other")  # type: ignore[misc]
            soon(lambda one=sentinel: one.fact("num-slaves") == 1, "they know the replica")  # type: ignore[misc]

    @property
    def master(self) -> RedisServer:
        """Who is the master, as the first of the sentinels says."""
        port = self.sentinels[0].master_port()
        return next(server for server in self.servers if server.port == port)

    def is_whole(self) -> bool:
        """Whether the sentinels agree who is the master, and the other one copies it."""
        master = self.master
        if {sentinel.master_port() for sentinel in self.sentinels} != {master.port}:
            return False
        (other,) = (server for server in self.servers if server is not master)
        found = bytes_of(other.ask("INFO", "replication"))
        return b"role:slave" in found and b"master_link_status:up" in found

    def kill(self) -> None:
        """End all of them."""
        for server in [*self.sentinels, *self.servers]:
            server.kill()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a gateway that asks these sentinels."""
        return {
            "REDIS_URL": f"redis://:{PASSWORD}@",
            "REDIS_SENTINELS": ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels),
            "REDIS_SENTINEL_MASTER": MASTER,
            "REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
        }

    def _server(self, name: str, options: dict[str, str]) -> RedisServer:
        more = {"masterauth": PASSWORD, "repl-diskless-sync-delay": "0"}
        server = RedisServer(self._program, self._folder / name, password=PASSWORD, options=more | options)
        self.servers.append(server)
        server.start()
        return server


@contextmanager
def watched(program: DebianProgram, folder: Path) -> Iterator[Watched]:
    """A master, its replica, and the sentinels; they are gone when the block ends."""
    found = Watched(program, folder / "watched")
    try:
        found.start()
        yield found
    finally:
        found.kill()


def soon(condition: Callable[[], object], what: str) -> None:
    """Wait, before anything of the test's own runs, until something is so."""
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S} s: {what}"
        time.sleep(0.02)


def bytes_of(answer: Answer) -> bytes:
    """An answer that is a text."""
    assert isinstance(answer, bytes)
    return answer
