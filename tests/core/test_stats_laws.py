from __future__ import annotations

import json
from math import ceil
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.stats import CEILING, STEPS, Histogram, Rule, Rules, add_up
from support.examples import EXAMPLES

# every size is as likely as any other: a uniform choice would be of large ones only
VALUES = st.integers(0, 39).flatmap(lambda power: st.integers(0, (2 << power) - 1))
MANY = st.lists(VALUES, max_size=60)
LIMITS = st.integers(0, 40).map(lambda power: 1 << power)

RULES: Rules = {
    "most": Rule.MOST,
    "least": Rule.LEAST,
    "same": Rule.SAME,
    "lag": Rule.HISTOGRAM,
    "inner": {"most": Rule.MOST, "lag": Rule.HISTOGRAM},
}
NUMBER = st.integers(-1000, 1000)
UNKNOWN = st.none() | NUMBER


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def both(one: Histogram, other: Histogram) -> Histogram:
    total = Histogram.from_plain(one.plain())
    total.add(other)
    return total


PLAIN = MANY.map(lambda values: of(values).plain())
INNER = st.fixed_dictionaries({}, optional={"sent": NUMBER, "most": UNKNOWN, "lag": PLAIN})
STATISTICS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "sent": NUMBER,
        "most": UNKNOWN | st.booleans(),
        "least": UNKNOWN,
        "same": st.just("bybit"),
        "lag": PLAIN,
        "by_code": st.dictionaries(st.sampled_from("abc"), NUMBER),
        "inner": INNER,
    },
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(MANY, MANY)
def test_adding_histograms_is_recording_all_their_values(one: list[int], other: list[int]) -> None:
    assert both(of(one), of(other)) == of(one + other)


@settings(max_examples=EXAMPLES, deadline=None)
@given(MANY, MANY, MANY)
def test_histograms_add_up_in_any_order(a: list[int], b: list[int], c: list[int]) -> None:
    one, two, three = of(a), of(b), of(c)
    assert both(one, two) == both(two, one)
    assert both(both(one, two), three) == both(one, both(two, three))
    assert both(one, Histogram()) == one


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=60), st.integers(1, 100))
def test_a_percentile_is_off_by_less_than_a_step(values: list[int], percent: int) -> None:
    rank = max(1, ceil(percent * len(values) / 100))
    true = sorted(values)[rank - 1]
    found = of(values).percentile(percent)
    assert found is not None
    assert true <= found < max(true + 1, true * (1 + 1 / STEPS))


@settings(max_examples=EXAMPLES, deadline=None)
@given(MANY, st.sets(LIMITS))
def test_how_many_are_below_a_power_of_two_is_exact(values: list[int], limits: set[int]) -> None:
    rising = sorted(limits)
    assert list(of(values).below(*rising)) == [sum(v < limit for v in values) for limit in rising]


@settings(max_examples=EXAMPLES, deadline=None)
@given(MANY)
def test_count_and_sum_are_exact(values: list[int]) -> None:
    histogram = of(values)
    assert (histogram.count, histogram.sum) == (len(values), sum(values))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.integers(-CEILING, CEILING**2), max_size=60))
def test_a_histogram_comes_back_from_json_as_it_was(values: list[int]) -> None:
    histogram = of(values)
    assert Histogram.from_plain(json.loads(json.dumps(histogram.plain()))) == histogram


@settings(max_examples=EXAMPLES, deadline=None)
@given(STATISTICS, STATISTICS, STATISTICS)
def test_statistics_add_up_in_any_order(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    assert add_up(a, b, RULES) == add_up(b, a, RULES)
    assert add_up(add_up(a, b, RULES), c, RULES) == add_up(a, add_up(b, c, RULES), RULES)
    assert add_up(a, {}, RULES) == add_up({}, a, RULES) == a
