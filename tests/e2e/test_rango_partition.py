"""A partition between the gateway and RabbitMQ: clients stay, are told, and get data again by themselves.

It lasts until clients have been told, or ``FEEDMUX_PARTITION_S`` seconds where that is longer (``make
partition``: a minute).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from feedmux.sim.faults import FaultProxy
from support.rabbitmq import Publisher, RabbitServer
from support.rango_gateway import DEADLINE_S, RangoClient, Scene, rango_gateway, token
from support.tokens import Signer

LASTS_S: Final = float(os.environ.get("FEEDMUX_PARTITION_S", "0"))
PATIENCE_S: Final = LASTS_S + 4 * DEADLINE_S
BOOK: Final = {"asks": [["15.0", "1.0"]], "bids": [["14.0", "2.0"]], "sequence": 1}


def states(client: RangoClient, stream: str) -> list[str]:
    """What a client has been told about a stream."""
    statuses: list[dict[str, Any]] = [json.loads(text).get("system.status", {}) for text in client.seen]
    return [status["state"] for status in statuses if status.get("stream") == stream]


async def hears(client: RangoClient, stream: str, state: str) -> None:
    """Read until a client has been told that."""
    async with asyncio.timeout(PATIENCE_S):
        while state not in states(client, stream):
            with suppress(TimeoutError):
                await client.recv()


async def test_clients_stay_are_told_and_get_data_again(
    rabbitmq: RabbitServer, signer: Signer, exchange: str, tmp_path: Path
) -> None:
    proxy = FaultProxy("127.0.0.1", rabbitmq.port)
    await proxy.start()
    env = {"RABBITMQ_PORT": str(proxy.port), "JWT_PUBLIC_KEY": signer.pem, "RABBITMQ_HEARTBEAT": "1"}
    gateways = rango_gateway(tmp_path / "gateway", rabbitmq, exchange=exchange, **env)
    gateway = await asyncio.to_thread(gateways.__enter__)
    try:
        with Publisher(rabbitmq.port, exchange) as publisher:
            scene = Scene(gateway, publisher, "eurusd")
            scene.say("public.*.ob-snap", BOOK)
            owner = await scene.client("/private?stream=order,*.ob-inc", jwt=token(signer, "U1"))
            assert await owner.subscribe("fence")
            await owner.until(scene.fence("U1"))

            began = time.monotonic()
            proxy.stall()
            await hears(owner, "order", "reconnecting")
            await hears(owner, "eurusd.ob-inc", "reconnecting")
            scene.say("private.U1.order", {"id": 1})
            await asyncio.sleep(max(0.0, began + LASTS_S - time.monotonic()))
            proxy.resume()

            await hears(owner, "order", "live")
            await hears(owner, "eurusd.ob-inc", "stale")  # the other side has a connection of its own
            scene.say("private.U1.order", {"id": 2})
            await owner.until('{"order":{"id":2}}')
            scene.say("public.*.ob-snap", {**BOOK, "sequence": 9})
            await hears(owner, "eurusd.ob-inc", "live")
            assert states(owner, "order") == ["reconnecting", "gap", "live"]
            healed = json.dumps({"eurusd.ob-snap": {**BOOK, "sequence": 9}}, separators=(",", ":"))
            assert healed in owner.seen
            assert '{"order":{"id":1}}' not in owner.seen, "what was lost is told, not sent late"
    finally:
        await proxy.stop()
        await asyncio.to_thread(gateways.__exit__, None, None, None)
