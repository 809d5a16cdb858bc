from __future__ import annotations

from feedmux.core.presence import Presence, Share
from feedmux.core.roster import Held, Roster


def node(name: str, *topics: str, wanted: int = -1, has_rival: bool = False) -> Presence:
    share = Share(holds=False, wanted=len(topics) if wanted < 0 else wanted, topics=topics)
    return Presence(
        name=name, life=1, address="", version="", clients=0, has_rival=has_rival, markets={"linear": share}
    )


HELD = Held("linear", "a", 1000, 2.0)
FREE = Held("linear", "", 1000, 0.0)


def test_demand_counts_nodes_by_topic() -> None:
    demand = Roster((node("a", "x", "y"), node("b", "y")), (HELD,)).demand("linear")
    assert (dict(demand.topics), demand.wants, demand.is_whole) == ({"x": 1, "y": 2}, 3, True)


def test_demand_that_is_not_named_is_counted_too() -> None:
    demand = Roster((node("a", "x", wanted=2000),), (HELD,)).demand("linear")
    assert (demand.wants, demand.is_whole) == (2000, False)


def test_nothing_is_wrong() -> None:
    assert list(Roster((node("a"),), (HELD,)).problems()) == []


def test_no_node_is_a_problem() -> None:
    assert list(Roster((), (FREE,)).problems()) == ["no node says that it is there"]


def test_a_lease_that_nobody_has_is_a_problem_where_a_node_serves_the_market() -> None:
    sentence = "linear: no node has the lease, so nobody runs its feed for all"
    assert list(Roster((node("a"),), (FREE,)).problems()) == [sentence]
    assert list(Roster((node("a"),), ()).problems()) == [sentence]
    assert list(Roster((node("a"),), (HELD, Held("once", "", 5, 0.0))).problems()) == []


def test_several_processes_of_a_name_are_one_problem() -> None:
    both = (node("a", has_rival=True), node("a", has_rival=True))
    sentence = "several processes are called a; give each a NODE_NAME of its own"
    assert list(Roster(both, (HELD,)).problems()) == [sentence]


def test_markets_are_those_served_and_those_of_leases() -> None:
    roster = Roster((node("a"),), (Held("once", "", 5, 0.0),))
    assert roster.markets == ["linear", "once"]
    assert roster.lease("linear") == Held("linear", "", 0, 0.0)
