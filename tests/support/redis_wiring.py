"""Both ends of a bus over a real Redis, for the contract suite."""

from __future__ import annotations

import asyncio
import time

import msgspec

from feedmux.bus.redis_bus import RedisBusConfig, RedisReader, RedisWriter
from feedmux.bus.redis_config import RedisConfig
from feedmux.model.ports import Sink
from support.buses import ScriptedSource
from support.redis import RedisServer
from support.redis_ear import SOON
from support.waiting import until

WRITER = "writer"
"""How Redis lists the writer's connection."""


class RedisWiring:
    """A writer and its readers, each with a connection of its own.

    Args:
        where: a server, or how one is found.
        beat_s: how often each end says that it is there.
        bound_bytes: how much may wait to be sent.
        life: of the writer.
        user: the writer's, with its name for a password; empty: the readers' one.
    """

    def __init__(
        self,
        where: RedisServer | RedisConfig,
        *,
        beat_s: float = 1.0,
        bound_bytes: int = 32 << 20,
        life: int = 1,
        user: str = "",
    ) -> None:
        if isinstance(where, RedisServer):
            where = RedisConfig(host="127.0.0.1", port=where.port, backoff=SOON)
        self.redis = msgspec.structs.replace(where, bound_bytes=bound_bytes)
        self.bus = RedisBusConfig(prefix=where.partition or "feedmux", beat_s=beat_s)
        self.ahead_s = 0.0  # so far has time jumped ahead for both ends
        self.may_write = True
        who = {"user": user, "password": user} if user else {}
        self.writer = RedisWriter(
            msgspec.structs.replace(self.redis, name=WRITER, **who),
            self.bus,
            life=life,
            monotonic=self.monotonic,
            may_write=lambda: self.may_write,
        )
        self.source = ScriptedSource(self.writer)
        self.writer.serve(self.source)
        self.readers: list[RedisReader] = []
        self.tasks = [asyncio.ensure_future(self.writer.run())]

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    async def reader(self, holder: str, sink: Sink) -> RedisReader:
        life = time.time_ns()
        reader = RedisReader(sink, self.redis, self.bus, holder=holder, life=life, monotonic=self.monotonic)
        self.readers.append(reader)
        self.tasks.append(asyncio.ensure_future(reader.run()))
        await until(lambda: reader.statistics()["connected"], "the reader knows the writer")
        return reader

    async def close(self) -> None:
        self.writer.close()
        for reader in self.readers:
            reader.close()
        async with asyncio.timeout(10):
            await asyncio.gather(*self.tasks)
