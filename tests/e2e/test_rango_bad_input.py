"""What is wrong with routing keys, bodies and names: nothing of it ends anything, or reaches anybody else."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from support.frames import TEXT
from support.rango_gateway import Scene, token
from support.raw import UPGRADE, Raw
from support.tokens import Signer

MILLION = 1_048_576


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"not json",
        b'{"a":1',
        b'{"a":1}}',
        b'{"a":1} {"b":2}',
        b'{"a":NaN}',
        b"Infinity",
        b'{"a":"\xff\xfe"}',
        b'{"a":"\xed\xa0\x80"}',
        b'"\\ud800"',  # Go reads it, as U+FFFD
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b'{"a":01}',
        b'"\n"',
        b"[" * 100_000 + b"]" * 100_000,
        b'"' + b"x" * MILLION + b'"',
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("kind", ["trades", "ob-snap"])
async def test_a_body_that_is_no_json_reaches_nobody(scene: Scene, kind: str, body: bytes) -> None:
    name = kind.replace("-snap", "-inc")
    client = await scene.client(f"/?stream=*.{name},*.fence")
    scene.say(f"public.*.{kind}", body)
    scene.say(f"public.*.{kind}", "[1]")
    assert await client.until(scene.fence()) == [f'{{"{scene.market}.{kind}":[1]}}']


async def test_bodies_of_any_depth_and_length_within_the_bounds_pass(scene: Scene) -> None:
    client = await scene.client("/?stream=*.trades,*.fence")
    for body in ("[" * 500 + "]" * 500, f'"{"x" * (MILLION - 2)}"', '{"":{"":""}}', '"\\u0000"'):
        scene.say("public.*.trades", body)
        assert await client.until(scene.fence()) == [f'{{"{scene.market}.trades":{body}}}']


async def test_what_is_wrong_is_said_once_and_without_the_body(scene: Scene, signer: Signer) -> None:
    client = await scene.client("/?stream=secret,fence", jwt=token(signer, "HIDDEN-UID"))
    for _ in range(100):
        scene.say("private.HIDDEN-UID.secret", "my balance is 42")
    assert await client.until(scene.fence("HIDDEN-UID")) == []
    log = scene.gateway.log
    assert not any(hidden in log for hidden in ("HIDDEN-UID", "balance", "42 "))
    assert log.count("a message to private.… was dropped") <= 2


@pytest.mark.parametrize(
    "key",
    [
        "public.\u202e.🙂".encode(),
        b"\x00.\x00.\x00",
        b"public.*.\n",
        "private.é.order".encode(),
        b"a" * 255,
        b"." * 255,
        b"#.#.#",
        b"public.#.*",
    ],
)
async def test_no_routing_key_does_any_harm(scene: Scene, signer: Signer, key: bytes) -> None:
    client = await scene.client("/?stream=*.trades,*.fence,fence,order", jwt=token(signer, scene.market))
    scene.publisher.channel.basic_publish(
        "peatio.events.ranger", key.replace(b"*", scene.market.encode()), b"[1]"
    )
    assert await client.until(scene.fence()) == []
    assert await client.until(scene.fence(scene.market)) == []


async def test_a_routing_key_that_is_no_utf8_is_a_lost_connection_and_no_more(
    scene: Scene, signer: Signer
) -> None:
    """The library that reads AMQP takes keys for texts; Rango does not care."""
    client = await scene.client("/?stream=*.trades")
    scene.publisher.channel.basic_publish("peatio.events.ranger", b"public.\xff.trades", b"[1]")
    states = [json.loads(await client.recv())["system.status"]["state"] for _ in range(3)]
    assert states == ["reconnecting", "gap", "live"]
    await scene.is_ready(token(signer, "READY"), "READY")


# Names

NAMES = [
    "100%.x",
    "%2E.x",
    "a%20b.c",
    "colon:.x:y",
    "a b.c d",
    "uid=U1.x",
    "role=admin.x",
    "public:rabbitmq::message:a.b:",
    "emoji🙂.x",
    "\u202eabc.x",
    "é.è",
    "'.\"",
    "a\\.b",
    "..",
    "a..b.c",
    ".",
    "a.",
    "{}.[]",
    "system.status",
    "*.#",
    "x" * 120 + "." + "y" * 100,
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_of_odd_characters_is_a_name(scene: Scene, name: str) -> None:
    """It means its letters, and nothing else: nothing is decoded, nothing is a pattern."""
    client = await scene.client("/?stream=*.fence")
    if name.count(".") == 2:
        answer = await client.ask({"event": "subscribe", "streams": [name]})
        assert json.loads(answer) == {"success": {"message": f"cannot subscribe to {name}"}}
        return
    assert name in await client.subscribe(name)
    if name.count(".") == 1:
        scene.publisher.say(f"global.{name}", '"it"')
        text = (await client.until(scene.fence()))[0]
        assert json.loads(text) == {name: "it"}
    answer = await client.ask({"event": "unsubscribe", "streams": [name]})
    assert json.loads(answer)["success"]["streams"] == [f"{scene.market}.fence"]


@pytest.mark.parametrize("name", ["x" * 10_000, "a." + "🙂" * 2_500, "a.b." + "%" * 10_000, "x" * 257 + ".y"])
async def test_a_name_that_is_too_long_is_an_error(scene: Scene, name: str) -> None:
    client = await scene.client("/?stream=*.trades")
    answer = json.loads(await client.ask({"event": "subscribe", "streams": [name, "a.b"]}))
    assert answer["code"] == "INVALID_STREAM"
    assert len(answer["error"]) < 200
    assert (await client.answer())["success"]["streams"] == [f"{scene.market}.trades", "a.b"]


@pytest.mark.parametrize(
    ("target", "streams"),
    [
        ("?stream=a%2Eb", ["a%2Eb.is-private"]),
        ("?stream=%61.b", ["%61.b"]),
        ("?stream=a+b.c", ["a+b.c"]),
        ("?stream=%C3%BC.x", ["%C3%BC.x"]),
        ("?stream=a:b.c;d", ["a:b.c;d"]),
        ("?stream=a.b=c", []),
        ("?stream==a.b", []),
        ("?Stream=a.b", []),
        ("?stream=a.b?", ["a.b?"]),  # two question marks, and Rango sees no names at all
        ("?&&stream=a.b&&", ["a.b"]),
        ("?stream=,a.b,,c.d,", ["a.b", "c.d"]),
        ("?stream=a.b#c", ["a.b#c"]),
    ],
)
async def test_names_in_a_url_are_taken_as_they_stand(scene: Scene, target: str, streams: list[str]) -> None:
    expected = [name for name in streams if not name.endswith("is-private")]
    with await Raw.upgraded(scene.gateway.port, path=f"/public{target}") as raw:
        frame = await raw.frame()
        assert frame.opcode == TEXT
        assert json.loads(frame.payload)["success"]["streams"] == expected


@pytest.mark.parametrize("name", ["ü.x", "🙂.x", "a b.x"])
async def test_a_url_of_other_characters_is_no_url(scene: Scene, name: str) -> None:
    """RFC 3986 has none, and browsers write them with percent signs."""
    with await Raw.connect(scene.gateway.port) as raw:
        await raw.send(UPGRADE.replace(b"/ws", f"/?stream={name}".encode()))
        assert (await raw.read_to_end()).startswith(b"HTTP/1.1 400 ")


async def test_a_url_of_any_length_that_http_takes_is_read(scene: Scene) -> None:
    names = [f"market{number:04}.x" for number in range(500)]
    client = await scene.client(f"/?stream={','.join(names)}")
    assert json.loads(client.seen[-1])["success"]["streams"] == names


# Users of odd names


async def test_users_of_odd_names_are_themselves_and_nobody_else(scene: Scene, signer: Signer) -> None:
    uids = ["U:1", "U%3A1", "U 1", "🙂", "#", "*", "uid=U1", "U1:rabbitmq::message:order:", "é", "U1%", "U1"]
    clients = [await scene.client("/?stream=order,fence", jwt=token(signer, uid)) for uid in uids]
    for uid in uids:
        scene.say_to(uid, "order", {"uid": uid})
        scene.say_to(uid, "fence", 1)
    for uid, client in zip(uids, clients, strict=True):
        assert [json.loads(text) for text in await client.until('{"fence":1}')] == [{"order": {"uid": uid}}]


@pytest.mark.parametrize("uid", ["U\n1", "x" * 129, "U\x00", "\u200b\x7f"])
async def test_uids_that_cannot_be_read_are_refused(scene: Scene, signer: Signer, uid: str) -> None:
    assert (await scene.refused("/private", jwt=token(signer, uid))).code == "TOKEN_INVALID_UID"


async def test_a_quoted_token_is_no_token(scene: Scene, signer: Signer) -> None:
    for jwt in (f'"{token(signer)}"', quote(token(signer) + "="), token(signer) + ","):
        assert (await scene.refused("/private", jwt=jwt)).status == 401
