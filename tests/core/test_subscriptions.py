from __future__ import annotations

from math import inf

import pytest

from feedmux.core.subscriptions import Outcome, Phase, Request, Subscriptions
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Answer

A, B, C, D = (Topic(PUBLIC, "bybit", "linear", "ticker", name) for name in "ABCD")
LATE = 100.0


@pytest.fixture
def wishes() -> Subscriptions:
    return Subscriptions(max_args=3)


def ask(wishes: Subscriptions, *topics: Topic) -> Request:
    """Want topics and send the request for them."""
    for topic in topics:
        wishes.want(topic, 0)
    request = wishes.next_request(0.0)
    assert request is not None
    return request


def send_all(wishes: Subscriptions, now: float = 0.0) -> list[Request]:
    requests = []
    while (request := wishes.next_request(now)) is not None:
        requests.append(request)
    return requests


def accept(wishes: Subscriptions, request: Request) -> list[Outcome]:
    return wishes.answered(Answer(request.request_id, True, None, ""))


def grant(wishes: Subscriptions, request: Request, *topics: Topic) -> list[Outcome]:
    """Accept a request as far as these topics go, as a venue does that lists what took effect."""
    return wishes.answered(Answer(request.request_id, True, None, "unknown", granted=frozenset(topics)))


def put_off(wishes: Subscriptions, request: Request) -> list[Outcome]:
    """Say that there is no time for a request now."""
    return wishes.answered(Answer(request.request_id, False, None, "busy", later=True))


def refuse(
    wishes: Subscriptions, request: Request, topic: Topic | None = None, *, already: bool = False
) -> list[Outcome]:
    return wishes.answered(Answer(request.request_id, False, topic, "no", already))


def said(requests: list[Request]) -> list[tuple[str, tuple[Topic, ...]]]:
    return [(request.verb, request.topics) for request in requests]


def test_wishes_of_one_turn_go_in_batches(wishes: Subscriptions) -> None:
    for topic in (A, B, C, D):
        wishes.want(topic, 0)
    assert wishes.phase(A) is Phase.QUEUED
    requests = send_all(wishes)
    assert requests == [Request("1", "subscribe", (A, B, C)), Request("2", "subscribe", (D,))]
    assert wishes.phase(A) is Phase.REQUESTED
    assert not wishes.has_requests


def test_askers_take_turns_for_places_in_a_batch(wishes: Subscriptions) -> None:
    for topic, asker in ((A, 1), (B, 1), (C, 1), (D, 2)):
        wishes.want(topic, asker)
    assert ask(wishes).topics == (A, D, B)


def test_wanting_again_changes_nothing(wishes: Subscriptions) -> None:
    request = ask(wishes, A)
    wishes.want(A, 1)
    assert not wishes.has_requests
    accept(wishes, request)
    wishes.want(A, 1)
    assert wishes.phase(A) is Phase.CONFIRMED
    assert not wishes.has_requests


def test_an_accepted_batch_confirms_all_of_it(wishes: Subscriptions) -> None:
    assert accept(wishes, ask(wishes, A, B)) == [Outcome(A), Outcome(B)]
    assert wishes.phase(A) is wishes.phase(B) is Phase.CONFIRMED


def test_data_confirms_what_was_requested_and_the_acknowledgement_adds_nothing(
    wishes: Subscriptions,
) -> None:
    request = ask(wishes, A, B)
    assert wishes.hear(A) is Phase.REQUESTED
    assert wishes.hear(A) is Phase.CONFIRMED
    assert accept(wishes, request) == [Outcome(B)]


def test_data_of_a_queued_or_unwanted_topic_confirms_nothing(wishes: Subscriptions) -> None:
    wishes.want(A, 0)
    assert wishes.hear(A) is Phase.QUEUED
    assert wishes.phase(A) is Phase.QUEUED
    assert wishes.hear(B) is None


