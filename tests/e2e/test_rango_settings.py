"""Rango's environment and flags, what is declared in RabbitMQ, and starts and ends in all weathers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import pytest_asyncio

from feedmux.app.commands.rango import DEFAULTS
from feedmux.app.settings import fields
from feedmux.sim.faults import FaultProxy
from support.certificates import HOST
from support.rabbitmq import Publisher, RabbitServer
from support.rango_gateway import Closed, RangoGateway, Scene, rango_gateway, token
from support.tokens import Signer
from support.waiting import eventually

USER, PASSWORD = "ex@ch:ange/1", "p@ss:w/rd#%?"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANGER_HOST", "0.0.0.0"),
        ("RANGER_PORT", 8080),
        ("RABBITMQ_HOST", "localhost"),
        ("RABBITMQ_PORT", 5672),
        ("RABBITMQ_USER", "guest"),
        ("RABBITMQ_EXCHANGE", "peatio.events.ranger"),
        ("METRICS_PORT", 4242),
    ],
)
def test_defaults_are_those_of_rango(name: str, value: object) -> None:
    assert DEFAULTS.values.get(name.lower(), fields()[name.lower()].default) == value


# One gateway has all from its environment, odd names included, another one all from its flags


@pytest.fixture(scope="module")
def user(rabbitmq: RabbitServer) -> None:
    """Somebody in RabbitMQ whose name and password would have to be escaped in a URL."""
    name, password = (f"<<{text!r}>>".replace("'", '"') for text in (USER, PASSWORD))
    rabbitmq.evaluate(
        f'catch rabbit_auth_backend_internal:add_user({name}, {password}, <<"test">>),'
        f'rabbit_auth_backend_internal:set_permissions({name}, <<"/">>, <<".*">>, <<".*">>, <<".*">>,'
        ' <<"test">>), Answer = true'
    )


@pytest.mark.usefixtures("user")
async def test_settings_come_from_the_environment_and_what_is_empty_is_not_set(
    rabbitmq: RabbitServer, signer: Signer, tmp_path: Path
) -> None:
    """Rango puts user and password into a URL as they are, so that these would not get in."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ed25519-key.pub").write_text(signer.raw_pem)
    who = {"RABBITMQ_USER": USER, "RABBITMQ_PASSWORD": PASSWORD}
    empty = dict.fromkeys(("JWT_PUBLIC_KEY", "API_CORS_ORIGINS", "RANGO_RBAC_EMPTY", "RABBITMQ_VHOST"), "")
    more = {"LOG_LEVEL": "InFo", "RANGO_RBAC_ODD": "a=b", "HOST": "192.0.2.1", "PORT": "1"}
    with rango_gateway(tmp_path, rabbitmq, **who, **empty, **more) as gateway:
        with Publisher(rabbitmq.port) as publisher:
            scene = Scene(gateway, publisher, "environment")
            client = await scene.client("/private?stream=order,odd.a.b", jwt=token(signer, "U1", "a=b"))
            assert '"order"' in client.seen[-1]
            assert '"odd.a.b"' in client.seen[-1]  # Rango would take the role b
            scene.say("private.U1.order", [1])
            assert await client.recv() == '{"order":[1]}'
            await scene.end()
        assert gateway.stop() == 0
        assert PASSWORD not in gateway.log


@pytest.fixture(scope="module")
def flagged(
    rabbitmq: RabbitServer, user: None, signer: Signer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RangoGateway]:
    """A gateway whose flags say all, and whose environment is wrong about it."""
    folder = tmp_path_factory.mktemp("flagged")
    (folder / "key.pem").write_text(signer.pem)
    url = f"amqp://{quote(USER, '')}:{quote(PASSWORD, '')}@127.0.0.1:{rabbitmq.port}"
    flags = ["-ws-addr", "127.0.0.1:0", f"-amqp-addr={url}", "-pubKey", "key.pem", "-exchange", "by.flag"]
    wrong = {"RANGER_HOST": "192.0.2.1", "RANGER_PORT": "1", "RABBITMQ_PASSWORD": "wrong"}
    pages = {"API_CORS_ORIGINS": " https://app.example , http://localhost:3000,other.example:8443 "}
    gateway = rango_gateway(folder, rabbitmq, *flags, exchange="wrong", LOG_LEVEL="DEBUG", **wrong, **pages)
    with gateway as started:
        yield started


