from __future__ import annotations

import pytest

from feedmux.core.demand import Demand


@pytest.fixture
def demand() -> Demand[str, str]:
    return Demand()


def test_only_the_first_holder_is_first(demand: Demand[str, str]) -> None:
    assert demand.add("btc", "a")
    assert not demand.add("btc", "b")
    assert demand.holders("btc") == ("a", "b")


def test_a_repeated_want_changes_nothing(demand: Demand[str, str]) -> None:
    demand.add("btc", "a")
    assert not demand.add("btc", "a")
    assert demand.holders("btc") == ("a",)
    assert demand.remove("btc", "a")


def test_only_the_last_holder_is_last(demand: Demand[str, str]) -> None:
    demand.add("btc", "a")
    demand.add("btc", "b")
    assert not demand.remove("btc", "a")
    assert demand.remove("btc", "b")
    assert "btc" not in demand


def test_a_drop_of_what_was_never_wanted_is_nobodys_last(demand: Demand[str, str]) -> None:
    assert not demand.remove("btc", "a")
    demand.add("btc", "a")
    demand.remove("btc", "a")
    assert not demand.remove("btc", "a")


def test_forgetting_a_holder_tells_the_topics_that_nobody_holds_now(demand: Demand[str, str]) -> None:
    for topic in ("sol", "btc", "eth"):
        demand.add(topic, "a")
    demand.add("btc", "b")
    assert demand.forget("a") == ["sol", "eth"]
    assert demand.holders("btc") == ("b",)
    assert demand.forget("a") == []


def test_holders_do_not_change_under_who_walks_them(demand: Demand[str, str]) -> None:
    demand.add("btc", "a")
    demand.add("btc", "b")
    walked = []
    for holder in demand.holders("btc"):
        walked.append(holder)
        demand.forget("b")
        demand.add("btc", "c")
    assert walked == ["a", "b"]
    assert demand.holders("btc") == ("a", "c")


def test_wants_and_topics_keep_their_order(demand: Demand[str, str]) -> None:
    demand.add("sol", "a")
    demand.add("btc", "b")
    demand.add("btc", "a")
    assert demand.topics("a") == ("sol", "btc")
    assert demand.wants() == [("sol", "a"), ("btc", "a"), ("btc", "b")]
    assert demand.topics("nobody") == ()
