"""What becomes of a message, without a server: who gets it, what is kept, what is said."""

from __future__ import annotations

import pytest

from feedmux.core.stats import add_up
from feedmux.feed import relay
from feedmux.feed.relay import LOST, NOT_YET, SPILLED, RelayLimits, Side
from feedmux.feed.stream import ObjectRules
from feedmux.model.errors import InvalidSetting
from feedmux.model.event import EventKind, State
from feedmux.model.topic import Topic
from support.clocks import StandingClock
from support.rabbit_streams import RULES, Heard, body, relay_of, rules, stream, thing

TRADES = stream("eurusd.trades")
BOOK = stream("eurusd.ob-inc")
ORDERS = stream("order", "uid=U1")
BALANCES = stream("balance-inc", "uid=U1")


class Scene:
    """A relay whose sides are connected, unless it is said that they are not."""

    def __init__(self, *, connected: bool = True, kept: ObjectRules = RULES, **limits: int) -> None:
        self.heard = Heard()
        self.clock = StandingClock()
        self.relay = relay_of(self.heard, self.clock, kept, **limits)
        if connected:
            for side in Side:
                self.relay.connected(side)

    def want(self, *topics: Topic, holder: str = "me") -> list[str]:
        for topic in topics:
            self.relay.want(topic, holder)
        return self.heard.take()

    def take(self, key: str, *bodies: bytes) -> list[str]:
        for one in bodies:
            self.relay.take(key, one)
        return self.heard.take()

    def snapshot(self, *numbers: int, market: str = "eurusd") -> list[str]:
        return self.take(f"public.{market}.ob-snap", *map(body, numbers))

    def increment(self, *numbers: int, market: str = "eurusd") -> list[str]:
        return self.take(f"public.{market}.ob-inc", *map(body, numbers))

    def figure(self, name: str) -> object:
        return self.relay.statistics()[name]

    def dropped(self, reason: str) -> int:
        counts = self.relay.statistics()["dropped"]
        assert isinstance(counts, dict)
        return int(counts[reason])


def test_a_wanted_stream_is_live_at_once_and_gets_what_comes() -> None:
    scene = Scene()
    assert scene.want(TRADES) == ["live"]
    assert scene.take("public.eurusd.trades", b"1", b" [2]\n") == ["U1", "U [2]\n"]
    assert scene.want(TRADES, holder="you") == ["live"]


def test_before_the_first_connection_it_is_held_and_told_that_nothing_comes_yet() -> None:
    scene = Scene(connected=False)
    assert scene.want(TRADES, BOOK, ORDERS) == ["reconnecting"] * 3
    scene.relay.want(TRADES, "me")
    assert scene.heard.reason(TRADES) == NOT_YET
    scene.heard.take()
    scene.relay.connected(Side.PUBLIC)
    assert scene.heard.states(ORDERS) == []
    assert scene.heard.take() == ["live", "live"], "nothing was missed: there is no gap"


def test_nobody_is_sent_what_he_does_not_want() -> None:
    scene = Scene()
    scene.want(TRADES)
    assert scene.take("public.btcusd.trades", b"1") == []
    assert scene.take("private.U2.order", b"1") == []
    assert scene.take("admin.eurusd.trades", b"1") == []
    assert scene.dropped("unwanted") == 3
    assert scene.figure("consumed") == {"public": 1, "private": 1, "role": 1, "unknown": 0}
    assert scene.take("public.eurusd.trades", b"1") == ["U1"]


def test_what_is_not_wanted_is_not_even_looked_at() -> None:
    scene = Scene()
    scene.take("public.eurusd.trades", b"no json")
    assert (scene.dropped("unwanted"), scene.dropped("not_json")) == (1, 0)


