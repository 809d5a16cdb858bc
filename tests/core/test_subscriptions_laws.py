from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from feedmux.core.subscriptions import Phase, Request, Subscriptions
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Answer
from support.examples import EXAMPLES

GOOD = [Topic(PUBLIC, "bybit", "linear", "trade", name) for name in ("A", "B")]
BAD = [Topic(PUBLIC, "bybit", "linear", "trade", name) for name in ("X", "Y")]
TOPICS = st.sampled_from(GOOD + BAD)
TIMES = st.integers(1, 4)


WORDS = "handler not found"


class SimulatedVenue:
    """Takes a batch whole or not at all, and answers in order; data travels among the answers.

    Args:
        echoes: its answers carry the request's id.
        names: its refusals name a topic.
        lists: it takes what it knows of a batch instead, and lists that.
    """

    def __init__(self, *, echoes: bool, names: bool, lists: bool) -> None:
        self.echoes = echoes
        self.names = names
        self.lists = lists
        self.subscribed: dict[Topic, None] = {}
        self.requests: deque[Request] = deque()
        self.sent: deque[Answer | Topic] = deque()

    def read(self, *, mute: bool, data_first: bool) -> None:
        """Take the next request; a mute venue does it without a word."""
        request = self.requests.popleft()
        reply = self.judge(request)
        granted = request.topics if reply.granted is None else sorted(reply.granted)
        data = list(granted) if reply.accepted and request.verb == "subscribe" else []
        answer = [] if mute else [reply]
        self.sent += [*data, *answer] if data_first else [*answer, *data]

    def put_off(self) -> None:
        """Say of the next request that there is no time for it, whatever it asks."""
        request = self.requests.popleft()
        self.sent.append(Answer(request.request_id if self.echoes else "", False, None, "busy", later=True))

    def judge(self, request: Request) -> Answer:
        request_id = request.request_id if self.echoes else ""
        if request.verb == "unsubscribe":
            gone = frozenset(request.topics).intersection(self.subscribed)
            for topic in gone:
                del self.subscribed[topic]
            return Answer(request_id, True, None, "", granted=gone if self.lists else None)
        if self.lists:
            known = [topic for topic in request.topics if topic not in BAD]
            self.subscribed.update(dict.fromkeys(known))
            return Answer(request_id, True, None, WORDS, granted=frozenset(known))
        for topic in request.topics:
            if topic in BAD or topic in self.subscribed:
                named = topic if self.names else None
                return Answer(request_id, False, named, WORDS, already=topic in self.subscribed)
        self.subscribed.update(dict.fromkeys(request.topics))
        return Answer(request_id, True, None, "")

    def lose(self) -> None:
        self.subscribed.clear()
        self.requests.clear()
        self.sent.clear()


