from __future__ import annotations

import math

import pytest

from feedmux.core.lease import Asked, Change, Lease, State, Terms
from feedmux.core.lease_record import MAX_EPOCH, Act, Answer, Ask
from feedmux.model.errors import IllegalEvent, InvalidSetting

TERMS = Terms(ttl_s=3.0, renew_s=1.0, look_s=0.5, margin_s=0.4, drift=0.25)
VALID_S = 2.0
EPOCH = 1_700_000_000_000


def granted(token: int = EPOCH, now_ms: int = EPOCH) -> Answer:
    return Answer(True, "a", token, max(token, now_ms) + 3000, now_ms + 3000, now_ms)


def refused(token: int = EPOCH) -> Answer:
    return Answer(False, "b", token, token + 3000, token + 3000, token)


def asked(lease: Lease, now: float) -> Asked:
    found = lease.ask(now)
    assert found is not None
    return found


def seeking(now: float = 100.0) -> Lease:
    lease = Lease("a", TERMS)
    lease.start(now)
    return lease


def held(now: float = 100.0) -> Lease:
    """A lease that was asked for and granted at once."""
    lease = seeking(now)
    assert lease.answered(asked(lease, now).serial, granted(), now) is Change.GAINED
    return lease


def test_who_starts_asks_at_once_and_then_again_and_again() -> None:
    lease = seeking(100.0)
    assert lease.wake_at == 100.0
    assert lease.ask(100.0) == Asked(1, Ask(Act.ACQUIRE, "a", 0, 0, 3000))
    assert lease.ask(100.4) is None
    assert lease.wake_at == 100.5
    assert asked(lease, 100.5).serial == 2


def test_what_was_granted_is_held_from_when_it_was_asked_for() -> None:
    assert pytest.approx(VALID_S) == TERMS.valid_s
    lease = seeking(100.0)
    serial = asked(lease, 100.0).serial
    assert lease.answered(serial, granted(), 101.0) is Change.GAINED
    assert (lease.state, lease.token) == (State.HELD, EPOCH)
    assert lease.may_write(101.9)
    assert not lease.may_write(102.0)
    assert lease.check(101.9) is Change.NONE
    assert lease.check(102.0) is Change.LOST
    assert (lease.state, lease.wake_at) == (State.SEEKING, 102.0)


def test_a_grant_that_comes_too_late_is_none() -> None:
    lease = seeking(100.0)
    serial = asked(lease, 100.0).serial
    assert lease.answered(serial, granted(), 102.0) is Change.NONE
    assert lease.state is State.SEEKING


def test_a_refusal_leaves_it_seeking() -> None:
    lease = seeking(100.0)
    assert lease.answered(asked(lease, 100.0).serial, refused(), 100.1) is Change.NONE
    assert (lease.state, lease.wake_at) == (State.SEEKING, 100.5)


def test_it_is_renewed_in_time_and_held_for_longer() -> None:
    lease = held(100.0)
    assert lease.wake_at == 101.0
    assert lease.ask(100.9) is None
    renewal = asked(lease, 101.0)
    assert renewal.ask == Ask(Act.RENEW, "a", EPOCH, 0, 3000)
    assert lease.answered(renewal.serial, granted(now_ms=EPOCH + 1000), 101.5) is Change.NONE
    assert lease.may_write(102.9)
    assert not lease.may_write(103.0)
    assert lease.wake_at == 102.0


def test_who_is_not_answered_asks_again_and_stops_in_time() -> None:
    lease = held(100.0)
    asked(lease, 101.0)
    assert lease.wake_at == 102.0
    assert not lease.may_write(102.0)
    assert lease.ask(102.0) is None, "too late to renew"
    assert lease.check(102.0) is Change.LOST
    assert asked(lease, 102.0).ask.act is Act.ACQUIRE


def test_a_renewal_that_is_refused_ends_it_at_once() -> None:
    lease = held(100.0)
    assert lease.answered(asked(lease, 101.0).serial, refused(EPOCH + 9), 101.1) is Change.LOST
    assert not lease.may_write(101.1)
    assert asked(lease, 101.1).ask.act is Act.ACQUIRE


def test_a_renewal_of_a_tenure_that_is_over_does_not_bring_it_back() -> None:
    lease = held(100.0)
    renewal = asked(lease, 101.0)
    assert lease.check(102.0) is Change.LOST
    assert lease.answered(renewal.serial, granted(), 102.1) is Change.NONE
    assert not lease.may_write(102.1)


def test_a_renewal_that_is_answered_too_late_is_none_even_if_nobody_looked() -> None:
    """The process slept; what it was about to write meanwhile is missing, so that it has to begin anew."""
    lease = held(100.0)
    renewal = asked(lease, 101.0)
    assert lease.answered(renewal.serial, granted(), 102.0) is Change.LOST
    assert not lease.may_write(102.0)
    assert lease.token == EPOCH, "it may go on"
    assert asked(lease, 102.0).ask.act is Act.ACQUIRE


def test_who_renounces_a_tenure_seeks_another_one() -> None:
    for lease in (held(100.0), lapsed()):
        renewal = lease.ask(101.0) or asked(lease, 102.0)
        lease.renounce(102.0)
        assert (lease.state, lease.token, lease.begin(102.0)) == (State.SEEKING, 0, None)
        assert not lease.may_write(100.0)
        assert lease.check(103.0) is Change.NONE
        assert lease.answered(renewal.serial, granted(), 102.1) is Change.NONE, "it was forgotten"
        assert lease.wake_at == 102.5
        assert asked(lease, 102.5).ask == Ask(Act.ACQUIRE, "a", 0, 0, 3000)