def test_a_dropped_stream_gets_nothing_more_and_takes_no_memory() -> None:
    scene = Scene()
    for number in range(1000):
        scene.want(stream(f"m{number}.trades"))
        scene.relay.drop(stream(f"m{number}.trades"), "me")
    assert scene.figure("topics") == 0
    assert scene.figure("streams") == 0
    scene.want(TRADES, ORDERS, holder="me")
    scene.want(TRADES, holder="you")
    scene.relay.forget("me")
    assert scene.take("private.U1.order", b"1") == []
    assert scene.take("public.eurusd.trades", b"1") == ["U1"]
    scene.relay.drop(TRADES, "you")
    assert scene.figure("streams") == 0


def test_wanted_streams_are_counted_by_how_they_are() -> None:
    scene = Scene()
    scene.snapshot(1)
    scene.want(TRADES, BOOK, ORDERS)
    scene.relay.spilled(Side.PUBLIC)
    scene.relay.lost(Side.PRIVATE, "cut")
    assert scene.figure("states") == {"live": 1, "stale": 1, "reconnecting": 1}
    scene.relay.drop(ORDERS, "me")
    scene.relay.drop(BOOK, "me")
    assert scene.figure("states") == {"live": 1}


def test_a_stream_that_is_wanted_again_begins_above_where_it_was() -> None:
    scene = Scene()
    scene.relay.want(TRADES, "me")
    scene.relay.take("public.eurusd.trades", b"1")
    last = scene.heard.values(TRADES)[-1]
    scene.relay.drop(TRADES, "me")
    scene.relay.want(TRADES, "me")
    scene.relay.take("public.eurusd.trades", b"1")
    assert scene.heard.values(TRADES)[-1].position > last.position


# Objects


def test_objects_are_kept_although_nobody_wants_them() -> None:
    scene = Scene()
    assert scene.increment(1) == []
    assert scene.snapshot(5) == []
    assert scene.increment(6, 7) == []
    assert scene.dropped("no_snapshot") == 1
    assert scene.want(BOOK) == ["live", "S5", "U6", "U7"]
    assert scene.increment(8) == ["U8"]
    scene.relay.drop(BOOK, "me")
    assert scene.increment(9) == []
    assert scene.want(BOOK) == ["live", "S5", "U6", "U7", "U8", "U9"]


def test_an_increment_without_a_snapshot_is_not_passed_on() -> None:
    scene = Scene()
    scene.want(BOOK)
    assert scene.increment(5, 6) == []
    assert scene.snapshot(6) == ["S6"]
    assert scene.increment(7) == ["U7"]
    assert scene.dropped("no_snapshot") == 2


def test_scopes_never_mix() -> None:
    scene = Scene()
    scene.take("public.eurusd.ob-snap", body(1))
    scene.take("admin.eurusd.ob-snap", body(2))
    scene.take("private.U1.balance-snap", body(3))
    scene.take("private.U2.balance-snap", body(4))
    assert scene.want(BOOK) == ["live", "S1"]
    assert scene.want(stream("eurusd.ob-inc", "role=admin")) == ["live", "S2"]
    assert scene.want(BALANCES) == ["live", "S3"]
    assert scene.want(stream("balance-inc", "uid=U3")) == ["live"]


def test_a_hole_is_told_to_those_who_read_and_to_those_who_come() -> None:
    scene = Scene()
    scene.want(BOOK)
    scene.snapshot(5)
    assert scene.increment(7) == ["stale", "U7"]
    assert scene.want(BOOK, holder="late") == ["stale", "S5", "U7"]
    assert scene.figure("holes") == 1
    assert scene.snapshot(7) == ["S7", "live"]


