from __future__ import annotations

import re

import pytest

from feedmux.sim.pattern import Wanted, Wire, described, matches, wire

SUBSCRIBE = '{"op":"subscribe","args":["a","b"],"id":1,"flag":true,"more":{"x":1.0,"y":null}}'


def is_short(message: Wire) -> bool:
    return len(message) < 10


@pytest.mark.parametrize(
    ("wanted", "message", "expected"),
    [
        ("ping", "ping", True),
        ("ping", "ping ", False),
        ("ping", b"ping", False),
        (b"\x01", b"\x01", True),
        (b"ping", "ping", False),
        (re.compile(r'"id":\d+'), SUBSCRIBE, True),
        (re.compile(r"^op"), SUBSCRIBE, False),
        (re.compile(r"pi.g"), b"ping\xff", True),
        ({}, SUBSCRIBE, True),
        ({"op": "subscribe"}, SUBSCRIBE, True),
        ({"op": "subscribe", "args": ["a", "b"]}, SUBSCRIBE, True),
        ({"args": ["a"]}, SUBSCRIBE, False),
        ({"args": ("a", "b")}, SUBSCRIBE, True),
        ({"args": {}}, SUBSCRIBE, False),
        ({"more": {"x": 1}}, SUBSCRIBE, True),
        ({"more": {"y": None}}, SUBSCRIBE, True),
        ({"more": {"z": None}}, SUBSCRIBE, False),
        ({"id": True}, SUBSCRIBE, False),
        ({"flag": 1}, SUBSCRIBE, False),
        ({"flag": True}, SUBSCRIBE, True),
        ({"op": "subscribe"}, SUBSCRIBE.encode(), True),
        ({"op": "subscribe"}, "no json", False),
        ({"op": "subscribe"}, b"\xff", False),
        ({"op": "subscribe"}, "[1]", False),
        ({"op": "subscribe"}, "[" * 100_000, False),
        (is_short, "ping", True),
        (is_short, SUBSCRIBE, False),
    ],
)
def test_messages_are_recognised(wanted: Wanted, message: Wire, expected: bool) -> None:
    assert matches(wanted, message) is expected


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("ping", "exactly 'ping'"),
        (re.compile("a+"), "a message that matches 'a+'"),
        ({"op": "x"}, "a JSON object with {'op': 'x'}"),
        (is_short, "a message of which is_short() is true"),
        ("x" * 300, f"exactly '{'x' * 199}… (302 characters)"),
    ],
)
def test_what_is_wanted_is_said_in_words(wanted: Wanted, text: str) -> None:
    assert described(wanted) == text


def test_a_mapping_is_sent_as_json_text() -> None:
    assert wire({"op": "é", "n": [1]}) == '{"op":"é","n":[1]}'
    assert wire("text") == "text"
    assert wire(b"\x00") == b"\x00"
