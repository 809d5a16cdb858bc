from __future__ import annotations

from typing import Any

import pytest

from feedmux.edge.login import EXPIRED
from feedmux.model.access import ANONYMOUS, Identity
from feedmux.model.event import State
from feedmux.model.topic import Topic
from feedmux.wire.rango_topic import stream_topic
from support.rango import ADMIN, ALICE, Roles, Scene


def subscribed(*streams: str) -> dict[str, Any]:
    return {"success": {"message": "subscribed", "streams": [*streams]}}


def unsubscribed(*streams: str) -> dict[str, Any]:
    return {"success": {"message": "unsubscribed", "streams": [*streams]}}


def status(stream: str, state: str, reason: str) -> dict[str, Any]:
    return {"system.status": {"reason": reason, "state": state, "stream": stream}}


def refusal(stream: str) -> dict[str, Any]:
    return {"success": {"message": f"cannot subscribe to {stream}"}}


def error(code: str, text: str) -> dict[str, Any]:
    return {"code": code, "error": text}


def topic(name: str, uid: str = "") -> Topic:
    found = stream_topic(name, uid)
    assert found is not None
    return found


CLOSED_TO_IT = "the role of this client does not open it any more"


# Streams


def test_the_first_message_says_what_the_opening_request_subscribed_to() -> None:
    scene = Scene()
    assert scene.come().told == [subscribed()]
    assert scene.come(ANONYMOUS, "").told == [subscribed()]
    assert scene.come(ALICE, "order", "eurusd.trades", "staff.a.b", "order").told == [
        subscribed("eurusd.trades", "staff.a.b", "order")
    ]


def test_messages_are_the_public_ones_to_everybody_and_each_user_s_own() -> None:
    scene = Scene()
    anonymous = scene.client(ANONYMOUS, "eurusd.trades", "order")
    alice, again = (scene.client(ALICE, "eurusd.trades", "order") for _ in range(2))
    admin = scene.client(ADMIN, "order", "admin.eurusd.trades")
    scene.exchange.publish("public.eurusd.trades", {"trades": []})
    scene.exchange.publish("private.ALICE.order", {"id": 1})
    scene.exchange.publish("admin.eurusd.trades", "secret")
    scene.exchange.publish("private.BOB.order", {"id": 2})
    public: dict[str, Any] = {"eurusd.trades": {"trades": []}}
    assert anonymous.told == [public]
    assert alice.told == again.told == [public, {"order": {"id": 1}}]
    assert admin.told == [{"eurusd.trades": "secret"}]


def test_answers_list_all_streams_private_ones_last() -> None:
    client = Scene().client(ALICE)
    assert client.subscribe("order", "eurusd.trades") == [subscribed("eurusd.trades", "order")]
    assert client.subscribe("global.tickers", "trade") == [
        subscribed("eurusd.trades", "global.tickers", "order", "trade")
    ]
    assert client.subscribe() == [subscribed("eurusd.trades", "global.tickers", "order", "trade")]
    assert client.unsubscribe("eurusd.trades", "order", "no.such") == [
        unsubscribed("global.tickers", "trade")
    ]
    assert client.unsubscribe("global.tickers", "trade") == [unsubscribed()]
    assert client.session.subscriptions == 0


def test_after_unsubscribing_nothing_comes_and_nothing_is_held() -> None:
    scene = Scene()
    client = scene.client(ADMIN, "eurusd.trades", "order", "admin.eurusd.sys")
    assert len(scene.exchange.held) == 3
    assert client.unsubscribe("admin.eurusd.sys", "order", "eurusd.trades") == [unsubscribed()]
    for key in ("public.eurusd.trades", "private.ADMIN.order", "admin.eurusd.sys"):
        scene.exchange.publish(key, 1)
    assert client.told == []
    assert scene.exchange.held == set()