def test_a_topic_refused_alone_is_denied_with_the_venues_reason(wishes: Subscriptions) -> None:
    assert refuse(wishes, ask(wishes, A)) == [Outcome(A, "no")]
    assert A not in wishes
    assert not wishes.has_requests


@pytest.mark.parametrize(
    ("size", "bad"), [(10, {0}), (10, {3, 4, 9}), (10, set(range(10))), (10, {9}), (2, {0, 1})]
)
@pytest.mark.parametrize("names_it", [True, False], ids=["names a topic", "names none"])
def test_any_number_of_bad_topics_costs_two_round_trips(size: int, bad: set[int], names_it: bool) -> None:
    topics = [Topic(PUBLIC, "bybit", "linear", "ticker", str(n)) for n in range(size)]
    refused = {topics[n] for n in bad}
    wishes = Subscriptions(max_args=10)
    fates: dict[Topic, str | None] = {}
    for topic in topics:
        wishes.want(topic, 0)
    for _ in range(2):
        for request in send_all(wishes):  # all that may go is on its way before any answer comes
            offender = next((topic for topic in request.topics if topic in refused), None)
            if offender is None:
                fates.update(accept(wishes, request))
            else:
                fates.update(refuse(wishes, request, offender if names_it else None))
    assert fates == {topic: "no" if topic in refused else None for topic in topics}
    assert not wishes.has_requests


def test_after_a_refusal_single_requests_and_batches_take_turns(wishes: Subscriptions) -> None:
    refuse(wishes, ask(wishes, A, B, C), A)
    wishes.want(D, 0)
    assert sorted(said(send_all(wishes))) == [("subscribe", (B,)), ("subscribe", (C,)), ("subscribe", (D,))]


def test_a_stream_of_refusals_does_not_hold_batches_up() -> None:
    wishes = Subscriptions(max_args=10)
    topics = [Topic(PUBLIC, "bybit", "linear", "ticker", str(n)) for n in range(10)]
    refuse(wishes, ask(wishes, *topics), topics[0])
    wishes.want(D, 0)
    first_two = {request.topics for request in send_all(wishes)[:2]}
    assert (D,) in first_two


def test_already_subscribed_confirms_its_topic_and_sends_the_others_alone(wishes: Subscriptions) -> None:
    assert refuse(wishes, ask(wishes, A, B, C), B, already=True) == [Outcome(B)]
    assert said(send_all(wishes)) == [("subscribe", (A,)), ("subscribe", (C,))]


def test_already_subscribed_alone_confirms_though_no_topic_is_named(wishes: Subscriptions) -> None:
    assert refuse(wishes, ask(wishes, A), already=True) == [Outcome(A)]
    assert wishes.phase(A) is Phase.CONFIRMED


def test_a_topic_that_spoke_before_its_batch_was_refused_stays_confirmed(wishes: Subscriptions) -> None:
    request = ask(wishes, A, B, C)
    wishes.hear(A)
    refuse(wishes, request, B)
    assert wishes.phase(A) is Phase.CONFIRMED
    assert said(send_all(wishes)) == [("subscribe", (C,))]


def test_what_is_left_out_of_the_granted_is_denied_and_the_rest_confirmed(wishes: Subscriptions) -> None:
    outcomes = grant(wishes, ask(wishes, A, B, C), C, A)
    assert sorted(outcomes) == [Outcome(A), Outcome(B, "unknown"), Outcome(C)]
    assert B not in wishes
    assert not wishes.has_requests


def test_granting_nothing_denies_all_and_granting_all_denies_nothing(wishes: Subscriptions) -> None:
    assert grant(wishes, ask(wishes, A, B)) == [Outcome(A, "unknown"), Outcome(B, "unknown")]
    assert grant(wishes, ask(wishes, C), C, D) == [Outcome(C)]
    assert len(wishes) == 1


