from __future__ import annotations

import pytest

from feedmux.core.wanted import Said, Wanted
from feedmux.model.errors import Overflow

QUOTES, TRADES = 1, 2
FIRST, SECOND = Said(b"first"), Said(b"second", True)
RELEASE, OTHER_RELEASE = Said(b"release"), Said(b"other release")


@pytest.fixture
def wanted() -> Wanted[int]:
    return Wanted()


def test_only_the_first_subscription_is_sent_on(wanted: Wanted[int]) -> None:
    assert wanted.want("BTC", 1, QUOTES, FIRST)
    assert not wanted.want("BTC", 2, QUOTES, SECOND)
    assert not wanted.want("BTC", 1, QUOTES, FIRST)
    assert wanted.restore() == [FIRST]


def test_further_kinds_are_sent_on_and_restored_too(wanted: Wanted[int]) -> None:
    wanted.want("BTC", 1, QUOTES, FIRST)
    assert wanted.want("BTC", 2, QUOTES | TRADES, SECOND)
    assert not wanted.want("BTC", 3, TRADES, FIRST)
    assert wanted.restore() == [FIRST, SECOND]


def test_a_symbol_without_kinds_is_wanted_once(wanted: Wanted[int]) -> None:
    assert wanted.want("BTC", 1, 0, FIRST)
    assert not wanted.want("BTC", 2, 0, FIRST)
    assert wanted.want("BTC", 2, TRADES, SECOND)


def test_only_the_last_drop_is_sent_on(wanted: Wanted[int]) -> None:
    wanted.want("BTC", 1, QUOTES, FIRST)
    wanted.want("BTC", 2, QUOTES, FIRST)
    assert not wanted.drop("BTC", 1)
    assert not wanted.drop("BTC", 1)
    assert not wanted.drop("ETH", 2)
    assert wanted.drop("BTC", 2)
    assert (len(wanted), wanted.size_bytes, wanted.restore()) == (0, 0, [])
    assert wanted.want("BTC", 2, QUOTES, FIRST)


def test_who_dies_releases_what_nobody_else_wants(wanted: Wanted[int]) -> None:
    wanted.want("BTC", 1, QUOTES, FIRST, RELEASE)
    wanted.want("ETH", 1, QUOTES, FIRST)
    wanted.want("SOL", 1, QUOTES, FIRST, RELEASE)
    wanted.want("SOL", 2, QUOTES, FIRST, OTHER_RELEASE)
    assert wanted.forget(1) == [RELEASE]
    assert wanted.symbols(2) == ("SOL",)
    assert wanted.forget(2) == [RELEASE]  # that of the first subscription
    assert wanted.forget(2) == []


def test_what_further_kinds_brought_is_released_too(wanted: Wanted[int]) -> None:
    wanted.want("BTC", 1, QUOTES, FIRST, RELEASE)
    wanted.want("BTC", 1, TRADES, SECOND, OTHER_RELEASE)
    assert wanted.forget(1) == [RELEASE, OTHER_RELEASE]
    wanted.want("BTC", 1, QUOTES, FIRST, RELEASE)
    wanted.want("BTC", 1, TRADES, SECOND, RELEASE)
    assert wanted.forget(1) == [RELEASE]


def test_it_keeps_no_more_than_it_may() -> None:
    few: Wanted[int] = Wanted(most_symbols=1)
    few.want("BTC", 1, QUOTES, FIRST)
    with pytest.raises(Overflow, match="1 symbols"):
        few.want("ETH", 1, QUOTES, FIRST)
    assert few.want("BTC", 2, TRADES, SECOND)
    assert few.symbols(1) == ("BTC",)

    short: Wanted[int] = Wanted(most_bytes=10)
    short.want("BTC", 1, QUOTES, FIRST)
    with pytest.raises(Overflow, match="10 bytes"):
        short.want("BTC", 1, TRADES, SECOND)
    assert short.restore() == [FIRST]
    assert not short.want("BTC", 2, QUOTES, SECOND)


def test_text_has_to_be_text_and_bytes_may_be_anything() -> None:
    Said("ä".encode()).check()
    Said(b"\xff", True).check()
    with pytest.raises(UnicodeDecodeError):
        Said(b"\xff").check()