def test_a_second_grant_to_who_holds_it_is_not_taken() -> None:
    lease = seeking(100.0)
    first, second = asked(lease, 100.0), asked(lease, 100.5)
    assert lease.answered(first.serial, granted(), 100.6) is Change.GAINED
    assert lease.answered(second.serial, granted(EPOCH + 9), 100.7) is Change.NONE
    assert lease.token == EPOCH


def test_a_cut_forgets_what_was_asked_but_not_what_is_held() -> None:
    lease = held(100.0)
    renewal = asked(lease, 101.0)
    lease.cut(101.2)
    assert lease.may_write(101.9)
    assert lease.answered(renewal.serial, granted(), 101.3) is Change.NONE
    assert not lease.may_write(102.0)
    assert asked(lease, 101.3).ask.act is Act.RENEW


def test_epochs_are_those_of_the_tenure() -> None:
    lease = held(100.0)
    assert lease.begin(100.0) == EPOCH
    assert lease.begin(100.25) == EPOCH + 250
    assert lease.begin(100.25, above=EPOCH + 250) == EPOCH + 251
    assert lease.begin(100.25, above=EPOCH + 2998) == EPOCH + 2999
    assert lease.begin(100.25, above=EPOCH + 2999) is None, "the next tenure's"
    assert lease.begin(102.0, above=EPOCH + 250) == EPOCH + 251, "its time is over, its epochs are ours"
    assert seeking().begin(100.0) is None, "there is no tenure"
    assert seeking().begin(100.0) is None


def test_epochs_begin_at_the_token_even_if_that_is_ahead_of_the_clock() -> None:
    lease = seeking(100.0)
    lease.answered(asked(lease, 100.0).serial, granted(EPOCH + 5000), 100.0)
    assert lease.begin(100.1) == EPOCH + 5000


def lapsed() -> Lease:
    """A lease that was held from 100.0 and was not renewed in time."""
    lease = held(100.0)
    assert lease.check(102.0) is Change.LOST
    return lease


def test_a_tenure_that_lapsed_goes_on_if_nobody_else_had_it() -> None:
    lease = lapsed()
    again = asked(lease, 102.0)
    assert again.ask == Ask(Act.ACQUIRE, "a", EPOCH, 0, 3000)
    assert lease.answered(again.serial, granted(now_ms=EPOCH + 3000), 102.5) is Change.GAINED
    assert (lease.state, lease.token) == (State.HELD, EPOCH)
    assert lease.begin(102.5, above=EPOCH + 3999) == EPOCH + 4000


def test_a_new_tenure_begins_where_redis_knows_the_old_one_no_more() -> None:
    lease = lapsed()
    serial = asked(lease, 102.0).serial
    assert lease.answered(serial, granted(EPOCH + 9000, EPOCH + 9000), 102.5) is Change.GAINED
    assert lease.token == EPOCH + 9000
    assert lease.begin(102.5) == EPOCH + 9000


def test_a_tenure_that_lapsed_is_over_when_another_node_has_the_lease() -> None:
    lease = lapsed()
    assert lease.answered(asked(lease, 102.0).serial, refused(EPOCH), 102.1) is Change.NONE, (
        "still ours there"
    )
    assert lease.answered(asked(lease, 102.5).serial, refused(EPOCH + 3000), 102.6) is Change.TAKEN
    assert (lease.state, lease.token, lease.begin(102.6)) == (State.SEEKING, 0, None)
    assert lease.answered(asked(lease, 103.0).serial, refused(EPOCH + 3000), 103.1) is Change.NONE, "once"


def test_who_closes_does_not_go_on() -> None:
    lease = lapsed()
    assert lease.close(102.0) is None
    assert lease.token == 0


def test_what_was_used_or_seen_is_told_to_redis() -> None:
    lease = held(100.0)
    lease.begin(100.5)
    assert asked(lease, 101.0).ask.last == EPOCH + 500
    lease.observe(EPOCH + 7000)
    lease.observe(EPOCH)
    lease.observe(MAX_EPOCH)
    lease.check(103.0)
    assert asked(lease, 103.0).ask.last == EPOCH + 7000


def test_who_closes_gives_it_back_and_asks_nothing_more() -> None:
    lease = held(100.0)
    assert lease.close(100.5) == Ask(Act.RELEASE, "a", EPOCH, 0, 3000)
    assert (lease.state, lease.wake_at, lease.may_write(100.5)) == (State.CLOSED, math.inf, False)
    assert lease.ask(200.0) is None
    assert lease.close(100.6) is None
    lease.cut(100.7)
    assert lease.wake_at == math.inf


def test_who_does_not_hold_it_has_nothing_to_give_back() -> None:
    assert seeking().close(100.0) is None
    assert held(100.0).close(102.0) is None


def test_it_is_started_once() -> None:
    lease = seeking()
    with pytest.raises(IllegalEvent, match="'start' cannot happen in the state 'seeking'"):
        lease.start(100.0)
    assert repr(lease) == "<Lease seeking token=0 asked=0>"


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl_s": 0},
        {"ttl_s": float("nan")},
        {"renew_s": -1},
        {"look_s": 0},
        {"margin_s": 0},
        {"drift": 1.5},
        {"drift": -0.1},
        {"renew_s": 1.4},
        {"margin_s": 2.9},
    ],
)
def test_terms_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting):
        Terms(**wrong)


def test_redis_is_never_asked_for_less_than_is_counted_on() -> None:
    assert Terms(ttl_s=3.0001).ttl_ms == 3001
    assert Terms().ttl_ms == 3000
