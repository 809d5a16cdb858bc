"""Ways to Redis as the settings say them: users, databases, TLS, sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from feedmux.app import terms_redis
from feedmux.app.settings import Settings
from feedmux.bus.redis_config import RedisConfig
from support.certificates import HOST, Authority
from support.cluster import QUICK, owner_of
from support.debian import DebianProgram
from support.family import LIVELY, TRADES
from support.processes import Stage
from support.redis import RedisServer
from support.redis_ear import open_link, running_link
from support.redis_rights import PLAIN, user
from support.waiting import until

NAME, PASSWORD = "no/de", "%2F:@#?&+é"


@pytest.fixture(name="strict")
def _strict(redis_program: DebianProgram, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that wants a certificate over TLS, and knows one user with few rights."""
    users = (user(NAME, PASSWORD, (*PLAIN, "+select")),)
    server = RedisServer(
        redis_program,
        tmp_path / "redis",
        password="of-others",
        users=users,
        tls=True,
        options={"tls-auth-clients": "yes"},
    )
    try:
        server.start()
        yield server
    finally:
        server.kill()


def secure(server: RedisServer, host: str = HOST) -> dict[str, str]:
    """The settings of a node that is let in."""
    return {
        "REDIS_URL": f"rediss://{quote(NAME, safe='')}:{quote(PASSWORD, safe='')}@{host}:{server.tls_port}/3",
        "REDIS_CA": str(server.authority.ca_file),
        "REDIS_CERT": server.authority.files.cert,
        "REDIS_KEY": server.authority.files.key,
    }


def config(settings: dict[str, Any]) -> RedisConfig:
    values = {name.lower(): value for name, value in settings.items()}
    return RedisConfig(**terms_redis.redis(Settings(**values)))


async def test_gateways_over_tls_with_a_certificate_a_user_and_a_database(
    stage: Stage, strict: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = [await stage.gateway(venue.url, **secure(strict), **QUICK) for _ in range(2)]
    clients = [await stage.client(node) for node in nodes]
    await asyncio.gather(*(client.subscribe("trade:BTCUSDT") for client in clients))
    await asyncio.gather(*(client.data(TRADES, count=3) for client in clients))
    await venue.carries("publicTrade.BTCUSDT")
    await owner_of(nodes)
    with strict.client() as admin:
        assert admin.ask("KEYS", "*") == []
        assert admin.ask("SELECT", "3") == b"OK"
        assert admin.ask("EXISTS", "feedmux:3:bybit.linear:lease") == 1
        found = admin.ask("KEYS", "*")
        assert isinstance(found, list) and all(str(key).startswith("b'feedmux:3:") for key in found)
        assert admin.ask("ACL", "LOG") == []


async def test_a_gateway_over_a_unix_socket(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=f"unix://{redis.socket_path}?db=1", **QUICK)
    client = await stage.client(node)
    await client.subscribe("trade:BTCUSDT")
    await client.data(TRADES, count=3)
    await owner_of([node])
    with redis.client() as admin:
        assert admin.ask("SELECT", "1") == b"OK"
        assert admin.ask("EXISTS", "feedmux:1:bybit.linear:lease") == 1


async def test_the_settings_let_a_link_in(strict: RedisServer) -> None:
    async with open_link(config(secure(strict))) as (link, _):
        assert await link.call("PING") == b"PONG"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"REDIS_CA": "another"}, "its certificate is not trusted: self-signed certificate in certificate"),
        ({"REDIS_CA": ""}, "its certificate is not trusted: self-signed certificate in certificate chain"),
        ({"REDIS_URL": "localhost"}, "trusted: Hostname mismatch, certificate is not valid for 'localhost'"),
    ],
)  # fmt: skip
async def test_why_tls_does_not_come_about_is_named(
    strict: RedisServer, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    settings = secure(strict) | wrong
    if settings["REDIS_CA"] == "another":
        (tmp_path / "another").mkdir()
        settings["REDIS_CA"] = str(Authority(tmp_path / "another").ca_file)
    if settings["REDIS_URL"] == "localhost":
        settings["REDIS_URL"] = secure(strict, "localhost")["REDIS_URL"]
    async with running_link(config(settings)) as (link, ear):
        await until(lambda: said in str(link.statistics()["trouble"]), f"{said}: {link.statistics()}")
        assert ear.opens == 0


async def test_who_shows_no_certificate_is_not_let_in(strict: RedisServer) -> None:
    """Redis says why, and hangs up at once: which of the two comes first is not ours."""
    anonymous = secure(strict) | {"REDIS_CERT": "", "REDIS_KEY": ""}
    async with running_link(config(anonymous)) as (link, ear):
        await until(lambda: "no connection to rediss://" in str(link.statistics()["trouble"]))
        assert ear.opens == 0


async def test_a_database_that_is_not_there_is_named(redis: RedisServer) -> None:
    async with running_link(config({"REDIS_URL": f"{redis.url}/99"})) as (link, ear):
        await until(lambda: "SELECT: ERR DB index is out of range" in str(link.statistics()["trouble"]))
        assert ear.opens == 0


async def test_tls_spoken_to_one_who_does_not_is_named(redis: RedisServer) -> None:
    plain = {"REDIS_URL": f"rediss://{HOST}:{redis.port}", "REDIS_SOCKET_TIMEOUT": 0.2}
    async with running_link(config(plain)) as (link, _):
        await until(lambda: "not let in within 0.2 s, speaking TLS" in str(link.statistics()["trouble"]))
