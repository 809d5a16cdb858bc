"""Whatever is lost on the way, a client has the object, or knows that it has not."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.increments import ObjectLimits, Stored
from feedmux.core.outbox import OutboxLimits
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from feedmux.model.options import DEFAULTS, Options
from support.examples import EXAMPLES
from support.hubs import ScriptedBus
from support.objects import BOOK, LINES, Copy, Follower
from support.sockets import NATIVE, PYTHON, Client, Twin

CLIENTS = st.integers(0, 2)
LEVELS = st.tuples(st.sampled_from(["asks", "bids"]), st.integers(1, 9), st.sampled_from(["0", "1", "2.50"]))


class Peer:
    """A client behind a socket, and what it makes of what it reads."""

    def __init__(self, twin: Twin, limits: OutboxLimits) -> None:
        self.client = Client(twin, limits, LINES)
        self.reader = Follower()
        self.state = ""
        self.has_joined = False

    def read(self) -> None:
        socket = self.client.socket
        socket.flush()
        for told in self.reader.read(socket.written):
            self.state = told if told.islower() else self.state
        socket.written.clear()


class ObjectModel(RuleBasedStateMachine):
    """One writer, a bus that loses, a hub, and clients of which some are slow."""

    twin: Twin

    @initialize(
        increments=st.integers(1, 6),
        hub_increments=st.sampled_from([1, 3, 100]),
        frames=st.sampled_from([2, 5, 4096]),
        is_book=st.booleans(),
    )
    def begin(self, increments: int, hub_increments: int, frames: int, is_book: bool) -> None:
        self.bus = ScriptedBus(self.twin.row, limits=ObjectLimits(increments=hub_increments))
        self.stored = Stored(ObjectLimits(increments=increments))
        self.other: dict[str, list[int]] = {} if is_book else {"rows": []}
        self.truth = Copy()
        self.epoch, self.seq, self.sequence = 1, 0, 0
        self.state = State.LIVE
        self.is_cut = False
        self.peers = [Peer(self.twin, OutboxLimits(frames=frames)) for _ in range(3)]
        self.limits = OutboxLimits(frames=frames)

    # The writer

    def envelope(self, kind: EventKind, body: object) -> Envelope:
        return Envelope(BOOK, self.epoch, self.seq, kind, 0, 0, "", msgspec.json.encode(body))

    def carry(self, *events: Envelope) -> None:
        if not self.is_cut:
            self.bus.say(*events)

    def say_state(self, state: State) -> None:
        self.state = state
        self.carry(self.envelope(EventKind.STATUS, Status(state)))

    def answer(self) -> list[Envelope]:
        return [self.envelope(EventKind.STATUS, Status(self.state)), *self.stored.parts()]

    @rule(level=LEVELS)
    def increment(self, level: tuple[str, int, str]) -> None:
        side, price, amount = level
        if self.stored.is_empty:
            return
        self.seq, self.sequence = self.seq + 1, self.sequence + 1
        text = str(price + 10) if side == "asks" else str(price)
        body = {side: [text, amount], "sequence": self.sequence, **self.other}
        event = self.envelope(EventKind.UPDATE, body)
        if self.stored.add(event):
            self.truth.increment(event.payload)
            self.carry(event)
        else:
            self.truth = Copy()
            self.say_state(State.STALE)

    @rule(count=st.integers(2, 8), level=LEVELS)
    def increments(self, count: int, level: tuple[str, int, str]) -> None:
        for _ in range(count):
            self.increment(level)

    @rule()
    def snapshot(self) -> None:
        self.seq += 1
        sides = {side: [list(pair) for pair in levels.values()] for side, levels in self.truth.sides.items()}
        event = self.envelope(EventKind.SNAPSHOT, {**sides, "sequence": self.sequence, **self.other})
        self.stored.start(event)
        self.truth.snapshot(event.payload)
        self.carry(event)
        if self.state is not State.LIVE:
            self.say_state(State.LIVE)

    @rule()
    def begin_an_epoch(self) -> None:
        self.epoch, self.seq = self.epoch + 1, 0
        self.stored.clear()
        self.truth = Copy()
        self.say_state(State.LIVE)

    # The bus

    @rule()
    def cut(self) -> None:
        self.is_cut = True

    @rule()
    def heal(self) -> None:
        """As the reader's end of a bus does: the hole is told, all is wanted again, and answered."""
        if self.is_cut:
            self.is_cut = False
            hole = self.envelope(EventKind.GAP, Gap(1, None, GapReason.SLOW))
            if BOOK in self.bus.demand:
                self.bus.say(msgspec.structs.replace(hole, seq=0), *self.answer())

    @rule()
    def somebody_else_wants_it(self) -> None:
        self.carry(*self.answer())

    # The clients

    @rule(number=CLIENTS)
    def join_or_leave(self, number: int) -> None:
        peer, hub = self.peers[number], self.bus.hub
        if peer.has_joined:
            hub.detach(BOOK, peer.client)
            peer.client.socket.outbox.drop()
            self.peers[number] = Peer(self.twin, self.limits)
            return
        self.bus.answers[BOOK] = [] if self.is_cut else self.answer()
        hub.attach(BOOK, peer.client, asker=number)
        hub.join(BOOK, peer.client)
        peer.has_joined = True

    @rule(number=CLIENTS)
    def pause(self, number: int) -> None:
        self.peers[number].client.socket.outbox.pause()

    @rule(number=CLIENTS, room=st.sampled_from([0, 1, 3, float("inf")]))
    def resume(self, number: int, room: float) -> None:
        self.peers[number].client.socket.open(room)

    @rule(number=CLIENTS)
    def read(self, number: int) -> None:
        self.peers[number].read()

    @rule(number=CLIENTS, fields=st.sampled_from([frozenset(), frozenset({"asks"})]), again=st.booleans())
    def change(self, number: int, fields: frozenset[str], again: bool) -> None:
        peer = self.peers[number]
        if peer.has_joined:
            self.bus.hub.change(
                BOOK, peer.client, Options(fields=fields) if fields else DEFAULTS, snapshot=again
            )

    @rule()
    def everything_arrives(self) -> None:
        self.heal()
        for peer in self.peers:
            if not peer.has_joined or peer.client.socket.overflows:  # so many statuses may not be lost
                continue
            peer.client.socket.open()
            peer.read()
            is_well = self.bus.hub.topics()[BOOK] is State.LIVE
            if is_well and self.truth.is_whole:
                assert peer.state != "stale"
                assert (peer.reader.copy.is_whole, peer.reader.copy) == (True, self.truth)
            elif self.bus.hub.topics()[BOOK] is State.STALE:
                assert peer.state == "stale"

    @invariant()
    def the_hub_is_well_when_the_writer_is_unless_it_lost_the_object(self) -> None:
        if BOOK in self.bus.demand and not self.is_cut:
            last = self.bus.hub._entries[BOOK].last
            state = self.bus.hub.topics()[BOOK]
            assert bool(last.parts()) or self.stored.is_empty or last.fault
            assert state is (State.STALE if last.fault else self.state)


class PythonModel(ObjectModel):
    twin = PYTHON


class NativeModel(ObjectModel):
    twin = NATIVE


TestPythonObjects = PythonModel.TestCase
TestNativeObjects = NativeModel.TestCase
TestPythonObjects.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
TestNativeObjects.settings = TestPythonObjects.settings
