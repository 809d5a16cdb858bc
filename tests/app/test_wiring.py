from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from feedmux.app.markets import VenueName
from feedmux.app.secret import Secret
from feedmux.app.settings import Settings
from feedmux.app.wiring import Gateway, build
from feedmux.edge.endpoint import Entry, Opening
from feedmux.model.access import Identity
from feedmux.model.errors import InvalidSetting
from support.tokens import ed25519


async def built(*venues: VenueName, **settings: Any) -> Gateway:
    """A gateway that is not started."""
    return build(Settings(venues=venues, port=0, **settings), loop=asyncio.get_running_loop())


async def test_every_market_has_a_feed_of_its_own_in_the_order_of_the_settings() -> None:
    gateway = await built("deribit", "bybit.spot", "bybit.linear")
    feeds = [driver.statistics() for driver in gateway.feeds.drivers.values()]
    assert [(feed["venue"], feed["market"]) for feed in feeds] == [
        ("deribit", ""), ("bybit", "spot"), ("bybit", "linear"),
    ]  # fmt: skip


async def test_redis_is_used_where_there_is_something_to_share() -> None:
    shared = await built("bybit.linear", "bybit.spot", redis_url=Secret("redis://127.0.0.1:9"))
    figures = shared.feeds.figures()
    assert [feed["market"] for feed in figures["feeds"]] == ["linear", "spot"]
    assert [node["connected"] for node in figures["nodes"]] == [False]
    broker_alone = await built(rabbitmq_host="127.0.0.1", redis_url=Secret("redis://127.0.0.1:9"))
    assert "nodes" not in broker_alone.feeds.figures()
    assert "nodes" not in (await built("bybit.linear")).feeds.figures()


@pytest.mark.parametrize(
    ("venue", "url"),
    [
        ("deribit", "wss://www.deribit.com/ws/api/v2"),
        ("bybit.linear", "wss://stream.bybit.com/v5/public/linear"),
        ("bybit.inverse", "wss://stream.bybit.com/v5/public/inverse"),
    ],
)
async def test_each_feed_goes_where_its_settings_say(venue: VenueName, url: str) -> None:
    assert [link["link"]["url"] for link in await links(venue)] == [url]
    elsewhere = "ws://127.0.0.1:9/there"
    moved = await links(venue, bybit_ws_url=elsewhere, deribit_ws_url=elsewhere)
    assert [link["link"]["url"] for link in moved] == [elsewhere]


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "wss://stream.data.alpaca.markets/v2/iex"),
        ({"alpaca_feed": "delayed_sip"}, "wss://stream.data.alpaca.markets/v2/delayed_sip"),
        (
            {"alpaca_ws_url": "ws://127.0.0.1:9/there/{feed}", "alpaca_feed": "test"},
            "ws://127.0.0.1:9/there/test",
        ),
        ({"alpaca_ws_url": "wss://a.example/crypto/us", "alpaca_feed": "sip"}, "wss://a.example/crypto/us"),
    ],
)
async def test_alpaca_is_one_of_its_feeds_or_where_it_is_said_to_be(
    settings: dict[str, Any], url: str
) -> None:
    account = {"apca_api_key_id": Secret("AKSOMEBODY"), "apca_api_secret_key": Secret("top-secret")}
    (link,) = await links("alpaca", **account, **settings)
    assert link["link"]["url"] == url
    assert "top-secret" not in str(link)


async def links(venue: VenueName, **settings: Any) -> list[Any]:
    gateway = await built(venue, **settings)
    found: Any = next(iter(gateway.feeds.drivers.values())).statistics()["links"]
    return list(found)


@pytest.mark.parametrize(
    ("listed", "origin", "is_allowed"),
    [
        ("", "https://anywhere.example", True),
        ("", "null", True),
        ("https://app.example.com, b.example:3000", "https://app.example.com", True),
        ("https://app.example.com, b.example:3000", "http://b.example:3000", True),
        ("https://app.example.com", "https://anywhere.example", False),
        ("*", "https://anywhere.example", True),
    ],
)
async def test_pages_may_open_what_the_settings_say(listed: str, origin: str, is_allowed: bool) -> None:
    gateway = await built("bybit.linear", api_cors_origins=listed)
    endpoint = gateway.edge.server.house.endpoint("/ws")
    assert endpoint is not None
    verdict = endpoint.admit(Opening.of("/ws", [("host", "test"), ("origin", origin)]))
    assert isinstance(verdict, Entry) is is_allowed
    assert isinstance(endpoint.admit(Opening.of("/ws", [("authorization", "Bearer ?")])), Entry)


@pytest.mark.parametrize("has_broker", [True, False])
@pytest.mark.parametrize("has_key", [True, False])
async def test_ws_asks_who_clients_are_where_there_is_a_key(has_broker: bool, has_key: bool) -> None:
    broker = {"rabbitmq_host": "127.0.0.1"} if has_broker else {}
    key = {"jwt_public_key": ed25519().pem} if has_key else {}
    gateway = await built("bybit.linear", **broker, **key)
    endpoint = gateway.edge.server.house.endpoint("/ws")
    assert endpoint is not None
    assert isinstance(endpoint.admit(Opening.of("/ws", [])), Entry)
    verdict = endpoint.admit(Opening.of("/ws", [("authorization", "Bearer ?")]))
    assert isinstance(verdict, Entry) is not has_key


async def test_roles_are_granted_to_the_clients_of_every_path() -> None:
    gateway = await built("bybit.linear", rabbitmq_host="127.0.0.1", rango_rbac={"admin": ("admin",)})
    admin = Identity("U1", "admin")
    assert gateway.edge.rights.access.may_read(admin, "role=admin")
    gateway.edge.grant({"admin": ["superadmin"]})
    assert not gateway.edge.rights.access.may_read(admin, "role=admin")
    assert gateway.edge.rights.access.may_read(Identity("U1", "superadmin"), "role=admin")


async def test_a_rabbitmq_that_nothing_here_speaks_to_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aio_pika", None)
    with pytest.raises(InvalidSetting, match=r"pip install 'feedmux\[rabbitmq\]'"):
        await built("bybit.linear", rabbitmq_host="localhost")
    await built("bybit.linear")