def test_a_topic_that_spoke_stays_confirmed_though_it_is_left_out_of_the_granted(
    wishes: Subscriptions,
) -> None:
    request = ask(wishes, A, B)
    wishes.hear(A)
    assert grant(wishes, request) == [Outcome(B, "unknown")]
    assert wishes.phase(A) is Phase.CONFIRMED


def test_what_is_granted_decides_nothing_about_what_was_wanted_again_since(wishes: Subscriptions) -> None:
    first = ask(wishes, A, B)
    wishes.drop(A)
    wishes.want(A, 0)
    _, second = send_all(wishes)
    assert grant(wishes, first, B) == [Outcome(B)]
    assert wishes.phase(A) is Phase.REQUESTED
    assert grant(wishes, second, A) == [Outcome(A)]


def test_a_list_of_what_was_given_back_denies_nothing(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A, B))
    wishes.renew(A)
    wishes.drop(B)
    unsubscribe, subscribe = send_all(wishes)
    assert grant(wishes, unsubscribe, B) == []
    assert wishes.hear(A) is Phase.REQUESTED
    assert grant(wishes, subscribe, A) == []


def test_what_was_put_off_is_asked_for_again_in_a_batch_when_it_is_overdue(wishes: Subscriptions) -> None:
    request = ask(wishes, A, B)
    assert put_off(wishes, request) == []
    assert wishes.phase(A) is Phase.REQUESTED
    assert not wishes.has_requests
    assert wishes.overdue(before=LATE) == 2
    (again,) = send_all(wishes)
    assert again.topics == (A, B)
    assert accept(wishes, again) == [Outcome(A), Outcome(B)]


def test_what_was_put_off_and_answered_after_all_is_decided(wishes: Subscriptions) -> None:
    request = ask(wishes, A, B)
    put_off(wishes, request)
    assert grant(wishes, request, A) == [Outcome(A), Outcome(B, "unknown")]
    assert wishes.overdue(before=LATE) == 0


def test_what_was_given_back_and_put_off_is_given_back_again(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A, B))
    wishes.drop(A)
    wishes.drop(B)
    (unsubscribe,) = send_all(wishes)
    put_off(wishes, unsubscribe)
    wishes.want(B, 0)
    (subscribe,) = send_all(wishes)
    assert subscribe.topics == (B,)
    assert wishes.overdue(before=LATE) == 2
    assert said(send_all(wishes)) == [("unsubscribe", (A,)), ("subscribe", (B,))]


def test_putting_off_what_nobody_asked_for_is_nothing(wishes: Subscriptions) -> None:
    request = ask(wishes, A)
    assert wishes.answered(Answer("99", False, None, "busy", later=True)) == []
    assert wishes.answered(Answer("", False, None, "busy", later=True)) == []
    assert accept(wishes, request) == [Outcome(A)]


def test_dropping_what_was_never_sent_tells_the_venue_nothing(wishes: Subscriptions) -> None:
    wishes.want(A, 0)
    wishes.drop(A)
    wishes.drop(B)
    assert send_all(wishes) == []
    assert len(wishes) == 0


@pytest.mark.parametrize("confirmed", [True, False], ids=["confirmed", "requested"])
def test_dropping_what_was_sent_gives_it_back(wishes: Subscriptions, confirmed: bool) -> None:
    request = ask(wishes, A)
    if confirmed:
        accept(wishes, request)
    wishes.drop(A)
    assert said(send_all(wishes)) == [("unsubscribe", (A,))]
    assert wishes.hear(A) is None


def test_what_is_given_back_goes_in_batches_too(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A, B, C))
    accept(wishes, ask(wishes, D))
    for topic in (A, B, C, D):
        wishes.drop(topic)
    assert said(send_all(wishes)) == [("unsubscribe", (A, B, C)), ("unsubscribe", (D,))]


