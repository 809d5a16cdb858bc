from __future__ import annotations

from functools import partial

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.model.event import Envelope, EventKind, State, Status
from feedmux.model.topic import Topic
from support.examples import EXAMPLES
from support.hubs import FULL, QUIET, TICKER, TRADE, Reader, ScriptedBus, gap, status, value

TOPICS = st.sampled_from([TICKER, TRADE])
READERS = st.integers(0, 2)
VALUES = (EventKind.SNAPSHOT, EventKind.UPDATE)


def state_of(envelope: Envelope) -> State:
    return msgspec.json.decode(envelope.payload, type=Status).state


class Held:
    """What has been said of a topic since somebody holds it, without what was old already."""

    def __init__(self) -> None:
        self.said: list[Envelope] = []
        self.waiting: dict[int, bool] = {}
        """Who waits, and whether it knows that the topic is confirmed."""
        self.members: set[int] = set()

    @property
    def epoch(self) -> int:
        return max((envelope.epoch for envelope in self.said), default=0)

    @property
    def values(self) -> list[Envelope]:
        """The values of the last epoch."""
        return [e for e in self.said if e.kind in VALUES and e.epoch == self.epoch]

    @property
    def statuses(self) -> list[Envelope]:
        return [e for e in self.said if e.kind is EventKind.STATUS]

    @property
    def state(self) -> State | None:
        return state_of(self.statuses[-1]) if self.statuses else None

    def is_old(self, envelope: Envelope) -> bool:
        if envelope.epoch != self.epoch or envelope.kind not in VALUES:
            return 0 < envelope.epoch < self.epoch
        return any(e.seq >= envelope.seq for e in self.values)

    def is_told(self, envelope: Envelope) -> bool:
        """Whether clients hear of an event that comes now."""
        if envelope.kind is not EventKind.STATUS:
            return True
        is_news = not self.statuses or envelope.epoch > self.statuses[-1].epoch
        state = state_of(envelope)
        return state is not State.PENDING and (is_news or state is not self.state)

    def opening(self) -> list[Envelope]:
        """What who joins now is sent first."""
        quiet = self.state in {None, State.LIVE, State.PENDING}
        first = [] if quiet else self.statuses[-1:]
        last = [e for e in self.values[-1:] if e.topic != TRADE]
        return first + [msgspec.structs.replace(e, kind=EventKind.SNAPSHOT) for e in last]


class ModelBus(ScriptedBus):
    """Tells the model of every event before the hub hears of it."""

    def __init__(self, model: HubModel) -> None:
        super().__init__()
        self.model = model

    def say(self, *envelopes: Envelope) -> None:
        for envelope in envelopes:
            self.model.note(envelope)
            self.hub.receive(envelope)


