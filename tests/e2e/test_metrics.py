"""What Prometheus would see while data flows, and while the venue is away."""

from __future__ import annotations

from support.processes import Stage
from support.scrapes import fallen, scrape
from support.waiting import eventually

UP = "feedmux_venue_up bybit.linear"
AGE = "feedmux_venue_last_message_age_seconds bybit.linear"
RECONNECTS = "feedmux_venue_reconnects_total bybit.linear"
BTC = "mudrex.futures.ticker.BTCUSDT"
HISTOGRAMS = (
    "feedmux_receive_to_send_seconds",
    "feedmux_venue_to_send_seconds",
    "feedmux_loop_lag_seconds",
)


async def test_while_data_flows_counters_and_histograms_only_grow(stage: Stage) -> None:
    venue = await stage.venue("--rate", "50", "--trade-rate", "20")
    gateway = await stage.gateway(venue.url)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT")
    await client.data(BTC, count=5)
    first, growing = await scrape(gateway)
    for _ in range(3):
        await client.data(BTC, seen=client.seen, count=10)
        now, later = await scrape(gateway)
        assert fallen(growing, later) == {}
        grown = [name for name in growing if later[name] > growing[name]]
        assert "feedmux_messages_sent_total" in grown
        assert "feedmux_venue_messages_total bybit.linear" in grown
        assert {f"{name}_count" for name in HISTOGRAMS} <= set(grown)
        growing = later
    assert now["feedmux_clients"] == first["feedmux_clients"] == 1
    assert now[UP] == 1
    assert 0 <= now[AGE] < 5
    for name in HISTOGRAMS:
        assert now[f"{name}_bucket +Inf"] == now[f"{name}_count"] >= now[f"{name}_bucket 1.073741824"] > 0
    seconds = (await gateway.stats())["seconds"]
    assert 0 < seconds["receive_to_send"]["p50"] <= seconds["venue_to_send"]["p50"] < 5


async def test_a_venue_that_is_away_shows_and_so_does_its_return(stage: Stage) -> None:
    venue = await stage.venue("--rate", "50")
    gateway = await stage.gateway(venue.url, BYBIT_RECONNECT_DELAY_MAX=0.3)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC)
    before, growing = await scrape(gateway)
    assert (before[UP], before[RECONNECTS]) == (1, 0)

    async def up() -> float:
        return (await scrape(gateway))[0][UP]

    await venue.do("refuse_connections")
    await venue.do("cut")
    await eventually(up, (0.0).__eq__, "the link is down")
    away, later = await scrape(gateway)
    assert away[RECONNECTS] == 1
    assert away["feedmux_topics reconnecting"] == 1
    assert fallen(growing, later) == {}
    await venue.do("refuse_connections", refuse=False)
    await eventually(up, (1.0).__eq__, "the link is back")
    await client.data(BTC, seen=client.seen)
    _, last = await scrape(gateway)
    assert last[RECONNECTS] == 1
    assert fallen(later, last) == {}
