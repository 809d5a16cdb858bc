from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from feedmux.core.outbox import OutboxLimits
from feedmux.model.event import Envelope, State
from feedmux.model.options import DEFAULTS, Options
from feedmux.model.topic import Mode, Topic
from support.examples import EXAMPLES
from support.frames import FrameReader
from support.hubs import KLINE, TICKER, TRADE, ScriptedBus, candle, status, trade, value
from support.sockets import NATIVE, PYTHON, Client, Twin

CLIENTS = st.integers(0, 2)
STATES = {Mode.MERGE, Mode.CANDLE}
PACED, KEPT = Options(conflate=True, rate=4), Options(conflate=False)
OPTIONS = st.sampled_from(
    [DEFAULTS, PACED, PACED, msgspec.structs.replace(PACED, fields=frozenset("n")), KEPT, KEPT]
)
LIMITS = OutboxLimits(frames=6)
LONG_S = 5.0

At = tuple[int, int]


class Said(NamedTuple):
    """One event of a topic: a value at a position, or a status with a reason of its own."""

    at: At | None = None
    reason: str = ""


class Held:
    """What a client must have seen of one topic when everything has arrived."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.seen: list[dict[str, Any]] = []
        self.told: set[At] = set()
        """Values that it was to get, or to be told of."""
        self.kept: set[At] = set()
        """Closed candles: it was to get them."""
        self.newest: At | None = None


class LaneModel(RuleBasedStateMachine):
    """Clients with full sockets change their options: order holds, and nothing is lost silently."""

    twin: Twin

    @initialize(
        topic=st.sampled_from([TICKER, KLINE, TRADE]), options=st.lists(OPTIONS, min_size=3, max_size=3)
    )
    def begin(self, topic: Topic, options: list[Options]) -> None:
        self.bus = ScriptedBus(self.twin.row)
        self.topic = topic
        self.said: list[Said] = []
        self.position: At = (1, 0)
        self.state = State.LIVE
        self.opened = 60
        anchor = Client(self.twin)
        self.bus.hub.attach(topic, anchor, asker=0)
        self.bus.hub.join(topic, anchor)
        self.bus.say(status(topic, State.LIVE))
        self.clients = [Client(self.twin, LIMITS) for _ in options]
        self.held = [Held(self.possible(one)) for one in options]
        for number in range(3):
            self.join(number, shown=True)

    def possible(self, options: Options) -> Options:
        """Without a rate where the session would reject it."""
        conflates = options.conflates(self.topic.mode)
        return options if conflates else msgspec.structs.replace(options, rate=0)

    # What the source says

    def say(self, event: Envelope, *, closed: bool = False) -> None:
        self.position = at = event.epoch, event.seq
        self.said.append(Said(at))
        for held in self.held:
            held.newest = at
            if closed:
                held.kept.add(at)
            elif not held.options.conflates(self.topic.mode):
                held.told.add(at)
        self.bus.say(event)

    @rule(count=st.integers(1, 8))
    def values(self, count: int) -> None:
        for _ in range(count):
            epoch, seq = self.position
            if self.topic is KLINE:
                self.say(candle(seq + 1, self.opened, epoch=epoch))
            else:
                self.say(trade(seq + 1, epoch) if self.topic is TRADE else value(TICKER, seq + 1, epoch))

    @precondition(lambda self: self.topic is KLINE)
    @rule()
    def close_a_candle(self) -> None:
        epoch, seq = self.position
        self.say(candle(seq + 1, self.opened, closed=True, epoch=epoch), closed=True)
        self.opened += 60

    def tell(self, state: State) -> None:
        self.state = state
        reason = f"reason {len(self.said)}"
        self.said.append(Said(reason=reason))
        self.bus.say(status(self.topic, state, reason, self.position[0]))

    @rule()
    def turn_stale_or_live(self) -> None:
        self.tell(State.LIVE if self.state is State.STALE else State.STALE)

    @rule()
    def begin_an_epoch(self) -> None:
        self.position = self.position[0] + 1, 0
        self.tell(State.LIVE)

    # What clients do

    def join(self, number: int, *, shown: bool) -> None:
        held = self.held[number]
        self.knows(held, shown)
        self.bus.hub.attach(self.topic, self.clients[number], asker=0)
        self.bus.hub.join(self.topic, self.clients[number], held.options, snapshot=shown)

    def knows(self, held: Held, shown: bool) -> None:
        """A snapshot makes the newest value one that the client must have."""
        if shown and self.position[1] and self.topic.mode in STATES:
            held.newest = self.position

    @rule(number=CLIENTS, options=OPTIONS, again=st.sampled_from([False, False, True]))
    def change(self, number: int, options: Options, again: bool) -> None:
        self.held[number].options = self.possible(options)
        self.knows(self.held[number], again)
        self.bus.hub.change(self.topic, self.clients[number], self.held[number].options, snapshot=again)

    @rule(number=CLIENTS)
    def ask_for_a_snapshot(self, number: int) -> None:
        self.change(number, self.held[number].options, again=True)

    @rule(number=CLIENTS, options=OPTIONS, shown=st.booleans())
    def come_anew(self, number: int, options: Options, shown: bool) -> None:
        self.arrive(number)
        self.bus.hub.detach(self.topic, self.clients[number])
        self.clients[number], self.held[number] = Client(self.twin, LIMITS), Held(self.possible(options))
        self.join(number, shown=shown)

    # What sockets do

    @rule(number=CLIENTS)
    def fill_up(self, number: int) -> None:
        self.clients[number].socket.outbox.pause()

    @rule(number=CLIENTS, room=st.sampled_from([0, 1, 3, float("inf")]))
    def read(self, number: int, room: float) -> None:
        self.clients[number].socket.open(room)
        self.clients[number].socket.flush()

    @rule(quarters=st.integers(0, 5))
    def time_passes(self, quarters: int) -> None:
        self.bus.time.goes(quarters / 4)

    # What always holds

    def arrive(self, number: int) -> None:
        """All that is under way arrives, and is judged."""
        self.bus.time.goes(LONG_S)
        client, held = self.clients[number], self.held[number]
        reader = FrameReader()
        held.seen += [json.loads(f.payload) for frame in client.shown() for f in reader.feed(frame)]
        if not client.socket.overflows:
            self.judge_order(held.seen, self.said)
            self.judge_whole(held)

    @staticmethod
    def judge_order(seen: list[dict[str, Any]], said: list[Said]) -> None:
        before = (0, 0)
        last = -1
        for message in seen:
            if message["type"] == "status":
                this = said.index(Said(reason=message["data"]["reason"]))
            elif message["type"] == "gap":
                continue
            else:
                at = place_of(message)
                assert at > before or (message["type"] == "snapshot" and at == before), (at, before)
                before = at
                if message["type"] == "snapshot":  # a refresh may repeat what came before a status
                    continue
                this = said.index(Said(at))
            assert this > last
            last = this

    @staticmethod
    def judge_whole(held: Held) -> None:
        values = {place_of(message) for message in held.seen if message["type"] in ("snapshot", "update")}
        gaps = [message for message in held.seen if message["type"] == "gap"]
        missed = {
            (gap["epoch"], seq) for gap in gaps for seq in range(gap["data"]["from"], gap["data"]["to"] + 1)
        }
        assert held.kept <= values, "no closed candle is lost"
        assert held.told <= values | missed
        assert held.newest is None or held.newest in values | missed

    def teardown(self) -> None:
        for number in range(3):
            self.arrive(number)
        for client in self.clients:
            self.bus.hub.detach(self.topic, client)
        assert self.bus.time.set == []
        assert self.bus.hub.statistics()["subscriptions"] == 1


def place_of(message: dict[str, Any]) -> At:
    epoch, _, seq = message["data"]["n"].partition(".")
    return int(epoch), int(seq)


class PythonModel(LaneModel):
    twin = PYTHON


class NativeModel(LaneModel):
    twin = NATIVE


TestPythonLanes = PythonModel.TestCase
TestNativeLanes = NativeModel.TestCase
TestPythonLanes.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
TestNativeLanes.settings = TestPythonLanes.settings
