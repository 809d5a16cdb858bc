"""The control endpoint's verbs, on a simulator that does not listen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedmux.sim.bybit import BybitSim
from feedmux.sim.control import VERBS, obey


def ask(message: str | bytes) -> dict[str, Any]:
    answer = json.loads(obey(BybitSim(), message))
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"do": "mute"}, {}),
        ({"do": "mute", "topics": ["tickers.BTCUSDT"], "pongs": False}, {}),
        ({"do": "unmute"}, {}),
        ({"do": "cut", "clean": True}, {"connections": 0}),
        ({"do": "refuse_connections", "refuse": True}, {}),
        ({"do": "garbage", "kind": "truncated"}, {"topics": 0}),
        ({"do": "delist", "topic": "tickers.BTCUSDT"}, {}),
        ({"do": "relist", "topic": "tickers.BTCUSDT"}, {}),
        ({"do": "state", "market": "linear", "topic": "tickers.BTCUSDT"}, {"state": None}),
    ],
)
def test_every_verb_is_obeyed(message: dict[str, object], answer: dict[str, object]) -> None:
    assert ask(json.dumps(message)) == {"ok": True, **answer}
    assert message["do"] in VERBS


def test_a_report_is_the_statistics() -> None:
    report = ask('{"do":"report"}')
    assert report["ok"] is True
    assert report["connections"] == report["frames_sent"] == 0
    assert set(report["markets"]) == {"linear", "spot", "inverse"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('{"do":"mut"}', "'mut' is not a verb; did you mean 'mute' (the verbs are mute, unmute, cut"),
        ('{"do":"dance"}', "'dance' is not a verb (the verbs are"),
        ("hello", 'expected a JSON object like {"do":"report"}'),
        ("{}", 'expected a JSON object like {"do":"report"}'),
        (b"\xff", 'expected a JSON object like {"do":"report"}'),
        ("[" * 100_000, 'expected a JSON object like {"do":"report"}'),
        ('{"do":"mute","topic":"tickers.BTCUSDT"}', "unknown field `topic`"),
        ('{"do":"delist"}', "missing required field `topic`"),
        ('{"do":"garbage","kind":"rotten"}', "expected one of non-json"),
        ('{"do":"state","market":"moon","topic":"tickers.BTCUSDT"}', "expected one of linear, spot, inverse"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_with_advice(message: str | bytes, words: str) -> None:
    answer = ask(message)
    assert answer["ok"] is False
    assert words in answer["error"]
