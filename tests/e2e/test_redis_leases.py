"""Leases of a real Redis: gained, renewed, lost, taken, given back; and what is said when it refuses."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_lease import RedisLease, RedisLeases
from feedmux.core.lease import Terms
from feedmux.sim.faults import FaultProxy
from support.redis import RedisServer
from support.redis_nodes import LAPSES, QUICK, TERMS, has_run_for_long
from support.waiting import until

KEY = "feedmux:test:lease"
LONG = Terms(ttl_s=60.0, renew_s=0.1, look_s=0.05)
"""Of a lease that ends when it is given back, and not by itself."""


class Ear:
    """A candidate that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.tokens: list[int] = []
        self.newest = 0

    def gained(self, token: int) -> None:
        self.told.append("gained")
        self.tokens.append(token)

    def seen(self) -> int:
        return self.newest

    def lost(self) -> None:
        self.told.append("lost")

    def taken(self) -> None:
        self.told.append("taken")


class Seeker:
    """A node that wants leases and nothing else."""

    def __init__(self, redis: RedisConfig, name: str, terms: Terms, keys: tuple[str, ...]) -> None:
        self.leases = RedisLeases(msgspec.structs.replace(redis, name=name), holder=name, terms=terms)
        self.ears = [Ear() for _ in keys]
        self.all = [self.leases.add(key, ear) for key, ear in zip(keys, self.ears, strict=True)]
        self.running = asyncio.ensure_future(self.leases.run())

    @property
    def lease(self) -> RedisLease:
        return self.all[0]

    @property
    def told(self) -> list[str]:
        return self.ears[0].told

    @property
    def tokens(self) -> list[int]:
        return self.ears[0].tokens

    @property
    def trouble(self) -> str:
        return self.lease.trouble

    async def end(self) -> None:
        for lease in self.all:
            lease.leave()
        async with asyncio.timeout(10):
            await self.running


@asynccontextmanager
async def seeking(
    redis: RedisConfig, name: str = "a", *, terms: Terms = TERMS, keys: tuple[str, ...] = (KEY,)
) -> AsyncIterator[Seeker]:
    seeker = Seeker(redis, name, terms, keys)
    try:
        yield seeker
    finally:
        if not seeker.running.done():
            await seeker.end()


@pytest.fixture(name="place")
def _place(redis: RedisServer) -> RedisConfig:
    """Where a Redis is that has run for long."""
    has_run_for_long(redis, KEY)
    return msgspec.structs.replace(QUICK, port=redis.port)


async def test_it_is_gained_and_renewed(redis: RedisServer, place: RedisConfig) -> None:
    async with seeking(place, terms=LONG) as node:
        await until(lambda: node.told == ["gained"])
        ends_at = node.lease.lease.ends_at
        await until(lambda: node.lease.lease.ends_at > ends_at + 3 * LONG.renew_s)
        assert node.told == ["gained"]
        assert (node.lease.holder, node.lease.may_write()) == ("a", True)
        assert redis.ask("HGET", KEY, "epoch") == str(node.tokens[0]).encode()


async def test_one_node_has_it(place: RedisConfig) -> None:
    async with seeking(place, terms=LONG) as first, seeking(place, "b", terms=LONG) as second:
        await until(lambda: first.told or second.told)
        owner, other = (first, second) if first.told else (second, first)
        await until(lambda: other.lease.holder)
        assert other.lease.holder == owner.lease.holder
        assert (owner.lease.may_write(), other.lease.may_write(), other.told) == (True, False, [])


async def test_it_is_lost_when_redis_does_not_answer_and_goes_on_with_its_token(
    redis: RedisServer, place: RedisConfig
) -> None:
    async with seeking(place, terms=LAPSES) as node, seeking(place, "b", terms=LAPSES) as other:
        await until(lambda: node.told or other.told)
        owner = node if node.told else other
        redis.signal(signal.SIGSTOP)
        try:
            await until(lambda: owner.told == ["gained", "lost"])
            assert not owner.lease.may_write()
        finally:
            redis.signal(signal.SIGCONT)
        await until(lambda: owner.told == ["gained", "lost", "gained"])
        assert owner.tokens[0] == owner.tokens[1]
        assert owner.lease.may_write()


async def test_it_is_taken_from_who_is_cut_off(redis: RedisServer, place: RedisConfig) -> None:
    proxy = FaultProxy("127.0.0.1", redis.port)
    await proxy.start()
    async with seeking(msgspec.structs.replace(place, port=proxy.port)) as first:
        await until(lambda: first.told == ["gained"])
        async with seeking(place, "b", terms=LONG) as second:
            proxy.stall()
            await until(lambda: second.told == ["gained"])
            assert first.told == ["gained", "lost"], "it stops before another one begins"
            proxy.resume()
            await until(lambda: first.told == ["gained", "lost", "taken"])
            assert second.tokens[0] > first.tokens[0]
            assert first.lease.holder == "b"
    await proxy.stop()


