from __future__ import annotations

import pytest

from feedmux.app.bybit_url import venue_url
from feedmux.app.settings import Settings

MAIN, TEST = "wss://stream.bybit.com/v5/public/", "wss://stream-testnet.bybit.com/v5/public/"


@pytest.mark.parametrize(
    ("given", "testnet", "market", "url"),
    [
        (MAIN + "linear", False, "linear", MAIN + "linear"),
        (MAIN + "linear", False, "spot", MAIN + "spot"),
        (MAIN + "linear", True, "inverse", TEST + "inverse"),
        (TEST + "linear", False, "linear", MAIN + "linear"),
        ("wss://stream-demo.bybit.com/v5/private", False, "spot", MAIN + "spot"),
        ("wss://STREAM.BYBIT.COM/", False, "spot", MAIN + "spot"),
        ("wss://stream.bybit.kz/v5/public/spot", False, "linear", "wss://stream.bybit.kz/v5/public/linear"),
        ("wss://stream.bybit.kz/v5/public/spot", True, "linear", TEST + "linear"),
        ("wss://stream.manepa.jp/x", False, "spot", "wss://stream.manepa.jp/v5/public/spot"),
        ("ws://127.0.0.1:9000/v5/public/linear", False, "spot", "ws://127.0.0.1:9000/v5/public/spot"),
        ("ws://127.0.0.1:9000/v5/public/linear", True, "linear", "ws://127.0.0.1:9000/v5/public/linear"),
        ("ws://[::1]:9000/linear?a=b", False, "spot", "ws://[::1]:9000/spot?a=b"),
        ("ws://127.0.0.1:9000/stream", False, "spot", "ws://127.0.0.1:9000/stream"),
        ("ws://127.0.0.1:9000", False, "spot", "ws://127.0.0.1:9000"),
        ("wss://notbybit.com/v5/public/linear", True, "spot", "wss://notbybit.com/v5/public/spot"),
    ],
)
def test_where_a_market_is(given: str, testnet: bool, market: str, url: str) -> None:
    assert venue_url(Settings(bybit_ws_url=given, bybit_testnet=testnet), market) == url
