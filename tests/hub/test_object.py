from __future__ import annotations

import pytest

from feedmux.core.increments import ObjectLimits
from feedmux.core.outbox import OutboxLimits
from feedmux.hub.hub import Hub
from feedmux.hub.object import LastObject
from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.options import DEFAULTS, Options
from support.hubs import Reader, ScriptedBus, gap, status
from support.objects import BOOK, LINES, Follower, ask, base, part
from support.sockets import Client, Twin, on_both_twins

LIVE, STALE = status(BOOK, State.LIVE), status(BOOK, State.STALE)
OBJECT = (base(1, "2@1"), ask(2, "3@1"), ask(3, "4@1"))


@pytest.fixture
def last() -> LastObject:
    return LastObject(ObjectLimits(increments=3, bytes=1000))


def offered(last: LastObject, *events: Envelope) -> list[Envelope]:
    """What of this is to be offered."""
    return [event for event in events if last.accept(event)]


def test_an_object_is_its_snapshot_and_the_increments_since(last: LastObject) -> None:
    assert last.parts() == ()
    assert offered(last, LIVE, *OBJECT) == [LIVE, *OBJECT]
    assert last.parts() == OBJECT
    assert last.position == (1, 3)


def test_increments_without_a_snapshot_are_of_no_use(last: LastObject) -> None:
    assert offered(last, LIVE, ask(7, "3@1"), ask(8, "3@1")) == [LIVE]
    assert (last.parts(), last.position, last.fault) == ((), (1, 8), "")


def test_who_has_the_object_needs_no_second_snapshot_of_it(last: LastObject) -> None:
    assert offered(last, LIVE, *OBJECT, base(4, "5@1")) == [LIVE, *OBJECT]
    assert last.parts() == (base(4, "5@1"),)
    assert offered(last, ask(5, "6@1")) == [ask(5, "6@1")]
    assert last.parts() == (base(4, "5@1"), ask(5, "6@1"))


@pytest.mark.parametrize("state", [State.STALE, State.RECONNECTING, State.PENDING])
def test_a_snapshot_is_needed_when_the_topic_is_not_live(last: LastObject, state: State) -> None:
    last.accept(LIVE)
    offered(last, *OBJECT, status(BOOK, state))
    assert offered(last, base(4, "5@1"), LIVE, base(5, "5@1")) == [base(4, "5@1"), LIVE]


def test_a_snapshot_is_needed_when_values_before_it_did_not_come(last: LastObject) -> None:
    offered(last, LIVE, *OBJECT)
    assert offered(last, base(9, "5@1")) == [base(9, "5@1")]


def test_the_answer_to_somebody_elses_want_is_old_for_who_has_the_object(last: LastObject) -> None:
    offered(last, LIVE, *OBJECT)
    assert offered(last, LIVE, *OBJECT) == [LIVE]
    assert last.parts() == OBJECT
    folded = base(3, "2@1", "3@1", "4@1")
    assert offered(last, folded) == []
    assert last.parts() == OBJECT, "a writer that folded it says nothing new"


@pytest.mark.parametrize(
    "loss", [gap(BOOK, 3), gap(BOOK, 0, epoch=1)], ids=["a gap", "a gap from the beginning"]
)
def test_the_same_answer_is_a_beginning_for_who_has_a_hole(last: LastObject, loss: Envelope) -> None:
    offered(last, LIVE, *OBJECT)
    assert offered(last, loss, ask(7, "9@1")) == [loss]
    assert (last.parts(), last.fault) == ((), "")
    assert offered(last, LIVE, *OBJECT, ask(4, "5@1")) == [LIVE, *OBJECT, ask(4, "5@1")]
    assert last.parts() == (*OBJECT, ask(4, "5@1"))


@pytest.mark.parametrize("old", [*OBJECT, base(2, "7@7")])
def test_what_is_known_is_ignored(last: LastObject, old: Envelope) -> None:
    offered(last, LIVE, *OBJECT)
    assert offered(last, old) == []
    assert last.parts() == OBJECT


@pytest.mark.parametrize(
    "news",
    [status(BOOK, State.LIVE, epoch=2), gap(BOOK, 0, epoch=2), ask(1, "3@1", epoch=2)],
    ids=["status", "gap", "increment"],
)
def test_a_new_epoch_makes_the_object_void(last: LastObject, news: Envelope) -> None:
    offered(last, LIVE, *OBJECT)
    assert last.accept(news) is (news.kind is not EventKind.UPDATE)
    assert last.parts() == ()
    assert offered(last, *OBJECT, STALE, gap(BOOK, 3)) == [], "it is over"
    assert offered(last, base(1, "9@1", epoch=2)) == [base(1, "9@1", epoch=2)]
    assert last.position == (2, 1)