def test_what_was_on_its_way_comes_before_the_answer_to_unsubscribe() -> None:
    scene = Scene()
    client = scene.client(ANONYMOUS, "eurusd.trades")
    scene.exchange.publish("public.eurusd.trades", 1)
    assert client.unsubscribe("eurusd.trades") == [{"eurusd.trades": 1}, unsubscribed()]


def test_prefixes_are_open_to_their_roles_alone_and_the_others_are_told() -> None:
    scene = Scene()
    assert scene.client(ALICE).subscribe("admin.a.b", "staff.a.b", "eurusd.trades", "other.a.b") == [
        refusal("admin.a.b"),
        refusal("other.a.b"),
        subscribed("staff.a.b", "eurusd.trades"),
    ]
    assert scene.come(ANONYMOUS, "staff.a.b").told == [refusal("staff.a.b"), subscribed()]
    assert scene.exchange.held == {topic("staff.a.b"), topic("eurusd.trades")}


def test_names_that_nothing_can_have_get_an_error_and_the_others_stand() -> None:
    long = "x" * 300
    assert Scene().client(ALICE).subscribe(long, "", "ü.\u2028<☃>", "eurusd.trades") == [
        error("INVALID_STREAM", f"The name of a stream is longer than 256 characters: {'x' * 32}…"),
        subscribed("ü.\u2028<☃>", "eurusd.trades"),
    ]


def test_how_a_stream_is_comes_before_the_answer_that_lists_it() -> None:
    scene = Scene()
    scene.exchange.states["eurusd.trades"] = State.STALE, "RabbitMQ is gone"
    stale = status("eurusd.trades", "stale", "RabbitMQ is gone")
    first = scene.come(ANONYMOUS, "eurusd.trades")
    assert first.told == [stale, subscribed("eurusd.trades")]
    assert scene.client().subscribe("eurusd.trades") == [stale, subscribed("eurusd.trades")]
    scene.exchange.say(topic("eurusd.trades"), State.LIVE)
    assert first.told == [{"system.status": {"state": "live", "stream": "eurusd.trades"}}]


def test_a_late_client_gets_an_object_whole_before_the_answer_and_what_follows_after_it() -> None:
    scene = Scene()
    late = scene.client()
    for key, sequence in (("snap", 1), ("inc", 2), ("inc", 3)):
        scene.exchange.publish(f"public.eurusd.ob-{key}", sequence)
    whole = [{"eurusd.ob-snap": 1}, {"eurusd.ob-inc": 2}, {"eurusd.ob-inc": 3}]
    assert scene.come(ANONYMOUS, "eurusd.ob-inc").told == [*whole, subscribed("eurusd.ob-inc")]
    assert late.subscribe("eurusd.ob-inc") == [*whole, subscribed("eurusd.ob-inc")]
    scene.exchange.publish("public.eurusd.ob-inc", 4)
    assert late.told == [{"eurusd.ob-inc": 4}]


def test_who_subscribes_to_an_object_again_gets_it_again() -> None:
    scene = Scene()
    for key, sequence in (("snap", 1), ("inc", 2)):
        scene.exchange.publish(f"public.eurusd.ob-{key}", sequence)
    client = scene.client(ANONYMOUS, "eurusd.ob-inc", "eurusd.trades")
    scene.exchange.publish("public.eurusd.ob-inc", 3)
    assert client.told == [{"eurusd.ob-inc": 3}]
    assert client.subscribe("eurusd.trades", "eurusd.ob-inc") == [
        {"eurusd.ob-snap": 1},
        {"eurusd.ob-inc": 2},
        {"eurusd.ob-inc": 3},
        subscribed("eurusd.ob-inc", "eurusd.trades"),
    ]
    scene.exchange.publish("public.eurusd.ob-inc", 4)
    assert client.told == [{"eurusd.ob-inc": 4}]


