"""What requests cost."""

from __future__ import annotations

import pytest

from feedmux.sim.deribit_credits import GENERAL, INSTRUMENTS, MATCHING, SUBSCRIBE, TARIFFS, Bank, Pool


@pytest.mark.parametrize(
    ("kind", "burst", "per_s"),
    [(GENERAL, 100, 20), (MATCHING, 20, 5), (SUBSCRIBE, 10, 3.3), (INSTRUMENTS, 50, 1)],
)
def test_so_many_at_once_and_then_so_many_a_second(kind: str, burst: int, per_s: float) -> None:
    bank = Bank(1.0)
    assert [bank.spend("me", kind, 0.0) for _ in range(burst + 1)] == [True] * burst + [False]
    tariff = TARIFFS[kind]
    assert tariff.refill / tariff.cost == pytest.approx(per_s, rel=0.02)
    assert not bank.spend("me", kind, 0.99 * tariff.cost / tariff.refill)
    assert bank.spend("me", kind, 1.01 * tariff.cost / tariff.refill)


def test_owners_do_not_share_and_kinds_do_not_either() -> None:
    bank = Bank(1.0)
    while bank.spend("me", MATCHING, 0.0):
        pass
    assert bank.spend("you", MATCHING, 0.0)
    assert bank.spend("me", GENERAL, 0.0)


def test_a_scale_allows_more_and_none_allows_everything() -> None:
    twice, free = Bank(2.0), Bank(None)
    assert sum(twice.spend("me", MATCHING, 0.0) for _ in range(100)) == 40
    assert all(free.spend("me", MATCHING, 0.0) for _ in range(1000))


def test_however_small_the_scale_one_request_is_possible() -> None:
    bank = Bank(0.001)
    assert [bank.spend("me", GENERAL, 0.0) for _ in range(2)] == [True, False]


def test_who_comes_back_begins_with_full_pools() -> None:
    bank = Bank(1.0)
    while bank.spend(1, MATCHING, 0.0):
        pass
    bank.close(1)
    assert bank.spend(1, MATCHING, 0.0)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    pool = Pool(10, 1, now=100.0)
    assert pool.take(10, 100.0)
    assert pool.level(90.0) == 0
    assert pool.level(101.0) == 1