def test_a_snapshot_of_a_new_epoch_is_the_object(last: LastObject) -> None:
    offered(last, LIVE, *OBJECT)
    assert offered(last, base(1, "9@1", epoch=2)) == [base(1, "9@1", epoch=2)]
    assert last.parts() == (base(1, "9@1", epoch=2),)


def test_a_refusal_is_of_no_epoch(last: LastObject) -> None:
    offered(last, status(BOOK, State.LIVE, epoch=5))
    assert last.accept(status(BOOK, State.REFUSED, epoch=0))


def opaque(seq: int, kind: EventKind = EventKind.UPDATE) -> Envelope:
    return part(seq, b'{"rows":[%d]}' % seq, kind)


@pytest.mark.parametrize(
    ("parts", "lost", "fault"),
    [
        ((opaque(1, EventKind.SNAPSHOT), opaque(2), opaque(3), opaque(4)), opaque(5), "more came"),
        ((), part(1, b"x" * 1001, EventKind.SNAPSHOT), "larger"),
        (OBJECT, part(4, b"x" * 1001, EventKind.SNAPSHOT), "larger"),
        (OBJECT, ask(5, "5@1"), "an increment is missing"),
    ],
    ids=["no book", "too large", "too large by and by", "a hole that nobody told of"],
)
def test_a_loss_that_nobody_tells_of_is_a_fault_until_the_next_snapshot(
    last: LastObject, parts: tuple[Envelope, ...], lost: Envelope, fault: str
) -> None:
    assert offered(last, LIVE, *parts) == [LIVE, *parts]
    assert last.fault == ""
    assert offered(last, lost, opaque(6)) == []
    assert last.parts() == ()
    assert fault in last.fault
    assert offered(last, base(7, "1@1"), ask(8, "2@1")) == [base(7, "1@1"), ask(8, "2@1")]
    assert last.fault == ""


def test_a_fault_ends_with_its_epoch(last: LastObject) -> None:
    offered(last, LIVE, *OBJECT, ask(5, "5@1"))
    assert last.fault
    last.accept(status(BOOK, State.LIVE, epoch=2))
    assert last.fault == ""


def test_a_book_stays_whole_however_many_increments_come(last: LastObject) -> None:
    increments = [ask(seq, f"{seq % 5 + 2}@{seq}") for seq in range(2, 200)]
    assert offered(last, base(1, "2@1"), *increments) == [base(1, "2@1"), *increments]
    assert last.parts()[-1].position == last.position == (1, 199)


# What a hub makes of it


@pytest.fixture
def bus() -> ScriptedBus:
    return ScriptedBus(limits=ObjectLimits(increments=3, bytes=1000))


def joined(hub: Hub, reader: Reader | None = None, options: Options = DEFAULTS) -> Reader:
    reader = reader or Reader(LINES)
    hub.attach(BOOK, reader, asker=0)
    hub.join(BOOK, reader, options)
    return reader


def test_who_joins_gets_the_snapshot_and_the_increments_since_in_order(bus: ScriptedBus) -> None:
    early = joined(bus.hub)
    bus.say(LIVE, *OBJECT)
    assert early.got(LIVE, *OBJECT)
    late = joined(bus.hub)
    assert late.got(*OBJECT)
    bus.say(ask(4, "5@1"))
    assert late.got(ask(4, "5@1"))
    assert early.got(ask(4, "5@1"))


def test_frames_of_an_object_are_built_once_for_all_who_join(bus: ScriptedBus) -> None:
    joined(bus.hub)
    bus.say(LIVE, *OBJECT)
    first, second = joined(bus.hub), joined(bus.hub)
    assert [id(frame) for frame in first.frames] == [id(frame) for frame in second.frames]
    bus.say(ask(4, "5@1"))
    assert joined(bus.hub).got(*OBJECT, ask(4, "5@1"))
    bus.hub.detach(BOOK, first)
    assert joined(bus.hub).got(*OBJECT, ask(4, "5@1"))


def test_who_joins_an_object_that_is_not_live_is_told_first(bus: ScriptedBus) -> None:
    joined(bus.hub)
    bus.say(LIVE, *OBJECT, STALE)
    assert joined(bus.hub).got(STALE, *OBJECT)


def test_who_is_there_before_the_first_snapshot_gets_it_and_nothing_before(bus: ScriptedBus) -> None:
    reader = joined(bus.hub)
    bus.say(LIVE, ask(1, "2@1"), ask(2, "2@1"), base(3, "2@1"), ask(4, "3@1"))
    assert reader.got(LIVE, base(3, "2@1"), ask(4, "3@1"))