def test_objects_of_two_scopes_that_are_called_the_same_do_not_mix() -> None:
    scene = Scene()
    scene.exchange.publish("public.eurusd.ob-snap", "public")
    scene.exchange.publish("admin.eurusd.ob-snap", "admin")
    client = scene.client(ADMIN)
    assert client.subscribe("admin.eurusd.ob-inc") == [
        {"eurusd.ob-snap": "admin"},
        subscribed("admin.eurusd.ob-inc"),
    ]
    assert client.subscribe("eurusd.ob-inc") == [
        {"eurusd.ob-snap": "public"},
        subscribed("admin.eurusd.ob-inc", "eurusd.ob-inc"),
    ]


def test_the_first_snapshot_reaches_who_waits_for_it() -> None:
    scene = Scene()
    client = scene.client(ANONYMOUS, "eurusd.ob-inc")
    scene.exchange.publish("public.eurusd.ob-snap", 1)
    scene.exchange.publish("public.eurusd.ob-inc", 2)
    assert client.told == [{"eurusd.ob-snap": 1}, {"eurusd.ob-inc": 2}]


def test_a_stream_that_the_source_refuses_at_once_is_told_and_not_listed() -> None:
    scene = Scene()
    scene.exchange.states["eurusd.trades"] = State.REFUSED, "no such exchange"
    told = status("eurusd.trades", "refused", "no such exchange")
    assert scene.client().subscribe("eurusd.trades", "a.b") == [told, subscribed("a.b")]
    assert scene.exchange.held == {topic("a.b")}


def test_a_stream_that_the_source_refuses_later_is_told_and_gone() -> None:
    scene = Scene()
    client = scene.client(ANONYMOUS, "eurusd.trades", "a.b")
    scene.exchange.say(topic("eurusd.trades"), State.REFUSED, "no more")
    assert client.told == [status("eurusd.trades", "refused", "no more")]
    assert client.subscribe() == [subscribed("a.b")]


# What clients say


def test_ping_gets_pong_and_nothing_gets_nothing() -> None:
    client = Scene().client()
    assert client.say(b" ping\n") == ["pong"]
    assert client.say(b" \n ") == []


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b'{"event":"subscribe"}', {"error": "No streams provided"}),
        (b"{}", {"error": "Could not parse Type: Invalid event"}),
        (b"x", {"error": "Could not parse message: invalid character 'x' looking for beginning of value"}),
        (
            b'{"event":"subscribe","streams":["a.b",1]}',
            error(
                "INVALID_STREAM",
                'streams: expected a list of names like "eurusd.trades"; found a number in place 2',
            ),
        ),
        (b'{"event":"subscribe","streams":"c.d"}', subscribed("eurusd.trades")),
    ],
)
def test_what_is_no_request_gets_an_error_and_changes_nothing(message: bytes, told: object) -> None:
    scene = Scene()
    client = scene.client(ANONYMOUS, "eurusd.trades")
    assert client.say(message) == [told]
    assert scene.exchange.held == {topic("eurusd.trades")}


def test_more_streams_than_allowed_are_refused_as_a_whole() -> None:
    scene = Scene(max_subscriptions=3)
    too_many = error("LIMIT_EXCEEDED", "Max 3 subscriptions allowed")
    assert scene.come(ANONYMOUS, "a.b", "c.d", "e.f", "g.h").told == [too_many, subscribed()]
    client = scene.client(ANONYMOUS, "a.b", "c.d")
    assert client.subscribe("a.b", "e.f", "g.h") == [too_many]
    assert client.subscribe(*map(str, range(100_000))) == [too_many]
    assert client.subscribe("a.b", "a.b", "e.f", "e.f") == [subscribed("a.b", "c.d", "e.f")]
    assert client.unsubscribe(*map(str, range(1000)), "a.b") == [unsubscribed("c.d", "e.f")]


def test_messages_over_the_rate_are_dropped_and_the_client_stays() -> None:
    scene = Scene(max_rate=2)
    client = scene.client()
    assert [client.say(b"ping") for _ in range(3)] == [
        ["pong"],
        ["pong"],
        [error("RATE_LIMIT_EXCEEDED", "Max 2 messages per second")],
    ]
    scene.time.goes(1.0)
    assert client.say(b"ping") == ["pong"]