def test_a_refused_batch_took_no_effect_so_there_is_nothing_to_give_back(wishes: Subscriptions) -> None:
    refuse(wishes, ask(wishes, A, B), A)
    wishes.drop(B)
    assert send_all(wishes) == []


def test_what_was_dropped_and_wanted_again_is_given_back_first(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A))
    wishes.drop(A)
    wishes.want(A, 0)
    assert said(send_all(wishes)) == [("unsubscribe", (A,)), ("subscribe", (A,))]


def test_renewing_gives_back_before_it_asks_again(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A))
    wishes.renew(A)
    assert wishes.phase(A) is Phase.QUEUED
    assert said(send_all(wishes)) == [("unsubscribe", (A,)), ("subscribe", (A,))]


def test_renewing_what_is_queued_or_unwanted_changes_nothing(wishes: Subscriptions) -> None:
    wishes.want(A, 0)
    wishes.renew(A)
    wishes.renew(B)
    assert said(send_all(wishes)) == [("subscribe", (A,))]


def test_data_of_the_old_subscription_does_not_confirm_the_new_one(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A))
    wishes.renew(A)
    unsubscribe, subscribe = send_all(wishes)
    assert wishes.hear(A) is Phase.QUEUED
    accept(wishes, unsubscribe)
    assert wishes.hear(A) is Phase.REQUESTED
    assert accept(wishes, subscribe) == []


def test_old_data_does_not_keep_a_topic_from_going_out_after_its_batch_was_refused(
    wishes: Subscriptions,
) -> None:
    accept(wishes, ask(wishes, A))
    wishes.drop(A)
    wishes.want(A, 0)
    wishes.want(B, 0)
    unsubscribe, batch = send_all(wishes)
    wishes.hear(A)
    accept(wishes, unsubscribe)
    assert refuse(wishes, batch, B) == [Outcome(B, "no")]
    assert said(send_all(wishes)) == [("subscribe", (A,))]


def test_an_unsubscribe_that_is_never_answered_leaves_the_acknowledgement_as_proof(
    wishes: Subscriptions,
) -> None:
    accept(wishes, ask(wishes, A))
    wishes.renew(A)
    _, subscribe = wishes.next_request(0.0), wishes.next_request(5.0)
    assert subscribe is not None
    wishes.overdue(before=5.0)
    assert wishes.hear(A) is Phase.QUEUED
    assert accept(wishes, subscribe) == [Outcome(A)]


def test_an_unsubscribe_that_is_answered_late_makes_data_a_proof_again(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A))
    wishes.drop(A)
    (unsubscribe,) = send_all(wishes)
    wishes.overdue(before=LATE)
    ask(wishes, A)
    assert wishes.hear(A) is Phase.QUEUED
    accept(wishes, unsubscribe)
    assert wishes.hear(A) is Phase.REQUESTED


def test_an_answer_to_an_earlier_request_decides_nothing_about_the_later_one(wishes: Subscriptions) -> None:
    first = ask(wishes, A, B)
    wishes.drop(A)
    wishes.want(A, 0)
    _, second = send_all(wishes)
    assert accept(wishes, first) == [Outcome(B)]
    assert wishes.phase(A) is Phase.REQUESTED
    assert refuse(wishes, second) == [Outcome(A, "no")]


def test_an_answer_with_an_unknown_id_decides_nothing(wishes: Subscriptions) -> None:
    ask(wishes, A)
    assert wishes.answered(Answer("99", True, A, "")) == []
    assert wishes.phase(A) is Phase.REQUESTED


def test_an_answer_without_an_id_belongs_to_the_oldest_request(wishes: Subscriptions) -> None:
    ask(wishes, A)
    ask(wishes, B)
    answers = [wishes.answered(Answer("", True, None, "")) for _ in range(3)]
    assert answers == [[Outcome(A)], [Outcome(B)], []]


