"""RabbitMQ's streams on ``/ws``, and who may have them: real gateways, a real RabbitMQ, real tokens."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.exceptions import InvalidStatus

from support.processes import Client, Gateway, Message, Stage, stage
from support.rabbitmq import Publisher, RabbitServer
from support.tokens import claims, ed25519

SIGNER, STRANGER = ed25519(), ed25519()
NOWHERE = "ws://127.0.0.1:9/v5/public/linear"
TICKER = "ticker:BTCUSDT"


def token(uid: str = "U1", role: str = "member", *, expires_in_s: float = 600) -> str:
    now = int(time.time())
    return SIGNER.token(claims(uid=uid, role=role, iat=now - 1, nbf=now - 1, exp=now + expires_in_s))


class Scene(NamedTuple):
    """A gateway on a market and a RabbitMQ, and who publishes there."""

    stage: Stage
    gateway: Gateway
    publisher: Publisher

    async def client(self, jwt: str = "") -> Client:
        """Who shows a token in the header, if any."""
        headers = {"Authorization": f"Bearer {jwt}"} if jwt else {}
        return await self.stage.client(self.gateway, additional_headers=headers)

    def say(self, routing_key: str, body: object) -> None:
        self.publisher.say(routing_key, body if isinstance(body, bytes) else json.dumps(body))


class Maker:
    """Makes scenes on one exchange of a RabbitMQ."""

    def __init__(self, rabbitmq: RabbitServer, exchange: str) -> None:
        self._rabbitmq, self._exchange = rabbitmq, exchange

    @asynccontextmanager
    async def scene(
        self, *options: str, venue_url: str = NOWHERE, **settings: object
    ) -> AsyncIterator[Scene]:
        """Start a gateway, and wait until it has all of RabbitMQ."""
        env = {
            "RABBITMQ_HOST": "127.0.0.1",
            "RABBITMQ_PORT": self._rabbitmq.port,
            "RABBITMQ_EXCHANGE": self._exchange,
            "JWT_PUBLIC_KEY": SIGNER.pem,
            "RANGO_RBAC_ADMIN": "admin",
            "BRAND": "acme",
        }
        async with stage() as set_up:
            gateway = await set_up.gateway(venue_url, *options, **env | settings)
            for side in ("public", "private"):
                await gateway.running.line(f"the {side} side is consumed")
            with Publisher(self._rabbitmq.port, self._exchange) as publisher:
                yield Scene(set_up, gateway, publisher)


@pytest.fixture
def maker(rabbitmq: RabbitServer, exchange: str) -> Maker:
    return Maker(rabbitmq, exchange)


def is_of(name: str) -> Callable[[Message], bool]:
    return lambda message: message.get("stream") == f"acme.rabbitmq.{name}"


async def ask_auth(client: Client, jwt: str) -> Message:
    return await client.ask({"op": "auth", "args": [jwt]})


async def by_header(scene: Scene, jwt: str) -> Client:
    return await scene.client(jwt)


async def by_subprotocol(scene: Scene, jwt: str) -> Client:
    client = await scene.stage.client(scene.gateway, subprotocols=["bearer", jwt])
    assert client.socket.subprotocol == "bearer"
    return client


async def by_message(scene: Scene, jwt: str) -> Client:
    client = await scene.client()
    answer = await ask_auth(client, jwt)
    assert (answer["op"], answer["success"], answer["uid"]) == ("auth", True, "U1")
    assert answer["expires"] > time.time() * 1000
    return client


@pytest.mark.parametrize("show", [by_header, by_subprotocol, by_message])
async def test_a_user_has_his_own_streams_and_nobody_elses(maker: Maker, show: Any) -> None:
    async with maker.scene() as scene:
        mine, other = await show(scene, token("U1")), await scene.client(token("U2"))
        nobody = await scene.client()
        for client in (mine, other):
            answer = await client.subscribe("stream:order", "stream:eurusd.trades")
            assert (answer["rejected"], answer["args"]) == (None, ["stream:order", "stream:eurusd.trades"])
        refused = await nobody.subscribe("stream:order", "stream:eurusd.trades")
        assert [each["arg"] for each in refused["rejected"]] == ["stream:order"]
        assert "show a token first" in refused["rejected"][0]["reason"]
        scene.say("private.U2.order", {"id": 2})
        scene.say("private.U1.order", b' {"id": 1, "price": 1.50}')
        first = await mine.wait(is_of("order"))
        assert (first["type"], first["data"], first["seq"]) == ("update", {"id": 1, "price": 1.5}, 1)
        assert first["source"] == "acme"
        assert (await other.wait(is_of("order")))["data"] == {"id": 2}
        scene.say("public.eurusd.trades", {"trades": []})
        for client in (mine, other, nobody):
            assert (await client.wait(is_of("eurusd.trades")))["data"] == {"trades": []}
        assert [len(client.of("acme.rabbitmq.order")) for client in (mine, other, nobody)] == [1, 1, 0]


async def test_a_token_that_proves_nothing_is_refused_wherever_it_is_shown(maker: Maker) -> None:
    async with maker.scene() as scene:
        forged = STRANGER.token(claims(uid="U1", iat=None, exp=None))
        for options in (
            {"additional_headers": {"Authorization": f"Bearer {forged}"}},
            {"subprotocols": ["bearer", forged]},
        ):
            with pytest.raises(InvalidStatus) as refusal:
                await scene.stage.client(scene.gateway, **options)
            assert refusal.value.response.status_code == 401
            assert json.loads(refusal.value.response.body)["code"] == "TOKEN_BAD_SIGNATURE"
        client = await scene.client(token("U1"))
        failed = await ask_auth(client, forged)
        assert (failed["code"], failed["cause"]) == ("AUTH_FAILED", "TOKEN_BAD_SIGNATURE")
        failed = await ask_auth(client, token("U2"))
        assert (failed["code"], failed["cause"]) == ("AUTH_FAILED", "OTHER_USER")
        assert (await client.ask({"op": "auth"}))["code"] == "INVALID_ARGS"
        assert (await client.subscribe("stream:order"))["args"] == ["stream:order"], "it is still U1"


async def test_a_token_that_expires_is_told_and_closes_whom_no_new_one_keeps(maker: Maker) -> None:
    async with maker.scene(JWT_WARNING="3600") as scene:
        leaving, staying = await scene.client(token("U1", expires_in_s=5)), await scene.client(token("U1"))
        for client in (leaving, staying):
            told = await client.wait(lambda m: m.get("type") == "auth")
            assert (told["data"]["state"], told["source"]) == ("expiring", "acme")
            assert told["timestamp"] < told["data"]["expires"]
            assert (await client.subscribe("stream:order"))["args"] == ["stream:order"]
        answer = await ask_auth(staying, token("U1", expires_in_s=7200))
        assert (answer["op"], answer["role"]) == ("auth", "member")
        assert await leaving.end() == (4001, "Token expired")
        assert leaving.messages[-1]["data"]["state"] == "expired"
        scene.say("private.U1.order", {"id": 1})
        assert (await staying.wait(is_of("order")))["data"] == {"id": 1}
        assert staying.closed is None
        late = SIGNER.token(claims(uid="U1", iat=None, exp=int(time.time()) - 1))
        assert (await ask_auth(staying, late))["cause"] == "TOKEN_EXPIRED"


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
async def test_prefixes_are_their_roles_and_sighup_takes_them_back(
    maker: Maker, tmp_path: Path, options: tuple[str, ...]
) -> None:
    settings = tmp_path / "feedmux.toml"
    settings.write_text('rango_rbac_admin = "admin"\n')
    arg, stream = "stream:admin.eurusd.sys", "acme.rabbitmq.admin.eurusd.sys"
    async with maker.scene(*options, "--config", str(settings), RANGO_RBAC_ADMIN="") as scene:
        admin, member = await scene.client(token("U1", "admin")), await scene.client(token("U2"))
        assert (await admin.subscribe(arg, "stream:order"))["args"] == [arg, "stream:order"]
        refused = await member.subscribe(arg)
        assert not refused["success"]
        assert refused["rejected"][0]["reason"] == f"{arg} is not open to the role of this client"
        scene.say("admin.eurusd.sys", {"n": 1})
        assert (await admin.data(stream))["data"] == {"n": 1}

        settings.write_text('rango_rbac_admin = "superadmin"\n')
        scene.gateway.running.signal(signal.SIGHUP)
        status = await admin.status("refused", stream)
        assert "does not open it any more" in status["data"]["reason"]
        assert (await admin.subscribe(arg))["rejected"][0]["arg"] == arg
        scene.say("admin.eurusd.sys", {"n": 2})
        scene.say("private.U1.order", {"id": 1})
        await admin.data("acme.rabbitmq.order")
        assert [message["type"] for message in admin.of(stream)] == ["update", "status"]
        promoted = await ask_auth(member, token("U2", "superadmin"))
        assert promoted["role"] == "superadmin"
        assert (await member.subscribe(arg))["args"] == [arg]
        assert member.of(stream) == []


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
async def test_a_gateway_serves_a_market_and_rabbitmq_to_one_client(
    maker: Maker, stage: Stage, options: tuple[str, ...]
) -> None:
    """Who comes late to an object gets its snapshot, the increments since, and then each that follows."""
    venue = await stage.venue()
    async with maker.scene(*options, venue_url=venue.url) as scene:
        book, args = "acme.rabbitmq.eurusd.ob-inc", ["stream:eurusd.ob-inc@rabbitmq", TICKER]
        first = await scene.client()
        assert (await first.subscribe(*args))["args"] == args
        bodies: list[Any] = [
            {"asks": [["1.50", "2"]], "bids": [], "sequence": 1},
            {"asks": ["1.50", "1"], "sequence": 2},
            {"bids": ["1.40", "7"], "sequence": 3},
        ]
        for body in bodies:
            scene.say(f"public.eurusd.ob-{'snap' if body['sequence'] == 1 else 'inc'}", body)
        await first.data(book, count=3)
        late = await scene.client()
        asked = {"op": "subscribe", "args": args, "options": {"conflate": True}}
        answer = await late.ask(asked)
        assert answer["args"] == args
        assert answer["notes"] == [
            f"{args[0]} is not conflated: each of its increments is needed by the next"
        ]
        await late.data(book, count=3)
        scene.say("public.eurusd.ob-inc", {"asks": ["1.60", "1"], "sequence": 4})
        for client in (first, late):
            assert (await client.data(book, count=4))["data"]["sequence"] == 4
            came = client.of(book)
            assert [message["type"] for message in came] == ["snapshot", "update", "update", "update"]
            assert [message["data"] for message in came[:3]] == bodies
            assert [message["seq"] for message in came] == [1, 2, 3, 4]
            assert came[0]["epoch"] > 1_600_000_000_000
            ticker = await client.data("acme.futures.ticker.BTCUSDT")
            assert float(ticker["data"]["price"]) > 0
        given_back = await first.unsubscribe("stream:eurusd.ob-inc")
        assert given_back["args"] == ["stream:eurusd.ob-inc"]


async def test_without_keys_or_rabbitmq_a_gateway_is_as_it_was(maker: Maker, stage: Stage) -> None:
    async with maker.scene(JWT_PUBLIC_KEY="") as scene:
        client = await scene.client("anything")
        assert await ask_auth(client, token()) == {
            "op": "error", "code": "UNKNOWN_OP", "message": "Unknown operation: auth",
        }  # fmt: skip
        answer = await client.subscribe("stream:order", "stream:eurusd.trades")
        assert answer["args"] == ["stream:eurusd.trades"]
        assert "no key to check tokens with" in answer["rejected"][0]["reason"]
    gateway = await stage.gateway(NOWHERE, JWT_PUBLIC_KEY=SIGNER.pem)
    client = await stage.client(gateway, additional_headers={"Authorization": f"Bearer {token()}"})
    answer = await client.subscribe("stream:order", "stream:eurusd.trades")
    assert {each["reason"] for each in answer["rejected"]} == {
        "This server has no RabbitMQ, which streams like stream:eurusd.trades come from"
    }
