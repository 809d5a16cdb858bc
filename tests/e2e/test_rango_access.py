"""Who a client is, and what it may read: tokens of all kinds, their end, and roles."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from support.rabbitmq import Publisher, RabbitServer
from support.rango_gateway import Closed, RangoClient, RangoGateway, Scene, rango_gateway, token
from support.tokens import Signer, claims, ed25519, hs256, p256, part, rsa

NOW: Final = int(time.time())
LATER: Final = NOW + 3600


# Claims: what Rango's library checks, and what it does not


@pytest.mark.parametrize(
    "more",
    [
        {"exp": None},
        {"exp": LATER, "iat": None, "nbf": NOW - 5, "jti": None, "sub": None},
        {"iss": "somebody", "aud": ["others"], "sub": "anything", "state": "pending", "level": 0},
        {"aud": None},
        {"aud": "peatio"},  # Rango takes lists alone
        {"exp": LATER + 0.5},  # and whole numbers
        {"level": "3", "referral_id": "7", "email": 1},  # and these of their types
        {"role": None},
    ],
)
async def test_a_token_is_taken_whatever_else_it_says(
    scene: Scene, signer: Signer, more: dict[str, Any]
) -> None:
    client = await scene.client("/private?stream=order", jwt=token(signer, **more))
    assert listed(client) == ["order"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"exp": NOW - 1}, "TOKEN_EXPIRED"),
        ({"nbf": NOW + 600}, "TOKEN_NOT_YET_VALID"),
        ({"iat": NOW + 600}, "TOKEN_ISSUED_IN_FUTURE"),
        ({"exp": "tomorrow"}, "TOKEN_INVALID_CLAIM"),
        ({"uid": None}, "TOKEN_NO_UID"),
        ({"uid": ""}, "TOKEN_NO_UID"),
    ],
)
async def test_a_token_that_is_not_valid_now_or_nobodys_is_refused(
    scene: Scene, signer: Signer, more: dict[str, Any], code: str
) -> None:
    refusal = await scene.refused("/private", jwt=token(signer, **more))
    assert (refusal.status, refusal.code) == (401, code)


async def test_nothing_but_the_key_proves_who_one_is(scene: Scene, signer: Signer) -> None:
    """Rango pins algorithms by the type of the key alone; here a key has one."""
    whole = token(signer)
    head, body, signature = whole.split(".")
    another = token(signer, "U2").split(".")[1]
    wrong = {
        "none": f"{part({'alg': 'none'})}.{body}.",
        "another key": token(ed25519()),
        "another algorithm": token(rsa()),
        "a third one": token(p256()),
        "the public key as a secret": hs256(signer.raw_pem.encode()),
        "claims changed": f"{head}.{another}.{signature}",
        "signature cut": whole[:-2],
        "no token": "x",
        "two of them": f"{whole}.{whole}",
        "empty": "",
    }
    for what, jwt in wrong.items():
        headers = [("Authorization", f"Bearer {jwt}")]
        assert (await scene.refused("/private", headers=headers)).status == 401, what


async def test_keys_of_programs_are_not_served(scene: Scene) -> None:
    """Rango's own source signs such headers, and its server never read them."""
    headers = [("X-Auth-Apikey", "k"), ("X-Auth-Nonce", "1"), ("X-Auth-Signature", "00")]
    assert (await scene.refused("/private", headers=headers)).code == "TOKEN_MISSING"


# Tokens in messages


async def test_a_token_may_come_as_a_message(scene: Scene, signer: Signer) -> None:
    client = await scene.client("/public?stream=*.trades,order")
    exp = int(time.time()) + 1000
    answer = json.loads(await client.ask({"event": "auth", "token": token(signer, "U5", exp=exp)}))
    assert answer == {"system.auth": {"expires": exp, "state": "ok"}}
    assert await client.subscribe("order", "fence") == [f"{scene.market}.trades", "order", "fence"]
    scene.say("private.U5.order", {"id": 1})
    scene.say("private.U6.order", {"id": 2})
    assert await client.until(scene.fence("U5")) == ['{"order":{"id":1}}']


async def test_a_bad_token_in_a_message_changes_nothing(scene: Scene, signer: Signer) -> None:
    client = await scene.client("/private?stream=order", jwt=token(signer, "U1"))

    async def refused(message: dict[str, Any]) -> str:
        told = json.loads(await client.ask(message))
        return str(told.get("system.auth", told)["code"])

    assert await refused({"event": "auth", "token": token(ed25519())}) == "TOKEN_BAD_SIGNATURE"
    assert await refused({"event": "auth", "token": token(signer, "U2")}) == "OTHER_USER"
    assert await refused({"event": "auth"}) == "INVALID_TOKEN"
    assert await client.subscribe() == ["order"]


async def test_who_comes_with_an_expiring_token_is_warned_and_closed(scene: Scene, signer: Signer) -> None:
    """Rango looks at a token once; JWT_EXPIRY=connect does as Rango does."""
    exp = int(time.time()) + 2
    client = await scene.client("/private?stream=order", jwt=token(signer, exp=exp))
    warning = (await client.answer())["system.auth"]
    assert (warning["state"], warning["expires"]) == ("expiring", exp)
    assert await client.closed() == Closed(4001, "Token expired")
    last = json.loads(client.seen[-1])["system.auth"]
    assert (last["state"], last["code"]) == ("expired", "TOKEN_EXPIRED")
    assert time.time() >= exp


