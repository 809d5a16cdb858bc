"""A feed that nodes share through a real Redis: who runs it, and what the clients of each node see."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from feedmux.bus.redis_node import RedisNode
from feedmux.client.clock import SystemClock
from feedmux.model.event import Envelope, State
from feedmux.model.ports import BeginEpoch, Publisher, Runner
from feedmux.model.topic import Topic
from feedmux.wire.cluster import Said, Word
from feedmux.wire.envelope import encode
from feedmux.wire.place import Place
from support.envelopes import TICKER, TRADES
from support.peers import open_descriptors
from support.published import Published
from support.redis import RedisServer
from support.redis_nodes import (
    BUS,
    LAPSES,
    QUICK,
    TERMS,
    Node,
    Nodes,
    ScriptedFeed,
    has_run_for_long,
    nodes_of,
)
from support.waiting import eventually, until


@pytest_asyncio.fixture(name="nodes")
async def _nodes(redis: RedisServer) -> AsyncIterator[Nodes]:
    async with nodes_of(redis) as nodes:
        yield nodes


def feeds_of(*nodes: Node) -> int:
    """How many feeds were ever made."""
    return sum(len(node.feeds) for node in nodes)


async def reaches(feed: ScriptedFeed, *nodes: Node) -> None:
    """Publish a value, and wait until everybody has seen it."""

    def reached() -> bool:
        return all(tuple(node.values(TRADES)[-1].position) == feed.positions[TRADES] for node in nodes)

    feed.advance(TRADES)
    await until(reached, "everybody sees the last value")


async def test_one_node_runs_the_feed_and_all_see_the_same(nodes: Nodes) -> None:
    owner, other = await nodes.pair(TRADES, TICKER)
    third = await nodes.node()
    third.source.want(TRADES, "hub")
    await third.sees(TRADES, State.LIVE)
    for _ in range(50):
        owner.feed.advance(TRADES)
    await reaches(owner.feed, owner, other, third)
    assert owner.updates(TRADES) == other.updates(TRADES) == third.updates(TRADES)
    assert feeds_of(owner, other, third) == 1
    assert [node.holds for node in (owner, other, third)] == [True, False, False]
    assert len(owner.feed.demand.holders(TRADES)) == 3


async def test_what_was_wanted_before_anybody_could_have_the_lease_is_served(redis: RedisServer) -> None:
    """A cluster that starts for the first time waits for one time to live."""
    nodes = Nodes(redis)
    waiting = [await nodes.node() for _ in range(2)]
    for node in waiting:
        node.source.want(TRADES, "hub")
        node.source.want(TICKER, "hub")
        assert node.states(TRADES) == [State.PENDING]
        node.source.drop(TICKER, "hub")
    await until(lambda: all(node.state(TRADES) is State.LIVE for node in waiting))
    assert feeds_of(*waiting) == 1
    owner = next(node for node in waiting if node.runs)
    await reaches(owner.feed, *waiting)
    assert owner.feed.demand.holders(TICKER) == ()
    assert not any(node.gaps(TRADES) for node in waiting), "nothing came before"
    for node in waiting:
        await node.end()


async def test_another_node_takes_over_from_one_that_is_cut_off(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    owner, other = await nodes.pair(TRADES)
    await reaches(owner.feed, owner, other)
    last = owner.updates(TRADES)[-1]
    owner.proxy.stall()
    owner.feed.advance(TRADES)
    await other.gains()
    owner.feed.advance(TRADES)
    assert owner.updates(TRADES)[-1] == owner.feed.positions[TRADES], "it serves its own clients"
    assert owner.states(TRADES)[-1] is State.LIVE
    await other.sees(TRADES, State.LIVE)
    assert other.feed.positions[TRADES][0] > last[0], "a new epoch"
    (gap,) = other.gaps(TRADES)
    assert tuple(gap.position) == last
    other.feed.advance(TRADES)
    await until(lambda: other.updates(TRADES)[-1] == (other.feed.positions[TRADES][0], 1))
    owner.proxy.resume()
    await until(lambda: owner.feed.is_closed and not owner.feed.runs, "it has heard that it was taken")
    await owner.sees(TRADES, State.LIVE)
    await reaches(other.feed, owner, other)
    owner.feed.restart(TRADES)
    owner.feed.advance(TRADES)
    assert "no_epochs" not in caplog.text, "a feed that is ending is not missed"
    epochs = [epoch for epoch, _ in owner.updates(TRADES)]
    assert epochs == sorted(epochs), "nothing old after something newer"
    assert feeds_of(owner, other) == 2
    for node in (owner, other):
        assert not node.holes(TRADES)
        assert len(set(node.updates(TRADES))) == len(node.updates(TRADES)), "each value once"


async def test_who_turns_to_another_topic_at_a_change_gets_that_one(nodes: Nodes) -> None:
    """Clients come and go while they are told: that the owner is lost, and that its successor is."""
    owner, other = await nodes.pair(TRADES)
    turn_away(other, TRADES, TICKER)
    owner.proxy.stall()
    await other.gains()
    await other.sees(TICKER, State.LIVE)
    assert other.feed.demand.wants() == [(TICKER, holder) for _, holder in other.feed.demand.wants()]
    turn_away(other, TICKER, TRADES)
    other.proxy.stall()
    owner.proxy.resume()
    await until(lambda: owner.runs and owner.holds, "the lease comes back")
    other.proxy.resume()
    await other.sees(TRADES, State.LIVE)
    await reaches(owner.feed, owner, other)
    assert owner.feed.demand.holders(TICKER) == ()
    assert nodes.server.subscribers(BUS.channel(TICKER).decode()) == [0]


def turn_away(node: Node, topic: Topic, to: Topic) -> None:
    """Let the clients of a node leave a topic for another one, as soon as they hear that it is cut."""

    def publish(envelope: Envelope) -> None:
        Published.publish(node, envelope)
        if envelope.topic == topic and node.state(topic) is State.RECONNECTING:
            node.source.drop(topic, "hub")
            node.source.want(to, "hub")

    node.react = publish


async def test_what_a_former_owner_still_sends_is_seen_by_nobody(nodes: Nodes) -> None:
    owner, other = await nodes.pair(TRADES)
    third = await nodes.node()
    third.source.want(TRADES, "hub")
    await third.sees(TRADES, State.LIVE)
    await reaches(owner.feed, owner, other, third)
    old = owner.values(TRADES)[-1]
    await owner.end()
    await until(lambda: other.runs or third.runs)
    new, reader = (other, third) if other.runs else (third, other)
    await reader.sees(TRADES, State.LIVE)
    await reaches(new.feed, other, third)
    before = len(reader.events)
    nodes.server.ask("PUBLISH", BUS.channel(TRADES), encode(old))
    nodes.server.ask("PUBLISH", BUS.words, Said(Word.BYE, "", old.epoch).encode())
    new.feed.advance(TRADES)
    await until(lambda: len(reader.events) > before)
    assert [tuple(event.position) for event in reader.events[before:]] == [new.feed.positions[TRADES]]


async def test_a_tenure_goes_on_if_redis_was_only_away(redis: RedisServer, nodes: Nodes) -> None:
    nodes.terms = LAPSES
    owner, other = await nodes.pair(TRADES)
    await reaches(owner.feed, owner, other)
    epoch, _ = owner.feed.positions[TRADES]
    redis.signal(signal.SIGSTOP)
    try:
        await until(lambda: not owner.holds, "its time is over")
        await until(lambda: len(owner.feed.demand.holders(TRADES)) == 1, "nobody else reads from it")
        for _ in range(5):
            owner.feed.advance(TRADES)
        assert owner.updates(TRADES)[-1] == (epoch, 6)
        owner.source.want(TICKER, "hub")
        await owner.sees(TICKER, State.LIVE)
        await other.sees(TRADES, State.RECONNECTING)
    finally:
        redis.signal(signal.SIGCONT)
    await until(lambda: owner.holds)
    await other.sees(TRADES, State.LIVE)
    await reaches(owner.feed, owner, other)
    assert owner.feed.positions[TRADES][0] == epoch, "the same epoch"
    assert feeds_of(owner, other) == 1, "the same feed"
    assert not owner.gaps(TRADES), "its own clients did not notice"
    assert other.gaps(TRADES)
    assert not other.holes(TRADES)


async def test_a_lapse_that_is_too_short_to_be_noticed_is_told_to_others(
    redis: RedisServer, nodes: Nodes
) -> None:
    """Only the lease cannot be asked for: no connection ends, and nobody is silent for long."""
    nodes.terms = LAPSES
    owner, other = await nodes.pair(TRADES)
    await reaches(owner.feed, owner, other)
    epoch, _ = owner.feed.positions[TRADES]
    redis.ask("ACL", "SETUSER", "default", "-eval")
    await until(lambda: not owner.holds)
    owner.feed.advance(TRADES)
    redis.ask("ACL", "SETUSER", "default", "+eval")
    await until(lambda: owner.holds)
    await reaches(owner.feed, owner, other)
    assert owner.feed.positions[TRADES][0] == epoch, "the tenure went on"
    await reaches(owner.feed, owner, other)
    assert (epoch, 2) not in other.updates(TRADES)
    assert other.gaps(TRADES)
    assert not other.holes(TRADES)
    assert not owner.gaps(TRADES)


async def test_redis_that_forgets_makes_it_a_new_tenure(redis: RedisServer, nodes: Nodes) -> None:
    owner, other = await nodes.pair(TRADES)
    await reaches(owner.feed, owner, other)
    first = owner.feed.positions[TRADES][0]
    redis.kill()
    await until(lambda: not owner.holds)
    owner.feed.advance(TRADES)
    assert owner.updates(TRADES)[-1] == (first, 2)
    await redis.restart()
    await until(lambda: owner.holds or other.holds)
    new = owner if owner.holds else other
    await until(lambda: all(node.state(TRADES) is State.LIVE for node in (owner, other)))
    await reaches(new.feed, owner, other)
    assert new.feed.positions[TRADES][0] > first
    assert sum(node.runs for node in (owner, other)) == 1
    for node in (owner, other):
        assert not node.holes(TRADES)


async def test_a_new_tenure_of_the_same_node_begins_anew(redis: RedisServer, nodes: Nodes) -> None:
    """Redis does not know whether another one had the lease meanwhile."""
    owner = await nodes.owner()
    owner.source.want(TRADES, "hub")
    await owner.sees(TRADES, State.LIVE)
    await reaches(owner.feed, owner)
    first, (epoch, _) = owner.feed, owner.feed.positions[TRADES]
    redis.kill()
    await until(lambda: not owner.holds)
    await redis.restart()
    await until(lambda: owner.holds)
    assert first.is_closed
    await owner.sees(TRADES, State.LIVE)
    await reaches(owner.feed, owner)
    assert owner.feed.positions[TRADES][0] > epoch
    assert feeds_of(owner) == 2
    assert (len(owner.gaps(TRADES)), owner.holes(TRADES)) == (1, [])


async def test_an_owner_that_ends_leaves_no_pause(nodes: Nodes) -> None:
    owner, other = await nodes.pair(TRADES)
    await reaches(owner.feed, owner, other)
    loop = asyncio.get_running_loop()
    await owner.end()
    ended_at = loop.time()
    await other.gains()
    assert loop.time() - ended_at < TERMS.ttl_s, "it did not wait until the lease was over by itself"
    await other.sees(TRADES, State.LIVE)
    await reaches(other.feed, other)
    assert State.RECONNECTING in other.states(TRADES)


async def test_holders_come_and_go_at_every_node_and_nothing_is_left(
    redis: RedisServer, nodes: Nodes
) -> None:
    owner, other = await nodes.owner(), await nodes.node()
    keys = redis.ask("DBSIZE")
    for round_ in range(100):
        for node in (owner, other):
            node.source.want(TRADES, "a")
            node.source.want(TRADES, "b")
            node.source.drop(TRADES, "a")
        if round_ % 10 == 0:
            await other.sees(TRADES, State.LIVE)
        owner.source.forget("b")
        other.source.drop(TRADES, "b")
    await until(lambda: owner.feed.demand.wants() == [])
    await until(lambda: redis.subscribers(BUS.channel(TRADES).decode()) == [0])
    assert redis.ask("DBSIZE") == keys


async def test_a_feed_that_fails_is_not_hidden_and_another_node_takes_over(nodes: Nodes) -> None:
    owner, other = await nodes.pair(TRADES)
    owner.feed.fail(RuntimeError("a defect"))
    with pytest.raises(ExceptionGroup) as raised:
        await owner.sharing
    assert raised.group_contains(RuntimeError, match="a defect")
    await owner.leasing
    await owner.proxy.stop()
    await other.gains()
    await other.sees(TRADES, State.LIVE)


async def test_a_tenure_without_epochs_is_left_and_another_one_begins(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    owner, other = await nodes.pair(TRADES)
    await reaches(owner.feed, owner, other)
    first = owner.feed
    for _ in range(10_000):
        if first.is_closed:
            break
        first.restart(TRADES)
    assert first.is_closed
    assert "no_epochs" in caplog.text
    seen = [len(node.events) for node in (owner, other)]
    first.restart(TRADES)
    first.advance(TRADES)
    assert [len(node.events) for node in (owner, other)] == seen, "it is not heard any more"
    await until(lambda: owner.holds or other.holds)
    new = owner if owner.holds else other
    await until(lambda: all(node.state(TRADES) is State.LIVE for node in (owner, other)))
    await reaches(new.feed, owner, other)


async def test_two_nodes_of_one_name_are_two_nodes(redis: RedisServer) -> None:
    """Three were given it by mistake: the clients of all of them are served."""
    place = Place("test", "bybit", "linear", "futures", {})
    has_run_for_long(redis, f"many:{place.name}:lease")
    config = msgspec.structs.replace(QUICK, port=redis.port)
    feeds: list[ScriptedFeed] = []

    def make_feed(publisher: Publisher, begin: BeginEpoch) -> ScriptedFeed:
        feeds.append(ScriptedFeed(publisher, begin))
        return feeds[-1]

    seen = [Published() for _ in range(3)]
    nodes = [RedisNode(config, prefix="cluster", name="twin", terms=TERMS, clock=SystemClock()) for _ in seen]
    sources = [node.source(place, make_feed, one) for node, one in zip(nodes, seen, strict=True)]
    runners: list[Runner] = [*sources, *nodes]
    running = asyncio.gather(*(runner.run() for runner in runners))
    for source in sources:
        source.want(TRADES, "hub")
    await until(lambda: all(one.state(TRADES) is State.LIVE for one in seen))
    (feed,) = feeds
    assert len(feed.demand.holders(TRADES)) == 3
    feed.advance(TRADES)
    await until(lambda: all(one.values(TRADES)[-1].seq == 1 for one in seen))
    sources[0].drop(TRADES, "hub")
    await until(lambda: len(feed.demand.holders(TRADES)) == 2)
    for runner in runners:
        runner.close()
    async with asyncio.timeout(10):
        await running


async def test_a_node_that_takes_over_begins_above_all_that_it_has_heard(nodes: Nodes) -> None:
    """Whatever Redis has forgotten meanwhile: else readers would not listen to it."""
    owner, other = await nodes.pair(TRADES)
    life = owner.feed.positions[TRADES][0] + 1_000_000
    nodes.server.ask("PUBLISH", BUS.words, Said(Word.HERE, "", life).encode())
    await other.sees(TRADES, State.RECONNECTING)
    await owner.end()
    await other.gains()
    await other.sees(TRADES, State.LIVE)
    assert other.feed.positions[TRADES][0] > life


def running() -> Counter[str]:
    """How many tasks there are of each kind."""
    return Counter(str(task.get_coro()).split(" at ")[0] for task in asyncio.all_tasks())


async def usual() -> Counter[str]:
    """The most of each kind over many turns: some end and begin again with every turn."""
    most = running()
    for _ in range(200):
        await asyncio.sleep(0)
        most |= running()
    return most


async def test_nothing_is_left_of_tenures_that_came_and_went(redis: RedisServer, nodes: Nodes) -> None:
    nodes.terms = msgspec.structs.replace(LAPSES, renew_s=0.1, margin_s=59.1)
    owner, other = await nodes.pair(TRADES)

    async def lapse() -> None:
        redis.ask("ACL", "SETUSER", "default", "-eval")
        await until(lambda: not owner.holds)
        redis.ask("ACL", "SETUSER", "default", "+eval")
        await until(lambda: owner.holds)
        await reaches(owner.feed, owner, other)
        await until(lambda: redis.subscribers(BUS.asks.decode()) == [1])

    await lapse()
    tasks, opened = await usual(), open_descriptors()
    for _ in range(8):
        await lapse()
    await eventually(usual, lambda left: not left - tasks, "no task is left")
    await until(lambda: open_descriptors() <= opened, "no descriptor is left")
    assert feeds_of(owner, other) == 1
    assert not other.holes(TRADES)


async def test_no_task_is_left_when_a_node_has_ended(nodes: Nodes) -> None:
    before = asyncio.all_tasks()
    owner, other = await nodes.pair(TRADES)
    for node in (owner, other):
        await node.end()
    assert asyncio.all_tasks() == before
