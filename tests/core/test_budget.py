from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from feedmux.core.budget import Bucket, Budget, Queue, single, windowed
from feedmux.model.errors import InvalidMessage, InvalidSetting, Overflow, Unaffordable

PRICES: Mapping[str, Mapping[str, float]] = {
    "free": {},
    "cheap": {"small": 1.0},
    "dear": {"small": 4.0},
    "big": {"large": 10.0},
    "both": {"small": 2.0, "large": 5.0},
    "too dear": {"small": 5.0},
    "strange": {"other": 1.0},
    "negative": {"small": -1.0},
    "no number": {"small": math.nan},
}


@pytest.fixture
def budget() -> Budget:
    """Small: 4 tokens, 1 a second. Large: 20 tokens, 2 a second."""
    return Budget([Bucket(4.0, 1.0, "small"), Bucket(20.0, 2.0, "large")], PRICES.__getitem__)


def test_a_budget_starts_full_and_fills_with_time(budget: Budget) -> None:
    assert [budget.take(50.0, "cheap") for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert budget.take(50.25, "cheap") == 0.75
    assert budget.take(51.0, "cheap") == 0.0
    assert budget.take(51.0, "cheap") == 1.0


def test_a_bucket_holds_no_more_than_its_capacity(budget: Budget) -> None:
    budget.take(0.0, "cheap")
    assert [budget.take(1000.0, "cheap") for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_all_that_a_message_costs_is_taken_or_nothing(budget: Budget) -> None:
    budget.take(0.0, "dear")
    assert budget.take(0.0, "both") == 2.0
    assert budget.utilisation(0.0) == {"small": 1.0, "large": 0.0}
    assert budget.take(2.0, "both") == 0.0
    assert budget.utilisation(2.0) == {"small": 1.0, "large": 0.25}


def test_the_longest_wait_of_its_buckets_is_the_wait_of_a_message(budget: Budget) -> None:
    budget.take(0.0, "big")
    budget.take(0.0, "big")
    assert budget.take(0.0, "both") == 2.5
    budget.take(0.0, "dear")
    assert budget.take(2.0, "both") == 0.5
    assert budget.take(2.5, "both") == 0.0


def test_asking_how_long_it_takes_takes_nothing(budget: Budget) -> None:
    assert [budget.wait_s(0.0, "dear") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert budget.take(0.0, "dear") == 0.0
    assert budget.wait_s(1.0, "dear") == 3.0
    assert budget.statistics() == {"taken": 1, "refused": 0, "penalties": 0}


def test_what_the_latest_message_left_is_known_until_the_next(budget: Budget) -> None:
    full = budget.left()
    budget.take(0.0, "big")
    left = budget.left()
    assert left != full
    assert budget.wait_s(100.0, "big") == 0
    assert budget.left() == left


def test_a_message_that_costs_nothing_always_goes_but_not_into_a_penalty(budget: Budget) -> None:
    assert [budget.take(0.0, "free") for _ in range(100)] == [0.0] * 100
    budget.penalise(0.0, 5.0)
    assert budget.take(1.0, "free") == 4.0


def test_a_clock_that_goes_back_gives_nothing_twice(budget: Budget) -> None:
    assert budget.take(10.0, "dear") == 0.0
    assert budget.take(12.0, "cheap") == 0.0
    assert budget.take(5.0, "cheap") == 0.0, "what is there is there"
    assert budget.take(5.0, "cheap") == 8.0, "seven seconds behind, and one to wait"
    assert budget.take(12.0, "cheap") == 1.0
    assert budget.take(13.0, "cheap") == 0.0


def test_while_it_is_penalised_nothing_goes_and_the_longest_penalty_counts(budget: Budget) -> None:
    budget.penalise(0.0, 5.0)
    budget.penalise(1.0, 2.0)
    assert budget.take(1.0, "cheap") == 4.0
    assert budget.take(4.75, "cheap") == 0.25
    assert budget.take(5.0, "cheap") == 0.0
    assert budget.statistics() == {"taken": 1, "refused": 2, "penalties": 2}


def test_after_a_penalty_a_message_waits_for_its_tokens_if_that_is_longer(budget: Budget) -> None:
    budget.take(0.0, "dear")
    budget.penalise(0.0, 1.0)
    assert budget.take(0.0, "dear") == 4.0


@pytest.mark.parametrize("rate", [0.3, 3.0, 7.0, 10_000.0])
@pytest.mark.parametrize("start", [0.0, 0.1, 1e6 / 3, 1e9 / 7])
def test_after_the_wait_there_is_a_token_and_before_it_there_is_none(rate: float, start: float) -> None:
    budget, now = single(rate, burst=1.0), start
    assert budget.take(now, "x") == 0.0
    for _ in range(200):
        wait_s = budget.take(now, "x")
        assert wait_s > 0
        assert budget.take(now + wait_s * 0.9, "x") > 0
        now += wait_s
        assert budget.take(now, "x") == 0.0


def test_a_message_that_could_never_go_is_refused_at_once(budget: Budget) -> None:
    with pytest.raises(Unaffordable) as caught:
        budget.take(0.0, "too dear")
    assert str(caught.value) == "'too dear' costs 5 tokens of 'small', which never holds more than 4"
    assert budget.utilisation(0.0) == {"small": 0.0, "large": 0.0}
    with pytest.raises(Unaffordable):
        Queue[int](budget, 3).push("too dear", 1)


@pytest.mark.parametrize(
    ("method", "error", "text"),
    [
        ("strange", InvalidSetting, "cost of 'strange': 'other' does not work; expected one of small, large"),
        ("negative", InvalidSetting, "cost of 'negative': -1.0 does not work; expected tokens, 0 or more"),
        ("no number", InvalidSetting, "cost of 'no number': nan does not work; expected tokens, 0 or more"),
        (5, InvalidMessage, "method: a value of type int cannot be sent; expected a text"),
        ([], InvalidMessage, "method: a value of type list cannot be sent; expected a text"),
    ],
)
def test_a_cost_that_cannot_be_is_an_error_of_ours(
    budget: Budget, method: Any, error: type[Exception], text: str
) -> None:
    for ask in (budget.price, lambda m: budget.take(0.0, m), lambda m: budget.wait_s(0.0, m)):
        with pytest.raises(error) as caught:
            ask(method)
        assert str(caught.value) == text


MISTAKES: list[tuple[str, Callable[[], object]]] = [
    ("capacity", lambda: Bucket(0.0, 1.0)),
    ("capacity", lambda: Bucket(math.inf, 1.0)),
    ("capacity", lambda: Bucket(math.nan, 1.0)),
    ("refill_per_s", lambda: Bucket(1.0, 0.0)),
    ("refill_per_s", lambda: Bucket(1.0, math.inf)),
    ("name", lambda: Bucket(1.0, 1.0, "")),
    ("buckets", lambda: Budget([Bucket(1.0, 1.0), Bucket(2.0, 1.0)], lambda _: {})),
    ("limit", lambda: windowed(0.0, 1.0)),
    ("limit", lambda: windowed(math.inf, 1.0)),
    ("seconds", lambda: windowed(5.0, 0.0)),
    ("burst", lambda: windowed(5.0, 1.0, burst=5.0)),
    ("burst", lambda: windowed(5.0, 1.0, burst=0.0)),
    ("burst", lambda: windowed(5.0, 1.0, burst=math.nan)),
    ("burst", lambda: single(1.0, 0.5)),
    ("refill_per_s", lambda: single(0.0, 1.0)),
    ("seconds", lambda: single(1.0, 1.0).penalise(0.0, -1.0)),
    ("seconds", lambda: single(1.0, 1.0).penalise(0.0, math.inf)),
    ("limit", lambda: Queue[int](single(1.0, 1.0), 0)),
    ("limit", lambda: Queue[int](single(1.0, 1.0), "5")),  # type: ignore[arg-type]
    ("limit", lambda: Queue[int](single(1.0, 1.0), 1.5)),  # type: ignore[arg-type]
    ("limit", lambda: Queue[int](single(1.0, 1.0), True)),
    ("buckets", lambda: Budget(5, dict)),  # type: ignore[arg-type]
    ("buckets", lambda: Budget("abc", dict)),  # type: ignore[arg-type]
    ("cost", lambda: Budget([], {"buy": 1.0})),  # type: ignore[arg-type]
    ("name", lambda: Bucket(1.0, 1.0, 5)),  # type: ignore[arg-type]
]
NUMBERS: list[tuple[str, Callable[[Any], object]]] = [
    ("capacity", lambda value: Bucket(value, 1.0)),
    ("refill_per_s", lambda value: Bucket(1.0, value)),
    ("limit", lambda value: windowed(value, 1.0)),
    ("seconds", lambda value: windowed(1.0, value)),
    ("burst", lambda value: windowed(5.0, 1.0, burst=value)),
    ("refill_per_s", lambda value: single(value, 1.0)),
    ("burst", lambda value: single(1.0, value)),
    ("seconds", lambda value: single(1.0, 1.0).penalise(0.0, value)),
    ("cost of 'buy'", lambda value: Budget([Bucket(9.0, 1.0)], lambda _: {"messages": value}).price("buy")),
]
"""What wants a number."""
NO_NUMBERS = ["5", b"5", True, math.nan, 10**400, [5], {}, object()]


@pytest.mark.parametrize(("name", "build"), NUMBERS)
def test_what_is_no_number_is_refused_by_name(name: str, build: Callable[[Any], object]) -> None:
    for value in NO_NUMBERS:
        with pytest.raises(InvalidSetting) as caught:
            build(value)
        assert caught.value.name == name, type(value)
        assert str(caught.value)


@pytest.mark.parametrize("price", [None, 5, "messages", [("messages", 1.0)]])
def test_a_cost_that_is_no_mapping_is_refused(price: Any) -> None:
    with pytest.raises(
        InvalidSetting, match=r"cost of 'buy': .* expected tokens by the name of their bucket"
    ):
        Budget([Bucket(9.0, 1.0)], lambda _: price).take(0.0, "buy")


@pytest.mark.parametrize(("name", "build"), MISTAKES)
def test_bounds_that_cannot_work_are_refused(name: str, build: Callable[[], object]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        build()
    assert caught.value.name == name


def test_a_window_lets_no_more_through_than_the_peer_counts() -> None:
    assert windowed(10.0, 1.0, "orders") == Bucket(5.0, 5.0, "orders")
    assert windowed(10.0, 4.0, burst=8.0) == Bucket(8.0, 0.5)


def test_a_single_bucket_costs_one_for_every_message() -> None:
    budget = single(2.0, burst=3.0)
    assert [budget.take(0.0, method) for method in ("a", "b", "", "d")] == [0.0, 0.0, 0.0, 0.5]


def pop_all(queue: Queue[str], now: float) -> list[str]:
    popped = []
    while (item := queue.pop(now)) is not None:
        popped.append(item)
    return popped


@pytest.fixture
def queue(budget: Budget) -> Queue[str]:
    return Queue(budget, 10)


def push(queue: Queue[str], *methods: str) -> None:
    for method in methods:
        queue.push(method, f"{method} {len(queue)}")


def test_messages_that_the_budget_allows_go_in_their_order(queue: Queue[str]) -> None:
    push(queue, "cheap", "big", "cheap", "both")
    assert pop_all(queue, 0.0) == ["cheap 0", "big 1", "cheap 2", "both 3"]
    assert queue.wait_s(0.0) is None


def test_a_cheap_message_does_not_starve_an_expensive_one(queue: Queue[str]) -> None:
    push(queue, "dear", "dear", "cheap", "cheap")
    assert pop_all(queue, 0.0) == ["dear 0"]
    assert queue.wait_s(0.0) == 4.0
    assert pop_all(queue, 3.5) == [], "there are tokens for a cheap one, but it is not its turn"
    assert pop_all(queue, 4.0) == ["dear 1"]
    assert queue.wait_s(4.0) == 1.0
    assert pop_all(queue, 6.0) == ["cheap 2", "cheap 3"]


def test_who_draws_on_other_buckets_does_not_wait_for_those_before_him(queue: Queue[str]) -> None:
    push(queue, "dear", "dear", "big")
    assert pop_all(queue, 0.0) == ["dear 0", "big 2"]


def test_who_waits_for_two_buckets_keeps_his_place_at_both(queue: Queue[str]) -> None:
    push(queue, "dear", "both", "cheap", "big")
    assert pop_all(queue, 0.0) == ["dear 0"]
    assert queue.wait_s(0.0) == 2.0
    assert pop_all(queue, 2.0) == ["both 1", "big 3"]
    assert pop_all(queue, 3.0) == ["cheap 2"]


def test_the_shortest_wait_is_of_those_whose_turn_it_is(queue: Queue[str]) -> None:
    push(queue, "dear", "big", "big", "dear", "cheap", "big")
    assert pop_all(queue, 0.0) == ["dear 0", "big 1", "big 2"]
    assert queue.wait_s(0.0) == 4.0, "the big one waits five seconds, the dear one four"
    assert pop_all(queue, 4.0) == ["dear 3"]
    assert queue.wait_s(4.0) == 1.0


def test_a_message_that_need_not_go_any_more_makes_way(queue: Queue[str]) -> None:
    push(queue, "dear", "dear", "cheap")
    pop_all(queue, 0.0)
    assert "dear 1" in queue
    assert queue.discard("dear 1")
    assert not queue.discard("dear 1")
    assert "dear 1" not in queue
    assert pop_all(queue, 1.0) == ["cheap 2"]
    assert len(queue) == 0


def test_a_message_that_waits_already_keeps_its_place(queue: Queue[str]) -> None:
    for method, item in (("dear", "a"), ("cheap", "b"), ("big", "a")):
        queue.push(method, item)
    assert len(queue) == 2
    assert pop_all(queue, 0.0) == ["a"]


def test_a_penalty_holds_everybody(budget: Budget, queue: Queue[str]) -> None:
    push(queue, "cheap", "big", "free")
    budget.penalise(0.0, 3.0)
    assert pop_all(queue, 2.0) == []
    assert queue.wait_s(2.0) == 1.0
    assert pop_all(queue, 3.0) == ["cheap 0", "big 1", "free 2"]


def test_a_queue_has_a_bound(budget: Budget) -> None:
    queue = Queue[int](budget, 2)
    queue.push("cheap", 1)
    queue.push("cheap", 2)
    queue.push("cheap", 2)
    with pytest.raises(Overflow, match="queue for the budget is full; its bound is 2 messages"):
        queue.push("cheap", 3)
