"""Records are cut where they end; what cannot be one is refused, for good."""

from __future__ import annotations

import pytest

from feedmux.model.errors import MalformedMessage
from feedmux.wire.cutter import Cutter, join

FIRST = join(1, b"hello")


def cutter(*fed: bytes) -> Cutter:
    made = Cutter({1: 8, 9: 0}, {2: 3, 3: 0})
    for data in fed:
        made.feed(data)
    return made


def test_records_come_out_as_they_are_whole() -> None:
    said = FIRST + join(2, b"abc") + join(3, b"") + join(2, b"")
    whole = [(1, b"hello"), (2, b"abc"), (3, b""), (2, b"")]
    assert list(cutter(said).bodies()) == whole
    slowly = cutter()
    found: list[tuple[int, bytes]] = []
    for at in range(len(said)):
        slowly.feed(said[at : at + 1])
        found += slowly.bodies()
    assert found == whole


def test_the_first_record_is_one_of_few() -> None:
    assert list(cutter(join(9, b"") + join(2, b"")).bodies()) == [(9, b""), (2, b"")]


def test_it_is_open_when_the_first_record_was_taken() -> None:
    made = cutter(FIRST[:-1])
    assert not list(made.bodies())
    assert not made.is_open
    made.feed(FIRST[-1:])
    assert list(made.bodies()) == [(1, b"hello")]
    assert made.is_open


@pytest.mark.parametrize(("last", "left"), [(1, [(2, b"a"), (3, b"")]), (2, [(3, b"")])])
def test_who_stops_early_goes_on_later(last: int, left: list[tuple[int, bytes]]) -> None:
    made = cutter(FIRST + join(2, b"a") + join(3, b""))
    for number, _ in made.bodies():
        if number == last:
            break
    assert list(made.bodies()) == left


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (join(2, b""), "type 2 was not expected; expected [1, 9]"),
        (FIRST + FIRST, "type 1 was not expected; expected [2, 3]"),
        (FIRST + join(9, b""), "type 9 was not expected"),
        (join(1, b"x" * 9)[:5], "a body of 9 bytes; the bound of type 1 is 8"),
        (FIRST + join(3, b"x")[:5], "a body of 1 bytes; the bound of type 3 is 0"),
    ],
)
def test_what_cannot_be_a_record_is_refused_before_it_is_whole(said: bytes, reason: str) -> None:
    made = cutter(said)
    for _ in range(2):
        with pytest.raises(MalformedMessage) as caught:
            list(made.bodies())
        assert reason in str(caught.value)
        made.feed(join(2, b"a"))
    assert not made.is_open


def test_what_the_reader_refuses_is_refused_for_good() -> None:
    made = cutter(FIRST + join(2, b"a"))
    error = MalformedMessage("hello", "it is none")
    with pytest.raises(MalformedMessage, match="it is none"):
        for _ in made.bodies():
            made.fail(error)
    with pytest.raises(MalformedMessage, match="it is none"):
        list(made.bodies())