def test_beyond_the_number_the_one_that_was_not_changed_for_longest_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(objects=2)
    scene.want(BOOK)
    scene.snapshot(1)
    scene.snapshot(1, market="aa")
    scene.increment(2)
    assert scene.snapshot(1, market="bb") == []
    assert (scene.figure("stored_objects"), scene.figure("evicted")) == (2, 1)
    assert scene.want(stream("aa.ob-inc")) == ["live"], "it was the oldest"
    scene.relay.drop(stream("aa.ob-inc"), "me")
    scene.increment(2, market="bb")
    assert scene.snapshot(1, market="cc") == ["stale"], "now it is the one that somebody wants"
    assert "no more room for objects: one of 'aa.ob-inc' goes" in caplog.text
    scene.relay.want(BOOK, "late")
    assert scene.heard.state(BOOK) is State.STALE
    assert "there was no room to keep it" in scene.heard.reason(BOOK)
    scene.heard.take()
    assert scene.increment(3) == []
    assert scene.snapshot(3) == ["S3", "live"]


def test_beyond_the_bytes_too() -> None:
    size = len(body(1))
    scene = Scene(object_bytes=3 * size)
    for market in ("aa", "bb", "cc"):
        scene.snapshot(1, market=market)
    assert scene.figure("stored_bytes") == 3 * size
    scene.increment(2, market="bb")
    assert (scene.figure("stored_objects"), scene.figure("stored_bytes")) == (2, 3 * size)
    assert scene.want(stream("aa.ob-inc")) == ["live"]
    assert scene.want(stream("bb.ob-inc")) == ["live", "S1", "U2"]


def test_what_is_kept_is_counted_right_whatever_becomes_of_it() -> None:
    scene = Scene(kept=rules(increments=2))
    size = len(thing(1))
    scene.take("public.eurusd.ob-snap", thing(1))
    scene.take("public.eurusd.ob-inc", thing(2), thing(3))
    assert (scene.figure("stored_objects"), scene.figure("stored_bytes")) == (1, 3 * size)
    scene.take("public.eurusd.ob-inc", thing(4))
    assert (scene.figure("stored_objects"), scene.figure("stored_bytes")) == (0, 0)
    assert scene.figure("streams") == 0


# Losses


def test_a_loss_is_told_to_every_wanted_stream_of_its_side_and_each_reason_once() -> None:
    scene = Scene()
    scene.want(TRADES, BOOK, ORDERS)
    scene.relay.lost(Side.PUBLIC, "gone")
    assert scene.heard.states(ORDERS) == []
    assert scene.heard.take() == ["reconnecting", "reconnecting"]
    scene.relay.lost(Side.PUBLIC, "gone")
    assert scene.heard.take() == []
    scene.relay.lost(Side.PUBLIC, "still gone")
    assert scene.heard.reason(BOOK) == "still gone"


def test_after_a_loss_messages_go_on_behind_a_gap_in_a_new_epoch() -> None:
    scene = Scene()
    scene.want(TRADES)
    scene.relay.take("public.eurusd.trades", b"1")
    before = scene.heard.events[-1]
    scene.relay.lost(Side.PUBLIC, "gone")
    scene.relay.connected(Side.PUBLIC)
    scene.relay.take("public.eurusd.trades", b"2")
    gap, live, after = scene.heard.events[-3:]
    assert (gap.kind, gap.position) == (EventKind.GAP, before.position)
    assert (live.kind, after.seq) == (EventKind.STATUS, 1)
    assert live.epoch == after.epoch > before.epoch
    assert scene.heard.state(TRADES) is State.LIVE


def test_epochs_rise_although_the_clock_stands() -> None:
    scene = Scene()
    scene.want(TRADES)
    epochs = []
    for _ in range(5):
        scene.relay.lost(Side.PUBLIC, "gone")
        scene.relay.connected(Side.PUBLIC)
        epochs.append(scene.heard.events[-1].epoch)
    assert epochs == sorted(set(epochs))


def test_after_a_loss_an_object_is_stale_until_the_next_snapshot() -> None:
    scene = Scene()
    scene.want(BOOK)
    scene.snapshot(5)
    scene.increment(6)
    scene.relay.lost(Side.PUBLIC, "gone")
    assert scene.want(BOOK, holder="late") == ["reconnecting", "reconnecting", "S5", "U6"]
    scene.relay.connected(Side.PUBLIC)
    assert scene.heard.reason(BOOK) == LOST
    assert scene.heard.take() == ["stale", "S5", "U6"]
    assert scene.increment(7) == ["U7"]
    assert scene.want(BOOK, holder="later") == ["stale", "S5", "U6", "U7"]
    assert scene.snapshot(7) == ["S7", "live"]
    assert scene.want(BOOK, holder="last") == ["live", "S7"]


