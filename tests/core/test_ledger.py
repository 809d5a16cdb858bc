from __future__ import annotations

import pytest

from feedmux.core.ledger import NOTHING, Entry, Ledger
from feedmux.model.event import State
from feedmux.model.topic import PUBLIC, Topic

TICKER = Topic(PUBLIC, "bybit", "linear", "ticker", "BTCUSDT")
MINUTES = Topic(PUBLIC, "bybit", "linear", "kline", "BTCUSDT", "1")
HOURS = Topic(PUBLIC, "bybit", "linear", "kline", "BTCUSDT", "60")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(lambda topic: topic.kind)


def test_holders_are_counted_each_once(ledger: Ledger) -> None:
    for holder in ("a", "b", "a"):
        ledger.add(TICKER, holder)
    assert ledger.entries() == {"ticker": Entry(2, False)}
    assert [ledger.remove(TICKER, holder) for holder in ("a", "a", "nobody")] == [False] * 3
    assert ledger.entries() == {"ticker": Entry(1, False)}
    assert ledger.remove(TICKER, "b")


def test_topics_of_one_name_count_together(ledger: Ledger) -> None:
    for topic, holder in ((MINUTES, "a"), (HOURS, "a"), (HOURS, "b")):
        ledger.add(topic, holder)
    ledger.tell(HOURS, State.LIVE)
    assert ledger.entries() == {"kline": Entry(3, True)}
    ledger.remove(MINUTES, "a")
    ledger.remove(HOURS, "a")
    assert ledger.entries() == {"kline": Entry(1, True)}
    ledger.remove(HOURS, "b")
    assert ledger.entries() == {}
    assert len(ledger) == 0


def test_who_died_holds_nothing(ledger: Ledger) -> None:
    for topic, holder in ((TICKER, "a"), (HOURS, "a"), (HOURS, "b")):
        ledger.add(topic, holder)
    ledger.entries()
    assert ledger.forget("a") == [TICKER]
    assert ledger.turned() == {"ticker": NOTHING, "kline": Entry(1, False)}
    assert TICKER not in ledger
    assert HOURS in ledger


@pytest.mark.parametrize(
    ("states", "entry"),
    [
        ([], Entry(1, False)),
        ([State.PENDING], Entry(1, False)),
        ([State.LIVE], Entry(1, True)),
        ([State.LIVE, State.STALE], Entry(1, True)),
        ([State.LIVE, State.RECONNECTING], Entry(1, True)),
        ([State.REFUSED], NOTHING),
        ([State.REFUSED, State.PENDING], Entry(1, False)),
        ([State.LIVE, State.REFUSED], NOTHING),
    ],
)
def test_the_venue_carries_what_it_confirmed_and_did_not_refuse(
    ledger: Ledger, states: list[State], entry: Entry
) -> None:
    ledger.add(TICKER, "a")
    for state in states:
        ledger.tell(TICKER, state)
    assert ledger.turned() == {"ticker": entry}
    assert ledger.entries() == ({} if entry == NOTHING else {"ticker": entry})


def test_what_was_confirmed_before_somebody_wanted_it_again_has_to_be_told_again(ledger: Ledger) -> None:
    ledger.add(TICKER, "a")
    ledger.tell(TICKER, State.LIVE)
    ledger.remove(TICKER, "a")
    ledger.tell(TICKER, State.LIVE)
    ledger.add(TICKER, "a")
    assert ledger.entries() == {"ticker": Entry(1, False)}


def test_what_turned_is_told_once(ledger: Ledger) -> None:
    ledger.add(TICKER, "a")
    ledger.add(HOURS, "a")
    assert ledger.turned() == {"ticker": Entry(1, False), "kline": Entry(1, False)}
    assert ledger.turned() == {}
    ledger.tell(HOURS, State.LIVE)
    ledger.tell(HOURS, State.LIVE)
    assert ledger.turned() == {"kline": Entry(1, True)}
    ledger.remove(TICKER, "a")
    ledger.entries()
    assert ledger.turned() == {}