async def test_it_is_given_back_at_the_end_and_another_one_has_it_at_once(place: RedisConfig) -> None:
    """It would last for longer than this test may take."""
    async with seeking(place, terms=LONG) as first:
        await until(lambda: first.told == ["gained"])
        async with seeking(place, "b", terms=LONG) as second:
            await until(lambda: second.lease.holder == "a")
            await first.end()
            assert not first.lease.may_write()
            await until(lambda: second.told == ["gained"])
            assert second.tokens[0] > first.tokens[0]


async def test_the_end_does_not_wait_for_a_redis_that_is_away(redis: RedisServer, place: RedisConfig) -> None:
    async with seeking(place, terms=LONG) as node:
        await until(lambda: node.told == ["gained"])
        redis.signal(signal.SIGSTOP)
        try:
            await node.end()
        finally:
            redis.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("refuse", "allow", "word"),
    [
        (("ACL", "SETUSER", "default", "-eval"), ("ACL", "SETUSER", "default", "+eval"), "NOPERM"),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "OOM"),
        (("SET", KEY, "garbage"), ("DEL", KEY), "WRONGTYPE"),
    ],
)
async def test_a_refusal_is_named_once_and_it_recovers(
    redis: RedisServer,
    place: RedisConfig,
    caplog: pytest.LogCaptureFixture,
    refuse: tuple[str, ...],
    allow: tuple[str, ...],
    word: str,
) -> None:
    caplog.set_level(logging.WARNING)
    redis.ask(*refuse)
    async with seeking(place) as node:
        await until(lambda: word in node.trouble)
        await until(lambda: refusals(redis, word) > 5)
        assert [word in record.getMessage() for record in caplog.records] == [True]
        assert node.told == []
        redis.ask(*allow)
        await until(lambda: node.told == ["gained"])
        assert node.trouble == ""


def refusals(redis: RedisServer, word: str) -> int:
    """How often Redis has answered with this error."""
    stats = redis.ask("INFO", "errorstats")
    assert isinstance(stats, bytes)
    found = [line for line in stats.decode().splitlines() if line.startswith(f"errorstat_{word}:")]
    return int(found[0].partition("count=")[2]) if found else 0


async def test_several_leases_share_a_connection(redis: RedisServer, place: RedisConfig) -> None:
    keys = tuple(f"{KEY}:{number}" for number in range(5))
    for key in keys:
        has_run_for_long(redis, key)
    async with seeking(place, "many", terms=LONG, keys=keys) as node:
        await until(lambda: all(ear.told == ["gained"] for ear in node.ears))
        clients = redis.ask("CLIENT", "LIST")
        assert isinstance(clients, bytes)
        assert clients.count(b" name=many ") == 1
        node.all[0].leave()
        await until(lambda: all(lease.may_write() for lease in node.all), "held until all were left")
    async with seeking(place, "next", terms=LONG, keys=keys) as node:
        await until(lambda: all(ear.told == ["gained"] for ear in node.ears))


async def test_a_tenure_begins_above_what_was_seen(place: RedisConfig) -> None:
    """Redis has forgotten everything, and its clock was set back."""
    async with seeking(place, terms=LONG) as node:
        node.ears[0].newest = 2**45
        await until(lambda: node.told == ["gained"])
        assert node.tokens[0] == 2**45 + 1


async def test_what_was_asked_over_a_connection_that_ended_is_not_asked_again() -> None:
    """Whoever is there hangs up instead of answering; on the next connection only what is new is asked."""
    asks: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asks.append(0)
        await reader.readuntil(b"SETNAME\r\n")
        writer.write(b"%2\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n")
        while data := await reader.read(100_000):
            asks[-1] += data.count(b"EVAL\r\n")
            writer.write(b"+PONG\r\n" * (data.count(b"PING\r\n") if len(asks) == 2 else 0))
            if asks[-1] and len(asks) == 1:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    patient = Terms(ttl_s=60.0, renew_s=10.0, look_s=30.0)
    async with server, seeking(msgspec.structs.replace(QUICK, port=port), terms=patient):
        await until(lambda: asks[1:] and asks[1])
        assert asks[:2] == [1, 1]


async def test_a_candidate_that_fails_is_not_hidden(place: RedisConfig) -> None:
    async with seeking(place) as node:

        def gained(token: int) -> None:
            raise RuntimeError("a defect")

        node.ears[0].gained = gained  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.timeout(10):
                await node.running
        assert raised.group_contains(RuntimeError, match="a defect")