class SubscriptionsModel(RuleBasedStateMachine):
    """Whatever happens on the way: in the end the venue has what is wanted, and nothing else."""

    @initialize(max_args=st.integers(1, 4), echoes=st.booleans(), names=st.booleans(), lists=st.booleans())
    def begin(self, max_args: int, echoes: bool, names: bool, lists: bool) -> None:
        self.wishes = Subscriptions(max_args)
        self.venue = SimulatedVenue(echoes=echoes, names=names, lists=lists)
        self.wanted: set[Topic] = set()
        self.believed: set[Topic] = set()
        self.open = True
        self.now = 0.0

    @rule(topics=st.lists(TOPICS, min_size=1, max_size=4), asker=st.integers(0, 1))
    def want(self, topics: list[Topic], asker: int) -> None:
        for topic in topics:
            self.wishes.want(topic, asker)
            self.wanted.add(topic)

    @precondition(lambda self: self.wanted)
    @rule(topic=TOPICS, again=st.booleans())
    def drop(self, topic: Topic, again: bool) -> None:
        self.wishes.drop(topic)
        self.wanted.discard(topic)
        self.believed.discard(topic)
        if again:
            self.want([topic], 0)

    @precondition(lambda self: self.wanted)
    @rule(topic=TOPICS)
    def renew(self, topic: Topic) -> None:
        self.wishes.renew(topic)
        if self.wishes.phase(topic) is Phase.QUEUED:
            self.believed.discard(topic)

    @precondition(lambda self: self.open and self.wishes.has_requests)
    @rule(times=TIMES)
    def send_some(self, times: int) -> None:
        for _ in range(times):
            self.send()

    def send(self) -> None:
        self.now += 1.0
        request = self.wishes.next_request(self.now)
        if request is not None:
            self.venue.requests.append(request)

    @precondition(lambda self: self.venue.requests)
    @rule(times=TIMES, mute=st.sampled_from([False, False, False, True]), data_first=st.booleans())
    def the_venue_reads(self, times: int, mute: bool, data_first: bool) -> None:
        # Without ids nobody can tell which request was never answered.
        for _ in range(min(times, len(self.venue.requests))):
            self.venue.read(mute=mute and self.venue.echoes, data_first=data_first)

    @precondition(lambda self: self.venue.echoes and self.venue.requests)
    @rule()
    def the_venue_has_no_time(self) -> None:
        self.venue.put_off()

    @precondition(lambda self: self.venue.subscribed)
    @rule(choice=st.integers(0, 4))
    def the_venue_speaks(self, choice: int) -> None:
        subscribed = list(self.venue.subscribed)
        self.venue.sent.append(subscribed[choice % len(subscribed)])

    @precondition(lambda self: self.venue.sent)
    @rule(times=TIMES)
    def receive_some(self, times: int) -> None:
        for _ in range(min(times, len(self.venue.sent))):
            self.receive()

    def receive(self) -> None:
        message = self.venue.sent.popleft()
        if isinstance(message, Topic):
            if self.wishes.hear(message) is Phase.REQUESTED:
                self.believed.add(message)
            return
        outcomes = self.wishes.answered(message)
        assert len({topic for topic, _ in outcomes}) == len(outcomes)
        for topic, denied in outcomes:
            self.decided(topic, denied)

    def decided(self, topic: Topic, denied: str | None) -> None:
        assert topic in self.wanted, "an outcome is of a topic that is wanted"
        if denied is None:
            assert topic not in self.believed, "a topic is confirmed once"
            self.believed.add(topic)
        else:
            assert denied == WORDS
            assert topic in BAD
            self.wanted.remove(topic)  # so that a second denial of one want would be seen
            assert topic not in self.wishes

    @precondition(lambda self: self.venue.echoes and self.waits())
    @rule(age=st.integers(0, 3))
    def give_up_waiting(self, age: int) -> None:
        self.wishes.overdue(self.now - age)

    @precondition(lambda self: self.open and self.wanted)
    @rule(sure=st.sampled_from([False, False, False, True]))
    def lose(self, sure: bool) -> None:
        if sure:
            self.venue.lose()
            self.open = False

    @precondition(lambda self: not self.open)
    @rule()
    def reopen(self) -> None:
        self.wishes.opened()
        self.believed.clear()
        self.open = True

    @invariant()
    def the_wishes_are_what_is_wanted(self) -> None:
        assert set(self.wishes) == self.wanted

    @invariant()
    def a_topic_is_confirmed_when_its_user_was_told_so(self) -> None:
        confirmed = {topic for topic in self.wishes if self.wishes.phase(topic) is Phase.CONFIRMED}
        assert confirmed == self.believed
        assert not confirmed.intersection(BAD)

    @invariant()
    def what_is_confirmed_is_subscribed(self) -> None:
        if self.open:
            assert self.believed <= set(self.venue.subscribed)

    def teardown(self) -> None:
        if not hasattr(self, "wishes"):
            return
        if not self.open:
            self.reopen()
        rounds = 0
        while self.is_busy() or self.wishes.overdue(self.now + 1.0):
            rounds += 1
            assert rounds < 1000, "it never comes to rest"
            if self.venue.sent:
                self.receive()
            elif self.wishes.has_requests:
                self.send()
            elif self.venue.requests:
                self.venue.read(mute=False, data_first=True)
            else:
                self.now += 1.0
                self.wishes.overdue(self.now)
        assert set(self.venue.subscribed) == self.wanted == self.believed
        assert not self.wanted.intersection(BAD)

    def is_busy(self) -> bool:
        return bool(self.wishes.has_requests or self.venue.requests or self.venue.sent or self.waits())

    def waits(self) -> bool:
        return any(self.wishes.phase(topic) is Phase.REQUESTED for topic in self.wishes)


TestSubscriptionsModel = SubscriptionsModel.TestCase
TestSubscriptionsModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
