"""Look at a cluster from outside: what its nodes say of themselves, and who has which lease.

Nothing is changed, and nothing but keys is read; so it works beside nodes of any load, and without any.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_lease import node_of
from feedmux.bus.redis_listening import Nobody
from feedmux.bus.redis_slots import name_in, read_slots
from feedmux.core import presence
from feedmux.core.presence import Presence
from feedmux.core.roster import Held, Roster
from feedmux.model.errors import Category, MalformedMessage, PeerError
from feedmux.model.link_errors import RequestLost

_GLOB: Final = re.compile(r"[*?\[\]\\^]")
_LOOK_S: Final = 0.01
_AT_ONCE: Final = "500"


class Unreachable(PeerError):
    """Redis cannot be asked.

    Args:
        reason: why, in a sentence without secrets.
    """

    code = "REDIS_UNREACHABLE"
    category = Category.CONNECTION

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Redis cannot be asked: {self.reason}"


async def survey(redis: RedisConfig, prefix: str) -> Roster:
    """Ask Redis what it knows of a cluster.

    Args:
        redis: where it is.
        prefix: of the cluster's keys.

    Raises:
        Unreachable: there is no connection to Redis; no attempt is repeated.
        RedisRefused: Redis does not let us.
    """
    nodes: list[Presence] = []
    leases: list[Held] = []
    foreign: list[str] = []
    begin, end = (f"{{{prefix}:", "}:lease") if redis.is_cluster else (f"{prefix}:", ":lease")
    for part in await _parts(redis):
        async with _asking(part) as ask:
            leases += [lease async for lease in _leases(ask, begin, end)]
            for key in await _keys(ask, f"{prefix}:node:"):
                found = await _presence(ask, key)
                if isinstance(found, Presence):
                    nodes.append(found)
                elif found is not None:
                    foreign.append(found)
    nodes.sort(key=lambda node: (node.name, node.life))
    return Roster(tuple(nodes), tuple(sorted(leases)), tuple(foreign))


_Ask = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def _asking(redis: RedisConfig) -> AsyncIterator[_Ask]:
    """A way to ask; what takes too long raises as if Redis were away."""
    link = RedisLink(redis, Nobody())
    running = asyncio.ensure_future(link.run())

    async def ask(*command: str | bytes) -> Any:
        try:
            async with asyncio.timeout(redis.answer_timeout_s):
                return await link.call(*command)
        except TimeoutError:
            raise Unreachable(f"it did not answer within {redis.answer_timeout_s:g} s") from None
        except RequestLost as error:
            raise Unreachable(str(error)) from error

    try:
        while not link.is_open:
            if trouble := str(link.statistics()["trouble"]):
                raise Unreachable(trouble)
            await asyncio.sleep(_LOOK_S)
        yield ask
    finally:
        link.close()
        await running


async def _parts(redis: RedisConfig) -> list[RedisConfig]:
    """Where keys are: in one Redis, or in all nodes of a Redis Cluster that have slots."""
    if not redis.is_cluster:
        return [redis]
    async with _asking(redis) as ask:
        ranges = read_slots(await ask("CLUSTER", "SLOTS"), (redis.host, redis.port))
    slots = {found.master: found.first for found in ranges}
    return [msgspec.structs.replace(redis, partition=name_in(slot)) for slot in slots.values()]


async def _keys(ask: _Ask, begin: str, end: str = "") -> list[bytes]:
    """All keys that begin and end so; those that appear meanwhile may be missing."""
    pattern = _GLOB.sub(r"\\\g<0>", begin) + "*" + end
    found: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, keys = await ask("SCAN", cursor, "MATCH", pattern, "COUNT", _AT_ONCE)
        found.update(keys)
        if cursor == b"0":
            return sorted(found)


async def _presence(ask: _Ask, key: bytes) -> Presence | str | None:
    """What a node says of itself; the name of a key that holds something else; None: it is gone."""
    try:
        said = await ask("GET", key)
        return None if said is None else presence.read(said)
    except MalformedMessage:
        return key.decode(errors="replace")
    except RedisRefused as error:
        if error.word == "WRONGTYPE":
            return key.decode(errors="replace")
        raise


async def _leases(ask: _Ask, begin: str, end: str) -> AsyncIterator[Held]:
    """Who has which lease; around the market's name stand ``begin`` and ``end``."""
    seconds, micros = await ask("TIME")
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    for key in await _keys(ask, begin, end):
        market = key.decode(errors="replace").removeprefix(begin).removesuffix(end)
        try:
            holder, token, until = await ask("HMGET", key, "holder", "epoch", "until")
            left_ms = int(until or 0) - now_ms
            held_by = node_of((holder or b"").decode(errors="replace")) if left_ms > 0 else ""
            yield Held(market, held_by, int(token or 0), max(left_ms, 0) / 1000 if held_by else 0.0)
        except (RedisRefused, ValueError) as error:
            if isinstance(error, RedisRefused) and error.word != "WRONGTYPE":
                raise