def test_a_defect_is_told_to_the_client() -> None:
    client = Scene().client()
    client.session.fail()
    assert client.told == [error("INTERNAL_ERROR", "The server could not answer this message")]


# Ends


def test_nothing_is_held_for_who_has_gone() -> None:
    scene = Scene()
    client = scene.client(ALICE, "eurusd.trades", "order")
    client.close(1000, "")
    assert scene.exchange.held == set()
    assert client.session.subscriptions == 0


def test_nothing_is_held_for_who_goes_while_it_is_answered() -> None:
    scene = Scene()
    scene.exchange.states["no.no"] = State.REFUSED, "no"
    client = scene.client()
    client.when_told = lambda: client.close(4008, "Too slow")
    assert client.subscribe("a.b", "no.no", "c.d") == [status("no.no", "refused", "no")]
    assert scene.exchange.held == set()
    assert scene.hub.topics() == {}


def test_nothing_is_held_for_who_goes_while_streams_are_taken_from_it() -> None:
    scene = Scene()
    client = scene.client(ADMIN, "admin.a.b", "admin.c.d", "a.b")
    scene.rights.access = Roles()
    client.when_told = lambda: client.close(4008, "Too slow")
    client.session.recheck()
    assert scene.exchange.held == set()


def test_a_session_that_does_nothing_has_nothing() -> None:
    session = Scene().client().session
    assert not hasattr(session, "__dict__")
    assert not session.is_idle
    assert session.next_deadline == float("inf")


# Who it is


def test_streams_that_are_not_open_any_more_end_and_the_others_stay() -> None:
    scene = Scene()
    admin = scene.client(ADMIN, "admin.a.b", "staff.a.b", "eurusd.trades", "order")
    member = scene.client(ALICE, "staff.a.b")
    scene.rights.access = Roles(staff="admin")
    for client in (admin, member):
        client.session.recheck()
    assert admin.told == [status("admin.a.b", "refused", CLOSED_TO_IT)]
    assert member.told == [status("staff.a.b", "refused", CLOSED_TO_IT)]
    scene.exchange.publish("admin.a.b", 1)
    scene.exchange.publish("staff.a.b", 2)
    assert (admin.told, member.told) == ([{"a.b": 2}], [])
    assert admin.subscribe("admin.a.b") == [
        refusal("admin.a.b"),
        subscribed("staff.a.b", "eurusd.trades", "order"),
    ]


def test_an_anonymous_client_becomes_somebody_by_a_token() -> None:
    scene = Scene()
    scene.tokens["good"] = ADMIN
    client = scene.client()
    assert client.subscribe("order", "admin.a.b") == [refusal("admin.a.b"), subscribed()]
    assert client.log_in("good") == [{"system.auth": {"state": "ok"}}]
    assert client.subscribe("order", "admin.a.b") == [subscribed("admin.a.b", "order")]
    scene.exchange.publish("private.ADMIN.order", 1)
    assert client.told == [{"order": 1}]
    assert client.session.identity == ADMIN


@pytest.mark.parametrize(
    ("token", "code", "reason"),
    [
        ("bad", "TOKEN_BAD_SIGNATURE", "the token was refused: its signature is wrong"),
        ("bob", "OTHER_USER", "the token is another user's; open another connection with it"),
        ("nobody", "OTHER_USER", "the token is another user's; open another connection with it"),
    ],
)
def test_a_token_that_does_not_prove_who_the_client_is_changes_nothing(
    token: str, code: str, reason: str
) -> None:
    scene = Scene()
    scene.tokens |= {"bob": Identity("BOB", "admin"), "nobody": Identity("", "admin")}
    client = scene.client(ALICE, "order")
    assert client.log_in(token) == [{"system.auth": {"code": code, "reason": reason, "state": "refused"}}]
    assert client.session.identity == ALICE
    assert client.subscribe("admin.a.b") == [refusal("admin.a.b"), subscribed("order")]


