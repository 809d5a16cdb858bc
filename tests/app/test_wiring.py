from __future__ import annotations

import asyncio
from typing import Any

import pytest

from feedmux.app.settings import Settings, VenueName
from feedmux.app.wiring import Gateway, build


async def built(*venues: VenueName, **settings: Any) -> Gateway:
    """A gateway that is not started."""
    return build(Settings(venues=venues, port=0, **settings), loop=asyncio.get_running_loop())


async def test_every_market_has_a_feed_of_its_own_in_the_order_of_the_settings() -> None:
    gateway = await built("deribit", "bybit.spot", "bybit.linear")
    feeds = [driver.statistics() for driver in gateway.drivers]
    assert [(feed["venue"], feed["market"]) for feed in feeds] == [
        ("deribit", ""), ("bybit", "spot"), ("bybit", "linear"),
    ]  # fmt: skip


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


async def links(venue: VenueName, **settings: Any) -> list[Any]:
    gateway = await built(venue, **settings)
    found: Any = gateway.drivers[0].statistics()["links"]
    return list(found)
