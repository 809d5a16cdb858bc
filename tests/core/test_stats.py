from __future__ import annotations

import json
from typing import Any

import pytest

from feedmux.core.stats import CEILING, Histogram, NoSum, Rule, Rules, add_up, greatest
from feedmux.model.errors import MalformedMessage


def of(*values: int) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def test_an_empty_histogram_has_no_percentile() -> None:
    empty = Histogram()
    assert (empty.count, empty.sum, empty.percentile(99), empty.plain()) == (0, 0, None, [0])


def test_small_values_are_told_apart() -> None:
    assert [of(value).percentile(50) for value in range(32)] == list(range(32))
    assert of(32).percentile(50) == of(33).percentile(50) == 33


def test_a_percentile_is_the_value_of_the_nearest_rank() -> None:
    histogram = of(*range(1, 11))
    percents = (0.001, 10, 10.1, 50, 90, 99, 100)
    assert [histogram.percentile(percent) for percent in percents] == [1, 1, 2, 5, 9, 10, 10]


def test_what_is_below_nothing_counts_as_nothing() -> None:
    histogram = of(-5, 0, 3)
    assert (histogram.count, histogram.sum, histogram.percentile(50)) == (3, 3, 0)


def test_what_is_too_large_is_counted_and_not_told_apart() -> None:
    assert of(CEILING - 1).percentile(100) == CEILING - 1
    assert of(CEILING).percentile(100) == of(CEILING**3).percentile(100) == CEILING
    assert of(CEILING**3).sum == CEILING**3
    assert list(of(CEILING - 1, CEILING, CEILING**3).below(CEILING)) == [1]


def test_steps_follow_each_other_and_begin_with_each_power_of_two() -> None:
    starts = [0, *(greatest(index) + 1 for index in range(592))]
    assert starts == sorted(set(starts))
    assert {1 << power for power in range(41)} <= set(starts)


def test_how_many_are_below_is_exact_where_steps_begin() -> None:
    histogram = of(0, 1023, 1024, 1535, 1536, 2048)
    assert list(histogram.below(0, 1, 1024, 1536, 2048, CEILING)) == [0, 1, 2, 4, 5, 6]


def test_a_histogram_that_is_added_is_left_as_it_was() -> None:
    one, other = of(1, 2), of(2, 1000)
    one.add(other)
    assert (one, other) == (of(1, 2, 2, 1000), of(2, 1000))
    assert one != of(1, 2, 1000) and one != "histogram"


def test_a_histogram_says_what_it_holds() -> None:
    assert repr(of(1, 2, 3)) == "<Histogram count=3 p50=2 p99=3 p100=3>"


@pytest.mark.parametrize(
    "plain", [None, [], [1, 2], [0, 1, -1], [0, 1, 1.5], [True], ["0"], [0, 593, 1], {"0": 1}]
)
def test_what_is_no_histogram_is_malformed(plain: object) -> None:
    with pytest.raises(MalformedMessage, match=r"^malformed histogram: it "):
        Histogram.from_plain(plain)


RULES: Rules = {
    "draining": Rule.MOST,
    "down_for": Rule.MOST,
    "age": Rule.LEAST,
    "connected": Rule.LEAST,
    "venue": Rule.SAME,
    "links": Rule.JOIN,
    "lag": Rule.HISTOGRAM,
    "inner": {"age": Rule.MOST},
}


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [
        ({"sent": 2, "rate": 0.5}, {"sent": 3, "rate": 1}, {"sent": 5, "rate": 1.5}),
        ({"closed": {"4000": 1}}, {"closed": {"4000": 2, "4008": 1}}, {"closed": {"4000": 3, "4008": 1}}),
        ({"draining": False}, {"draining": True}, {"draining": True}),
        ({"down_for": 2.5}, {"down_for": 1}, {"down_for": 2.5}),
        ({"age": 2.0, "connected": True}, {"age": 1.0, "connected": False}, {"age": 1.0, "connected": False}),
        ({"age": None}, {"age": 1.0}, {"age": 1.0}),
        ({"age": 1.0}, {"age": None}, {"age": 1.0}),
        ({"age": None}, {"age": None}, {"age": None}),
        ({"venue": "bybit"}, {"venue": "bybit"}, {"venue": "bybit"}),
        ({"links": [1]}, {"links": [2, 3]}, {"links": [1, 2, 3]}),
        ({"lag": of(1).plain()}, {"lag": of(1, 99).plain()}, {"lag": of(1, 1, 99).plain()}),
        ({"inner": {"age": 1, "n": 1}}, {"inner": {"age": 3, "n": 1}}, {"inner": {"age": 3, "n": 2}}),
        ({"one": 1}, {"other": "text"}, {"one": 1, "other": "text"}),
    ],
)  # fmt: skip
def test_statistics_add_up_as_their_figures_say(
    one: dict[str, Any], other: dict[str, Any], total: dict[str, Any]
) -> None:
    before = json.dumps([one, other])
    assert add_up(one, other, RULES) == total
    assert json.dumps([one, other]) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "a"), (True, False), ([1], [2]), (1, "1"), (1, {"a": 1}), ({"a": 1}, 1)],
)
def test_what_nobody_declared_has_no_sum(one: object, other: object) -> None:
    with pytest.raises(NoSum, match=r"^figure: .* have no sum; expected numbers, mappings, or a rule"):
        add_up({"figure": one}, {"figure": other})


def test_what_must_be_the_same_and_is_not_has_no_sum() -> None:
    with pytest.raises(NoSum, match=r"'bybit' and 'deribit' have no sum; expected the same"):
        add_up({"venue": "bybit"}, {"venue": "deribit"}, RULES)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("links", [1], 2),
        ("links", {"a": 1}, [1]),
        ("down_for", 1, "2"),
        ("age", [1], 2),
        ("connected", "", True),
    ],
)
def test_what_does_not_fit_its_rule_has_no_sum(name: str, one: object, other: object) -> None:
    with pytest.raises(NoSum, match="expected two "):
        add_up({name: one}, {name: other}, RULES)


def test_a_figure_that_should_be_a_histogram_and_is_none_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="malformed histogram"):
        add_up({"lag": [0]}, {"lag": [1, 2]}, RULES)
