from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from feedmux.core.outbox import OutboxLimits
from feedmux.model.event import Envelope, State
from feedmux.model.options import DEFAULTS, Options
from feedmux.model.topic import Mode, Topic
from support.examples import EXAMPLES
from support.frames import FrameReader
from support.hubs import KLINE, TICKER, TRADE, Reader, ScriptedBus, candle, status, trade, value
from support.sockets import NATIVE, PYTHON, Client, Twin

TOPICS = st.sampled_from([TICKER, KLINE, TRADE])
CLIENTS = st.integers(0, 2)
STATES = {Mode.MERGE, Mode.CANDLE}
FIELDS = st.sampled_from([frozenset[str](), frozenset({"n"}), frozenset({"n", "m"})])
OPTIONS = st.builds(Options, st.sampled_from([None, True, False]), st.sampled_from([0, 0, 1, 4]), FIELDS)
LIMITS = OutboxLimits(frames=12)
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

    @initialize()
    def begin(self) -> None:
        self.bus = ScriptedBus(self.twin.row)
        self.said: dict[Topic, list[Said]] = {TICKER: [], KLINE: [], TRADE: []}
        self.position: dict[Topic, At] = dict.fromkeys(self.said, (1, 0))
        self.state = dict.fromkeys(self.said, State.LIVE)
        self.opened = 60
        self.clients = [Client(self.twin, LIMITS) for _ in range(3)]
        self.held: list[dict[Topic, Held]] = [{}, {}, {}]
        anchor = Client(self.twin)
        for topic in self.said:
            self.bus.hub.attach(topic, anchor, asker=0)
            self.bus.hub.join(topic, anchor)
            self.bus.say(status(topic, State.LIVE))

    # What the source says

    def say(self, topic: Topic, event: Envelope, *, closed: bool = False) -> None:
        at = (event.epoch, event.seq)
        self.said[topic].append(Said(at))
        for mine in self.held:
            if topic in mine:
                held = mine[topic]
                held.newest = at
                if closed:
                    held.kept.add(at)
                elif not held.options.conflates(topic.mode):
                    held.told.add(at)
        self.bus.say(event)

    @rule(topic=TOPICS, count=st.integers(1, 8))
    def values(self, topic: Topic, count: int) -> None:
        for _ in range(count):
            epoch, seq = self.position[topic]
            self.position[topic] = epoch, seq + 1
            if topic is KLINE:
                self.say(topic, candle(seq + 1, self.opened, epoch=epoch))
            else:
                self.say(topic, trade(seq + 1, epoch) if topic is TRADE else value(topic, seq + 1, epoch))

    @rule()
    def close_a_candle(self) -> None:
        epoch, seq = self.position[KLINE]
        self.position[KLINE] = epoch, seq + 1
        self.say(KLINE, candle(seq + 1, self.opened, closed=True, epoch=epoch), closed=True)
        self.opened += 60

    def tell(self, topic: Topic, state: State) -> None:
        self.state[topic] = state
        reason = f"reason {len(self.said[topic])}"
        self.said[topic].append(Said(reason=reason))
        self.bus.say(status(topic, state, reason, self.position[topic][0]))

    @rule(topic=TOPICS)
    def turn_stale_or_live(self, topic: Topic) -> None:
        self.tell(topic, State.LIVE if self.state[topic] is State.STALE else State.STALE)

    @rule(topic=TOPICS)
    def begin_an_epoch(self, topic: Topic) -> None:
        self.position[topic] = self.position[topic][0] + 1, 0
        self.tell(topic, State.LIVE)

    # What clients do

    @rule(number=CLIENTS, topic=TOPICS, options=OPTIONS, shown=st.booleans())
    def join(self, number: int, topic: Topic, options: Options, shown: bool) -> None:
        mine = self.held[number]
        if topic in mine or (options.rate and not options.conflates(topic.mode)):
            return
        held = mine[topic] = Held(options)
        epoch, seq = self.position[topic]
        if shown and seq and topic.mode in STATES:
            held.newest = epoch, seq
        self.bus.hub.attach(topic, self.clients[number], asker=0)
        self.bus.hub.join(topic, self.clients[number], options, snapshot=shown)

    @rule(number=CLIENTS, topic=TOPICS, options=OPTIONS | st.just(DEFAULTS), again=st.booleans())
    def change(self, number: int, topic: Topic, options: Options, again: bool) -> None:
        held = self.held[number].get(topic)
        if held is None or (options.rate and not options.conflates(topic.mode)):
            return
        held.options = options
        epoch, seq = self.position[topic]
        if again and seq and topic.mode in STATES:
            held.newest = epoch, seq
        self.bus.hub.change(topic, self.clients[number], options, snapshot=again)

    @rule(number=CLIENTS)
    def leave(self, number: int) -> None:
        self.arrive(number)
        for topic in self.held[number]:
            self.bus.hub.detach(topic, self.clients[number])
        self.clients[number], self.held[number] = Client(self.twin, LIMITS), {}

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
        client, mine = self.clients[number], self.held[number]
        reader = FrameReader()
        messages = [json.loads(f.payload) for frame in client.shown() for f in reader.feed(frame)]
        if client.socket.overflows:
            return
        for topic, held in mine.items():
            held.seen += [m for m in messages if m["stream"] == Reader().format._places.stream(topic)]
            self.judge_order(held.seen, self.said[topic])
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
        for number, client in enumerate(self.clients):
            for topic in self.held[number]:
                self.bus.hub.detach(topic, client)
        assert self.bus.time.set == []
        assert self.bus.hub.statistics()["subscriptions"] == 3


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
