from __future__ import annotations

import pytest

from feedmux.core.limits import FairQueue, RateWindow


def test_a_window_admits_its_limit_and_no_more() -> None:
    window = RateWindow(3)
    assert [window.admit(10.0 + n / 10) for n in range(5)] == [True, True, True, False, False]
    assert window.excess(10.5) == 2


def test_a_window_begins_with_its_first_event_and_lasts_a_second() -> None:
    window = RateWindow(1)
    assert window.reopens_in(0.0) == 0.0
    window.admit(10.5)
    assert window.reopens_in(10.75) == 0.75
    assert not window.admit(11.25)
    assert window.reopens_in(11.5) == 0.0
    assert window.admit(11.5)


def test_what_was_over_the_limit_is_forgotten_when_the_window_ends() -> None:
    window = RateWindow(1)
    window.admit(0.0)
    window.admit(0.5)
    assert window.excess(0.75) == 1
    assert window.excess(1.0) == 0
    window.admit(1.0)
    assert window.excess(1.0) == 0


def pop_all(queue: FairQueue[str]) -> list[str]:
    return [queue.pop() for _ in range(len(queue))]


@pytest.fixture
def queue() -> FairQueue[str]:
    return FairQueue()


def push(queue: FairQueue[str], **lanes: str) -> None:
    """Push one-letter items, asker by asker: ``_1="abc"`` pushes three on behalf of asker 1."""
    for asker, items in lanes.items():
        for item in items:
            queue.push(int(asker[1:]), item)


def test_one_asker_is_served_in_order(queue: FairQueue[str]) -> None:
    push(queue, _1="abc")
    assert pop_all(queue) == ["a", "b", "c"]


def test_askers_take_turns_so_that_who_asks_for_much_waits_for_himself(queue: FairQueue[str]) -> None:
    push(queue, _1="abcd", _2="x", _3="yz")
    assert pop_all(queue) == ["a", "x", "y", "b", "z", "c", "d"]


def test_who_comes_later_waits_for_one_turn_of_each_and_no_more(queue: FairQueue[str]) -> None:
    push(queue, _1="abc")
    queue.pop()
    push(queue, _2="x")
    assert pop_all(queue) == ["b", "x", "c"]


def test_an_item_that_waits_keeps_its_place_whoever_asks_for_it_again(queue: FairQueue[str]) -> None:
    push(queue, _1="ab", _2="ba")
    assert len(queue) == 2
    assert pop_all(queue) == ["a", "b"]


def test_an_item_can_be_asked_for_again_once_it_was_taken(queue: FairQueue[str]) -> None:
    push(queue, _1="a")
    queue.pop()
    push(queue, _2="a")
    assert pop_all(queue) == ["a"]


def test_a_discarded_item_costs_its_asker_no_turn(queue: FairQueue[str]) -> None:
    push(queue, _1="ab", _2="x")
    queue.discard("a")
    assert "a" not in queue
    assert "b" in queue
    assert pop_all(queue) == ["b", "x"]


def test_an_asker_with_nothing_left_has_no_turn(queue: FairQueue[str]) -> None:
    push(queue, _1="a", _2="xy")
    queue.discard("a")
    queue.discard("never there")
    assert pop_all(queue) == ["x", "y"]
    with pytest.raises(IndexError):
        queue.pop()
