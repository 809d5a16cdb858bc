from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from feedmux.core.requests import Fate, Lost, Requests, Settled
from feedmux.model.errors import InvalidSetting, Overflow


@pytest.fixture
def requests() -> Requests:
    return Requests(limit=8)


def in_flight(requests: Requests) -> None:
    requests.sent(requests.begin(0.0, 10.0, what="buy"))


def held(requests: Requests) -> None:
    requests.sent(requests.begin(0.0, 10.0, what="buy", repeatable=True))
    requests.lost()


def answered(requests: Requests) -> None:
    in_flight(requests)
    requests.settle(1)


def timed_out(requests: Requests) -> None:
    in_flight(requests)
    requests.expire(10.0)


def failed(requests: Requests) -> None:
    in_flight(requests)
    requests.lost()


def cancelled(requests: Requests) -> None:
    in_flight(requests)
    requests.cancel(1)


WAYS = [in_flight, held, answered, timed_out, failed, cancelled]
LIVE = [in_flight, held]
DEAD = [answered, timed_out, failed, cancelled]
Way = Callable[[Requests], None]


def by_name(way: Way) -> str:
    return way.__name__


each_way = pytest.mark.parametrize("way", WAYS, ids=by_name)


@pytest.mark.parametrize(
    ("way", "fate"),
    [
        (in_flight, Fate.CLAIMED),
        (held, Fate.CLAIMED),
        (answered, Fate.DUPLICATE),
        (timed_out, Fate.LATE),
        (failed, Fate.LATE),
        (cancelled, Fate.LATE),
    ],
)
def test_an_answer_is_what_its_request_makes_it(requests: Requests, way: Way, fate: Fate) -> None:
    way(requests)
    assert requests.settle(1) == Settled(fate, 1)


@each_way
def test_a_second_answer_is_a_duplicate_whatever_the_first_one_was(requests: Requests, way: Way) -> None:
    way(requests)
    requests.settle(1)
    assert requests.settle(1) == Settled(Fate.DUPLICATE, 1)


@each_way
def test_what_is_alive_times_out_once_and_what_has_ended_never(requests: Requests, way: Way) -> None:
    way(requests)
    assert requests.expire(9.875) == []
    assert requests.expire(10.0) == ([Lost(1, "buy", maybe_executed=True)] if way in LIVE else [])
    assert requests.expire(100.0) == []


@each_way
def test_what_is_alive_can_be_cancelled_once_and_what_has_ended_never(requests: Requests, way: Way) -> None:
    way(requests)
    assert requests.cancel(1) == (Lost(1, "buy", maybe_executed=True) if way in LIVE else None)
    assert requests.cancel(1) is None
    assert requests.next_deadline is None


@each_way
def test_only_what_is_held_is_repeated_and_only_once(requests: Requests, way: Way) -> None:
    way(requests)
    assert requests.repeat() == ([1] if way is held else [])
    assert requests.repeat() == []


@pytest.mark.parametrize("way", DEAD, ids=by_name)
def test_what_has_ended_is_not_lost_again(requests: Requests, way: Way) -> None:
    way(requests)
    assert requests.lost() == []
    requests.sent(1)
    assert len(requests) == 0
    assert 1 not in requests


def test_ids_are_given_once_and_grow_from_one(requests: Requests) -> None:
    first = [requests.begin(0.0, 1.0) for _ in range(3)]
    requests.settle(2)
    requests.lost()
    assert [*first, requests.begin(0.0, 1.0)] == [1, 2, 3, 4]


def test_when_the_connection_ends_each_request_says_whether_it_may_have_been_executed(
    requests: Requests,
) -> None:
    waits = requests.begin(0.0, 10.0, what="buy")
    went = requests.begin(0.0, 10.0, what="sell")
    again = requests.begin(0.0, 10.0, what="subscribe", repeatable=True)
    asked = requests.begin(0.0, 10.0, what="ticker", repeatable=True)
    requests.sent(went)
    requests.sent(asked)
    assert requests.lost() == [
        Lost(waits, "buy", maybe_executed=False),
        Lost(went, "sell", maybe_executed=True),
        Lost(again, "subscribe", maybe_executed=False, repeats=True),
        Lost(asked, "ticker", maybe_executed=True, repeats=True),
    ]
    assert len(requests) == 2
    assert requests.repeat() == [again, asked]


def test_what_is_repeated_keeps_its_id_its_deadline_and_the_memory_that_it_was_sent(
    requests: Requests,
) -> None:
    held(requests)
    assert requests.next_deadline == 10.0
    assert requests.lost() == [Lost(1, "buy", maybe_executed=True, repeats=True)]
    assert requests.repeat() == [1]
    assert requests.lost() == [Lost(1, "buy", maybe_executed=True, repeats=True)], "never sent again"
    assert requests.expire(10.0) == [Lost(1, "buy", maybe_executed=True)]
    assert requests.repeat() == []


def test_an_answer_proves_that_the_request_arrived_even_when_nobody_said_that_it_was_sent(
    requests: Requests,
) -> None:
    assert requests.settle(requests.begin(0.0, 1.0)).fate is Fate.CLAIMED


