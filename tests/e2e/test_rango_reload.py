"""SIGHUP: which roles open which streams is read again, while clients stay connected."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from support.processes import Running, Stage
from support.rabbitmq import RabbitServer
from support.running import DEADLINE_S
from support.tokens import claims, ed25519

SIGNER = ed25519()
STREAM = "admin.eurusd.sys"


async def begin(stage: Stage, place: Path, rabbitmq: RabbitServer, exchange: str, *options: str) -> Running:
    """Start a gateway whose .env lets admins read."""
    (place / ".env").write_text("RANGO_RBAC_ADMIN=admin,superadmin\n")
    env = {
        "RANGER_HOST": "127.0.0.1",
        "RANGER_PORT": "0",
        "METRICS_PORT": "0",
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_PORT": str(rabbitmq.port),
        "RABBITMQ_EXCHANGE": exchange,
        "JWT_PUBLIC_KEY": SIGNER.pem,
    }
    return await stage.run("rango", *options, env=env, cwd=str(place))


async def url(gateway: Running) -> str:
    """Where it is, once there is something to say."""
    match = await gateway.line(r"Listening on ws://127\.0\.0\.1:(\d+)/ws")
    await gateway.line("the public side is consumed")
    return f"ws://127.0.0.1:{match[1]}/private?stream={STREAM}"


async def said(client: ClientConnection) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return json.loads(await client.recv())


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
async def test_a_role_that_may_not_read_any_more_loses_its_stream_and_stays(
    stage: Stage, tmp_path: Path, rabbitmq: RabbitServer, exchange: str, options: tuple[str, ...]
) -> None:
    gateway = await begin(stage, tmp_path, rabbitmq, exchange, *options)
    where = await url(gateway)
    now = int(time.time())
    token = SIGNER.token(claims(uid="ID1", role="admin", iat=now, nbf=now, exp=now + 600))
    async with connect(where, additional_headers={"Authorization": f"Bearer {token}"}) as client:
        assert await said(client) == {"success": {"message": "subscribed", "streams": [STREAM]}}

        (tmp_path / ".env").write_text("RANGO_RBAC_ADMIN=superadmin\nRANGO_RBAC_SYS=admin\n")
        gateway.signal(signal.SIGHUP)
        status = (await said(client))["system.status"]
        assert (status["stream"], status["state"]) == (STREAM, "refused")

        await client.send(json.dumps({"event": "subscribe", "streams": [STREAM, "sys.eurusd.x"]}))
        assert await said(client) == {"success": {"message": f"cannot subscribe to {STREAM}"}}
        assert (await said(client))["success"]["streams"] == ["sys.eurusd.x"]


async def test_settings_that_cannot_be_read_change_nothing(
    stage: Stage, tmp_path: Path, rabbitmq: RabbitServer, exchange: str
) -> None:
    gateway = await begin(stage, tmp_path, rabbitmq, exchange)
    where = await url(gateway)
    (tmp_path / "feedmux.toml").write_text("this is no TOML")
    gateway.signal(signal.SIGHUP)
    await gateway.line("SIGHUP leaves the roles as they are: .*valid TOML")
    now = int(time.time())
    token = SIGNER.token(claims(uid="ID1", role="admin", iat=now, nbf=now, exp=now + 600))
    async with connect(where, additional_headers={"Authorization": f"Bearer {token}"}) as client:
        assert (await said(client))["success"]["streams"] == [STREAM]
