"""What stands in the ring, byte by byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from feedmux.model.errors import MalformedMessage
from feedmux.wire import local_records
from feedmux.wire.local_records import AGAIN, BROKER, CLIENT, ENTRY, Entry, What

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "local-protocol.md"


def test_fields_stand_where_the_document_says() -> None:
    entry = Entry(What.CLOSED, b"gone", remaining=7, received_ns=-5, client=9, code=1001, flags=AGAIN)
    data = entry.encode()
    assert data[:2] == bytes([What.CLOSED, AGAIN])
    places = {(2, 4): 1001, (4, 8): 7, (8, 12): 9, (12, 16): 0}
    for (start, stop), number in places.items():
        assert int.from_bytes(data[start:stop], "little") == number
    assert int.from_bytes(data[16:24], "little", signed=True) == -5
    assert data[ENTRY.size :] == b"gone"
    assert Entry.decode(data) == entry


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (b"", "0 bytes are shorter than its header"),
        (Entry(What.TEXT, b"").encode()[:-1], "23 bytes are shorter than its header"),
        (b"\x00" + Entry(What.TEXT, b"").encode()[1:], "0 is nothing that an entry may be"),
        (b"\x06" + Entry(What.TEXT, b"").encode()[1:], "6 is nothing that an entry may be"),
    ],
)
def test_what_is_no_entry_is_refused(entry: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        Entry.decode(entry)


def test_the_document_lists_every_record_by_its_number() -> None:
    listed = [int(found[1]) for found in re.finditer(r"^\| (\d+) \| [a-z ]+ \|", DOCUMENT.read_text(), re.M)]
    assert sorted(listed) == sorted(kind.number for kind in (*CLIENT, *BROKER))


def test_numbers_are_told_apart() -> None:
    for side in (CLIENT, BROKER):
        assert len({kind.number for kind in side}) == len(side)
    assert local_records.Beat in CLIENT
    assert local_records.Beat in BROKER
