"""The markets of venues as a gateway serves them, and the drivers of their feeds."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from feedmux._native.text import MergedText, ObjectText
from feedmux.client.settings import LinkConfig
from feedmux.client.user import CarrierUser
from feedmux.feed.driver import Driver, DriverConfig, at_rest
from feedmux.feed.shard import ShardConfig
from feedmux.feed.writer import MakeMerge
from feedmux.model.ports import BeginEpoch, Clock, Publisher
from feedmux.model.venue import Venue
from feedmux.venue import alpaca as alpaca_venue
from feedmux.venue import deribit as deribit_venue
from feedmux.venue.bybit import INTERVALS, Bybit
from feedmux.venue.bybit_data import TICKER_PLAN
from feedmux.wire.place import Place

if TYPE_CHECKING:
    from feedmux.client.carrier import Carrier

LABELS: Final = {"linear": "futures", "spot": "spot", "inverse": "inverse"}
"""The word that stands for a Bybit market in stream names."""


class Market(NamedTuple):
    """One market of a venue.

    Args:
        venue: its codec.
        place: how users name it.
        url: where it is.
        link: how its connections behave.
        shard: what is expected of them.
        merging: what merges and writes a ticker that comes in parts; the codec writes it if absent.
        secrets: what nothing that is said of its connections may show.
    """

    venue: Venue
    place: Place
    url: str
    link: LinkConfig
    shard: ShardConfig
    merging: MakeMerge | None = None
    secrets: tuple[str, ...] = ()


def bybit(market: str, url: str, link: LinkConfig, shard: ShardConfig) -> Market:
    """One of Bybit's: ``linear``, ``spot`` or ``inverse``."""
    place = Place(f"bybit.{market}", "bybit", market, LABELS[market], INTERVALS)
    return Market(Bybit(market), place, url, link, shard, merging())


def deribit(url: str, link: LinkConfig, shard: ShardConfig) -> Market:
    """Deribit's only one."""
    name, market = deribit_venue.NAME, deribit_venue.MARKET
    place = Place(name, name, market, name, deribit_venue.INTERVALS)
    return Market(deribit_venue.Deribit(), place, url, link, shard)


def alpaca(link: LinkConfig, shard: ShardConfig, *, url: str, key: str, secret: str) -> Market:
    """Alpaca's, as whoever has this key; it has one of its feeds."""
    name, market = alpaca_venue.NAME, alpaca_venue.MARKET
    place = Place(name, name, market, name, alpaca_venue.INTERVALS)
    return Market(alpaca_venue.Alpaca(key, secret), place, url, link, shard, secrets=(secret, key))


def merging() -> MakeMerge:
    """How tickers of Bybit are merged and written."""
    how = ObjectText(TICKER_PLAN)
    return lambda topic: MergedText(how, topic.instrument)


def driver(
    market: Market,
    publisher: Publisher,
    begin: BeginEpoch | None = None,
    *,
    clock: Clock,
    linger_s: float,
    refused_memory_s: float,
) -> Driver:
    """Make what feeds a market's topics.

    Args:
        market: which one.
        publisher: where events go.
        begin: see :class:`~feedmux.feed.driver.Driver`.
        clock: time.
        linger_s: see :class:`~feedmux.feed.driver.DriverConfig`.
        refused_memory_s: see there.
    """
    config = DriverConfig(linger_s=linger_s, refused_memory_s=refused_memory_s, shard=market.shard)
    make_link = partial(_link, market, clock)
    return Driver(
        market.venue,
        publisher,
        make_link=make_link,
        config=config,
        clock=clock,
        merging=market.merging,
        begin=begin,
    )


def figures_at_rest(market: Market) -> dict[str, Any]:
    """What a market's feed says of itself where it does not run."""
    return at_rest(market.venue)


def _link(market: Market, clock: Clock, user: CarrierUser) -> Carrier:
    from feedmux.client.carrier import Carrier  # a worker has none
    from feedmux.client.secrecy import Secrecy

    secrecy = Secrecy(market.secrets)
    dice = random.SystemRandom()
    return Carrier(market.url, user, config=market.link, clock=clock, dice=dice, secrecy=secrecy)
