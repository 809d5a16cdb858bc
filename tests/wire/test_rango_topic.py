from __future__ import annotations

import pytest

from feedmux.model.topic import Mode, Topic
from feedmux.wire.envelope import MAX_TOPIC_BYTES, read_topic, topic_bytes
from feedmux.wire.rango_topic import (
    MAX_NAME_CHARACTERS,
    Routed,
    body_name,
    is_private,
    prefix_of,
    problem_of,
    route,
    stream_name,
    stream_topic,
)


def topic(scope: str, name: str, kind: str = "message") -> Topic:
    return Topic(scope, "rabbitmq", "", kind, name)


def book(scope: str, name: str) -> Topic:
    return topic(scope, name, "object")


@pytest.mark.parametrize(
    ("name", "uid", "expected"),
    [
        ("eurusd.trades", "", topic("public", "eurusd.trades")),
        ("eurusd.trades", "U", topic("public", "eurusd.trades")),
        ("global.tickers", "", topic("public", "global.tickers")),
        ("eurusd.ob-inc", "", book("public", "eurusd.ob-inc")),
        ("eurusd.ob-snap", "", topic("public", "eurusd.ob-snap")),
        ("order", "U", topic("uid=U", "order")),
        ("order", "", None),
        ("balance-inc", "U", book("uid=U", "balance-inc")),
        ("admin.eurusd.sys", "", topic("role=admin", "eurusd.sys")),
        ("admin.eurusd.ob-inc", "U", book("role=admin", "eurusd.ob-inc")),
        ("public.eurusd.trades", "", topic("role=public", "eurusd.trades")),
        ("a.b.c.d", "", topic("public", "a.b.c.d")),
        ("...", "", topic("public", "...")),
        ("..", "", topic("role=", ".")),
        (".", "", topic("public", ".")),
        ("", "U", None),
        ("", "", None),
        ("a%2Cb", "U", topic("uid=U", "a%2Cb")),
        ("uid=V", "U", topic("uid=U", "uid=V")),
        ("Ünïcode:\n\x00 .☃", "", topic("public", "Ünïcode:\n\x00 .☃")),
        ("lone\ud800.x", "", None),
        ("x" * 250 + ".trade", "", topic("public", "x" * 250 + ".trade")),
        ("x" * 250 + ".trades", "", None),
    ],
)
def test_a_client_s_name_is_a_topic(name: str, uid: str, expected: Topic | None) -> None:
    assert stream_topic(name, uid) == expected
    assert expected is None or stream_name(expected) == name


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("public.eurusd.trades", Routed(topic("public", "eurusd.trades"), False)),
        ("public.global.tickers", Routed(topic("public", "global.tickers"), False)),
        ("global.tickers", Routed(topic("public", "global.tickers"), False)),
        ("public.tickers", Routed(topic("public", "public.tickers"), False)),
        ("global.eurusd.trades", Routed(topic("public", "eurusd.trades"), False)),
        ("public.eurusd.ob-inc", Routed(book("public", "eurusd.ob-inc"), False)),
        ("public.eurusd.ob-snap", Routed(book("public", "eurusd.ob-inc"), True)),
        ("public.eurusd.a-snap-snap", Routed(book("public", "eurusd.a-snap-inc"), True)),
        ("public.a-snap.b", Routed(topic("public", "a-snap.b"), False)),
        ("global.ob-snap", Routed(book("public", "global.ob-inc"), True)),
        ("private.U.order", Routed(topic("uid=U", "order"), False)),
        ("private.U.balance-snap", Routed(book("uid=U", "balance-inc"), True)),
        ("private.order", None),
        ("private..order", None),
        ("private.U.", None),
        ("admin.eurusd.sys", Routed(topic("role=admin", "eurusd.sys"), False)),
        ("admin.eurusd.ob-snap", Routed(book("role=admin", "eurusd.ob-inc"), True)),
        ("admin.sys", Routed(topic("role=admin", "admin.sys"), False)),
        ("Public.eurusd.trades", Routed(topic("role=Public", "eurusd.trades"), False)),
        ("public.eurusd.", Routed(topic("public", "eurusd."), False)),
        ("..", Routed(topic("role=", "."), False)),
        ("", None),
        ("public", None),
        ("public.a.b.c", None),
        ("public.a.\ud800", None),
        ("ü" * 85 + ".x", None),
    ],
)
def test_a_routing_key_is_a_topic(key: str, expected: Routed | None) -> None:
    assert route(key) == expected


def test_what_clients_name_and_what_is_routed_is_one_object() -> None:
    routed = route("public.eurusd.trades")
    assert routed is not None
    assert stream_topic("eurusd.trades", "") is stream_topic("eurusd.trades", "U") is routed.topic


@pytest.mark.parametrize(
    ("stream", "name", "increment", "snapshot"),
    [
        (topic("public", "eurusd.trades"), "eurusd.trades", "eurusd.trades", "eurusd.trades"),
        (book("public", "eurusd.ob-inc"), "eurusd.ob-inc", "eurusd.ob-inc", "eurusd.ob-snap"),
        (book("role=admin", "eurusd.ob-inc"), "admin.eurusd.ob-inc", "eurusd.ob-inc", "eurusd.ob-snap"),
        (topic("role=admin", "eurusd.sys"), "admin.eurusd.sys", "eurusd.sys", "eurusd.sys"),
        (topic("uid=U", "order"), "order", "order", "order"),
        (book("uid=U", "x-inc"), "x-inc", "x-inc", "x-snap"),
    ],
)
def test_answers_list_a_stream_with_its_prefix_and_bodies_come_without(
    stream: Topic, name: str, increment: str, snapshot: str
) -> None:
    assert stream_name(stream) == name
    assert body_name(stream, False) == increment
    assert body_name(stream, True) == snapshot


def test_scopes_are_told_apart() -> None:
    public, private, prefixed = topic("public", "a.b"), topic("uid=role=x", "a"), topic("role=uid=x", "a.b")
    assert [is_private(stream) for stream in (public, private, prefixed)] == [False, True, False]
    assert [prefix_of(stream) for stream in (public, private, prefixed)] == [None, None, "uid=x"]


def test_objects_are_books_and_all_the_rest_is_passed_through() -> None:
    assert book("public", "eurusd.ob-inc").mode is Mode.BOOK
    assert topic("public", "eurusd.trades").mode is Mode.RAW


@pytest.mark.parametrize(
    ("name", "uid", "problem"),
    [
        ("eurusd.trades", "", ""),
        ("order", "", ""),
        ("order", "U", ""),
        ("", "U", ""),
        (
            "x" * 257,
            "U",
            f"The name of a stream is longer than 256 characters: {'x' * 32}…",
        ),
        (
            "☃" * 255 + ".",
            "",
            f"The name of a stream takes more than 1024 bytes with all that is encoded: {'☃' * 32}…",
        ),
        (
            "order",
            "U" * 1024,
            "The name of a stream takes more than 1024 bytes with all that is encoded: order…",
        ),
    ],
)
def test_a_name_that_nothing_can_have_has_a_reason(name: str, uid: str, problem: str) -> None:
    assert problem_of(name, uid) == problem
    assert not problem or stream_topic(name, uid) is None


def test_whatever_has_a_topic_can_travel_on_any_bus() -> None:
    longest = stream_topic("☃." + "x" * (MAX_NAME_CHARACTERS - 2), "")
    assert longest is not None
    assert read_topic(topic_bytes(longest)) == longest
    assert len(topic_bytes(longest)) <= MAX_TOPIC_BYTES