def test_a_hole_in_the_sequence_is_stale_until_the_snapshot_and_then_live(bus: ScriptedBus) -> None:
    reader = joined(bus.hub)
    bus.say(LIVE, *OBJECT)
    reader.take()
    hole = ask(4, "5@1", sequence=9)
    bus.say(STALE, hole)
    late = joined(bus.hub)
    bus.say(base(5, "6@1"), LIVE, base(6, "6@1"))
    assert reader.got(STALE, hole, base(5, "6@1"), LIVE)
    assert late.got(STALE, *OBJECT, hole, base(5, "6@1"), LIVE)


def test_after_a_gap_all_get_the_object_anew_and_who_joins_meanwhile_gets_it_once(bus: ScriptedBus) -> None:
    reader = joined(bus.hub)
    bus.say(LIVE, *OBJECT)
    reader.take()
    bus.say(gap(BOOK, 3), ask(6, "9@9"))
    late = joined(bus.hub)
    bus.say(LIVE, *OBJECT, ask(4, "5@1"))
    assert reader.got(gap(BOOK, 3), *OBJECT, ask(4, "5@1"))
    assert late.got(*OBJECT, ask(4, "5@1"))


def test_a_member_that_asks_gets_the_parts_again(bus: ScriptedBus) -> None:
    reader = joined(bus.hub)
    bus.say(LIVE, *OBJECT)
    reader.take()
    bus.hub.change(BOOK, reader, DEFAULTS)
    assert reader.got()
    bus.hub.change(BOOK, reader, DEFAULTS, snapshot=True)
    assert reader.got(*OBJECT)


@pytest.mark.parametrize("options", [Options(rate=1), Options(conflate=True), Options(conflate=False)])
def test_no_option_takes_an_increment_away(bus: ScriptedBus, options: Options) -> None:
    reader = joined(bus.hub, options=options)
    bus.say(LIVE, *OBJECT)
    assert reader.got(LIVE, *OBJECT)


def opaques(first: int) -> list[Envelope]:
    """A snapshot of what is no book, and one increment more than is kept."""
    return [opaque(first, EventKind.SNAPSHOT), *(opaque(seq) for seq in range(first + 1, first + 5))]


def test_an_object_that_a_hub_loses_is_stale_until_it_has_it_again(bus: ScriptedBus) -> None:
    reader = joined(bus.hub)
    *kept, lost = opaques(1)
    bus.say(LIVE, *kept)
    assert reader.got(LIVE, *kept)
    bus.say(lost, opaque(6))
    (told,) = reader.take()
    assert told.startswith(b'%d 1 5 {"state":"stale","reason":"more came since' % EventKind.STATUS)
    assert bus.hub.topics() == {BOOK: State.STALE}
    late = joined(bus.hub)
    assert late.take() == [told]
    bus.say(LIVE)
    assert reader.got(), "its source is well, but there is nothing to give"
    bus.say(opaque(7, EventKind.SNAPSHOT))
    for one in (reader, late):
        assert one.got(opaque(7, EventKind.SNAPSHOT), LIVE)
    assert bus.hub.topics() == {BOOK: State.LIVE}


def test_what_its_source_says_of_an_object_that_a_hub_lost_holds(bus: ScriptedBus) -> None:
    reader = joined(bus.hub)
    cut = status(BOOK, State.RECONNECTING, "cut")
    bus.say(LIVE, *opaques(1), cut)
    waiting = Reader(LINES)
    assert bus.hub.attach(BOOK, waiting, asker=0) is False
    assert reader.take()[-1:] == [LINES.frame(cut)]
    bus.say(LIVE)
    assert waiting.fates == [(BOOK, None)]
    assert b"stale" in reader.take()[0]
    bus.say(gap(BOOK, 5), opaque(6, EventKind.SNAPSHOT))
    assert reader.got(gap(BOOK, 5), opaque(6, EventKind.SNAPSHOT), LIVE)


def test_an_object_that_was_stale_anyway_is_told_to_be_so_once(bus: ScriptedBus) -> None:
    reader = joined(bus.hub)
    bus.say(LIVE, STALE, *opaques(1))
    assert reader.got(LIVE, STALE, *opaques(1)[:-1])
    bus.say(opaque(6, EventKind.SNAPSHOT))
    assert reader.got(opaque(6, EventKind.SNAPSHOT))
    assert bus.hub.topics() == {BOOK: State.STALE}, "its source says when it is not"


def test_a_second_hub_begins_with_the_writers_answer_and_the_first_finds_it_old(bus: ScriptedBus) -> None:
    second = ScriptedBus(limits=ObjectLimits(increments=3, bytes=1000))
    early, late = joined(bus.hub), joined(second.hub)
    bus.say(LIVE, *OBJECT)
    early.take()
    for event in (ask(4, "5@1"), LIVE, *OBJECT, ask(4, "5@1"), ask(5, "6@1")):
        bus.say(event)
        second.say(event)
    assert early.got(ask(4, "5@1"), ask(5, "6@1"))
    assert late.got(LIVE, *OBJECT, ask(4, "5@1"), ask(5, "6@1"))