async def test_flags_count_more_than_the_environment(
    flagged: RangoGateway, rabbitmq: RabbitServer, signer: Signer
) -> None:
    with Publisher(rabbitmq.port, "by.flag") as publisher:
        scene = Scene(flagged, publisher, "flags")
        client = await scene.client("/private?stream=order,a.b", jwt=token(signer, "U1"))
        scene.say("public.a.b", [1])
        assert await client.recv() == '{"a.b":[1]}'
        await scene.end()


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("https://app.example", True),
        ("http://APP.example", True),
        ("http://localhost:3000", True),
        ("https://other.example:8443", True),
        ("https://other.example", False),
        ("http://localhost", False),
        ("https://app.example.evil", False),
        ("http://127.0.0.1:{}", False),
        ("", True),
    ],
)
async def test_pages_are_those_of_the_list(flagged: RangoGateway, origin: str, is_allowed: bool) -> None:
    scene = Scene(flagged, None, "pages")  # type: ignore[arg-type] # nobody publishes
    origin = origin.format(flagged.port)
    if is_allowed:
        await scene.client("/public", origin=origin)
    else:
        assert (await scene.refused("/public", origin=origin)).code == "ORIGIN_REFUSED"
    await scene.end()


# RabbitMQ

INFO: Final = (
    'Name = rabbit_misc:r(<<"/">>, exchange, <<"{exchange}">>), {{ok, X}} = rabbit_exchange:lookup(Name),'
    "Exchange = maps:from_list([{{K, V}} || {{K, V}} <- rabbit_exchange:info(X),"
    " lists:member(K, [type, durable, auto_delete, internal, arguments])]),"
    "Facts = fun({{binding, _, Key, N, _}}) -> {{ok, Q}} = rabbit_amqqueue:lookup(N),"
    " Own = rabbit_amqqueue:info(Q, [durable, auto_delete, exclusive, exclusive_consumer_tag]),"
    " [{{_, Tag, Ack, _, _, _, _, _}}] = rabbit_amqqueue:consumers(Q),"
    " {{Key, maps:from_list([{{tag, Tag}}, {{ack, Ack}} | Own])}} end,"
    "Queues = maps:from_list([Facts(B) || B <- rabbit_binding:list_for_source(Name)]),"
    "Answer = #{{exchange => Exchange, queues => Queues}}"
)


def test_what_is_declared_is_what_rango_declares(flagged: RangoGateway, rabbitmq: RabbitServer) -> None:
    found: dict[str, Any] = rabbitmq.evaluate(INFO.format(exchange="by.flag"))
    plain = {"type": "topic", "durable": False, "auto_delete": False, "internal": False, "arguments": []}
    assert found["exchange"] == plain
    assert set(found["queues"]) == {"#", "private.#"}
    for queue in found["queues"].values():
        assert queue["exclusive_consumer_tag"] == queue["tag"]
        own = {name: queue[name] for name in ("durable", "auto_delete", "exclusive", "ack")}
        assert own == {"durable": False, "auto_delete": True, "exclusive": True, "ack": False}


@pytest_asyncio.fixture
async def way(rabbitmq: RabbitServer) -> AsyncIterator[FaultProxy]:
    """The way to RabbitMQ, which is not there yet."""
    proxy = FaultProxy(HOST, rabbitmq.port)
    await proxy.start()
    await proxy.refuse(True)
    yield proxy
    await proxy.stop()


