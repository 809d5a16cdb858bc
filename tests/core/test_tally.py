"""Counts over processes, native and in the specification."""

from __future__ import annotations

import pytest

from feedmux._native import tally as native
from feedmux.core import tally as pure
from feedmux.core.tally import PAGE_BYTES, PLACES
from feedmux.model.errors import InvalidSetting

Kind = type[pure.Tally] | type[native.Tally]
KINDS: dict[str, Kind] = {"native": native.Tally, "pure": pure.Tally}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def test_the_bound_holds_over_the_sum_wherever_they_come(kind: Kind) -> None:
    page = bytearray(PAGE_BYTES)
    doors = [kind(page, place) for place in (0, 1, PLACES - 1)]
    assert [doors[number % 3].enter(7) for number in range(9)] == [True] * 7 + [False] * 2
    assert [door.own for door in doors] == [3, 2, 2]
    assert {door.total for door in doors} == {7}
    doors[1].leave()
    assert doors[0].enter(7)
    assert not doors[2].enter(7)


def test_the_clients_of_a_process_that_died_are_counted_no_more(kind: Kind) -> None:
    page = bytearray(PAGE_BYTES)
    parent, dead, alive = (kind(page, place) for place in (0, 1, 2))
    for door in (dead, dead, alive):
        assert door.enter(3)
    parent.clear(1)
    assert (parent.total, alive.own) == (1, 1)
    assert kind(page, 1).enter(2)


def test_both_see_what_the_other_counts() -> None:
    page = bytearray(PAGE_BYTES)
    one, other = native.Tally(page, 3), pure.Tally(page, 4)
    assert one.enter(2)
    assert other.enter(2)
    assert not one.enter(2)
    assert (one.total, other.total) == (2, 2)


@pytest.mark.parametrize("place", [-1, PLACES, 10**6])
def test_a_place_that_there_is_not_is_named(kind: Kind, place: int) -> None:
    with pytest.raises(InvalidSetting, match="place"):
        kind(bytearray(PAGE_BYTES), place)
    with pytest.raises(InvalidSetting, match="place"):
        kind(bytearray(PAGE_BYTES), 0).clear(place)


def test_a_page_that_is_too_small_is_named(kind: Kind) -> None:
    with pytest.raises(InvalidSetting, match="page"):
        kind(bytearray(PAGE_BYTES - 1), 0)