# Clients that read slowly

FIVE = OutboxLimits(frames=5)


def slow(bus: ScriptedBus, twin: Twin) -> Client:
    """A member whose socket has been full since it had the object of three parts."""
    client = Client(twin, FIVE, LINES)
    joined(bus.hub, client)
    bus.say(LIVE, *OBJECT)
    client.shown()
    client.socket.outbox.pause()
    return client


@on_both_twins
def test_a_client_that_lost_nothing_gets_what_waited(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client = slow(bus, twin)
    bus.say(ask(4, "5@1"), ask(5, "6@1"))
    assert client.shown() == [LINES.frame(ask(4, "5@1")), LINES.frame(ask(5, "6@1"))]


@on_both_twins
def test_a_client_that_is_too_slow_for_the_increments_gets_the_object_anew(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client, reader = slow(bus, twin), Follower()
    reader.read([LINES.frame(one) for one in OBJECT])
    bus.say(*(ask(seq, f"{seq + 1}@1") for seq in range(4, 40)), STALE)
    assert client.socket.outbox.waiting_bytes == len(LINES.frame(STALE)), "nothing of the object waits"
    whole = [f"UPDATE 1:{seq}" for seq in range(2, 40)]
    assert reader.read(client.shown()) == ["GAP 1:39", "SNAPSHOT 1:1", *whole, "stale"]
    bus.say(ask(40, "2@7"))
    assert reader.read(client.shown()) == ["UPDATE 1:40"]
    assert reader.copy == Follower().copy.follow(
        [*OBJECT, *(ask(seq, f"{seq + 1}@1") for seq in range(4, 40)), ask(40, "2@7")]
    )
    assert client.socket.overflows == 0


@on_both_twins
def test_parts_that_wait_are_let_go_with_the_increments_behind_them(twin: Twin) -> None:
    """They would come behind what mends the hole, and take the client back."""
    bus = ScriptedBus(twin.row)
    other = Client(twin, layout=LINES)
    joined(bus.hub, other)
    bus.say(LIVE, *OBJECT)
    client, reader = Client(twin, FIVE, LINES), Follower()
    client.socket.outbox.pause()
    joined(bus.hub, client)
    bus.say(*(ask(seq, f"{seq + 1}@1") for seq in range(4, 9)))
    bus.hub.change(BOOK, client, DEFAULTS, snapshot=True)
    bus.say(ask(9, "2@0"))
    assert reader.read(client.shown()) == [
        "GAP 1:9", "SNAPSHOT 1:1", *(f"UPDATE 1:{seq}" for seq in range(2, 10)),
    ]  # fmt: skip
    assert len(other.shown()) == 10


@on_both_twins
def test_a_hole_of_an_epoch_that_is_over_is_told_without_the_object(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client, reader = slow(bus, twin), Follower()
    bus.say(*(ask(seq, f"{seq + 1}@1") for seq in range(4, 20)))
    bus.say(status(BOOK, State.LIVE, epoch=2), base(1, "3@1", epoch=2), ask(2, "4@1", epoch=2, sequence=2))
    assert reader.read(client.shown()) == ["GAP 1:19", "live", "SNAPSHOT 2:1", "UPDATE 2:2"]


@on_both_twins
def test_a_hole_is_told_alone_while_there_is_no_object(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client, reader = slow(bus, twin), Follower()
    bus.say(*(ask(seq, f"{seq + 1}@1") for seq in range(4, 20)), gap(BOOK, 19))
    assert reader.read(client.shown()) == ["GAP 1:19"]
    bus.say(base(25, "3@1"))
    assert reader.read(client.shown()) == ["SNAPSHOT 1:25"]


@on_both_twins
def test_who_asks_for_other_fields_begins_anew(twin: Twin) -> None:
    """What mends a hole of its former row would come behind the next increments."""
    bus = ScriptedBus(twin.row)
    client, reader = slow(bus, twin), Follower()
    bus.say(*(ask(seq, f"{seq + 1}@1") for seq in range(4, 12)))
    bus.hub.change(BOOK, client, Options(fields=frozenset({"asks"})))
    bus.hub.change(BOOK, client, DEFAULTS)
    bus.say(ask(12, "2@5"))
    assert reader.read(client.shown()) == [
        "GAP 1:12", "SNAPSHOT 1:1", *(f"UPDATE 1:{seq}" for seq in range(2, 13)), "live",
    ]  # fmt: skip
