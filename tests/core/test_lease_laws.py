"""Leases against all that may go wrong: drift, pauses, cuts, and a Redis that forgets."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from feedmux.core.fence import Fence
from feedmux.core.lease import Change, Lease, State, Terms
from feedmux.core.lease_record import Act, Answer, Ask, Record, decide
from support.examples import EXAMPLES

pytestmark = pytest.mark.law

TERMS = Terms(ttl_s=3.0, renew_s=1.0, margin_s=0.3, drift=0.1)
RATES = (1 / (1 + TERMS.drift), 1.0, 1.02)
NODES = st.integers(0, 2)
WAITS_MS = st.sampled_from([1, 50, 500, 1000, 2000, 2400, 2600, 3000, 3001])
SET_BACK_MS = 200
"""By so much the clock of a Redis that forgets may be set back in all: less than the margin, less the drift
of a tenure."""


class Node:
    """A process: its clock, its connection to Redis, what it is about to send, what it reads."""

    def __init__(self, number: int, life: int, rate: float) -> None:
        self.name = f"node-{number}-{life}"
        self.rate = rate
        self.lease = Lease(self.name, TERMS)
        self.is_connected = True
        self.asks: deque[tuple[int, Ask]] = deque()
        self.answers: deque[tuple[int, Answer]] = deque()
        self.epoch = self.tenure = 0
        self.checked: deque[int] = deque()
        """Epochs of envelopes that it decided to send; it may sleep before it does."""

    def now(self, real_ms: int) -> float:
        return real_ms * self.rate / 1000

    def disconnect(self) -> None:
        self.is_connected = False
        self.asks.clear()
        self.answers.clear()


class Leases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real_ms = 0
        self.offset_ms = 1_000_000
        self.run = 0
        self.record = Record(run="0")  # it has been there for long: no guard
        self.saved = [Record()]
        self.lives = 0
        self.forgets = True
        self.highest = 0
        self.nodes = [self.new_node(n, rate) for n, rate in enumerate(RATES)]
        self.inboxes: list[dict[str, deque[int]]] = [{}, {}]
        self.fences: list[Fence[str]] = [Fence(), Fence()]
        self.accepted: list[list[int]] = [[], []]
        self.writers: dict[int, str] = {}
        self.begun: dict[int, str] = {}

    def new_node(self, number: int, rate: float) -> Node:
        self.lives += 1
        node = Node(number, self.lives, rate)
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
        now = node.now(self.real_ms)
        held = node.lease.may_write(now)
        change = node.lease.check(now)
        assert change is Change.NONE or not held
        if node.is_connected and (asked := node.lease.ask(now)) is not None:
            node.asks.append((asked.serial, asked.ask))

    @rule(number=NODES)
    def hear(self, number: int) -> None:
        node = self.nodes[number]
        if not node.answers:
            return
        now = node.now(self.real_ms)
        serial, answer = node.answers.popleft()
        if serial and node.lease.answered(serial, answer, now) is Change.GAINED:
            if node.lease.token == node.tenure:
                return  # it goes on
            node.tenure = node.lease.token
            epoch = node.lease.begin(now, node.epoch)
            assert epoch is not None
            assert epoch > self.highest, "a tenure begins above all that was ever begun"
            self.highest = node.epoch = epoch
            self.begun[epoch] = node.name

    @rule(number=NODES)
    def obtain(self, number: int) -> None:
        """All that it takes to hold the lease, at once; else examples rarely get so far."""
        self.reconnect(number)
        for step in (self.ask, self.redis_answers, self.hear):
            step(number)

    @rule(number=NODES, before_ms=WAITS_MS, after_ms=WAITS_MS)
    def ask_with_patience(self, number: int, before_ms: int, after_ms: int) -> None:
        """Its ask, or the answer, takes its time."""
        self.reconnect(number)
        self.ask(number)
        self.real_ms += before_ms
        self.redis_answers(number)
        self.real_ms += after_ms
        self.hear(number)

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

    # Data

    @rule(number=NODES)
    def begin_another_epoch(self, number: int) -> None:
        node = self.nodes[number]
        epoch = node.lease.begin(node.now(self.real_ms), node.epoch)
        if epoch is not None:
            assert epoch > node.epoch
            assert self.begun.setdefault(epoch, node.name) == node.name, "two nodes begin one epoch"
            node.epoch = epoch
            self.highest = max(self.highest, epoch)

    @rule(number=NODES)
    def decide_to_write(self, number: int) -> None:
        node = self.nodes[number]
        if node.lease.may_write(node.now(self.real_ms)):
            node.checked.append(node.epoch)

    @precondition(lambda self: any(node.checked for node in self.nodes))
    @rule(number=NODES)
    def write(self, number: int) -> None:
        node = self.nodes[number]
        if node.checked:
            epoch = node.checked.popleft()
            for inbox in self.inboxes:
                inbox.setdefault(node.name, deque()).append(epoch)

    @rule(reader=st.integers(0, 1), which=st.integers(0, 5))
    def read(self, reader: int, which: int) -> None:
        """What one node wrote arrives in order; what two wrote, in any."""
        waiting = [name for name, epochs in self.inboxes[reader].items() if epochs]
        if not waiting:
            return
        writer = waiting[which % len(waiting)]
        epoch = self.inboxes[reader][writer].popleft()
        if not self.fences[reader].admits("topic", epoch):
            return
        assert self.writers.setdefault(epoch, writer) == writer, "two writers in one epoch"
        assert not self.accepted[reader] or self.accepted[reader][-1] <= epoch, "an older epoch"
        self.accepted[reader].append(epoch)
        self.nodes[reader].lease.observe(epoch)

    @invariant()
    def at_most_one_may_write(self) -> None:
        writing = [node for node in self.nodes if node.lease.may_write(node.now(self.real_ms))]
        assert len(writing) <= 1

    def teardown(self) -> None:
        """Once everything works, one of them gets the lease, and its data pass."""
        if self.lives == 0:
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
        assert held[0].lease.begin(held[0].now(self.real_ms), held[0].epoch) is not None


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=EXAMPLES, stateful_step_count=60, deadline=None)
