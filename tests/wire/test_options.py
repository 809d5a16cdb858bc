from __future__ import annotations

from typing import Any

import pytest

from feedmux.model.options import DEFAULTS, Options
from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.options import InvalidOption, Wish, comes_whole, note_of, problem_of, read
from support.places import PLACES


@pytest.mark.parametrize(
    ("raw", "wish"),
    [
        ({}, Wish(DEFAULTS, None, {})),
        ({"conflate": False}, Wish(Options(conflate=False), None, {"conflate": False})),
        ({"snapshot": True}, Wish(DEFAULTS, True, {"snapshot": True})),
        ({"snapshot": False}, Wish(DEFAULTS, False, {"snapshot": False})),
        ({"max_rate": 4}, Wish(Options(rate=4), None, {"max_rate": 4})),
        ({"max_rate": 4.0}, Wish(Options(rate=4), None, {"max_rate": 4})),
        ({"max_rate": 0.1}, Wish(Options(rate=0.1), None, {"max_rate": 0.1})),
        ({"max_rate": 1000}, Wish(Options(rate=1000), None, {"max_rate": 1000})),
        (
            {"max_rate": 7.5},
            Wish(
                Options(rate=5),
                None,
                {"max_rate": 5},
                ("max_rate 7.5 is served as 5, the next step below it",),
            ),
        ),
        (
            {"fields": ["price", "bid"]},
            Wish(Options(fields=frozenset({"bid", "price"})), None, {"fields": ["price", "bid"]}),
        ),
        (
            {"snapshot": True, "fields": ["p"], "max_rate": 1, "conflate": True},
            Wish(
                Options(conflate=True, rate=1, fields=frozenset("p")),
                True,
                {"snapshot": True, "fields": ["p"], "max_rate": 1, "conflate": True},
            ),
        ),
    ],
)
def test_options_are_read_and_repeated_as_they_are_served(raw: dict[str, Any], wish: Wish) -> None:
    assert read(raw) == wish
    assert list(read(raw).served) == list(raw), "in the order in which they were given"


RATE = "max_rate: expected a number from 0.1 to 1000"
FIELDS = "fields: expected a list of 1 to 64 names"
NAMES = "fields: expected names of 1 to 64 characters"


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (None, 'options: expected an object, e.g. {"max_rate": 4}'),
        ([], 'options: expected an object, e.g. {"max_rate": 4}'),
        (4, 'options: expected an object, e.g. {"max_rate": 4}'),
        ({"maxrate": 4}, "Unknown option: maxrate; did you mean max_rate?"),
        ({"field": ["a"]}, "Unknown option: field; did you mean fields?"),
        ({"depth": 5}, "Unknown option: depth; the options are conflate, fields, max_rate, snapshot"),
        ({"max_rate": 4, "x" * 100: 1},
         f"Unknown option: {'x' * 64}; the options are conflate, fields, max_rate, snapshot"),
        ({"conflate": 1}, "conflate: expected true or false"),
        ({"conflate": None}, "conflate: expected true or false"),
        ({"snapshot": "yes"}, "snapshot: expected true or false"),
        ({"max_rate": True}, RATE),
        ({"max_rate": "4"}, RATE),
        ({"max_rate": None}, RATE),
        ({"max_rate": 0}, RATE),
        ({"max_rate": 0.09}, RATE),
        ({"max_rate": -1}, RATE),
        ({"max_rate": 1000.1}, RATE),
        ({"max_rate": 10**40}, RATE),
        ({"max_rate": float("nan")}, RATE),
        ({"max_rate": float("inf")}, RATE),
        ({"fields": []}, FIELDS),
        ({"fields": "price"}, FIELDS),
        ({"fields": {"price": True}}, FIELDS),
        ({"fields": None}, FIELDS),
        ({"fields": [f"f{n}" for n in range(65)]}, FIELDS),
        ({"fields": ["price", 5]}, NAMES),
        ({"fields": ["price", ["bid"]]}, NAMES),
        ({"fields": [""]}, NAMES),
        ({"fields": ["p" * 65]}, NAMES),
        ({"fields": ["price", "bid", "price"]}, "fields: expected each name once"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_what_was_expected(raw: object, sentence: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        read(raw)
    assert str(caught.value) == sentence


def test_the_most_and_the_longest_fields_are_taken() -> None:
    names = [f"{n:064}" for n in range(64)]
    assert read({"fields": names}).options.fields == frozenset(names)


TAKEN, RATED = (
    None,
    'max_rate lets newer values replace older ones, which {} only allows with "conflate": true',
)


@pytest.mark.parametrize(
    ("arg", "options", "problem"),
    [
        ("ticker:BTCUSDT", Options(rate=4), TAKEN),
        ("ticker:BTCUSDT", Options(rate=4, conflate=True), TAKEN),
        ("ticker:BTCUSDT", Options(rate=4, conflate=False), RATED),
        ("kline:1m:BTCUSDT", Options(rate=4), TAKEN),
        ("kline:1m:BTCUSDT", Options(rate=4, conflate=False), RATED),
        ("trade:BTCUSDT", Options(rate=4), RATED),
        ("trade:BTCUSDT", Options(rate=4, conflate=False), RATED),
        ("trade:BTCUSDT", Options(rate=4, conflate=True), TAKEN),
        ("trade:BTCUSDT", Options(fields=frozenset("p")), TAKEN),
        ("trade:BTCUSDT", DEFAULTS, TAKEN),
    ],
)
def test_a_rate_needs_values_that_may_be_replaced(arg: str, options: Options, problem: str | None) -> None:
    expected = problem.format(arg) if problem else None
    assert problem_of(options, PLACES.parse(arg), arg) == expected


def test_a_stream_that_has_no_room_for_a_set_is_named() -> None:
    assert comes_whole("ticker:BTCUSDT") == (
        "ticker:BTCUSDT comes with all its fields: 16 other sets of fields are in use there"
    )


def test_an_object_has_no_rate_and_is_not_conflated_for_each_increment_is_needed_by_the_next() -> None:
    book = Topic(PUBLIC, "rabbitmq", "", "object", "eurusd.ob-inc")
    for conflate in (None, False, True):
        slow = problem_of(Options(conflate=conflate, rate=1), book, "book")
        assert slow == "max_rate would leave out increments of book, and each of them is needed by the next"
        assert problem_of(Options(conflate=conflate), book, "book") is None
    note = "book is not conflated: each of its increments is needed by the next"
    assert note_of(Options(conflate=True), book, "book") == note
    assert note_of(Options(conflate=False), book, "book") is None
    assert note_of(DEFAULTS, book, "book") is None


def test_other_streams_do_what_options_ask() -> None:
    message = Topic(PUBLIC, "rabbitmq", "", "message", "eurusd.trades")
    for topic in (message, PLACES.parse("trade:BTCUSDT"), PLACES.parse("ticker:BTCUSDT")):
        assert note_of(Options(conflate=True, rate=1), topic, "it") is None
        assert problem_of(Options(conflate=True, rate=1), topic, "it") is None
    assert '"conflate": true' in str(problem_of(Options(rate=1), message, "it"))