class HubModel(RuleBasedStateMachine):
    """Who joins a topic is sent its state and then exactly what follows, in order, once."""

    def __init__(self) -> None:
        super().__init__()
        self.bus = ModelBus(self)
        self.hub = self.bus.hub
        self.held: dict[Topic, Held] = {}
        self.refused = Held()
        self.readers = [Reader(FULL), Reader(FULL), Reader(QUIET)]
        self.expected: list[list[bytes]] = [[], [], []]
        self.ended: list[list[Topic]] = [[], [], []]
        self.position = dict.fromkeys((TICKER, TRADE), (5, 0))
        for number, reader in enumerate(self.readers):
            reader.then = partial(self.settled, number)

    # What the model makes of it

    def send(self, number: int, envelope: Envelope) -> None:
        frame = self.readers[number].format.frame(envelope)
        if frame is not None:
            self.expected[number].append(frame)

    def note(self, envelope: Envelope) -> None:
        held = self.held.get(envelope.topic)
        if held is None or held.is_old(envelope):
            return
        if held.is_told(envelope):
            for number in held.members:
                self.send(number, envelope)
        held.said.append(envelope)
        if held.state is State.REFUSED:
            for number in held.members:
                self.ended[number].append(envelope.topic)
            del self.held[envelope.topic]
            self.refused = held

    def settled(self, number: int, topic: Topic, refused: str | None) -> None:
        if refused is not None:
            assert refused == "no such symbol"
            self.refused.waiting.pop(number)
            return
        self.held[topic].waiting[number] = True
        if number:  # all but one join at once, as a session does whose answer waits for this
            self.join(number, topic)

    # What subscribers do

    @rule(number=READERS, topic=TOPICS, answer=st.sampled_from([None, *State]))
    def attach(self, number: int, topic: Topic, answer: State | None) -> None:
        held = self.held.get(topic)
        if held is not None and (number in held.waiting or number in held.members):
            return
        self.bus.answers[topic] = [] if answer is None else self.standing(topic, answer)
        if held is None:
            held = self.held[topic] = Held()
        held.waiting[number] = False
        if self.hub.attach(topic, self.readers[number], asker=number):
            held.waiting[number] = True

    @rule(number=READERS, topic=TOPICS)
    def join(self, number: int, topic: Topic) -> None:
        held = self.held.get(topic)
        if held is None or number not in held.waiting:
            return
        del held.waiting[number]
        for envelope in held.opening():
            self.send(number, envelope)
        held.members.add(number)
        self.hub.join(topic, self.readers[number])

    @rule(number=READERS, topic=TOPICS)
    def detach(self, number: int, topic: Topic) -> None:
        held = self.held.get(topic)
        if held is not None:
            held.waiting.pop(number, None)
            held.members.discard(number)
            if not held.waiting and not held.members:
                del self.held[topic]
        self.hub.detach(topic, self.readers[number])

    # What the source says

    def standing(self, topic: Topic, state: State) -> list[Envelope]:
        """The answer to a want: the state, and the snapshot at the writer's position."""
        if state is State.REFUSED:
            return [status(topic, state, "no such symbol", epoch=0)]
        epoch, seq = self.position[topic]
        known = [value(topic, seq, epoch, EventKind.SNAPSHOT)] if seq and topic != TRADE else []
        return [status(topic, state, epoch=epoch), *known]

    @rule(
        topic=TOPICS,
        steps=st.lists(st.sampled_from([1, 1, 2, 0, -1]), min_size=1, max_size=4),
        kind=st.sampled_from(VALUES),
    )
    def say_values(self, topic: Topic, steps: list[int], kind: EventKind) -> None:
        for step in steps:
            epoch, seq = self.position[topic]
            self.position[topic] = (epoch, max(1, seq, seq + step))
            self.bus.say(value(topic, max(1, seq + step), epoch, kind))

    @rule(topic=TOPICS, ago=st.integers(0, 2))
    def say_a_gap(self, topic: Topic, ago: int) -> None:
        epoch, seq = self.position[topic]
        self.bus.say(gap(topic, seq, epoch - ago))

    @rule(topic=TOPICS, state=st.sampled_from(State), ago=st.sampled_from([0, 0, 0, 1]))
    def say_a_status(self, topic: Topic, state: State, ago: int) -> None:
        if state is not State.REFUSED:
            epoch, _ = self.position[topic]
            self.bus.say(status(topic, state, epoch=epoch - ago))

    @rule(topic=TOPICS, status_first=st.booleans())
    def begin_an_epoch(self, topic: Topic, status_first: bool) -> None:
        epoch, _ = self.position[topic]
        self.position[topic] = (epoch + 1, 0)
        if status_first:
            self.bus.say(status(topic, State.LIVE, epoch=epoch + 1))

    @rule(topic=TOPICS)
    def say_an_answer_to_somebody_elses_want(self, topic: Topic) -> None:
        self.bus.say(*self.standing(topic, State.LIVE))

    @rule(topic=TOPICS, sure=st.sampled_from([False, False, True]))
    def refuse(self, topic: Topic, sure: bool) -> None:
        if sure:
            self.bus.say(*self.standing(topic, State.REFUSED))

    # What always holds

    @invariant()
    def every_reader_was_sent_exactly_what_it_was_to_be_sent(self) -> None:
        assert [reader.frames for reader in self.readers] == self.expected

    @invariant()
    def the_bus_is_asked_for_exactly_what_somebody_holds(self) -> None:
        assert self.bus.demand == set(self.held)
        assert self.hub.topics() == {topic: held.state for topic, held in self.held.items()}

    @invariant()
    def who_waits_for_a_confirmed_topic_knows_it(self) -> None:
        for held in self.held.values():
            if held.state in {State.LIVE, State.STALE}:
                assert all(held.waiting.values())

    @invariant()
    def whose_topic_was_refused_knows_it(self) -> None:
        assert [reader.ended for reader in self.readers] == self.ended
        assert not self.refused.waiting


TestHubModel = HubModel.TestCase
TestHubModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
