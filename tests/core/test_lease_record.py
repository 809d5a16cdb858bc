from __future__ import annotations

import pytest

from feedmux.core.lease_record import Act, Answer, Ask, Record, decide
from feedmux.model.errors import MalformedMessage

TTL_MS = 3000
RUN = "run"
HELD = Record("a", epoch=1000, until_ms=4000, top=4000, guard=0, longest_ms=TTL_MS, run=RUN, granted=RUN)
FREE = Record("", epoch=1000, until_ms=2000, top=1500, guard=0, longest_ms=TTL_MS, run=RUN)


def acquire(holder: str, last: int = 0) -> Ask:
    return Ask(Act.ACQUIRE, holder, 0, last, TTL_MS)


def resume(holder: str, token: int, last: int = 0) -> Ask:
    return Ask(Act.ACQUIRE, holder, token, last, TTL_MS)


def renew(holder: str, token: int, last: int = 0) -> Ask:
    return Ask(Act.RENEW, holder, token, last, TTL_MS)


def release(holder: str, token: int, last: int = 0) -> Ask:
    return Ask(Act.RELEASE, holder, token, last, TTL_MS)


@pytest.mark.parametrize(
    ("record", "ask", "now_ms", "granted", "token", "top", "until_ms"),
    [
        # nobody holds it
        (FREE, acquire("b"), 2000, True, 2000, 5000, 5000),
        (FREE, acquire("b", last=7000), 2000, True, 7001, 10_001, 5000),
        # somebody does, or did: who asks anew waits for its end
        (HELD, acquire("b"), 3999, False, 1000, 4000, 4000),
        (HELD, acquire("b"), 4000, True, 4000, 7000, 7000),
        # his own tenure goes on, over or not, if nobody else had it
        (HELD, resume("a", 1000), 3999, True, 1000, 6999, 6999),
        (HELD, resume("a", 1000, last=20_000), 9000, True, 1000, 20_001, 12_000),
        (HELD, resume("b", 1000), 9000, True, 9000, 12_000, 12_000),
        # it was granted, and he does not know: he has seen nothing of it
        (HELD, acquire("a"), 2000, True, 1000, 5000, 5000),
        (HELD, acquire("a", last=999), 3999, True, 1000, 6999, 6999),
        (HELD, resume("a", 900, last=999), 9000, True, 1000, 12_000, 12_000),
        # he has used all its epochs up
        (HELD, acquire("a", last=3999), 3999, False, 1000, 4000, 4000),
        (HELD, acquire("a", last=1000), 3999, False, 1000, 4000, 4000),
        (HELD, acquire("a", last=3999), 4000, True, 4000, 7000, 7000),
        (HELD, resume("a", 900, last=1000), 3999, False, 1000, 4000, 4000),
        # renewing
        (HELD, renew("a", 1000), 2000, True, 1000, 5000, 5000),
        (HELD, renew("a", 1000, last=8000), 2000, True, 1000, 8001, 5000),
        (HELD, renew("a", 1000), 9000, True, 1000, 12_000, 12_000),
        (HELD, renew("a", 999), 2000, False, 1000, 4000, 4000),
        (HELD, renew("b", 1000), 2000, False, 1000, 4000, 4000),
        (HELD, renew("b", 1001), 2000, True, 1001, 5000, 5000),
        (FREE, renew("a", 1000), 2000, False, 1000, 1500, 2000),
        # giving it back
        (HELD, release("a", 1000, last=1200), 2000, True, 1000, 1201, 2000),
        (HELD, release("a", 999), 2000, False, 1000, 4000, 4000),
        (HELD, release("b", 1000), 2000, False, 1000, 4000, 4000),
    ],
)
def test_what_becomes_of_an_ask(
    record: Record, ask: Ask, now_ms: int, granted: bool, token: int, top: int, until_ms: int
) -> None:
    after, answer = decide(record, ask, now_ms, RUN)
    assert answer == Answer(granted, after.holder, token, top, until_ms, now_ms)
    if not granted:
        assert after == record


