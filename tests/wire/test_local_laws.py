"""Whatever is said is read as it was meant, however it is cut; whatever else comes is refused."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.errors import MalformedMessage
from feedmux.wire.local import LocalDecoder, encode
from feedmux.wire.local_records import BROKER, CLIENT, Entry, Message, Record, What
from support.examples import EXAMPLES

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "B": st.integers(0, 2**8 - 1),
    "H": st.integers(0, 2**16 - 1),
    "I": st.integers(0, 2**32 - 1),
    "Q": st.integers(0, 2**64 - 1),
    "s": _TEXTS,
    "b": st.binary(max_size=60),
    "S": st.lists(_TEXTS, max_size=4).map(tuple),
    "P": st.lists(st.tuples(_TEXTS, _TEXTS), max_size=4).map(tuple),
    "M": st.lists(st.builds(Message, st.binary(max_size=20), st.booleans()), max_size=4).map(tuple),
}


def records(kinds: tuple[type[Record], ...]) -> st.SearchStrategy[list[Record]]:
    """What one side may say, the first one first."""
    each = [st.builds(kind, *(_FIELDS[letter] for letter in kind.layout)) for kind in kinds]
    return st.tuples(each[0], st.lists(st.one_of(*each[1:]), max_size=6)).map(
        lambda said: [said[0], *said[1]]
    )


def read(data: bytes, kinds: tuple[type[Record], ...], cuts: list[int]) -> list[Record]:
    decoder, start = LocalDecoder(kinds), 0
    found: list[Record] = []
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        decoder.feed(data[start:cut])
        start = cut
        found += decoder.records()
    return found


@settings(max_examples=EXAMPLES)
@given(st.data(), st.sampled_from([CLIENT, BROKER]), st.lists(st.integers(0, 10**6), max_size=8))
def test_what_was_said_is_read_however_it_is_cut(
    data: st.DataObject, kinds: tuple[type[Record], ...], cuts: list[int]
) -> None:
    said = data.draw(records(kinds))
    assert read(b"".join(map(encode, said)), kinds, cuts) == said


@settings(max_examples=EXAMPLES)
@given(st.data(), st.sampled_from([CLIENT, BROKER]))
def test_what_is_damaged_is_other_records_or_refused(
    data: st.DataObject, kinds: tuple[type[Record], ...]
) -> None:
    damaged = bytearray(b"".join(map(encode, data.draw(records(kinds)))))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(damaged), kinds, [])
    except MalformedMessage:
        return
    assert bytes(damaged).startswith(b"".join(map(encode, found)))


@given(
    st.builds(
        Entry,
        st.sampled_from(What),
        st.binary(max_size=40),
        _FIELDS["I"],
        st.integers(-(2**63), 2**63 - 1),
        _FIELDS["I"],
        _FIELDS["H"],
        _FIELDS["B"],
    )
)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert Entry.decode(entry.encode()) == entry
