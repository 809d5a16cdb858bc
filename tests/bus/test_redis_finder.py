from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_finder import (
    ClusterFinder,
    MasterUnknown,
    SentinelFinder,
    SlotWithoutNode,
    Unfound,
    finder_of,
    moved_to,
    why_left,
)
from feedmux.bus.redis_slots import SLOTS, slot_of
from feedmux.model.errors import FeedmuxError
from feedmux.model.link_errors import ConnectFailed

TAG = "{feedmux:bybit.linear}"
SLOT = slot_of(TAG.encode())
MASTER = [b"10.0.0.9", b"7009"]


class World:
    """Servers that answer, by host; others are not there."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def ask(self, config: RedisConfig, command: tuple[str, ...]) -> object:
        self.asked.append(config.host)
        answer = self.answers.get(config.host)
        if config.host not in self.answers:
            raise ConnectFailed(config.address, "nobody there")
        if isinstance(answer, FeedmuxError):
            raise answer
        return answer


def by_sentinels(*hosts: str) -> SentinelFinder:
    places = tuple((host, 26379) for host in hosts)
    return SentinelFinder(RedisConfig(sentinels=places, master="feeds", password="secret"))


def in_cluster(*hosts: str) -> ClusterFinder:
    known = [(host, 7000) for host in hosts]
    return ClusterFinder(RedisConfig(host="named", port=7000, is_cluster=True, partition=TAG, known=known))


def slots(*owners: str, replica: str = "") -> list[Any]:
    """Who has ours; the others are a range before and a range after it."""
    owner, *others = owners
    replicas = [[replica.encode(), 7000, b"id", {}]] if replica else []
    found: list[Any] = [[SLOT, SLOT, [owner.encode(), 7000, b"id", {}], *replicas]]
    if others:
        found.append([0, SLOT - 1, [others[0].encode(), 7000, b"id", {}]])
        found.append([SLOT + 1, SLOTS - 1, [others[-1].encode(), 7000, b"id", {}]])
    return found


# One


async def test_one_redis_is_where_it_is() -> None:
    config = RedisConfig(host="there")
    finder = finder_of(config)
    finder.failed()
    finder.refused(RedisRefused("GET", "READONLY no"))
    assert await finder.find(World().ask) is config


# Sentinels


async def test_sentinels_are_asked_in_turn_and_who_answered_comes_first() -> None:
    world = World(b=MASTER, c=MASTER)
    finder = by_sentinels("a", "b", "c")
    found = await finder.find(world.ask)
    assert (found.host, found.port, found.password) == ("10.0.0.9", 7009, "secret")
    await finder.find(world.ask)
    assert world.asked == ["a", "b", "b"]


async def test_a_sentinel_that_was_wrong_comes_last() -> None:
    world = World(a=MASTER, b=MASTER)
    finder = by_sentinels("a", "b")
    await finder.find(world.ask)
    finder.failed()
    await finder.find(world.ask)
    finder.refused(RedisRefused("EVAL", "READONLY no"))
    await finder.find(world.ask)
    assert world.asked == ["a", "b", "a"]


async def test_sentinels_are_told_their_own_password_and_no_other() -> None:
    config = RedisConfig(
        sentinels=(("a", 1),),
        master="feeds",
        user="node",
        password="ours",
        sentinel_password="theirs",
        database=3,
    )
    asked = config.sentinel(("a", 1))
    assert asked.hello() == ("HELLO", "3", "AUTH", "default", "theirs", "SETNAME", "feedmux")
    assert (asked.address, asked.database, asked.hide("-theirs-")) == ("redis://a:1", 0, "-***-")
    assert config.at(("b", 2)).hello()[3:5] == ("node", "ours")
    assert "ours" not in repr(config) and "theirs" not in repr(config) + repr(asked)


@pytest.mark.parametrize(
    ("answers", "kind", "text"),
    [
        ({}, Unfound, r"no sentinel answers: no connection to redis://a:26379: nobody there; .*://b:26379"),
        ({"a": None}, MasterUnknown, r"no sentinel knows a master 'feeds' \(asked: redis://a:26379\)"),
        ({"b": None}, MasterUnknown, r"asked: redis://b:26379\)"),
        ({"a": [b"x"]}, Unfound, "it did not answer as a sentinel does"),
        ({"a": [b"", b"1"]}, Unfound, "it did not answer as a sentinel does"),
        ({"a": [b"x", b"port"]}, Unfound, "it did not answer as a sentinel does"),
        ({"a": RedisRefused("SENTINEL", "ERR unknown command")}, Unfound, "refused SENTINEL: ERR unknown"),
    ],
)
async def test_why_sentinels_do_not_help_is_named(
    answers: dict[str, object], kind: type[FeedmuxError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        await by_sentinels("a", "b").find(World(**answers).ask)


# Nodes of a cluster


async def test_the_owner_of_the_slot_is_found_by_who_knows() -> None:
    world = World(named=slots("x", "y", "z", replica="w"))
    finder = in_cluster("away")
    assert (await finder.find(world.ask)).address == "redis://x:7000"
    assert world.asked == ["away", "named"]


async def test_what_was_heard_of_outlives_the_node_that_was_named_and_is_shared() -> None:
    config = RedisConfig(host="named", is_cluster=True, partition=TAG)
    first, second = ClusterFinder(config), ClusterFinder(config)
    await first.find(World(named=slots("x", "y", "z", replica="w")).ask)
    later = World(w=slots("w", "y", "z"))
    assert (await second.find(later.ask)).host == "w"
    assert later.asked == ["named", "x", "y", "z", "w"]


async def test_a_node_that_does_not_know_the_slot_is_passed_over() -> None:
    world = World(a=[], b=slots("x"))
    assert (await in_cluster("a", "b").find(world.ask)).host == "x"


async def test_who_was_wrong_comes_last_and_whom_redis_names_comes_first() -> None:
    world = World(named=slots("x", "y", "z"), x=slots("x", "y"), new=slots("new", "y"), y=slots("x", "y"))
    finder = in_cluster()
    await finder.find(world.ask)
    finder.failed()
    await finder.find(world.ask)
    finder.refused(RedisRefused("SPUBLISH", f"MOVED {SLOT} new:7000"))
    assert (await finder.find(world.ask)).host == "new"
    finder.refused(RedisRefused("SPUBLISH", "CLUSTERDOWN The cluster is down"))
    await finder.find(world.ask)
    assert world.asked == ["named", "x", "new", "y"]


@pytest.mark.parametrize(
    ("answers", "kind", "text"),
    [
        ({}, Unfound, "no node of the Redis Cluster answers: no connection to redis://a:7000"),
        ({"a": b"OK"}, Unfound, "malformed slots"),
        ({"a": [], "named": []}, SlotWithoutNode, f"has slot {SLOT} .asked: redis://a:7000; redis://named:7000"),
        ({"a": []}, SlotWithoutNode, f"has slot {SLOT} .asked: redis://a:7000"),
    ],
)  # fmt: skip
async def test_why_no_node_is_found_is_named(
    answers: dict[str, object], kind: type[FeedmuxError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        await in_cluster("a").find(World(**answers).ask)


async def test_many_reasons_are_not_all_said() -> None:
    with pytest.raises(Unfound) as caught:
        await in_cluster(*(f"h{number}" for number in range(50))).find(World().ask)
    assert str(caught.value).endswith("; and others")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("reason", "place"),
    [
        ("MOVED 3999 127.0.0.1:6381", ("127.0.0.1", 6381)),
        ("ASK 3999 node.example:6381", ("node.example", 6381)),
        ("MOVED 3999 ::1:6381", ("::1", 6381)),
        ("MOVED 3999 :6381", None),
        ("MOVED 3999 a:b", None),
        ("MOVED", None),
        ("READONLY You can't write", None),
    ],
)
def test_where_redis_sends_us_is_read(reason: str, place: tuple[str, int] | None) -> None:
    assert moved_to(RedisRefused("EVAL", reason)) == place


@pytest.mark.parametrize(
    "error",
    [Unfound("sentinel", ("a", "b")), MasterUnknown("m", ("a",)), SlotWithoutNode(1, ("a",))],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_copied_and_pickled(error: FeedmuxError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), str(twin), twin.args) == (type(error), str(error), error.args)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("READONLY You can't write against a read only replica.", "another Redis took over: READONLY You"),
        ("MOVED 1 10.0.0.9:7009", "another Redis took over: MOVED 1 10.0.0.9:7009"),
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN The cluster is down"),
        ("NOPERM this user has no permissions", None),
        ("ERR unknown command", None),
    ],
)
def test_which_answers_say_that_another_redis_is_the_right_one(said: str, why: str | None) -> None:
    found = why_left(RedisRefused("PUBLISH", said))
    assert found is None if why is None else str(found).startswith(why)
