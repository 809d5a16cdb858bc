"""Markets that move."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.deribit_book import ASKS, BIDS
from feedmux.sim.deribit_options import INSTRUMENTS
from support.deribit_market import Pit


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_market_opens_with_a_book_on_both_sides(name: str) -> None:
    pit = Pit(instrument=name)
    bid, ask = pit.book.best(BIDS), pit.book.best(ASKS)
    assert bid is not None and ask is not None
    assert bid < ask
    assert len(pit.book.depth(ASKS)) == 10
    assert bid % pit.market.product.tick == ask % pit.market.product.tick == 0
    assert abs(pit.market.mark - bid) <= 3 * pit.market.product.tick


def test_the_same_seed_makes_the_same_market() -> None:
    one, two = Pit(), Pit()
    one.step(50)
    two.step(50)
    assert one.book.depth(BIDS) == two.book.depth(BIDS)
    assert [(t.price, t.amount, t.ident) for t in one.diary.trades] == [
        (t.price, t.amount, t.ident) for t in two.diary.trades
    ]
    assert len(one.diary.trades) > 20


def test_instruments_of_a_coin_follow_its_index() -> None:
    pit = Pit()
    before = {name: market.mark for name, market in pit.exchange.markets.items()}
    pit.move(90_000.0)
    after = {name: market.mark for name, market in pit.exchange.markets.items()}
    assert pit.book.best(BIDS) == Decimal("89999.5")
    assert after["BTC-28DEC29"] > before["BTC-28DEC29"] * Decimal("1.05")
    assert after["BTC-28DEC29-80000-C"] > before["BTC-28DEC29-80000-C"]
    assert after["ETH-PERPETUAL"] == before["ETH-PERPETUAL"]
    assert after["BTC_USDC-PERPETUAL"] == before["BTC_USDC-PERPETUAL"], "its index is another"


def test_a_future_is_moved_to_its_own_price() -> None:
    pit = Pit(instrument="BTC-28DEC29")
    pit.move(100_000.0)
    assert abs(pit.market.mark - 100_000) < 1


@pytest.mark.parametrize(
    ("instrument", "price"), [("NOPE", 1.0), ("BTC-28DEC29-80000-C", 1.0), ("BTC-PERPETUAL", 0.0)]
)
def test_what_cannot_be_moved_is_refused(instrument: str, price: float) -> None:
    pit = Pit()
    with pytest.raises(InvalidSetting):
        pit.exchange.move(instrument, price, pit.moment)


def test_trades_are_numbered_without_a_hole_and_ids_rise() -> None:
    pit = Pit()
    pit.step(200)
    trades = [t for t in pit.diary.trades if t.product is pit.market.product]
    seqs = [t.seq for t in trades]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert {t.tick for t in trades} <= {0, 1, 2, 3}
    assert {t.ident.split("-")[0] for t in pit.diary.trades if t.product.currency == "USDC"} == {"USDC"}


def test_change_ids_rise_over_all_instruments_and_jump_for_each() -> None:
    pit = Pit()
    pit.step(20)
    ids = [ident for _, ident in pit.diary.changes]
    assert ids == sorted(set(ids))
    own = [ident for name, ident in pit.diary.changes if name == "BTC-PERPETUAL"]
    assert all(later - earlier > 1 for earlier, later in pairwise(own))
