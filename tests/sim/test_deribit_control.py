"""The control endpoint's verbs, on a simulator that does not listen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_control import VERBS, obey


def ask(message: str | bytes) -> dict[str, Any]:
    answer = json.loads(obey(DeribitSim(), message))
    assert isinstance(answer, dict)
    return answer


EXAMPLES: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"do": "mute", "topics": ["quote.BTC-PERPETUAL"], "pongs": False}, {}),
    ({"do": "unmute"}, {}),
    ({"do": "cut", "clean": True}, {"connections": 0}),
    ({"do": "refuse_connections", "refuse": True}, {}),
    ({"do": "garbage", "kind": "truncated"}, {"topics": 0}),
    ({"do": "delist", "topic": "quote.BTC-PERPETUAL"}, {}),
    ({"do": "relist", "topic": "quote.BTC-PERPETUAL"}, {}),
    ({"do": "skip", "channel": "book.BTC-PERPETUAL.100ms", "count": 2}, {"channels": 0}),
    ({"do": "close", "code": 4001, "reason": "x"}, {"connections": 0}),
    ({"do": "delay", "seconds": 1.5, "method": "public/test", "count": 3}, {}),
    ({"do": "drop_answer", "method": "public/test"}, {}),
    ({"do": "repeat_answer", "count": None}, {}),
    ({"do": "limit"}, {}),
    ({"do": "expire_tokens"}, {"tokens": 0}),
    ({"do": "maintenance", "on": True}, {}),
    ({"do": "behave"}, {}),
    ({"do": "move", "instrument": "BTC-PERPETUAL", "price": 83_000}, {}),
]


@pytest.mark.parametrize(("message", "answer"), EXAMPLES)
def test_every_verb_is_obeyed(message: dict[str, object], answer: dict[str, object]) -> None:
    assert ask(json.dumps(message)) == {"ok": True, **answer}


def test_no_verb_is_forgotten() -> None:
    assert {example["do"] for example, _ in EXAMPLES} | {"report"} == set(VERBS)


def test_a_report_is_the_statistics() -> None:
    report = ask('{"do":"report"}')
    assert report["ok"] is True
    assert report["connections"] == 0
    assert report["open_orders"] == {"simulated": 0}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('{"do":"mov"}', "'mov' is not a verb; did you mean 'move' (the verbs are mute, unmute"),
        ("hello", 'expected a JSON object like {"do":"report"}'),
        ('{"do":"move","instrument":"BTC-PERPETUAL"}', "missing required field `price`"),
        ('{"do":"move","instrument":"NOPE","price":1}', "expected one of BTC-PERPETUAL"),
        ('{"do":"skip","channel":"x","count":0}', "expected 1 or more"),
        ('{"do":"delay","seconds":-1}', "expected from 0 to 3600"),
        ('{"do":"close","code":1006}', "expected 1000, 1001"),
        ('{"do":"close","code":1000,"reason":"' + "x" * 124 + '"}', "at most 123 bytes"),
        ('{"do":"garbage","kind":"rotten"}', "expected one of non-json"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_with_advice(message: str, words: str) -> None:
    answer = ask(message)
    assert answer["ok"] is False
    assert words in answer["error"]
