from __future__ import annotations

import json

import pytest

from feedmux.core.increments import ObjectLimits, Stored, sequence_of
from feedmux.model.event import EventKind
from support.objects import ask, base, part

THREE = ObjectLimits(increments=3)
OPAQUE = b'{"rows":[1,2,3]}'


def test_an_object_is_empty_until_its_snapshot_comes() -> None:
    stored = Stored(ObjectLimits())
    assert (stored.is_empty, stored.parts(), stored.size_bytes) == (True, (), 0)
    assert stored.add(ask(1, "2@1")) is False
    assert (stored.is_empty, stored.parts(), stored.size_bytes) == (True, (), 0)


def test_parts_are_the_snapshot_and_what_came_since_in_order() -> None:
    stored = Stored(ObjectLimits())
    parts = (base(1, "2@1"), ask(2, "3@1"), ask(3, "3@0"))
    stored.start(parts[0])
    assert [stored.add(increment) for increment in parts[1:]] == [True, True]
    assert stored.parts() == parts
    assert stored.parts() is stored.parts()
    assert stored.size_bytes == sum(len(one.payload) for one in parts)
    assert not stored.is_empty


def test_a_snapshot_replaces_all_before_it() -> None:
    stored = Stored(ObjectLimits())
    stored.start(base(1, "2@1"))
    stored.add(ask(2, "3@1"))
    stored.start(base(3, "4@1"))
    assert stored.parts() == (base(3, "4@1"),)
    assert stored.size_bytes == len(base(3, "4@1").payload)


def test_what_is_cleared_is_empty() -> None:
    stored = Stored(ObjectLimits())
    stored.start(base(1, "2@1"))
    stored.add(ask(2, "3@1"))
    stored.clear()
    assert (stored.is_empty, stored.parts(), stored.size_bytes) == (True, (), 0)
    assert stored.add(ask(3, "3@1")) is False


def test_at_the_bound_a_book_becomes_a_new_snapshot_at_the_last_position() -> None:
    stored = Stored(THREE)
    stored.start(base(1, "2@1"))
    assert all(stored.add(ask(seq, f"{seq}@1")) for seq in (2, 3, 4, 5))
    (folded,) = stored.parts()
    assert (folded.kind, folded.position, folded.topic) == (EventKind.SNAPSHOT, (1, 5), base(1).topic)
    assert (folded.venue_ns, folded.receive_ns, folded.key) == (50, 51, "")
    assert json.loads(folded.payload) == {
        "asks": [["2", "1"], ["3", "1"], ["4", "1"], ["5", "1"]], "bids": [], "sequence": 5,
    }  # fmt: skip
    assert stored.size_bytes == len(folded.payload)
    assert stored.add(ask(6, "6@1"))
    assert stored.parts() == (folded, ask(6, "6@1"))


def test_the_bound_of_bytes_counts_the_snapshot_too() -> None:
    stored = Stored(ObjectLimits(bytes=len(base(1, "2@1").payload) + len(ask(2, "2@2").payload)))
    stored.start(base(1, "2@1"))
    assert stored.add(ask(2, "2@2"))
    assert len(stored.parts()) == 2
    assert stored.add(ask(3, "2@3"))
    (folded,) = stored.parts()
    assert (folded.kind, folded.position) == (EventKind.SNAPSHOT, (1, 3))
    assert json.loads(folded.payload) == json.loads(base(3, "2@3").payload)


def test_what_is_no_book_is_let_go_at_the_bound() -> None:
    stored = Stored(THREE)
    stored.start(part(1, OPAQUE, EventKind.SNAPSHOT))
    assert [stored.add(part(seq, OPAQUE)) for seq in (2, 3, 4, 5)] == [True, True, True, False]
    assert (stored.is_empty, stored.parts(), stored.size_bytes) == (True, (), 0)
    stored.start(part(6, OPAQUE, EventKind.SNAPSHOT))
    assert stored.add(part(7, OPAQUE))


def test_a_book_with_a_hole_is_let_go_at_the_bound() -> None:
    stored = Stored(THREE)
    stored.start(base(1, "2@1"))
    assert [stored.add(ask(seq, "2@1", sequence=seq + 1)) for seq in (2, 3, 4, 5)] == [
        True,
        True,
        True,
        False,
    ]
    assert stored.is_empty


def test_a_snapshot_above_the_bound_is_not_kept() -> None:
    stored = Stored(ObjectLimits(bytes=100))
    stored.start(part(1, b"x" * 100, EventKind.SNAPSHOT))
    assert not stored.is_empty
    stored.start(part(2, b"x" * 101, EventKind.SNAPSHOT))
    assert (stored.is_empty, stored.size_bytes) == (True, 0)


def test_a_book_that_leaves_no_room_for_increments_is_let_go() -> None:
    stored = Stored(ObjectLimits(bytes=400))
    stored.start(base(1, "1@1"))
    kept = [stored.add(ask(seq, f"{seq}@1")) for seq in range(2, 60)]
    assert kept[0] is True
    assert kept[-1] is False
    assert kept == sorted(kept, reverse=True), "only a snapshot begins it again"


def test_a_book_that_would_be_folded_again_and_again_is_let_go() -> None:
    """It is below the bound, but so near that few increments have room beside it."""
    levels = ",".join(f'["{price}","1"]' for price in range(1, 50))
    large = part(1, f'{{"asks":[{levels}],"bids":[]}}'.encode(), EventKind.SNAPSHOT)
    limits = ObjectLimits(bytes=len(large.payload) + 50)
    stored = Stored(limits)
    stored.start(large)
    kept = [stored.add(ask(seq, "1@2")) for seq in range(2, 9)]
    assert kept == [True, False, False, False, False, False, False]


def test_ten_thousand_increments_keep_memory_bounded() -> None:
    limits = ObjectLimits(increments=64, bytes=20_000)
    stored = Stored(limits)
    stored.start(base(1, "1@1"))
    for seq in range(2, 10_002):
        assert stored.add(ask(seq, f"{seq % 100 + 1}@{seq % 7}"))
        assert len(stored.parts()) <= 1 + limits.increments
        assert stored.size_bytes == sum(len(one.payload) for one in stored.parts()) <= limits.bytes


@pytest.mark.parametrize(
    ("payload", "sequence"),
    [
        (b'{"sequence":7}', 7),
        (b'{"asks":["15.0","22.1"],"sequence":0}', 0),
        (b'{"sequence":-1}', -1),
        (b'{"sequence":7,"sequence":8}', 8),
        (b'{"other":{"sequence":7}}', None),
        (b'{"sequence":7.0}', None),
        (b'{"sequence":"7"}', None),
        (b'{"sequence":true}', None),
        (b'{"sequence":null}', None),
        (b'{"sequence":[7]}', None),
        (b'{"sequence":' + b"7" * 5000 + b"}", None),
        (b"{}", None),
        (b"[7]", None),
        (b"7", None),
        (b"", None),
        (b'{"sequence":7', None),
        (b'{"sequence":7}x', None),
        (b"\xff\xfe", None),
        (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b',"sequence":7}', None),
    ],
)
def test_the_sequence_of_a_body(payload: bytes, sequence: int | None) -> None:
    assert sequence_of(payload) == sequence