async def test_it_serves_before_rabbitmq_is_there_and_survives_a_wrong_exchange(
    rabbitmq: RabbitServer, way: FaultProxy, exchange: str, tmp_path: Path
) -> None:
    """Without a key Rango ends with exit code 0, and an exchange that is another one makes it panic."""
    place = {"RABBITMQ_HOST": HOST, "RABBITMQ_PORT": str(way.port), "RABBITMQ_RECONNECT_DELAY_MAX": "0.1"}
    gateway = RangoGateway(tmp_path)
    with Publisher(rabbitmq.port) as publisher:
        publisher.channel.exchange_declare(exchange, "fanout", durable=True)
        gateway.start("-exchange", exchange, env=place | {"DRAIN_SECONDS": "0.5"})
        try:
            gateway.listens()
            scene = Scene(gateway, publisher, "early")
            assert (await scene.refused("/private")).code == "TOKENS_NOT_CHECKED"
            client = await scene.client("/?stream=early.trades,order")
            await tells(scene, "RabbitMQ cannot be reached")
            await way.refuse(False)
            await tells(scene, "the exchange in RabbitMQ is another one than the gateway's settings say")
            assert "that is not topic, not durable" in gateway.log
            publisher.channel.exchange_delete(exchange)
            await tells(scene, "")
            publisher.channel.basic_publish(exchange, "public.early.trades", b"[1]")
            await client.until('{"early.trades":[1]}')
            ended = asyncio.create_task(client.closed())
            assert await asyncio.to_thread(gateway.stop) == 0
            assert await ended == Closed(1001, "Server going away")
            assert rabbitmq.queues(exchange) == {}
        finally:
            gateway.dispose()


async def tells(scene: Scene, reason: str) -> None:
    """Wait until who subscribes is told this reason why nothing comes; an empty one: it is live."""

    async def told() -> str:
        client = await scene.client("/?stream=early.trades")
        status = json.loads(client.seen[0]).get("system.status", {})
        return str(status.get("reason", ""))

    await eventually(told, reason.__eq__, reason)


# Starts that cannot work


@pytest.mark.parametrize(
    ("flags", "env", "named"),
    [
        ([], {"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ([], {"API_CORS_ORIGINS": "https://"}, "API_CORS_ORIGINS"),
        ([], {"JWT_PUBLIC_KEY": "bm8ga2V5"}, "JWT_PUBLIC_KEY"),
        (["-pubKey", "nowhere.pub"], {}, "nowhere.pub"),
        (["-ws-addr", "8080"], {}, "-ws-addr"),
        (["-amqp-addr", "http://localhost"], {}, "amqp://"),
    ],
)
def test_a_wrong_setting_is_named_and_the_exit_code_is_2(
    tmp_path: Path, flags: list[str], env: dict[str, str], named: str
) -> None:
    """Rango panics, or swallows the error and ends with 0."""
    gateway = RangoGateway(tmp_path)
    gateway.start(*flags, env=env)
    try:
        assert gateway.ends() == 2
        assert named in gateway.log
    finally:
        gateway.dispose()


async def test_every_stage_keeps_as_many_increments_as_the_settings_say(
    rabbitmq: RabbitServer, exchange: str, tmp_path: Path
) -> None:
    """More than are kept by default, of what cannot be folded: whoever keeps fewer loses the object."""
    with (
        rango_gateway(tmp_path / "gateway", rabbitmq, exchange=exchange, OBJECT_INCREMENTS="400") as gateway,
        Publisher(rabbitmq.port, exchange) as publisher,
    ):
        scene = Scene(gateway, publisher, "eurusd")
        early = await scene.client("/public?stream=*.rows-inc,*.fence")
        for number in range(301):
            kind = "inc" if number else "snap"
            scene.say(f"public.*.rows-{kind}", {"rows": [number], "sequence": number})
        last = scene.fence()
        told = await early.until(last)
        late = await scene.client("/public?stream=*.rows-inc")
    assert [json.loads(text) for text in told] == [
        {f"eurusd.rows-{'inc' if number else 'snap'}": {"rows": [number], "sequence": number}}
        for number in range(301)
    ]
    assert late.seen[:-1] == told