def test_an_answer_without_an_id_belongs_to_the_oldest_request_that_holds_its_topic(
    wishes: Subscriptions,
) -> None:
    ask(wishes, A)
    ask(wishes, B)
    assert wishes.answered(Answer("", False, B, "no")) == [Outcome(B, "no")]
    assert wishes.answered(Answer("", False, C, "no")) == []
    assert wishes.phase(A) is Phase.REQUESTED


def test_what_is_not_answered_in_time_goes_out_again_alone(wishes: Subscriptions) -> None:
    first = ask(wishes, A, B)
    wishes.hear(A)
    wishes.want(C, 0)
    wishes.next_request(now=5.0)
    assert wishes.overdue(before=5.0) == 1
    assert said(send_all(wishes, LATE)) == [("subscribe", (B,))]
    assert accept(wishes, first) == []
    assert wishes.overdue(before=5.0) == 0


def test_a_late_topic_that_is_dropped_is_given_back_because_the_venue_may_have_it(
    wishes: Subscriptions,
) -> None:
    ask(wishes, A)
    wishes.overdue(before=LATE)
    wishes.drop(A)
    assert said(send_all(wishes)) == [("unsubscribe", (A,))]


def test_a_new_connection_remembers_nothing(wishes: Subscriptions) -> None:
    confirmed = ask(wishes, A)
    accept(wishes, confirmed)
    accept(wishes, ask(wishes, D))
    requested = ask(wishes, B)
    wishes.want(C, 0)
    wishes.drop(D)
    wishes.opened()
    assert list(wishes) == [A, B, C]
    assert {wishes.phase(topic) for topic in wishes} == {Phase.QUEUED}
    (again,) = send_all(wishes)
    assert set(again.topics) == {A, B, C}
    assert accept(wishes, requested) == []
    assert accept(wishes, again) == [Outcome(topic) for topic in again.topics]


def test_a_new_connection_knows_nothing_of_what_was_given_back_on_the_last_one(
    wishes: Subscriptions,
) -> None:
    accept(wishes, ask(wishes, A))
    wishes.renew(A)
    wishes.next_request(0.0)
    wishes.opened()
    assert said(send_all(wishes)) == [("subscribe", (A,))]
    assert wishes.hear(A) is Phase.REQUESTED


def test_an_answer_without_an_id_is_not_of_a_request_on_the_last_connection(wishes: Subscriptions) -> None:
    ask(wishes, A)
    wishes.opened()
    wishes.want(B, 0)
    assert said(send_all(wishes)) == [("subscribe", (A, B))]
    answer = wishes.answered(Answer("", True, None, ""))
    assert answer == [Outcome(A), Outcome(B)]


def test_a_refusal_of_what_is_being_renewed_denies_it_when_the_renewal_is_refused(
    wishes: Subscriptions,
) -> None:
    first = ask(wishes, A)
    wishes.renew(A)
    assert refuse(wishes, first) == []
    _, second = send_all(wishes)
    assert refuse(wishes, second) == [Outcome(A, "no")]


def test_what_went_alone_goes_in_batches_on_a_new_connection(wishes: Subscriptions) -> None:
    refuse(wishes, ask(wishes, A, B, C))
    wishes.opened()
    assert said(send_all(wishes)) == [("subscribe", (A, B, C))]


def test_dropping_after_a_new_connection_opened_tells_the_venue_nothing(wishes: Subscriptions) -> None:
    accept(wishes, ask(wishes, A))
    wishes.opened()
    wishes.drop(A)
    assert send_all(wishes) == []


def test_how_long_the_oldest_request_has_waited_is_known(wishes: Subscriptions) -> None:
    assert wishes.waits_since == inf
    first, second = ask(wishes, A), ask(wishes, B)
    assert wishes.waits_since == 0.0
    wishes.want(C, 0)
    (third,) = send_all(wishes, 5.0)
    accept(wishes, first)
    accept(wishes, second)
    assert wishes.waits_since == 5.0
    accept(wishes, third)
    assert wishes.waits_since == inf
