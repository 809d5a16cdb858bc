"""Every way of losing RabbitMQ, as clients see it: they stay, are told, and get data again by themselves.

A partition lasts until they have been told, or ``FEEDMUX_PARTITION_S`` seconds where that is longer (``make
partition``: a minute).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from feedmux.sim.faults import FaultProxy
from support.rabbitmq import Publisher, RabbitServer
from support.rango_gateway import DEADLINE_S, RangoClient, Scene, rango_gateway, token
from support.tokens import Signer

LASTS_S: Final = float(os.environ.get("FEEDMUX_PARTITION_S", "0"))
PATIENCE_S: Final = LASTS_S + 4 * DEADLINE_S
BOOK: Final = {"asks": [["15.0", "1.0"]], "bids": [["14.0", "2.0"]], "sequence": 1}


class Place(NamedTuple):
    """Where something breaks, and who notices."""

    server: RabbitServer
    proxy: FaultProxy
    exchange: str
    told: Callable[[], Awaitable[None]]
    """Waits until the client has been told."""


async def partition(place: Place) -> None:
    began = time.monotonic()
    place.proxy.stall()
    await place.told()
    await asyncio.sleep(max(0.0, began + LASTS_S - time.monotonic()))
    place.proxy.resume()


async def cut(place: Place) -> None:
    assert place.proxy.cut() >= 2
    await place.told()


async def queues_deleted(place: Place) -> None:
    """Whose consumers RabbitMQ cancels."""
    queues = await asyncio.to_thread(place.server.queues, place.exchange)
    assert len(queues) == 2
    for name in queues:
        await asyncio.to_thread(place.server.delete_queue, name)
    await place.told()


async def stopped_and_started(place: Place) -> None:
    await place.server.stop()
    await place.told()
    await place.server.restart()


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


@pytest.mark.parametrize("lose", [partition, cut, queues_deleted, stopped_and_started])
async def test_clients_stay_are_told_and_get_data_again(
    lose: Callable[[Place], Awaitable[None]],
    request: pytest.FixtureRequest,
    signer: Signer,
    exchange: str,
    tmp_path: Path,
) -> None:
    is_alone = lose is stopped_and_started  # no other test bears that
    server: RabbitServer = request.getfixturevalue("own_rabbitmq" if is_alone else "rabbitmq")
    proxy = FaultProxy("127.0.0.1", server.port)
    await proxy.start()
    env = {"RABBITMQ_PORT": str(proxy.port), "JWT_PUBLIC_KEY": signer.pem, "RABBITMQ_HEARTBEAT": "1"}
    gateways = rango_gateway(tmp_path / "gateway", server, exchange=exchange, **env)
    gateway = await asyncio.to_thread(gateways.__enter__)
    try:
        with Publisher(server.port, exchange) as publisher:
            before = Scene(gateway, publisher, "eurusd")
            before.say("public.*.ob-snap", BOOK)
            owner = await before.client("/private?stream=order,*.ob-inc,fence", jwt=token(signer, "U1"))
            await owner.until(before.fence("U1"))

        async def told() -> None:
            await hears(owner, "order", "reconnecting")
            await hears(owner, "eurusd.ob-inc", "reconnecting")

        await lose(Place(server, proxy, exchange, told))
        await hears(owner, "order", "live")
        await hears(owner, "eurusd.ob-inc", "stale")  # the other side has a connection of its own
        with Publisher(server.port, exchange) as publisher:
            after = Scene(gateway, publisher, "eurusd")
            after.say("private.U1.order", {"id": 2})
            await owner.until('{"order":{"id":2}}')
            after.say("public.*.ob-snap", {**BOOK, "sequence": 9})
            await hears(owner, "eurusd.ob-inc", "live")
        healed = json.dumps({"eurusd.ob-snap": {**BOOK, "sequence": 9}}, separators=(",", ":"))
        assert healed in owner.seen
        assert states(owner, "order") == ["reconnecting", "gap", "live"]
    finally:
        await proxy.stop()
        await asyncio.to_thread(gateways.__exit__, None, None, None)
