"""The control endpoint's verbs, on a simulator that does not listen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedmux.sim.alpaca import AlpacaSim
from feedmux.sim.alpaca_control import VERBS, obey


def ask(message: str | bytes) -> dict[str, Any]:
    answer = json.loads(obey(AlpacaSim(), message))
    assert isinstance(answer, dict)
    return answer


EXAMPLES: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"do": "mute", "topics": ["trades:AAPL"], "pongs": False}, {}),
    ({"do": "unmute"}, {}),
    ({"do": "cut", "clean": True}, {"connections": 0}),
    ({"do": "refuse_connections", "refuse": True}, {}),
    ({"do": "garbage", "kind": "truncated"}, {"topics": 0}),
    ({"do": "delist", "topic": "trades:AAPL"}, {}),
    ({"do": "relist", "topic": "trades:AAPL"}, {}),
    (
        {"do": "publish", "symbol": "AAPL", "price": 231.5, "size": 7, "id": 2**50, "feed": "sip"},
        {"connections": 0},
    ),
    ({"do": "correct", "symbol": "AAPL", "price": 231.5, "size": 7}, {"connections": 0}),
    ({"do": "cancel", "symbol": "AAPL", "action": "E"}, {"connections": 0}),
    ({"do": "halt", "symbol": "AAPL", "on": True}, {"connections": 0}),
    ({"do": "say", "code": 500, "close": True}, {"connections": 0}),
    ({"do": "fail", "code": 409, "action": "auth", "count": None, "close": True}, {}),
    ({"do": "behave"}, {}),
    ({"do": "limit", "connections": 2, "linger_s": 1.5}, {}),
    (
        {"do": "order", "event": "fill", "symbol": "AAPL", "side": "sell", "qty": 2, "price": 1.5},
        {"connections": 0},
    ),
]


@pytest.mark.parametrize(("message", "answer"), EXAMPLES)
def test_every_verb_is_obeyed(message: dict[str, object], answer: dict[str, object]) -> None:
    assert ask(json.dumps(message)) == {"ok": True, **answer}


def test_no_verb_is_forgotten() -> None:
    assert {example["do"] for example, _ in EXAMPLES} | {"report"} == set(VERBS)


def test_a_report_is_the_statistics() -> None:
    report = ask('{"do":"report"}')
    assert report["ok"] is True
    assert report["connections"] == report["connections_ever"] == 0
    assert report["connection_limit"] == 1
    assert set(report["feeds"]) == {"iex", "sip", "test"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('{"do":"publis"}', "'publis' is not a verb; did you mean 'publish' (the verbs are mute, unmute"),
        ("hello", 'expected a JSON object like {"do":"report"}'),
        ('{"do":"publish","symbol":"AAPL"}', "missing required field `price`"),
        ('{"do":"publish","symbol":"NOPE","price":1}', "expected one of AAPL"),
        ('{"do":"publish","symbol":"AAPL","price":0}', "expected dollars above 0"),
        ('{"do":"publish","symbol":"AAPL","price":1,"size":0}', "expected a whole number above 0"),
        ('{"do":"publish","symbol":"AAPL","price":1,"feed":"otc"}', "expected one of iex, sip, test"),
        ('{"do":"correct","symbol":"AAPL","price":-1}', "expected dollars above 0"),
        ('{"do":"cancel","symbol":"AAPL","action":"X"}', "expected C or E"),
        ('{"do":"halt","symbol":"NOPE"}', "expected one of AAPL"),
        ('{"do":"say","code":418}', "expected one of 400, 401"),
        ('{"do":"fail","code":500,"action":"listen"}', "expected one of auth, subscribe, unsubscribe"),
        ('{"do":"limit","connections":-1}', "expected 0 or more"),
        ('{"do":"limit","linger_s":-1}', "expected 0 or more"),
        ('{"do":"order","event":"lost","symbol":"AAPL"}', "expected one of new, fill"),
        ('{"do":"garbage","kind":"rotten"}', "expected one of non-json"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_with_advice(message: str, words: str) -> None:
    answer = ask(message)
    assert answer["ok"] is False
    assert words in answer["error"]
