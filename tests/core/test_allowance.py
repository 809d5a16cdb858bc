from __future__ import annotations

from collections.abc import Callable

import pytest

from feedmux.core.allowance import (
    BINANCE_WEIGHTS,
    DERIBIT_MATCHING,
    binance,
    binance_api,
    bybit,
    deribit,
)
from feedmux.core.budget import Budget
from feedmux.model.errors import InvalidSetting


def burst(budget: Budget, method: str, now: float = 0.0) -> tuple[int, float]:
    """How many go at once, and how long the next one waits."""
    sent = 0
    while not (wait_s := budget.take(now, method)):
        sent += 1
    return sent, wait_s


@pytest.mark.parametrize(
    ("method", "at_once", "wait_s"),
    [
        ("public/test", 90, 0.05),
        ("private/get_positions", 90, 0.05),
        ("public/unsubscribe", 90, 0.05),
        ("public/subscribe", 9, 0.3),
        ("private/subscribe", 9, 0.3),
        ("public/get_instruments", 45, 1.0),
        ("private/buy", 18, 0.2),
        ("private/cancel_all", 18, 0.2),
    ],
)
def test_deribit_counts_credits(method: str, at_once: int, wait_s: float) -> None:
    assert burst(deribit(), method) == (at_once, wait_s)


def test_deribits_orders_subscriptions_and_questions_do_not_wait_for_each_other() -> None:
    budget = deribit()
    methods = ("public/test", "public/subscribe", "public/get_instruments", "private/buy")
    assert [burst(budget, method)[0] for method in methods] == [90, 9, 45, 18]
    assert budget.utilisation(0.0) == {"other": 1.0, "subscribe": 1.0, "listing": 1.0, "matching": 1.0}
    assert [burst(budget, method, 5.0)[0] for method in methods] == [90, 9, 5, 18]


def test_all_of_deribits_matching_methods_are_private_and_share_one_bucket() -> None:
    budget = deribit(matching_per_s=30.0, matching_burst=100.0)
    assert all(method.startswith("private/") for method in DERIBIT_MATCHING)
    assert sum(not budget.take(0.0, method) for method in sorted(DERIBIT_MATCHING) * 6) == 90


def test_bybits_requests_are_counted_by_connection_and_its_orders_by_operation() -> None:
    budget = bybit()
    assert burst(budget, "order.create") == (5, 0.2)
    assert burst(budget, "order.amend") == (5, 0.2)
    assert burst(budget, "order.cancel") == (5, 0.2)
    assert burst(budget, "subscribe") == (85, 0.01)


def test_bybits_orders_stay_within_the_limit_of_any_second() -> None:
    budget, sent = bybit(orders_per_s=20.0), []
    for tick in range(400):
        if not budget.take(tick / 128, "order.create"):
            sent.append(tick / 128)
    assert max(sum(begin <= at <= begin + 1.0 for at in sent) for begin in sent) == 20


def test_a_batch_of_bybits_is_refused_because_its_name_does_not_tell_what_it_costs() -> None:
    with pytest.raises(InvalidSetting, match=r"order\.create-batch.*expected one of order\.create"):
        bybit().take(0.0, "order.create-batch")


@pytest.mark.parametrize(("messages_per_s", "at_once", "a_second"), [(5.0, 2, 4), (10.0, 4, 9)])
def test_binance_is_left_one_message_a_second_for_pings_and_pongs(
    messages_per_s: float, at_once: int, a_second: int
) -> None:
    budget = binance(messages_per_s=messages_per_s)
    assert burst(budget, "SUBSCRIBE")[0] == at_once
    budget, sent = binance(messages_per_s=messages_per_s), []
    for tick in range(600):
        if not budget.take(tick / 128, "SUBSCRIBE"):
            sent.append(tick / 128)
    assert max(sum(begin <= at <= begin + 1.0 for at in sent) for begin in sent) == a_second


def test_binances_api_weighs_requests_and_counts_orders() -> None:
    budget = binance_api()
    assert burst(budget, "order.place") == (25, 0.4)
    assert burst(budget, "exchangeInfo") == (148, 0.1)
    assert burst(binance_api(), "no such method") == (12, 5.0)
    assert burst(binance_api({**BINANCE_WEIGHTS, "klines": 2.0}), "klines") == (1500, 0.04)


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("matching_burst", lambda: deribit(matching_burst=0.0)),
        ("matching_per_s", lambda: deribit(matching_per_s=-1.0)),
        ("matching_burst", lambda: deribit(matching_burst="5")),  # type: ignore[arg-type]
        ("matching_per_s", lambda: deribit(matching_per_s=10**400)),
        ("orders_per_s", lambda: bybit(orders_per_s=None)),  # type: ignore[arg-type]
        ("requests_per_s", lambda: bybit(requests_per_s=True)),
        ("messages_per_s", lambda: binance(messages_per_s="5")),  # type: ignore[arg-type]
        ("weights", lambda: binance_api([("ping", 1.0)])),  # type: ignore[arg-type]
        ("orders_per_s", lambda: bybit(orders_per_s=1.0)),
        ("requests_per_s", lambda: bybit(requests_per_s=0.5)),
        ("messages_per_s", lambda: binance(messages_per_s=2.0)),
        ("messages_per_s", lambda: binance(messages_per_s=float("nan"))),
    ],
)
def test_figures_that_cannot_work_are_refused(name: str, build: Callable[[], Budget]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        build()
    assert caught.value.name == name
