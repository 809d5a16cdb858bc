from __future__ import annotations

import pytest

from feedmux.bus.redis_slots import SLOTS, SlotRange, read_slots, slot_of
from feedmux.model.errors import MalformedMessage

ASKED = ("asked", 7000)


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        (b"", 0),
        (b"123456789", 12739),  # 0x31C3: the check value of CRC-16/XMODEM in the specification
        (b"foo", 12182),
        (b"a{foo}b", 12182),
        (b"{foo}", 12182),
        (b"{foo}{bar}", 12182),
    ],
)
def test_a_slot_is_that_of_the_tag(name: bytes, slot: int) -> None:
    assert slot_of(name) == slot


@pytest.mark.parametrize("name", [b"{}foo", b"foo{}", b"foo{", b"foo}", b"}{foo"])
def test_what_is_no_tag_counts_whole(name: bytes) -> None:
    assert slot_of(name) != slot_of(b"foo")
    assert 0 <= slot_of(name) < SLOTS


def test_ranges_are_read() -> None:
    reply = [
        [0, 99, [b"10.0.0.1", 7001, b"id", {}], [b"10.0.0.2", 7002, b"id", {}]],
        [100, 100, [None, 7003]],
        [101, 102, [b"", 7004, b"id"]],
        [103, 16_383, [b"?", 7005, b"id"]],
    ]
    assert read_slots(reply, ASKED) == [
        SlotRange(0, 99, ("10.0.0.1", 7001), (("10.0.0.2", 7002),)),
        SlotRange(100, 100, ("asked", 7003), ()),
        SlotRange(101, 102, ("asked", 7004), ()),
        SlotRange(103, 16_383, ("asked", 7005), ()),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"OK",
        [1],
        [[0, 1]],
        [[1, 0, [b"a", 1]]],
        [[0, 16_384, [b"a", 1]]],
        [[b"0", 1, [b"a", 1]]],
        [[0, 1, []]],
        [[0, 1, [b"a", 0]]],
        [[0, 1, [b"a", b"1"]]],
        [[0, 1, b"a"]],
    ],
)
def test_what_is_no_answer_is_named(reply: object) -> None:
    with pytest.raises(MalformedMessage, match="malformed slots: Redis answered"):
        read_slots(reply, ASKED)