async def test_a_new_token_prolongs_the_connection(scene: Scene, signer: Signer) -> None:
    client = await scene.client("/private?stream=fence", jwt=token(signer, "U8", exp=int(time.time()) + 2))
    old = json.loads(await client.recv())["system.auth"]["expires"]
    await client.send({"event": "auth", "token": token(signer, "U8")})
    assert (await client.answer())["system.auth"]["state"] == "ok"
    while time.time() <= old + 0.2:
        await client.until(scene.fence("U8"))
    assert await client.subscribe() == ["fence"]


# Roles


@pytest.mark.parametrize(
    ("role", "prefix", "is_open"),
    [
        ("admin", "admin", True),
        ("superadmin", "admin", True),
        ("operator", "sys", True),  # written with a blank before it, which Rango keeps
        ("member", "admin", False),
        ("operator", "admin", False),
        ("admin", "accounting", False),
        ("", "admin", False),
        ("ADMIN", "admin", False),
        ("admin", "ADMIN", False),
    ],
)
async def test_a_role_opens_the_prefixes_that_name_it(
    scene: Scene, signer: Signer, role: str, prefix: str, is_open: bool
) -> None:
    market = scene.market
    jwt = token(signer, role=role)
    client = await scene.client(f"/?stream={prefix}.*.sys,*.sys,*.fence", jwt=jwt, greeted=False)
    refusal = json.dumps({"success": {"message": f"cannot subscribe to {prefix}.{market}.sys"}})
    if not is_open:
        assert await client.recv() == refusal.replace(": ", ":")
    named = [f"{prefix}.{market}.sys"] if is_open else []
    assert (await client.answer())["success"]["streams"] == [*named, f"{market}.sys", f"{market}.fence"]
    scene.say(f"{prefix}.*.sys", {"n": 1})
    told = await client.until(scene.fence())
    assert told == ([f'{{"{market}.sys":{{"n":1}}}}'] if is_open else [])


@pytest.mark.parametrize("prefix", ["admin", "public", "global", "private", "nobody"])
async def test_anonymous_clients_read_no_prefix(scene: Scene, prefix: str) -> None:
    client = await scene.client()
    answer = await client.ask({"event": "subscribe", "streams": [f"{prefix}.a.b"]})
    assert answer == f'{{"success":{{"message":"cannot subscribe to {prefix}.a.b"}}}}'
    assert (await client.answer())["success"]["streams"] == []


async def test_a_token_of_a_lesser_role_ends_streams(scene: Scene, signer: Signer) -> None:
    client = await scene.client("/?stream=admin.*.sys,*.fence", jwt=token(signer, "U3", "admin"))
    await client.send({"event": "auth", "token": token(signer, "U3", "member")})
    assert (await client.answer())["system.auth"]["state"] == "ok"
    ended = (await client.answer())["system.status"]
    assert (ended["state"], ended["stream"]) == ("refused", f"admin.{scene.market}.sys")
    scene.say("admin.*.sys", {"n": 1})
    assert await client.until(scene.fence()) == []


# Keys: one gateway looks at tokens as Rango does, with the key of Rango's older versions


@pytest.fixture(scope="module")
def older(rabbitmq: RabbitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RangoGateway]:
    """A gateway with an RSA key in the file that -pubKey names, and Rango's view of a token's end."""
    folder = tmp_path_factory.mktemp("older")
    (folder / "rsa-key.pub").write_text(rsa().pem)
    flags = ("-pubKey", "rsa-key.pub")
    with rango_gateway(folder, rabbitmq, *flags, JWT_EXPIRY="connect", JWT_QUERY_TOKEN="true") as gateway:
        yield gateway


async def test_rsa_keys_serve_as_in_rango_before_3_1_2(older: RangoGateway, rabbitmq: RabbitServer) -> None:
    with Publisher(rabbitmq.port) as publisher:
        scene = Scene(older, publisher, "older")
        exp = int(time.time()) + 2
        short = token(rsa(), "U1", exp=exp)
        client = await scene.client("/private?stream=order,fence", jwt=short)
        by_url = await scene.client(f"/private?token={token(rsa(), 'U1')}")
        assert await by_url.subscribe("order") == ["order"]
        for wrong in (token(ed25519()), rsa("other").token(claims(exp=LATER)), short[:-1]):
            assert (await scene.refused("/private", jwt=wrong)).status == 401
        while time.time() <= exp:
            await client.until(scene.fence("U1"))
        assert await client.subscribe() == ["order", "fence"], "it stays although its token has expired"
        assert (await scene.refused("/private", jwt=short)).code == "TOKEN_EXPIRED"
        await scene.end()


def listed(client: RangoClient) -> list[str]:
    """What the first answer of a client names."""
    names: list[str] = json.loads(client.seen[-1])["success"]["streams"]
    return names
