from __future__ import annotations

from feedmux.core.lease import Change, Lease, Terms
from feedmux.core.lease_epochs import LeaseEpochs
from feedmux.core.lease_record import Answer
from feedmux.model.topic import PUBLIC, Topic
from support.envelopes import TICKER, TRADES

TERMS = Terms(ttl_s=3.0, renew_s=1.0, look_s=0.5, margin_s=0.4, drift=0.25)
EPOCH = 1_700_000_000_000


def held(token: int = EPOCH, now: float = 100.0) -> Lease:
    lease = Lease("a", TERMS)
    lease.start(now)
    gain(lease, token, now)
    return lease


def gain(lease: Lease, token: int, now: float) -> None:
    asked = lease.ask(now)
    assert asked is not None
    answer = Answer(True, "a", token, token + 3000, token + 3000, token)
    assert lease.answered(asked.serial, answer, now) is Change.GAINED


def topics(count: int) -> list[Topic]:
    return [Topic(PUBLIC, "bybit", "linear", "ticker", f"COIN{number}") for number in range(count)]


def test_topics_that_begin_together_have_one_epoch() -> None:
    epochs = LeaseEpochs(held())
    assert {epochs.begin(topic, 100.0) for topic in topics(10_000)} == {EPOCH}
    assert epochs.beyond == EPOCH + 1


def test_a_topic_that_begins_again_has_another_one_and_others_follow_it() -> None:
    epochs = LeaseEpochs(held())
    assert epochs.begin(TICKER, 100.0) == EPOCH
    assert epochs.begin(TRADES, 100.0) == EPOCH
    assert epochs.begin(TICKER, 100.0) == EPOCH + 1
    assert epochs.begin(TRADES, 100.0) == EPOCH + 1
    assert epochs.begin(TRADES, 100.0) == EPOCH + 2
    assert epochs.begin(TICKER, 100.25) == EPOCH + 250, "the clock of Redis goes on"


def test_ten_thousand_topics_that_begin_again_and_again_do_not_use_up_a_tenure() -> None:
    epochs = LeaseEpochs(held())
    every = topics(10_000)
    for round_ in range(20):
        assert {epochs.begin(topic, 100.0) for topic in every} == {EPOCH + round_}


def test_a_tenure_that_lapsed_has_epochs_left_but_not_for_ever() -> None:
    lease = held()
    epochs = LeaseEpochs(lease)
    assert lease.check(102.0) is Change.LOST
    given = []
    while (epoch := epochs.begin(TICKER, 200.0)) is not None:
        given.append(epoch)
    assert given == list(range(EPOCH, EPOCH + 3000))
    assert epochs.begin(TRADES, 200.0) == EPOCH + 2999, "others have not had the last one"
    assert epochs.beyond == EPOCH + 3000


def test_the_next_tenure_begins_above() -> None:
    lease = held()
    epochs = LeaseEpochs(lease)
    epochs.begin(TICKER, 100.0)
    lease.renounce(100.0)
    assert epochs.begin(TICKER, 100.0) is None
    gain(lease, EPOCH + 5000, 104.0)
    assert epochs.begin(TICKER, 104.0) == EPOCH + 5000


def test_who_had_an_epoch_is_remembered_of_so_many_topics_only() -> None:
    epochs = LeaseEpochs(held(), most_topics=2)
    first, second, third = topics(3)
    assert [epochs.begin(topic, 100.0) for topic in (first, second, third)] == [EPOCH, EPOCH, EPOCH + 1]
    assert [epochs.begin(topic, 100.0) for topic in (first, third)] == [EPOCH + 1, EPOCH + 2]