def test_each_request_has_a_deadline_of_its_own(requests: Requests) -> None:
    assert requests.next_deadline is None
    slow, fast, middle = (requests.begin(0.0, timeout_s) for timeout_s in (30.0, 5.0, 10.0))
    assert requests.next_deadline == 5.0
    requests.settle(fast)
    assert requests.next_deadline == 10.0
    assert [lost.request_id for lost in requests.expire(30.0)] == [middle, slow]
    assert requests.next_deadline is None


@pytest.mark.parametrize("echo", [7, 7.0, "7"])
def test_an_id_may_come_back_as_another_type_when_it_is_exactly_ours(echo: object) -> None:
    requests = Requests(limit=8)
    for _ in range(8):
        requests.begin(0.0, 1.0)
    assert requests.settle(echo) == Settled(Fate.CLAIMED, 7)
    assert requests.settle(echo) == Settled(Fate.DUPLICATE, 7)


@pytest.mark.parametrize(
    "echo",
    [
        None, True, False, 0, -1, 9, 1.5, math.inf, math.nan, 1e300, 2**70, "", "0", "01", " 1", "1 ", "+1",
        "-1", "1.0", "1_0", "١", "²", "9" * 30, "1" * 10_000, "one", [1], {"id": 1}, [], {},
    ],
    ids=lambda echo: repr(echo)[:12],
)  # fmt: skip
def test_an_id_that_is_none_of_ours_is_unknown(echo: Any) -> None:
    requests = Requests(limit=8)
    for _ in range(8):
        requests.begin(0.0, 1.0)
    assert requests.settle(echo) == Settled(Fate.UNKNOWN, None)
    assert len(requests) == 8


def test_more_than_the_limit_is_refused_until_one_ends() -> None:
    requests = Requests(limit=2)
    requests.begin(0.0, 1.0, repeatable=True)
    requests.begin(0.0, 1.0)
    with pytest.raises(Overflow, match="list of requests in flight is full; its bound is 2 requests"):
        requests.begin(0.0, 1.0)
    requests.lost()
    assert requests.begin(0.0, 1.0) == 3, "a refused request costs no id"
    with pytest.raises(Overflow):
        requests.begin(0.0, 1.0)


def test_beyond_its_memory_an_answer_is_unknown_and_before_it_nothing_is_mixed_up() -> None:
    requests = Requests(limit=8, memory=2)
    for _ in range(6):
        requests.begin(0.0, 1.0)
    requests.settle(6)
    for request_id in (1, 2, 3, 4):
        requests.cancel(request_id)
    requests.settle(5)
    fates = [requests.settle(request_id).fate for request_id in (1, 2, 3, 4, 5, 6)]
    assert fates == [Fate.UNKNOWN, Fate.UNKNOWN, Fate.LATE, Fate.LATE, Fate.DUPLICATE, Fate.DUPLICATE]


def test_without_a_memory_a_late_answer_is_unknown() -> None:
    requests = Requests(limit=1, memory=0)
    requests.cancel(requests.begin(0.0, 1.0))
    assert requests.settle(1) == Settled(Fate.UNKNOWN, None)


def test_deadlines_of_what_was_answered_do_not_pile_up() -> None:
    requests = Requests(limit=4)
    oldest = requests.begin(0.0, 7200.0)
    for n in range(10_000):
        requests.settle(requests.begin(n * 0.001, 3600.0))
    assert len(requests._deadlines) < 100
    assert requests.next_deadline == 7200.0
    assert [lost.request_id for lost in requests.expire(7200.0)] == [oldest]


def test_it_counts_what_became_of_each() -> None:
    requests = Requests(limit=6)
    for _ in range(5):
        requests.begin(0.0, 10.0)
    requests.begin(0.0, 20.0, repeatable=True)
    with pytest.raises(Overflow):
        requests.begin(0.0, 10.0)
    for echo in (1, 1, 99):
        requests.settle(echo)
    requests.cancel(2)
    requests.settle(2)
    requests.begin(0.0, 5.0)
    requests.expire(5.0)
    requests.lost()
    assert requests.statistics() == {
        "in_flight": 1,
        "held": 1,
        "answered": 1,
        "late": 1,
        "unknown": 1,
        "duplicates": 1,
        "timeouts": 1,
        "failed": 3,
        "cancelled": 1,
        "repeated": 0,
        "refused": 1,
    }
    requests.repeat()
    assert requests.statistics()["repeated"] == 1
    assert requests.statistics()["held"] == 0


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, math.inf, math.nan, 10**400, "5", True, None])
def test_a_timeout_is_a_time(requests: Requests, timeout_s: float) -> None:
    with pytest.raises(InvalidSetting, match=r"timeout_s: .* expected seconds above 0"):
        requests.begin(0.0, timeout_s)
    assert len(requests) == 0


@pytest.mark.parametrize(
    ("limit", "memory", "name"),
    [(0, 1, "limit"), (1, -1, "memory"), ("5", 1, "limit"), (True, 1, "limit"), (1, 1.5, "memory")],
)
def test_bounds_that_cannot_work_are_refused(limit: int, memory: int, name: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Requests(limit, memory)
    assert caught.value.name == name


def test_a_request_that_cannot_be_sent_yet_is_held_until_it_can() -> None:
    requests = Requests(10)
    request_id = requests.begin(0.0, 10.0, repeatable=True)
    requests.hold(request_id)
    requests.hold(99)
    assert requests.statistics()["held"] == 1
    assert requests.repeat() == [request_id]
    assert requests.repeat() == []
    (lost,) = requests.lost()
    assert not lost.maybe_executed