def test_an_object_that_nobody_wanted_meanwhile_is_stale_for_who_comes_then() -> None:
    scene = Scene()
    scene.relay.want(BOOK, "me")
    scene.relay.take("public.eurusd.ob-snap", body(5))
    before = scene.heard.events[-1].epoch
    scene.heard.take()
    scene.relay.drop(BOOK, "me")
    scene.relay.lost(Side.PUBLIC, "gone")
    scene.relay.connected(Side.PUBLIC)
    scene.relay.want(BOOK, "me")
    assert scene.heard.events[0].epoch > before
    assert len({event.epoch for event in scene.heard.events}) == 1
    assert scene.heard.take() == ["stale", "S5"]
    assert scene.want(BOOK, holder="you") == ["stale", "S5"]


def test_each_side_has_losses_of_its_own() -> None:
    scene = Scene()
    scene.take("private.U1.balance-snap", body(1))
    scene.snapshot(1)
    scene.relay.lost(Side.PRIVATE, "gone")
    scene.relay.connected(Side.PRIVATE)
    assert scene.want(BOOK) == ["live", "S1"]
    assert scene.want(BALANCES) == ["stale", "S1"]


def test_what_rabbitmq_dropped_is_a_loss(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.want(TRADES, BOOK, ORDERS)
    scene.snapshot(1)
    scene.relay.spilled(Side.PUBLIC)
    assert scene.heard.reason(BOOK) == SPILLED
    assert scene.heard.take() == ["gap", "live", "stale", "S1"]
    assert scene.figure("spilled") == 1
    assert "the public queue in RabbitMQ was full" in caplog.text
    scene.relay.lost(Side.PUBLIC, "gone")
    scene.heard.take()
    scene.relay.spilled(Side.PUBLIC)
    assert scene.heard.take() == [], "it is told with the connection's end"


# Bodies and errors


def test_a_bad_body_is_said_once_in_a_minute_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(body_bytes=100)
    scene.want(TRADES, ORDERS)
    for _ in range(3):
        assert scene.take("public.eurusd.trades", b"s3cret") == []
    assert scene.take("private.U1.order", b'"%s"' % (b"x" * 200)) == []
    assert (scene.dropped("not_json"), scene.dropped("too_large")) == (3, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "a message to 'public.eurusd.trades' was dropped: its body of 6 bytes is not json",
        "a message to private.… was dropped: its body of 202 bytes is too large",
    ]


def test_a_routing_key_of_anybody_does_not_break_the_log(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.take("a\nb" * 80, b"{}")
    assert scene.dropped("routing_key") == 1
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 200


def test_an_error_of_ours_is_counted_and_logged_with_where_it_was(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    for _ in range(2):
        scene.relay.failed(KeyError("boom"))
    assert scene.dropped("failed") == 2
    assert caplog.text.count("KeyError: 'boom'") == 1


def test_statistics_are_plain_and_add_up() -> None:
    scene = Scene()
    scene.want(TRADES)
    assert scene.figure("last_message_age_s") is None
    scene.take("public.eurusd.trades", b"1")
    one = scene.relay.statistics()
    assert isinstance(one["last_message_age_s"], float)
    both = add_up(one, one, relay.RULES)
    assert both["published"] == 2
    assert both["consumed"]["public"] == 2
    assert both["last_message_age_s"] == one["last_message_age_s"]


@pytest.mark.parametrize("name", ["body_bytes", "objects", "object_bytes"])
def test_a_bound_has_to_be_one(name: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        RelayLimits(**{name: 0})
