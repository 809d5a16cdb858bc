"""A gateway offers local programs what its WebSocket clients get, public streams alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from feedmux.app.settings import Settings
from feedmux.app.wiring import Gateway, build
from feedmux.client.local_async import AsyncLocalClient
from feedmux.model.errors import Refused
from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import Topic
from feedmux.share.config import OfferConfig
from support.tokens import ed25519

NOWHERE = "ws://127.0.0.1:9/there"


def built(**settings: Any) -> Gateway:
    """A gateway that is not started, under a name of its own."""
    ours: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "bybit_ws_url": NOWHERE,
        "local_name": uuid4().hex,
    }
    return build(Settings(**(ours | settings)), loop=asyncio.get_running_loop())


async def test_the_settings_say_whether_and_how() -> None:
    assert built(local=False).edge.local is None
    offer = built(
        local_name="x", local_ring_bytes=65536, local_max_clients=3, client_max_message_bytes=2048
    ).edge.local
    assert offer is not None
    assert offer.config == OfferConfig(name="x", ring_bytes=65536, most_readers=3, max_message_bytes=2048)


async def test_programs_get_the_text_of_what_websocket_clients_get() -> None:
    gateway = built(subscribe_timeout=0)
    await gateway.edge.start()
    offer = gateway.edge.local
    assert offer is not None
    async with AsyncLocalClient.topics("ticker:BTCUSDT", gateway=offer.config.name) as topics:
        topic = Topic("public", "bybit", "linear", "ticker", "BTCUSDT", "")
        for number, kind in enumerate((EventKind.SNAPSHOT, EventKind.UPDATE), 1):
            gateway.hub.receive(Envelope(topic, 1 << 50, number, kind, 0, 5_000_000, "k", b'{"price":"1"}'))
            message: dict[str, Any] = {"stream": "mudrex.futures.ticker.BTCUSDT", "type": kind.name.lower()}
            message |= {"data": {"price": "1"}, "timestamp": 5, "source": "mudrex", "seq": number}
            message |= {"epoch": 1 << 50} if kind is EventKind.SNAPSHOT else {}
            assert json.dumps(await topics.receive()) == json.dumps(message)
        assert gateway.edge.server.clients == 0
        assert gateway.edge.figures()["local"]["clients"] == 1
    await gateway.edge.drain(0, 0)


@pytest.mark.parametrize("has_key", [True, False])
async def test_what_is_not_public_is_refused_with_the_right_reason(has_key: bool) -> None:
    key = {"jwt_public_key": ed25519().pem} if has_key else {}
    gateway = built(rabbitmq_host="127.0.0.1", rango_rbac={"admin": ("admin",)}, **key)
    await gateway.edge.start()
    assert gateway.edge.local is not None
    for name in ("order", "admin.deposits.all"):
        with pytest.raises(Refused) as caught:
            await AsyncLocalClient.topics(f"stream:{name}", gateway=gateway.edge.local.config.name).start()
        assert caught.value.reason == (
            f"stream:{name} is not public, and local programs read public streams alone"
        )
    await gateway.edge.stop()
