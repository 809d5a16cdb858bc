"""Who joins a book late, early, or while it is mute."""

from __future__ import annotations

from decimal import Decimal

import pytest

from feedmux.sim.deribit_floor import DeribitFloor
from feedmux.sim.deribit_options import DEMO, DeribitOptions
from feedmux.sim.deribit_order import BUY, Order, Ticket
from support.deribit_reader import BookKeeper, ManualClock, truth

NAME = "BTC-PERPETUAL"
SLOW = f"book.{NAME}.100ms"


class Scene:
    """A still floor with one reader of a book that is sent ten times a second at most."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.floor = DeribitFloor(DeribitOptions(rate=0, depth=5), self.clock)
        self.first = BookKeeper(self.floor, 1)
        self.first.join(SLOW)
        self.bid(80_000)  # sent at once: the next is not due for a while

    def bid(self, price: int) -> Order:
        ledger = self.floor.exchange.ledgers[DEMO.client_id]
        made = self.floor.exchange.markets[NAME].product
        order, _ = self.floor.exchange.engine.place(
            ledger, Ticket(made, BUY, made.lot, Decimal(price)), self.floor.now_ms()
        )
        self.floor.publish()
        return order

    def cancel(self, order: Order) -> None:
        ledger = self.floor.exchange.ledgers[DEMO.client_id]
        self.floor.exchange.engine.cancel(ledger, order, self.floor.now_ms())
        self.floor.publish()

    def wait(self) -> None:
        self.clock.seconds += 0.2
        self.floor.tick()


def kinds(reader: BookKeeper) -> list[str]:
    return [data["type"] for data in reader.said(SLOW)]


def test_what_is_not_due_waits_and_comes_in_one() -> None:
    scene = Scene()
    scene.bid(80_001)
    scene.bid(80_002)
    assert kinds(scene.first) == ["snapshot", "change"]
    scene.wait()
    assert kinds(scene.first) == ["snapshot", "change", "change"]
    assert [price for _, price, _ in scene.first.said(SLOW)[-1]["bids"]] == [80_002, 80_001]


def test_who_joins_gets_what_the_others_have_and_all_go_on_from_there() -> None:
    scene = Scene()
    scene.bid(80_001)
    late = BookKeeper(scene.floor, 2)
    late.join(SLOW)
    assert kinds(scene.first) == ["snapshot", "change", "change"], "what was pending came first"
    assert kinds(late) == ["snapshot"]
    assert late.chain == scene.first.chain
    scene.bid(80_002)
    scene.wait()
    for reader in (scene.first, late):
        assert (reader.breaks, reader.books[SLOW]) == (0, truth(scene.floor, NAME))


def test_what_changed_and_changed_back_breaks_nobodys_chain() -> None:
    scene = Scene()
    scene.cancel(scene.bid(80_001))
    late = BookKeeper(scene.floor, 2)
    late.join(SLOW)
    scene.bid(80_002)
    scene.wait()
    for reader in (scene.first, late):
        assert (reader.breaks, reader.books[SLOW]) == (0, truth(scene.floor, NAME))
    assert kinds(scene.first) == ["snapshot", "change", "change"]


def test_nothing_is_kept_for_nobody() -> None:
    scene = Scene()
    scene.first.leave(SLOW)
    scene.bid(80_001)
    assert scene.floor.streams == {}
    scene.first.join(SLOW)
    assert scene.first.books[SLOW] == truth(scene.floor, NAME)
    scene.bid(80_002)
    scene.wait()
    assert scene.first.breaks == 0
    assert scene.first.books[SLOW] == truth(scene.floor, NAME)


@pytest.mark.parametrize("joins", [False, True])
def test_a_mute_book_piles_up(joins: bool) -> None:
    scene = Scene()
    late = BookKeeper(scene.floor, 2)
    scene.floor.mute([SLOW])
    scene.bid(80_001)
    if joins:
        late.join(SLOW)
    scene.wait()
    assert kinds(late) == []
    assert kinds(scene.first) == ["snapshot", "change"]
    scene.floor.unmute()
    scene.wait()
    assert kinds(late) == ["snapshot"] * joins
    assert (scene.first.breaks, scene.first.books[SLOW]) == (0, truth(scene.floor, NAME))


def test_what_is_skipped_breaks_the_chain_of_all() -> None:
    scene = Scene()
    scene.floor.streams["", SLOW].skips = 1
    scene.wait()
    scene.bid(80_001)
    scene.wait()
    scene.bid(80_002)
    assert scene.first.breaks == 1
