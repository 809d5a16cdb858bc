from __future__ import annotations

import math

import pytest

from feedmux.core.pool import Choice, RecentErrors, Vitals, score


@pytest.mark.parametrize(
    ("pending", "p99_ms", "errors", "expected"),
    [
        (0, None, 0, 100),
        (0, 0.0, 0, 100),
        (1, None, 0, 90),
        (4, None, 0, 60),
        (400, None, 0, 60),
        (0, 24.9, 0, 100),
        (0, 25.0, 0, 99),
        (0, 74.9, 0, 98),
        (0, 750.0, 0, 70),
        (0, 60_000.0, 0, 70),
        (0, math.inf, 0, 70),
        (0, None, 1, 85),
        (0, None, 2, 80),
        (0, None, 99, 80),
        (2, 100.0, 1, 61),
        (9, 9_999.0, 9, 10),
    ],
)
def test_a_score_is_what_is_left_of_a_hundred(
    pending: int, p99_ms: float | None, errors: int, expected: int
) -> None:
    assert score(Vitals(pending, p99_ms), errors) == expected


def test_an_error_counts_for_a_minute() -> None:
    errors = RecentErrors()
    errors.record(10.0)
    errors.record(40.0)
    assert errors.count(69.9) == 2
    assert errors.count(70.0) == 1
    assert errors.count(100.0) == 0


def test_very_many_errors_take_no_more_memory_than_many() -> None:
    errors = RecentErrors()
    for _ in range(1000):
        errors.record(1.0)
    assert errors.count(1.0) == 100


def test_the_best_is_chosen() -> None:
    assert Choice[str]().choose({"a": 70, "b": 90, "c": 80}) == "b"


def test_equals_take_turns() -> None:
    choice = Choice[str]()
    scores = {"a": 100, "b": 100, "c": 100}
    assert [choice.choose(scores) for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


def test_who_comes_later_has_its_turn_first_and_who_was_away_keeps_its_own() -> None:
    choice = Choice[str]()
    both = {"a": 100, "b": 100}
    assert [choice.choose(both) for _ in range(2)] == ["a", "b"]
    assert choice.choose({"b": 100}) == "b"
    assert choice.choose({**both, "c": 100}) == "c"
    assert choice.choose({**both, "c": 100}) == "a"


def test_who_is_not_kept_begins_anew() -> None:
    choice = Choice[str]()
    both = {"a": 100, "b": 100}
    assert choice.choose(both) == "a"
    assert choice.choose(both) == "b"
    choice.keep({"a": None})
    assert choice.choose(both) == "b"
