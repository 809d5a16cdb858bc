"""Every story has a stage of its own; those of RabbitMQ share a server, unless they stop it."""

from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from support.debian import DebianProgram
from support.processes import Stage, stage
from support.rabbitmq import EXCHANGE, Publisher, RabbitServer, rabbitmq_program
from support.rango_gateway import RangoGateway, Scene, rango_gateway, token
from support.redis import RedisServer, redis_program
from support.tokens import Signer, ed25519


@pytest_asyncio.fixture(name="stage")
async def _stage() -> AsyncIterator[Stage]:
    async with stage() as set_up:
        yield set_up


@pytest.fixture(scope="session", name="say")
def _say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Tell who runs the tests that something takes time."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"\n{text}\n")

    return say


@pytest.fixture(scope="session", name="redis_program")
def _redis_program(say: Callable[[str], None]) -> DebianProgram:
    """Redis, wherever it comes from; says so when it has to be fetched."""
    return redis_program(say)


@pytest.fixture
def redis(redis_program: DebianProgram, tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test has for itself; it takes a few hundredths of a second to start."""
    server = RedisServer(redis_program, tmp_path / "redis")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session", name="rabbitmq_program")
def _rabbitmq_program(say: Callable[[str], None]) -> DebianProgram:
    """RabbitMQ, wherever it comes from; says so when it has to be fetched."""
    return rabbitmq_program(say)


@pytest.fixture(scope="session")
def rabbitmq(
    rabbitmq_program: DebianProgram, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RabbitServer]:
    """A server that runs as long as the tests of this process do; nobody may stop it.

    Each process has its own: some tests delete queues and publish what ends connections, which concerns all
    who consume there.
    """
    server = RabbitServer(rabbitmq_program, tmp_path_factory.mktemp("server") / "rabbitmq")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_rabbitmq(rabbitmq_program: DebianProgram, tmp_path: Path) -> Iterator[RabbitServer]:
    """A server that a test has for itself, to stop and to start it."""
    server = RabbitServer(rabbitmq_program, tmp_path / "rabbitmq")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def exchange() -> str:
    """The name of an exchange that nobody else uses."""
    return f"{EXCHANGE}.{uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def signer() -> Signer:
    """Who gives tokens to the users of :func:`rango`."""
    return ed25519()


@pytest.fixture(scope="session", name="rango")
def _rango(
    rabbitmq: RabbitServer, signer: Signer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RangoGateway]:
    """A gateway in the place of Rango, configured as Rango is; nobody may stop it."""
    key = b64encode(signer.raw_pem.encode()).decode()
    roles = {"ADMIN": "admin,superadmin", "SYS": "admin, operator", "PRIVATEER": "admin"}
    rbac = {f"RANGO_RBAC_{prefix}": names for prefix, names in roles.items()}
    with rango_gateway(tmp_path_factory.mktemp("rango"), rabbitmq, JWT_PUBLIC_KEY=key, **rbac) as gateway:
        yield gateway


@pytest.fixture(scope="module", name="publisher")
def _publisher(rango: RangoGateway, rabbitmq: RabbitServer, signer: Signer) -> Iterator[Publisher]:
    """Who publishes to that gateway, which is reached: other tests cut connections."""

    async def is_reached(by: Publisher) -> None:
        scene = Scene(rango, by, uuid4().hex)
        await scene.is_ready(token(signer, "READY"), "READY")

    with Publisher(rabbitmq.port) as made:
        asyncio.run(is_reached(made))
        yield made


@pytest_asyncio.fixture(name="scene")
async def _scene(rango: RangoGateway, publisher: Publisher) -> AsyncIterator[Scene]:
    """That gateway, a market that nobody else knows, and who publishes."""
    scene = Scene(rango, publisher, f"m{uuid4().hex[:8]}")
    yield scene
    await scene.end()
