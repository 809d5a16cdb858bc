"""What spoilt frames look like, and which frames are spoilt."""

from __future__ import annotations

import json

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.misbehaviour import Garbage, Spoiler, garbage, spoilt, wrong_typed

FIRST = b'{"topic":"tickers.A","type":"delta","data":{"symbol":"A","bid1Price":"1"},"cs":1,"ts":2}'
SECOND = FIRST.replace(b'"cs":1', b'"cs":3')


def frames(count: int) -> list[bytes]:
    return [FIRST.replace(b'"cs":1', b'"cs":%d' % n) for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Garbage.TRUNCATED, SECOND[: len(SECOND) // 2]),
        (Garbage.DUPLICATED, SECOND),
        (Garbage.REORDERED, FIRST),
    ],
)
def test_one_frame_of_garbage_is_made_of_the_last_frames(kind: Garbage, expected: bytes) -> None:
    assert spoilt(kind, SECOND, FIRST) == expected


@pytest.mark.parametrize("kind", [Garbage.NON_JSON, Garbage.TRUNCATED])
def test_what_is_no_message_cannot_be_read_as_one(kind: Garbage) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(spoilt(kind, SECOND, FIRST))


def test_a_wrong_typed_frame_is_json_with_no_type_left_right() -> None:
    message = json.loads(wrong_typed(FIRST))
    assert message["topic"] == "tickers.A"
    assert (message["cs"], message["ts"]) == ("1", "2")
    assert not any(isinstance(value, str) for value in message["data"].values())


def test_wrong_types_reach_the_items_of_a_list_too() -> None:
    message = json.loads(wrong_typed(b'{"topic":"publicTrade.A","ts":1,"data":[{"i":"1"},{"i":"2"}]}'))
    assert message["data"] == [{"i": None}, {"i": None}]


def test_every_third_frame_is_spoilt_one_kind_after_the_other() -> None:
    sent = frames(17)
    seen = Spoiler(3).treat("tickers.A", sent)
    page = spoilt(Garbage.NON_JSON, FIRST, FIRST)
    assert seen[:3] == [sent[0], sent[1], page]
    assert seen[3:6] == [sent[3], sent[4], spoilt(Garbage.TRUNCATED, sent[5], FIRST)]
    assert seen[6:9] == [sent[6], sent[7], wrong_typed(sent[8])]
    assert seen[9:13] == [sent[9], sent[10], sent[11], sent[11]]
    assert seen[13:] == [sent[12], sent[13], sent[15], sent[14], sent[16]]


def test_a_held_frame_waits_for_the_next_one_of_its_own_topic() -> None:
    spoiler = Spoiler(1)
    spoiler.treat("tickers.A", frames(4))
    assert spoiler.treat("tickers.A", [FIRST]) == []
    assert spoiler.treat("tickers.B", [FIRST]) == [spoilt(Garbage.NON_JSON, FIRST, FIRST)]
    assert spoiler.treat("tickers.A", [SECOND]) == [SECOND, FIRST]
    assert spoiler.spoilt == 6


def test_nothing_is_spoilt_unless_asked_for() -> None:
    assert Spoiler(0).treat("tickers.A", frames(9)) == frames(9)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(InvalidSetting, match="non-json, truncated, wrong-typed, duplicated, reordered"):
        garbage("rotten")
