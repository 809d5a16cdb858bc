"""Errors that nothing caused, and spoilt messages."""

from __future__ import annotations

import json

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.alpaca_codec import JSON, MSGPACK, Price, Stamp
from feedmux.sim.alpaca_faults import ERRORS, Spoilage, Verdicts, spoil
from feedmux.sim.misbehaviour import Garbage
from support.alpaca_client import captured

LAST: dict[str, object] = {"T": "t", "S": "AAPL", "i": 2, "p": Price(10_000), "c": [], "t": Stamp(0)}
BEFORE: dict[str, object] = {"T": "t", "S": "AAPL", "i": 1}


def test_a_verdict_answers_as_often_as_it_was_told() -> None:
    verdicts = Verdicts()
    verdicts.add(500, "subscribe", 2, close=False)
    assert verdicts.take("auth") is None
    taken = [verdicts.take("subscribe") for _ in range(3)]
    assert [verdict and verdict.code for verdict in taken] == [500, 500, None]


def test_verdicts_come_in_their_order_and_one_for_ever_until_it_is_cleared() -> None:
    verdicts = Verdicts()
    verdicts.add(409, None, 1, close=True)
    verdicts.add(408, "auth", None, close=False)
    taken = [verdicts.take("auth") for _ in range(4)]
    assert [verdict and verdict.code for verdict in taken] == [409, 408, 408, 408]
    assert taken[0] is not None
    assert taken[0].close
    verdicts.clear()
    assert verdicts.take("auth") is None


@pytest.mark.parametrize(
    ("code", "action", "count", "words"),
    [(399, None, 1, "code: 399"), (500, "listen", 1, "action: 'listen'"), (500, None, 0, "count: 0")],
)
def test_a_verdict_that_cannot_be_is_refused(code: int, action: str | None, count: int, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        Verdicts().add(code, action, count, close=False)


def test_every_error_has_words() -> None:
    assert set(ERRORS) == {*range(400, 412), 500}
    assert len(set(ERRORS.values())) == len(ERRORS)


def test_errors_are_in_the_words_of_the_venue() -> None:
    items = [items[0] for items in captured("docs_message_examples.jsonl")]
    assert {item["code"]: item["msg"] for item in items if item["T"] == "error"} == ERRORS


def test_each_kind_of_garbage_is_what_it_says() -> None:
    of = Spoilage(JSON, LAST, BEFORE)
    whole = of.payload(LAST)
    assert spoil(Garbage.DUPLICATED, of) == whole
    assert json.loads(spoil(Garbage.REORDERED, of)) == [{"T": "t", "S": "AAPL", "i": 1}]
    assert spoil(Garbage.TRUNCATED, of) == whole[: len(whole) // 2]
    assert spoil(Garbage.NON_JSON, of).startswith(b"<html>")
    (wrong,) = json.loads(spoil(Garbage.WRONG_TYPED, of))
    (right,) = json.loads(whole)
    assert wrong.keys() == right.keys()
    assert wrong["T"] == "t"
    assert all(type(wrong[key]) is not type(right[key]) for key in right if key != "T")
    assert spoil(Garbage.TRUNCATED, Spoilage(MSGPACK, LAST, BEFORE)) != spoil(Garbage.TRUNCATED, of)
