"""Leases against all that may go wrong: drift, pauses, cuts, and a Redis that forgets.

Beside the leases, what depends on them, as the bus over Redis does it: a tenure's feed numbers the values
of topics, serves its own node as long as the tenure may go on, and others while the lease is held. Each time
it is gained, a writer with a later life begins, over a connection of its own; what an earlier one sent may
arrive at any time. Readers ignore what is of an older epoch, and writers of an earlier life.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from feedmux.core.lease import Change, Lease, State, Terms
from feedmux.core.lease_epochs import LeaseEpochs
from feedmux.core.lease_record import Act, Answer, Ask, Record, decide
from feedmux.model.topic import Topic
from support.envelopes import TICKER, TRADES
from support.examples import EXAMPLES

pytestmark = pytest.mark.law

TERMS = Terms(ttl_s=3.0, renew_s=1.0, margin_s=0.3, drift=0.1)
RATES = (1 / (1 + TERMS.drift), 1.0, 1.02)
NODES = st.integers(0, 2)
TOPICS = st.sampled_from([TICKER, TRADES])
WAITS_MS = st.sampled_from([1, 50, 500, 1000, 2000, 2400, 2600, 3000, 3001])
SET_BACK_MS = 200
"""By so much the clock of a Redis that forgets may be set back in all: less than the margin, less the drift
of a tenure."""


class Sent(NamedTuple):
    """What a writer says: a value, or without a topic that it is there."""

    life: int
    topic: Topic | None = None
    epoch: int = 0
    seq: int = 0


class Node:
    """A process: its clock, its connection to Redis, its feed, what it is about to send."""

    def __init__(self, number: int, start: int, rate: float) -> None:
        self.name = f"node-{number}-{start}"
        self.rate = rate
        self.lease = Lease(self.name, TERMS)
        self.epochs = LeaseEpochs(self.lease, most_topics=2)
        self.is_connected = True
        self.asks: deque[tuple[int, Ask]] = deque()
        self.answers: deque[tuple[int, Answer]] = deque()
        self.tenure = self.life = 0
        """Of the feed that runs here, and of the last writer; 0: none."""
        self.positions: dict[Topic, tuple[int, int]] = {}
        """Of the feed's topics: the epoch, and the last seq in it."""
        self.is_writing = self.missed = False
        """Whether others are served, and whether something was held back from them since."""
        self.checked: deque[Sent] = deque()
        """What it decided to send; it may sleep before it does."""

    def now(self, real_ms: int) -> float:
        return real_ms * self.rate / 1000

    def disconnect(self) -> None:
        self.is_connected = False
        self.asks.clear()
        self.answers.clear()

    def hush(self) -> None:
        self.is_writing = self.missed = False
        self.checked.clear()

    def end_feed(self) -> None:
        self.hush()
        self.tenure = 0
        self.positions.clear()


class Reader:
    """What one node's clients see; from a feed of this node, or through Redis."""

    def __init__(self) -> None:
        self.life = 0
        """Of the writer that was heard of last; an earlier one is not listened to."""
        self.listens = False
        """Whether that writer was heard of since we last read from a feed of our own."""
        self.last: dict[Topic, tuple[int, int]] = {}
        self.told: set[Topic] = set()
        """Topics of which a gap was told since the last value."""

    def turn(self, life: int, *, listens: bool) -> None:
        """Read from somewhere else: that is a gap of all topics."""
        self.life, self.listens = max(self.life, life), listens
        self.told.update(self.last)


