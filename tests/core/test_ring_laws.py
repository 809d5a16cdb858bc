"""Laws of the ring: whatever is written and read in whatever order, on both and on either with the other.

The model keeps every record in a list. A reader's answer is right if it is the next of the list, or
says that it was lapped, after which it may be behind by as much as the ring holds and no more.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from feedmux._native import ring as native
from feedmux.core import ring as pure
from feedmux.core.ring import HEADER_BYTES, checked_head, largest_record, segment_bytes
from feedmux.model.ring_errors import InvalidRing, Lapped, RecordTooLarge
from support.examples import EXAMPLES

pytestmark = pytest.mark.law

CAPACITY = 1024


class ModelReader:
    """What a reader has to answer."""

    def __init__(self, twins: list[Any], at: int, cursor: int) -> None:
        self.twins, self.at, self.cursor = twins, at, cursor
        self.lost = 0


class RingMachine(RuleBasedStateMachine):
    """Two segments, one written natively and one by the specification, each read by both."""

    readers = Bundle("readers")

    @initialize()
    def begin(self) -> None:
        self.segments = [bytearray(segment_bytes(CAPACITY)) for _ in range(2)]
        self.writers: list[Any] = [native.RingWriter(self.segments[0]), pure.RingWriter(self.segments[1])]
        self.records: list[bytes] = []
        self.places = [0]
        """Where each record begins, or the skip before it; the last one is where the next one will."""
        self.flushed = 0

    @rule(size=st.integers(0, largest_record(CAPACITY)), filler=st.integers(0, 255))
    def write(self, size: int, filler: int) -> None:
        record = bytes([filler]) * size
        self.records.append(record)
        for writer in self.writers:
            writer.write(record)
        self.places.append(self.writers[0].statistics()["bytes"])

    @rule(size=st.integers(largest_record(CAPACITY) + 1, 3000))
    def write_too_much(self, size: int) -> None:
        for writer in self.writers:
            with pytest.raises(RecordTooLarge):
                writer.write(bytes(size))

    @rule()
    def flush(self) -> None:
        self.flushed = len(self.records)
        for writer in self.writers:
            writer.flush()

    @rule(target=readers)
    def attach(self) -> ModelReader:
        twins = [kind(segment) for kind in (native.RingReader, pure.RingReader) for segment in self.segments]
        return ModelReader(twins, self.flushed, 0)

    @rule(target=readers, part=st.floats(0, 1))
    def attach_before(self, part: float) -> ModelReader:
        """Begin at a record of any age."""
        at = round(self.flushed * part)
        kinds = (native.RingReader, pure.RingReader)
        twins = [kind(segment, None, self.places[at]) for kind in kinds for segment in self.segments]
        return ModelReader(twins, at, 0)

    @rule(reader=readers, most=st.integers(1, 9))
    def read(self, reader: ModelReader, most: int) -> None:
        answers = [outcome(twin, most) for twin in reader.twins]
        assert answers.count(answers[0]) == len(answers), "the twins disagree"
        answer = answers[0]
        if isinstance(answer, int):
            reader.lost += self.flushed - reader.at
            reader.at = self.flushed
        else:
            assert answer == self.records[reader.at : min(reader.at + most, self.flushed)] or (
                answer and answer == self.records[reader.at : reader.at + len(answer)]
            ), "not the next records"
            reader.at += len(answer)

    @invariant()
    def the_memories_are_equal(self) -> None:
        assert bytes(self.segments[0]) == bytes(self.segments[1])

    @rule(reader=readers)
    def look(self, reader: ModelReader) -> None:
        figures = [twin.statistics() for twin in reader.twins]
        assert figures.count(figures[0]) == len(figures)
        assert figures[0]["lost"] <= reader.lost
        assert (figures[0]["lag"] == 0) == (reader.at == self.flushed)


def outcome(twin: Any, most: int) -> list[bytes] | int:
    """The records, or how much was lost."""
    try:
        return list(twin.read_many(most))
    except Lapped as error:
        return error.size_bytes


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.binary(max_size=HEADER_BYTES + 2048))
def test_any_memory_is_read_or_refused(data: bytes) -> None:
    for kind in (native.RingReader, pure.RingReader):
        try:
            reader = kind(bytearray(data))
        except InvalidRing:
            continue
        pytest.fail(f"{reader} takes memory without a header")


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    damage=st.lists(
        st.tuples(st.integers(32, HEADER_BYTES + CAPACITY - 8), st.binary(min_size=1, max_size=8)), max_size=8
    ),
    sizes=st.lists(st.integers(0, 400), max_size=12),
)
@example(damage=[(64, bytes(8))], sizes=[0, 0])
def test_damaged_memory_reads_the_same_on_both_and_nothing_outside(
    damage: list[tuple[int, bytes]], sizes: list[int]
) -> None:
    """The native reader's answer is the specification's, which cannot leave its buffer.

    The example: ``reserved`` is set back behind the reader, which is as good as a lap.
    """
    segment = bytearray(segment_bytes(CAPACITY))
    writer = pure.RingWriter(segment)
    readers = [native.RingReader(segment), pure.RingReader(segment)]
    for size in sizes:
        writer.write(bytes(size))
    writer.flush()
    for place, data in damage:
        segment[place : place + len(data)] = data
    for _ in range(20):
        first, second = (described(reader) for reader in readers)
        assert first == second


def described(reader: Any) -> object:
    try:
        return reader.read()
    except (Lapped, InvalidRing) as error:
        return type(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(head=st.binary(min_size=32, max_size=32), size=st.integers(0, 1 << 50))
def test_a_header_is_right_or_refused(head: bytes, size: int) -> None:
    with pytest.raises(InvalidRing):
        checked_head(head, size)
