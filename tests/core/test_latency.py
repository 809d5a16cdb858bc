from __future__ import annotations

from feedmux.core.latency import RULES, Latency
from feedmux.core.stats import Histogram, add_up
from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import PUBLIC, Topic

TOPIC = Topic(PUBLIC, "bybit", "linear", "ticker", "BTCUSDT")


def value(receive_ns: int, venue_ns: int) -> Envelope:
    return Envelope(TOPIC, 1, 1, EventKind.UPDATE, venue_ns, receive_ns, "", b"{}")


def figures(latency: Latency) -> dict[str, tuple[int, int]]:
    """Count and sum of each histogram."""
    read = {name: Histogram.from_plain(plain) for name, plain in latency.statistics().items()}
    return {name: (histogram.count, histogram.sum) for name, histogram in read.items()}


def test_a_flush_records_the_oldest_value_and_only_once() -> None:
    latency = Latency()
    latency.oldest = value(receive_ns=1000, venue_ns=200)
    latency.flushed(1500)
    assert figures(latency) == {"receive_to_send": (1, 500), "venue_to_send": (1, 1300)}
    assert latency.oldest is None
    latency.flushed(2000)
    assert figures(latency) == {"receive_to_send": (1, 500), "venue_to_send": (1, 1300)}


def test_a_value_without_the_venues_time_is_in_one_histogram_only() -> None:
    latency = Latency()
    latency.oldest = value(receive_ns=1000, venue_ns=0)
    latency.flushed(1500)
    assert figures(latency) == {"receive_to_send": (1, 500), "venue_to_send": (0, 0)}


def test_a_venue_whose_clock_is_ahead_makes_nothing_negative() -> None:
    latency = Latency()
    latency.oldest = value(receive_ns=1000, venue_ns=9000)
    latency.flushed(1500)
    assert figures(latency) == {"receive_to_send": (1, 500), "venue_to_send": (1, 0)}


def test_what_no_flush_took_is_forgotten_at_the_second_tick() -> None:
    latency = Latency()
    latency.oldest = waiting = value(1000, 0)
    latency.tick()
    assert latency.oldest is waiting
    latency.tick()
    assert latency.oldest is None
    latency.flushed(2000)
    assert figures(latency)["receive_to_send"] == (0, 0)


def test_a_value_that_comes_between_ticks_is_as_good_as_new() -> None:
    latency = Latency()
    latency.oldest = value(1000, 0)
    latency.tick()
    latency.flushed(1500)
    latency.oldest = newer = value(1000, 0)
    latency.tick()
    assert latency.oldest is newer


def test_its_statistics_add_up() -> None:
    one, other = Latency(), Latency()
    for latency in (one, other):
        latency.oldest = value(1000, 200)
        latency.flushed(1500)
    total = add_up(one.statistics(), other.statistics(), RULES)
    assert Histogram.from_plain(total["receive_to_send"]).sum == 1000
