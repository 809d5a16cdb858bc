"""Which channels there are."""

from __future__ import annotations

import pytest

from feedmux.sim.deribit_channels import RESOLUTIONS, Catalog
from feedmux.sim.deribit_options import INSTRUMENTS
from feedmux.sim.deribit_product import product

CATALOG = Catalog([product(name, 1) for name in INSTRUMENTS], dropped=["quote.ETH-PERPETUAL"])

KNOWN = [
    ("book.BTC-PERPETUAL.raw", "book"),
    ("book.BTC-28DEC29-80000-C.100ms", "book"),
    ("book.BTC_USDC-PERPETUAL.agg2", "book"),
    ("book.BTC-PERPETUAL.none.1.100ms", "window"),
    ("book.BTC-PERPETUAL.none.20.agg2", "window"),
    ("ticker.BTC-28DEC29.raw", "ticker"),
    ("incremental_ticker.BTC-PERPETUAL", "incremental_ticker"),
    ("quote.BTC-PERPETUAL", "quote"),
    ("perpetual.ETH-PERPETUAL.100ms", "perpetual"),
    ("trades.BTC-PERPETUAL.agg2", "trades"),
    ("trades.future.BTC.raw", "trades"),
    ("trades.any.any.100ms", "trades"),
    ("deribit_price_index.btc_usd", "index"),
    ("platform_state", "platform_state"),
    ("user.orders.BTC-PERPETUAL.raw", "user.orders"),
    ("user.orders.option.BTC.100ms", "user.orders"),
    ("user.trades.any.any.raw", "user.trades"),
    ("user.changes.future.any.100ms", "user.changes"),
    ("user.portfolio.btc", "user.portfolio"),
    ("user.portfolio.any", "user.portfolio"),
]


@pytest.mark.parametrize(("name", "family"), KNOWN)
def test_a_channel_that_exists_is_found(name: str, family: str) -> None:
    channel = CATALOG.find(name)
    assert channel is not None
    assert (channel.name, channel.family) == (name, family)
    assert channel.is_private == name.startswith("user.")
    assert channel.is_raw == name.endswith(".raw")


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_charts_have_the_venues_resolutions(resolution: str) -> None:
    channel = CATALOG.find(f"chart.trades.BTC-PERPETUAL.{resolution}")
    assert channel is not None
    assert channel.resolution == resolution


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nope",
        "book.NOPE-PERPETUAL.100ms",
        "book.BTC-PERPETUAL",
        "book.BTC-PERPETUAL.50ms",
        "book.BTC-PERPETUAL.none.50.100ms",
        "book.BTC-PERPETUAL.none.20.raw",
        "book.btc-perpetual.100ms",
        "ticker.BTC-PERPETUAL",
        "chart.trades.BTC-PERPETUAL.2",
        "perpetual.BTC-28DEC29.100ms",
        "trades.future.DOGE.raw",
        "deribit_price_index.doge_usd",
        "user.portfolio.doge",
        "user.orders.BTC-PERPETUAL",
        "quote.ETH-PERPETUAL",
    ],
)
def test_a_channel_that_does_not_is_not(name: str) -> None:
    assert CATALOG.find(name) is None


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("user.orders.future.BTC.raw", {"BTC-PERPETUAL", "BTC-28DEC29"}),
        ("user.orders.option.any.raw", {"BTC-28DEC29-80000-C", "BTC-28DEC29-80000-P"}),
        ("user.orders.any.USDC.raw", {"BTC_USDC-PERPETUAL"}),
        ("user.orders.any.any.raw", set(INSTRUMENTS)),
        ("user.portfolio.eth", {"ETH-PERPETUAL"}),
        ("trades.BTC-28DEC29.raw", {"BTC-28DEC29"}),
    ],
)
def test_a_channel_covers_the_instruments_that_it_names(name: str, covered: set[str]) -> None:
    channel = CATALOG.find(name)
    assert channel is not None
    assert {title for title in INSTRUMENTS if channel.covers(product(title, 1))} == covered