def test_the_first_start_waits_for_one_time_to_live() -> None:
    record, answer = decide(Record(), acquire("a"), 10_000, RUN)
    assert answer == Answer(False, "", 0, 0, 13_000, 10_000)
    record, answer = decide(record, acquire("a"), 12_999, RUN)
    assert not answer.granted
    _, answer = decide(record, acquire("a"), 13_000, RUN)
    assert (answer.granted, answer.token) == (True, 13_000)


@pytest.mark.parametrize("known", [Record(), HELD], ids=["forgot all", "knows what once was"])
def test_who_holds_it_goes_on_when_redis_forgot(known: Record) -> None:
    record, answer = decide(known, acquire("c"), 10_000, "another run")
    assert not answer.granted
    record, answer = decide(record, renew("b", 5000), 10_500, "another run")
    assert (answer.granted, answer.holder, answer.token) == (True, "b", 5000)
    _, answer = decide(record, acquire("c"), 13_499, "another run")
    assert not answer.granted
    _, answer = decide(record, acquire("c"), 13_500, "another run")
    assert (answer.granted, answer.token) == (True, 13_500)


def test_a_tenure_that_lapsed_does_not_go_on_at_a_redis_that_may_have_forgotten_who_followed() -> None:
    record, answer = decide(HELD, resume("a", 1000), 9000, "another run")
    assert not answer.granted
    _, answer = decide(record, resume("a", 1000), 9000 + TTL_MS, "another run")
    assert (answer.granted, answer.token) == (True, 12_000), "another tenure"


def test_a_tenure_that_was_renewed_there_goes_on_after_the_guard() -> None:
    record, _ = decide(HELD, renew("a", 1000), 3000, "another run")
    record, answer = decide(record, resume("a", 1000), 5999, "another run")
    assert not answer.granted
    _, answer = decide(record, resume("a", 1000), 6000, "another run")
    assert (answer.granted, answer.token) == (True, 1000)


def test_what_once_was_does_not_end_the_guard_by_being_given_back() -> None:
    record, _ = decide(HELD, release("a", 1000), 10_000, "another run")
    _, answer = decide(record, acquire("c"), 12_999, "another run")
    assert not answer.granted


def test_the_higher_token_takes_it_back() -> None:
    record, _ = decide(Record(), renew("a", 1000), 10_000, RUN)
    record, answer = decide(record, renew("b", 5000), 10_100, RUN)
    assert (answer.granted, answer.holder) == (True, "b")
    _, answer = decide(record, renew("a", 1000), 10_200, RUN)
    assert (answer.granted, answer.holder, answer.token) == (False, "b", 5000)


def test_a_clock_that_was_set_back_stops_nobody_for_longer_than_a_lease_lasts() -> None:
    later = Record("a", epoch=900_000, until_ms=903_000, top=903_000, longest_ms=TTL_MS, run=RUN)
    record, answer = decide(later, acquire("b"), 1000, RUN)
    assert (answer.granted, answer.until_ms) == (False, 4000)
    _, answer = decide(record, acquire("b"), 4000, RUN)
    assert (answer.granted, answer.token) == (True, 903_000), "and epochs still rise"


def test_a_reply_is_read() -> None:
    reply = [1, b"a", 1000, 4000, 3900, 900]
    assert Answer.read(reply) == Answer(True, "a", 1000, 4000, 3900, 900)
    assert acquire("a", 7).arguments() == ("acquire", "a", "0", "7", "3000")


@pytest.mark.parametrize("reply", [None, 1, [], [2, b"a", 1, 2, 3, 4], [1, "a", 1, 2, 3, 4], [1, b"a", 1, 2]])
def test_what_is_no_reply_is_named(reply: object) -> None:
    with pytest.raises(MalformedMessage, match="malformed lease"):
        Answer.read(reply)
