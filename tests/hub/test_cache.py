from __future__ import annotations

import msgspec
import pytest

from feedmux.hub.cache import LastValue
from feedmux.model.event import Envelope, EventKind, Position, State
from feedmux.model.topic import PUBLIC, Topic
from support.hubs import KLINE, TICKER, TRADE, gap, snapshot, status, value

BOOK = Topic(PUBLIC, "bybit", "linear", "book", "BTCUSDT")
BODY = Topic(PUBLIC, "rabbit", "", "orders", "BTCUSDT")


@pytest.mark.parametrize(
    ("position", "taken"),
    [((5, 4), True), ((5, 9), True), ((6, 1), True), ((5, 3), False), ((5, 1), False), ((4, 9), False)],
    ids=["next", "after a hole", "new epoch", "known", "older", "older epoch"],
)
@pytest.mark.parametrize("kind", [EventKind.UPDATE, EventKind.SNAPSHOT])
def test_a_value_is_taken_when_its_position_is_newer(
    kind: EventKind, position: tuple[int, int], taken: bool
) -> None:
    last = LastValue(TICKER)
    last.accept(value(TICKER, 3, epoch=5))
    epoch, seq = position
    assert last.accept(value(TICKER, seq, epoch, kind)) is taken
    assert last.position == (Position(*position) if taken else Position(5, 3))


@pytest.mark.parametrize("topic", [TICKER, KLINE], ids=["ticker", "kline"])
def test_the_last_value_is_the_snapshot_of_the_state(topic: Topic) -> None:
    last = LastValue(topic)
    assert last.snapshot() is None
    last.accept(snapshot(topic, 1))
    assert last.snapshot() == snapshot(topic, 1)
    last.accept(value(topic, 2))
    assert last.snapshot() == snapshot(topic, 2)


@pytest.mark.parametrize("topic", [TRADE, BOOK, BODY], ids=["trades", "changes of a book", "raw bodies"])
def test_of_what_is_no_state_only_the_position_is_kept(topic: Topic) -> None:
    last = LastValue(topic)
    last.accept(value(topic, 1))
    assert last.position == Position(1, 1)
    assert last.snapshot() is None


def at(envelope: Envelope, epoch: int) -> Envelope:
    return msgspec.structs.replace(envelope, epoch=epoch)


@pytest.mark.parametrize("event", [gap(TICKER, 3), status(TICKER, State.STALE)], ids=["gap", "status"])
@pytest.mark.parametrize(
    ("epoch", "taken", "kept"),
    [(5, True, True), (6, True, False), (4, False, True), (0, True, True)],
    ids=["same epoch", "new epoch", "epoch that is over", "of nobody"],
)
def test_a_gap_or_a_status_is_of_its_epoch_and_a_new_one_makes_the_value_void(
    event: Envelope, epoch: int, taken: bool, kept: bool
) -> None:
    last = LastValue(TICKER)
    last.accept(value(TICKER, 3, epoch=5))
    assert last.accept(at(event, epoch)) is taken
    assert (last.snapshot() is not None) is kept
    assert last.position == (Position(5, 3) if kept else Position(6, 0))


def test_values_of_an_epoch_begin_at_one_after_its_status() -> None:
    last = LastValue(TICKER)
    last.accept(status(TICKER, State.LIVE, epoch=6))
    assert not last.accept(value(TICKER, 9, epoch=5))
    assert last.accept(value(TICKER, 1, epoch=6))
