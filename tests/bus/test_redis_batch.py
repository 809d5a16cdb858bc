"""What one turn sends: in order, bounded, and what can be joined in one message."""

from __future__ import annotations

import pytest

from feedmux.bus.redis_batch import MOST_JOINED_BYTES, Batch
from feedmux.bus.redis_connection import Listening, Published


def pack(words: tuple[str | bytes, ...]) -> bytes:
    return b" ".join(word.encode() if isinstance(word, str) else word for word in words) + b";"


@pytest.fixture
def batch() -> Batch:
    batch = Batch(pack, b"PUBLISH")
    batch.room = 10_000_000
    return batch


def test_events_are_joined_by_channel_until_a_command_comes(batch: Batch) -> None:
    for event in (b"1", b"2"):
        assert batch.join(b"a", event)
        assert batch.join(b"b", event)
    assert batch.publish(b"c", b"x")
    assert batch.join(b"a", b"3")
    assert batch.size == 5 + len("PUBLISH c x;")
    commands, sent = batch.take()
    assert commands == [b"PUBLISH a 12;", b"PUBLISH b 12;", b"PUBLISH c x;", b"PUBLISH a 3;"]
    assert sent == [Published(b"a", 2), Published(b"b", 2), Published(b"c", 1), Published(b"a", 1)]
    assert (batch.size, bool(batch), batch.take()) == (0, False, ([], []))


@pytest.mark.parametrize(
    ("sizes", "joined"),
    [
        ([MOST_JOINED_BYTES], [1]),
        ([MOST_JOINED_BYTES, 1], [1, 1]),
        ([1, MOST_JOINED_BYTES - 1], [2]),
        ([1, MOST_JOINED_BYTES, 1], [1, 1, 1]),
        ([MOST_JOINED_BYTES + 1, 1, 1], [1, 2]),
        ([MOST_JOINED_BYTES // 2] * 5, [2, 2, 1]),
        ([1, MOST_JOINED_BYTES * 3, 1, 1], [1, 1, 2]),
    ],
)
def test_messages_are_no_longer_than_they_may_be(batch: Batch, sizes: list[int], joined: list[int]) -> None:
    for size in sizes:
        batch.join(b"a", b"x" * size)
    commands, sent = batch.take()
    assert sent == [Published(b"a", events) for events in joined]
    lengths = [len(command) - len("PUBLISH a ;") for command in commands]
    assert sum(lengths) == sum(sizes)
    assert all(
        length <= MOST_JOINED_BYTES or events == 1 for length, events in zip(lengths, joined, strict=True)
    )


def test_nothing_is_published_where_there_is_no_room(batch: Batch) -> None:
    batch.room = 10
    assert batch.join(b"a", b"x" * 9)
    assert batch.join(b"a", b"x" * 100), "one that begins within the bound"
    assert not batch.join(b"a", b"x")
    assert not batch.publish(b"a", b"x")
    assert not batch.has_room
    asked = Listening(b"SUBSCRIBE", [b"a"])
    batch.add(b"SUBSCRIBE;", asked)
    assert batch.take()[1] == [Published(b"a", 2), asked], "nobody waits for room to ask"
    assert batch.has_room


def test_what_is_retracted_is_published_only(batch: Batch) -> None:
    asked = Listening(b"SUBSCRIBE", [b"a"])
    batch.join(b"a", b"1")
    batch.add(b"SUBSCRIBE;", asked)
    batch.publish(b"a", b"2")
    batch.join(b"a", b"3")
    batch.retract()
    assert batch.size == len(b"SUBSCRIBE;")
    assert batch.take() == ([b"SUBSCRIBE;"], [asked])