class Leases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real_ms = 0
        self.offset_ms = 1_000_000
        self.run = 0
        self.record = Record(run="0")  # it has been there for long: no guard
        self.saved = [Record()]
        self.starts = 0
        self.forgets = True
        self.highest = self.latest_life = 0
        self.nodes = [self.new_node(n, rate) for n, rate in enumerate(RATES)]
        self.inboxes: list[dict[int, deque[Sent]]] = [{}, {}]
        self.readers = [Reader(), Reader()]
        self.begun: dict[int, tuple[str, int]] = {}
        self.given: set[tuple[Topic, int]] = set()

    def new_node(self, number: int, rate: float) -> Node:
        self.starts += 1
        node = Node(number, self.starts, rate)
        node.lease.start(node.now(self.real_ms))
        return node

    @initialize(forgets=st.booleans())
    def begin(self, forgets: bool) -> None:
        """Either Redis forgets, or its clock is set back by more than a little; not both."""
        self.forgets = forgets

    # Time and Redis

    @precondition(lambda self: not self.forgets)
    @rule(ms=st.integers(0, 20_000))
    def the_clock_of_redis_is_set_back(self, ms: int) -> None:
        self.offset_ms -= ms

    @rule(ms=WAITS_MS)
    def time_passes(self, ms: int) -> None:
        self.real_ms += ms

    @precondition(lambda self: self.forgets)
    @rule(back_ms=st.integers(0, 100))
    def redis_starts_again(self, back_ms: int) -> None:
        """With nothing in its memory, and with a clock that was set back a little."""
        back_ms = min(back_ms, SET_BACK_MS - (1_000_000 - self.offset_ms))
        self.offset_ms -= back_ms
        self.run += 1
        self.record = Record()
        for node in self.nodes:
            node.disconnect()

    @precondition(lambda self: self.forgets)
    @rule()
    def redis_saves(self) -> None:
        self.saved.append(self.record)

    @precondition(lambda self: self.forgets)
    @rule(which=st.integers(0, 10))
    def redis_starts_again_with_what_once_was(self, which: int) -> None:
        self.redis_starts_again(0)
        self.record = self.saved[which % len(self.saved)]

    @rule(number=NODES)
    def redis_answers(self, number: int) -> None:
        node = self.nodes[number]
        if node.asks:
            serial, ask = node.asks.popleft()
            self.record, answer = decide(self.record, ask, self.real_ms + self.offset_ms, str(self.run))
            node.answers.append((serial, answer))

    # A node and its connection

    @rule(number=NODES)
    def cut(self, number: int) -> None:
        self.nodes[number].disconnect()

    @rule(number=NODES)
    def reconnect(self, number: int) -> None:
        node = self.nodes[number]
        if not node.is_connected:
            node.lease.cut(node.now(self.real_ms))
            node.is_connected = True

    @rule(number=NODES)
    def ask(self, number: int) -> None:
        node = self.nodes[number]
        now, held = node.now(self.real_ms), node.lease.may_write(node.now(self.real_ms))
        change = node.lease.check(now)
        assert change is Change.NONE or not held
        self.tell(number, change)
        if node.is_connected and (asked := node.lease.ask(now)) is not None:
            node.asks.append((asked.serial, asked.ask))

    @rule(number=NODES)
    def hear(self, number: int) -> None:
        node = self.nodes[number]
        if node.answers:
            serial, answer = node.answers.popleft()
            self.tell(number, node.lease.answered(serial, answer, node.now(self.real_ms)))

    def tell(self, number: int, change: Change) -> None:
        node = self.nodes[number]
        if change is Change.GAINED:
            self.gained(number)
        elif change is Change.LOST:
            assert node.is_writing
            node.hush()
        elif change is Change.TAKEN:
            self.leave(number)

    def gained(self, number: int) -> None:
        node = self.nodes[number]
        assert not node.is_writing, "lost before it is gained"
        is_new = node.lease.token != node.tenure
        if is_new:
            self.leave(number)
            assert node.lease.token > self.highest, "a tenure begins above all that was ever begun"
            node.tenure = node.lease.token
        life = node.lease.begin(node.now(self.real_ms), node.life)
        assert life is not None
        assert life > self.latest_life, "who writes later has a later life"
        self.latest_life = node.life = life
        if is_new and number < len(self.readers):
            self.readers[number].turn(life, listens=False)
        node.is_writing = True
        node.checked.append(Sent(life))

    def leave(self, number: int) -> None:
        """Its feed ends; what its writer said may still be on its way to its own reader, too."""
        former = self.nodes[number].life if self.nodes[number].tenure else -1
        self.nodes[number].end_feed()
        if number < len(self.readers):
            self.readers[number].turn(former + 1, listens=False)

    @rule(number=NODES)
    def obtain(self, number: int) -> None:
        """All that it takes to hold the lease, at once; else examples rarely get so far."""
        self.reconnect(number)
        for step in (self.ask, self.redis_answers, self.hear):
            step(number)

    @rule(number=NODES)
    def obtain_when_it_is_free(self, number: int) -> None:
        """At the first moment at which Redis gives it to another."""
        over_ms = self.record.until_ms - self.offset_ms
        self.real_ms = max(self.real_ms, min(over_ms, self.real_ms + TERMS.ttl_ms))
        self.obtain(number)

    @rule(number=NODES, before_ms=WAITS_MS, after_ms=WAITS_MS)
    def ask_with_patience(self, number: int, before_ms: int, after_ms: int) -> None:
        """It asks when it is due; ask and answer take their time, and it goes on to write meanwhile."""
        self.reconnect(number)
        node = self.nodes[number]
        self.real_ms = max(self.real_ms, int(node.lease.wake_at * 1000 / node.rate) + 1)
        self.ask(number)
        self.real_ms += before_ms
        self.redis_answers(number)
        self.real_ms += after_ms
        self.decide_to_write(number, TICKER)
        self.hear(number)
        self.decide_to_write(number, TICKER)

    @rule(number=NODES)
    def renounce(self, number: int) -> None:
        """It has no epochs left."""
        node = self.nodes[number]
        node.lease.renounce(node.now(self.real_ms))
        self.leave(number)

    @rule(number=NODES, gives_back=st.booleans())
    def end(self, number: int, gives_back: bool) -> None:
        """It is stopped, or killed; another process takes its place. What it sent may still arrive."""
        node = self.nodes[number]
        if gives_back:
            release = node.lease.close(node.now(self.real_ms))
            if release is not None and node.is_connected:
                assert release.act is Act.RELEASE
                self.record, _ = decide(self.record, release, self.real_ms + self.offset_ms, str(self.run))
        self.nodes[number] = self.new_node(number, node.rate)
        if number < len(self.readers):
            self.readers[number] = Reader()

    # Data

    @rule(number=NODES, topic=TOPICS)
    def begin_another_epoch(self, number: int, topic: Topic) -> None:
        """The venue's connection was cut, say; also of a tenure that has lapsed."""
        node = self.nodes[number]
        if not node.tenure:
            return
        epoch = node.epochs.begin(topic, node.now(self.real_ms))
        assert epoch is not None, "no example uses them all up"
        assert (topic, epoch) not in self.given, "a topic is given an epoch twice"
        self.given.add((topic, epoch))
        writer = (node.name, node.tenure)
        assert self.begun.setdefault(epoch, writer) == writer, "two tenures begin one epoch"
        self.highest = max(self.highest, epoch)
        node.positions[topic] = (epoch, 0)

    @rule(number=NODES, topic=TOPICS)
    def decide_to_write(self, number: int, topic: Topic) -> None:
        """The venue said something: our own clients see it at once, the others if we may write."""
        node = self.nodes[number]
        if not node.tenure:
            return
        if topic not in node.positions:
            self.begin_another_epoch(number, topic)
        epoch, seq = node.positions[topic]
        node.positions[topic] = (epoch, seq + 1)
        value = Sent(node.life, topic, epoch, seq + 1)
        if number < len(self.readers):
            self.accept(self.readers[number], value, is_newest=True)
        if node.is_writing and node.lease.may_write(node.now(self.real_ms)):
            assert not node.missed, "it goes on after a hole that it does not know of"
            node.checked.append(value)
        else:
            node.missed = node.is_writing

    @rule(number=NODES)
    def say_that_it_is_there(self, number: int) -> None:
        node = self.nodes[number]
        if node.is_writing and node.lease.may_write(node.now(self.real_ms)):
            node.checked.append(Sent(node.life))

    @precondition(lambda self: any(node.checked for node in self.nodes))
    @rule(number=NODES)
    def write(self, number: int) -> None:
        node = self.nodes[number]
        if node.checked:
            sent = node.checked.popleft()
            for inbox in self.inboxes:
                inbox.setdefault(sent.life, deque()).append(sent)

    @rule(which_reader=st.integers(0, 1), which=st.integers(0, 5))
    def read(self, which_reader: int, which: int) -> None:
        """What one writer sent arrives in order; what two sent, in any."""
        inbox, reader = self.inboxes[which_reader], self.readers[which_reader]
        waiting = [life for life, sent in inbox.items() if sent]
        if not waiting:
            return
        sent = inbox[waiting[which % len(waiting)]].popleft()
        node = self.nodes[which_reader]
        if node.tenure:
            return  # it reads from its own feed
        node.lease.observe(max(sent.life, sent.epoch))
        if sent.topic is None:
            if sent.life > reader.life or (sent.life == reader.life and not reader.listens):
                reader.turn(sent.life, listens=True)
        elif reader.listens:
            self.accept(reader, sent, is_newest=sent.life == reader.life)

    def accept(self, reader: Reader, sent: Sent, *, is_newest: bool) -> None:
        """What a reader's end and the hub behind it do."""
        topic, position = sent.topic, (sent.epoch, sent.seq)
        assert topic is not None
        if topic in reader.last and sent.epoch < reader.last[topic][0]:
            assert not is_newest, "who writes now is not listened to"
            return
        epoch, seq = reader.last.get(topic, (sent.epoch, sent.seq - 1))
        if position <= (epoch, seq):
            return
        if is_newest:
            is_next = sent.epoch != epoch or sent.seq == seq + 1
            assert is_next or topic in reader.told, "a hole that nobody told of"
            reader.told.discard(topic)
        reader.last[topic] = position

    @invariant()
    def at_most_one_may_write(self) -> None:
        writing = [node for node in self.nodes if node.lease.may_write(node.now(self.real_ms))]
        assert len(writing) <= 1

    def teardown(self) -> None:
        """Once everything works, one of them gets the lease, and its data pass."""
        if self.starts == 0:
            return
        for _ in range(30):
            self.real_ms += 500
            for number, node in enumerate(self.nodes):
                self.obtain(number)
                while node.asks or node.answers:
                    self.redis_answers(number)
                    self.hear(number)
        held = [node for node in self.nodes if node.lease.state is State.HELD]
        assert len(held) == 1
        number = self.nodes.index(held[0])
        assert held[0].is_writing
        self.say_that_it_is_there(number)
        self.decide_to_write(number, TICKER)
        while held[0].checked:
            self.write(number)
        for which, reader in enumerate(self.readers):
            while any(self.inboxes[which].values()):
                self.read(which, 0)
            assert which == number or reader.last[TICKER] == held[0].positions[TICKER], "it is not heard"


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=EXAMPLES, stateful_step_count=60, deadline=None)
