"""The tape: trades at the market's price, in order, by the seed."""

from __future__ import annotations

from random import Random

from feedmux.sim.market import direction, instrument
from feedmux.sim.tape import Tape, Trade

NOW_MS = 1_790_757_082_283


def draw(seed: int, count: int) -> list[Trade]:
    tape = Tape(instrument("linear", "BTCUSDT", seed, NOW_MS), Random(seed))
    return [tape.draw() for _ in range(count)]


def test_the_same_seed_draws_the_same_trades() -> None:
    assert draw(3, 20) == draw(3, 20) != draw(4, 20)


def test_trades_stay_beside_the_price_and_their_numbers_rise() -> None:
    traded = instrument("linear", "BTCUSDT", 3, NOW_MS)
    for before, trade in zip(draw(3, 50), draw(3, 50)[1:], strict=False):
        assert abs(trade.price - traded.last) <= traded.contract.tick
        assert trade.number > before.number
        assert trade.ident != before.ident
        assert trade.direction == direction(trade.price, before.price, before.direction)
        assert trade.size > 0


def test_drawing_trades_does_not_change_what_the_market_does_next() -> None:
    quiet, traded = (instrument("linear", "BTCUSDT", 3, NOW_MS) for _ in range(2))
    Tape(traded, Random(1)).draw()
    assert traded.step(NOW_MS) == quiet.step(NOW_MS)