def test_tokens_in_messages_may_be_switched_off() -> None:
    scene = Scene()
    scene.rights.authenticate = None
    reason = "this server takes no tokens in messages"
    told = {"system.auth": {"code": "AUTH_DISABLED", "reason": reason, "state": "refused"}}
    assert scene.client().log_in("good") == [told]


def test_a_new_token_with_another_role_ends_what_it_does_not_open() -> None:
    scene = Scene()
    scene.tokens["less"] = Identity("ADMIN", "member")
    client = scene.client(ADMIN, "admin.a.b", "staff.a.b", "order")
    assert client.log_in("less") == [
        {"system.auth": {"state": "ok"}},
        status("admin.a.b", "refused", CLOSED_TO_IT),
    ]
    assert client.subscribe() == [subscribed("staff.a.b", "order")]


def expiring(expires_s: int) -> dict[str, Any]:
    reason = "the token expires soon; send a new one, or this connection will be closed"
    return {"system.auth": {"expires": expires_s, "reason": reason, "state": "expiring"}}


def expired(expires_s: int) -> dict[str, Any]:
    told = {
        "code": "TOKEN_EXPIRED",
        "expires": expires_s,
        "reason": "the token has expired",
        "state": "expired",
    }
    return {"system.auth": told}


def test_who_has_an_old_token_is_warned_once_and_closed_when_it_expires() -> None:
    scene = Scene()
    client = scene.client(Identity("U", "", 1300.0), "order")
    assert client.session.next_deadline == 1240.0
    scene.later(239.9, client)
    assert client.told == []
    scene.later(0.1, client)
    assert client.told == [expiring(1300)]
    assert client.session.next_deadline == 1300.0
    scene.later(59.9, client)
    assert (client.told, client.closed) == ([], None)
    scene.later(0.1, client)
    assert client.told == [expired(1300)]
    assert client.closed == (EXPIRED, "Token expired")
    assert client.session.next_deadline == float("inf")
    assert scene.exchange.held == set()


def test_what_counts_is_the_time_of_day_and_a_warning_is_not_repeated() -> None:
    scene = Scene()
    client = scene.client(Identity("U", "", 1300.0))
    scene.later(240.0, client)
    assert client.told == [expiring(1300)]
    client.session.expire(1300.0)  # the time of day has been set back by a minute
    assert (client.told, client.closed) == ([], None)
    assert client.session.next_deadline == 1360.0


def test_who_comes_shortly_before_is_warned_behind_the_first_answer() -> None:
    assert Scene().come(Identity("U", "", 1030.0)).told == [subscribed(), expiring(1030)]


def test_a_new_token_of_the_same_user_gives_more_time() -> None:
    scene = Scene()
    scene.tokens["new"] = Identity("U", "", 2000.0)
    client = scene.client(Identity("U", "", 1300.0), "order")
    scene.later(250.0, client)
    assert client.told == [expiring(1300)]
    assert client.log_in("new") == [{"system.auth": {"expires": 2000, "state": "ok"}}]
    assert client.reminders == [690.0]
    scene.later(600.0, client)
    assert (client.told, client.closed) == ([], None)
    scene.later(90.0, client)
    assert client.told == [expiring(2000)]
    scene.later(60.0, client)
    assert client.closed == (EXPIRED, "Token expired")


def test_where_expiry_is_not_enforced_a_token_is_looked_at_once() -> None:
    scene = Scene(enforces_expiry=False)
    client = scene.client(Identity("U", "", 1030.0), "order")
    assert client.session.next_deadline == float("inf")
    scene.later(1_000_000.0, client)
    scene.exchange.publish("private.U.order", 1)
    assert client.told == [{"order": 1}]
