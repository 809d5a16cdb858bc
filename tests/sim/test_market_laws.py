"""Whatever the seed and the symbol, the market keeps the laws seen on captures."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.sim.market import Instrument, instrument
from support.examples import EXAMPLES

NOW_MS = 1_790_757_082_283
SYMBOLS = st.sampled_from(["BTCUSDT", "ETHUSDT", "DOGEUSDT", "NEWUSDT", "1000PEPEUSDT"])
SEEDS = st.integers(0, 10**9)


def number(traded: Instrument, field: str) -> Decimal:
    return Decimal(traded.fields[field])


def assert_day_holds_together(traded: Instrument) -> None:
    assert 0 < number(traded, "lowPrice24h") <= number(traded, "lastPrice") <= number(traded, "highPrice24h")
    assert number(traded, "volume24h") > 0
    assert number(traded, "turnover24h") > 0


@settings(max_examples=EXAMPLES // 5)
@given(market=st.sampled_from(["linear", "inverse"]), symbol=SYMBOLS, seed=SEEDS)
def test_a_derivative_keeps_its_laws_step_after_step(market: str, symbol: str, seed: int) -> None:
    traded = instrument(market, symbol, seed, NOW_MS)
    for _ in range(40):
        traded.step(NOW_MS)
        assert_day_holds_together(traded)
        last, previous = number(traded, "lastPrice"), number(traded, "prevPrice24h")
        change = ((last - previous) / previous).quantize(Decimal("0.000001"), ROUND_DOWN)
        assert number(traded, "price24hPcnt") == change
        interest, mark = number(traded, "openInterest"), number(traded, "markPrice")
        worth = interest * mark if market == "linear" else interest / mark
        assert number(traded, "openInterestValue") == worth.quantize(Decimal("0.01"))
        assert number(traded, "bid1Price") < number(traded, "ask1Price")


@settings(max_examples=EXAMPLES // 5)
@given(symbol=SYMBOLS, seed=SEEDS)
def test_a_step_returns_just_what_makes_the_state_whole_again(symbol: str, seed: int) -> None:
    traded = instrument("linear", symbol, seed, NOW_MS)
    merged = dict(traded.fields)
    for _ in range(40):
        changed = traded.step(NOW_MS)
        assert changed["symbol"] == symbol
        for side in ("bid1", "ask1"):
            assert (f"{side}Price" in changed) == (f"{side}Size" in changed)
        merged |= changed
        assert merged == traded.fields


@settings(max_examples=EXAMPLES // 5)
@given(symbol=SYMBOLS, seed=SEEDS)
def test_spot_says_its_change_to_four_places_and_has_no_book(symbol: str, seed: int) -> None:
    traded = instrument("spot", symbol, seed, NOW_MS)
    for _ in range(20):
        traded.step(NOW_MS)
        assert_day_holds_together(traded)
        last, previous = number(traded, "lastPrice"), number(traded, "prevPrice24h")
        assert number(traded, "price24hPcnt") == ((last - previous) / previous).quantize(Decimal("0.0001"))
        assert "bid1Price" not in traded.fields


@settings(max_examples=EXAMPLES // 10)
@given(market=st.sampled_from(["linear", "spot", "inverse"]), symbol=SYMBOLS, seed=SEEDS)
def test_the_same_seed_makes_the_same_market(market: str, symbol: str, seed: int) -> None:
    one, other = (instrument(market, symbol, seed, NOW_MS) for _ in range(2))
    for _ in range(10):
        assert one.step(NOW_MS) == other.step(NOW_MS)
    assert instrument(market, symbol, seed + 1, NOW_MS).fields != one.fields
