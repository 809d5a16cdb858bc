"""Routing keys to streams: who is sent what, under which name, and that scopes never mix."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest

from support.rabbitmq import Publisher, RabbitServer
from support.rango_gateway import RangoClient, RangoGateway, Scene, rango_gateway, token
from support.raw import Raw
from support.tokens import Signer

ORDER = {
    "id": 97, "market": "eurusd", "kind": "bid", "side": "buy", "ord_type": "limit", "price": "250.0",
    "avg_price": "0.0", "state": "wait", "origin_volume": "100.0", "remaining_volume": "100.0",
    "executed_volume": "0.0", "at": 1585911600, "created_at": 1585911600, "updated_at": 1585911600,
    "trades_count": 0,
}  # fmt: skip
TRADE = {
    "id": 312, "price": "0.15", "amount": "1.0", "total": "0.15", "market": "eurusd", "side": "sell",
    "taker_type": "sell", "created_at": "2020-04-03T11:00:00Z", "order_id": 97,
}  # fmt: skip
TRADES = {"trades": [{"tid": 7, "taker_type": "buy", "date": 1585911600, "price": "0.15", "amount": "1.0"}]}
TICKERS = {"eurusd": {"open": "0.14", "last": "0.15", "volume": "17.0", "price_change_percent": "+7.14%"}}
CANDLE = [1585911600, 0.14, 0.15, 0.13, 0.15, 17.0]
SPANS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "3d", "1w")


async def test_what_peatio_publishes_reaches_its_readers(scene: Scene, signer: Signer) -> None:
    client = await scene.client(jwt=token(signer, "U1"))
    market = scene.market
    candles = [f"{market}.kline-{span}" for span in SPANS]
    public = [f"{market}.trades", "global.tickers", *candles]
    private = ["order", "trade", "deposit_address", "balances"]
    assert await client.subscribe(*public, *private) == [*public, *private]
    bodies = {f"{market}.trades": TRADES, "global.tickers": TICKERS} | dict.fromkeys(candles, CANDLE)
    for name, body in bodies.items():
        scene.say(f"public.{name}", body)
        assert await client.recv() == json.dumps({name: body}, separators=(",", ":"))
    address = {"type": "create", "currencies": ["eth"], "blockchain_key": "eth-rinkeby", "address": "0x5b"}
    own = {"order": ORDER, "trade": TRADE, "deposit_address": address, "balances": {"eur": ["1.0", "0"]}}
    for name, body in own.items():
        scene.say(f"private.U1.{name}", body)
        assert await client.recv() == json.dumps({name: body}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("routing_key", "stream", "key"),
    [
        ("public.*.trades", "*.trades", "*.trades"),
        ("global.*.trades", "*.trades", "*.trades"),
        ("global.*", "global.*", "global.*"),
        ("public.*", "public.*", "public.*"),
        ("public.global.*", "global.*", "global.*"),
        ("public.*.ob-spread", "*.ob-spread", "*.ob-spread"),
        ("public.*.", "*.", "*."),
        ("public..*", ".*", ".*"),
        ("admin.*.sys", "admin.*.sys", "*.sys"),
        ("admin.*", "admin.admin.*", "admin.*"),
        ("private.U1.*", "*", "*"),
    ],
)
async def test_a_routing_key_names_a_stream(
    scene: Scene, signer: Signer, routing_key: str, stream: str, key: str
) -> None:
    stream, key = (name.replace("*", scene.market) for name in (stream, key))
    client = await scene.client(f"/?stream={stream}", jwt=token(signer, "U1", "admin"))
    scene.say(routing_key, [1])
    assert await client.recv() == f'{{"{key}":[1]}}'


@pytest.mark.parametrize(
    "routing_key",
    ["*", "public", "public.*.trades.more", "private.*", "private.*.trades.more", "", "..", "."],
)
async def test_other_routing_keys_reach_nobody(scene: Scene, signer: Signer, routing_key: str) -> None:
    market = scene.market
    wished = [f"{market}.trades", market, f"public.{market}", f"private.{market}", "trades", "more"]
    client = await scene.client(jwt=token(signer, market, "admin"))
    await client.subscribe(*wished, f"{market}.fence", "fence", f"{market}.trades.more", f"{market}.")
    scene.say(routing_key, [1])
    assert await client.until(scene.fence()) == []
    assert await client.until(scene.fence(market)) == []


# Scopes


@pytest.mark.parametrize("kind", ["trades", "ob-inc", "ob-snap"])
async def test_scopes_of_one_name_never_mix(scene: Scene, signer: Signer, kind: str) -> None:
    """Rango serves the public book to who subscribes to a prefixed one of the same name."""
    market, stream, jwt = scene.market, kind.replace("-snap", "-inc"), token(signer, scene.market, "admin")
    names = [f"{market}.{stream}", f"admin.{market}.{stream}", f"sys.{market}.{stream}", stream]
    keys = [f"{scope}.{market}.{kind}" for scope in ("public", "admin", "sys", "private")]
    clients = [await scene.client(jwt=jwt) for _ in names]
    for client, name in zip(clients, names, strict=True):
        assert await client.subscribe(name, f"{market}.fence", "fence") == ordered(
            name, f"{market}.fence", "fence"
        )
    for number, key in enumerate(keys):
        if kind == "ob-inc":
            scene.say(key.replace("-inc", "-snap"), {"base": number})
        scene.say(key, {"n": number})
    fences = {scene.fence(), scene.fence(market)}
    for number, client in enumerate(clients):
        told = await up_to_all(client, fences)
        bodies = [next(iter(json.loads(text).values())) for text in told]
        base = [{"base": number}] if kind == "ob-inc" else []
        assert bodies == [*base, {"n": number}]
    late = [await scene.client(f"/?stream={name}", jwt=jwt) for name in names]
    for number, client in enumerate(late):
        bodies = [next(iter(json.loads(text).values())) for text in client.seen[:-1]]
        kept = {"trades": [], "ob-inc": [{"base": number}, {"n": number}], "ob-snap": [{"n": number}]}[kind]
        assert bodies == kept


def ordered(*names: str) -> list[str]:
    """Public and prefixed names, then private ones."""
    return sorted(names, key=lambda name: "." not in name)


async def up_to_all(client: RangoClient, fences: set[str]) -> list[str]:
    """Read until all of these have come; what else came."""
    told, left = [], set(fences)
    while left:
        text = await client.recv()
        if text in fences:
            left.discard(text)
        else:
            told.append(text)
    return told


async def test_private_messages_reach_every_connection_of_their_user_and_no_other(
    scene: Scene, signer: Signer
) -> None:
    mine = [await scene.client("/private?stream=order,fence", jwt=token(signer, "U1")) for _ in range(3)]
    other = await scene.client("/private?stream=order,fence", jwt=token(signer, "U2"))
    not_asking = await scene.client("/private?stream=fence", jwt=token(signer, "U1"))
    scene.say("private.U1.order", {"uid": "U1"})
    scene.say("private.U2.order", {"uid": "U2"})
    fences = scene.fence("U1"), scene.fence("U2")
    for client in mine:
        assert await client.until(fences[0]) == ['{"order":{"uid":"U1"}}']
    assert await other.until(fences[1]) == ['{"order":{"uid":"U2"}}']
    assert await not_asking.until(fences[0]) == []


async def test_keys_that_only_begin_like_private_are_prefixes(scene: Scene, signer: Signer) -> None:
    """Rango passes over every key that begins so: a prefix ``privateer`` could not be served."""
    client = await scene.client("/?stream=privateer.*.x", jwt=token(signer, role="admin"))
    scene.say("privateer.*.x", [1])
    assert await client.recv() == f'{{"{scene.market}.x":[1]}}'


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        '{"b":1,"a":2}',
        '{"n":18446744073709551617,"m":9007199254740993,"f":1000.0,"e":1E400}',
        '{"html":"<a href=\\"x\\">&</a>"}',
        ' {"a" : [ 1 , 2 ] } ',
        '{"é":"\u2028"}',
        '"text"',
        "null",
        "-0.0",
        "[]",
    ],
)
async def test_a_body_is_sent_as_it_was_published(scene: Scene, body: str) -> None:
    """Rango sorts keys, and reads numbers as floats: of 9007199254740993 it makes 9007199254740992."""
    client = await scene.client("/?stream=*.trades")
    scene.say("public.*.trades", body)
    assert await client.recv() == f'{{"{scene.market}.trades":{body}}}'


# One frame each, pings, and slow clients


@pytest.fixture(scope="module")
def strict(rabbitmq: RabbitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RangoGateway]:
    """A gateway that waits for nobody."""
    waits = {"CLIENT_PING_INTERVAL": "0.2", "CLIENT_PING_TIMEOUT": "0.3", "FANOUT_CALLBACK_TIMEOUT": "0.5"}
    with rango_gateway(tmp_path_factory.mktemp("strict"), rabbitmq, **waits) as gateway:
        yield gateway


async def test_who_answers_no_ping_is_told_and_closed(strict: RangoGateway) -> None:
    with await Raw.upgraded(strict.port, path="/public") as raw:
        began = time.monotonic()
        frames = [await raw.frame() for _ in range(3)]
        assert [frame.opcode for frame in frames] == [0x1, 0x9, 0x8]
        assert frames[1].payload == b""
        assert int.from_bytes(frames[2].payload[:2], "big") == 1011
        assert time.monotonic() - began > 0.4


async def test_who_answers_pings_may_be_silent(strict: RangoGateway) -> None:
    with await Raw.upgraded(strict.port, path="/public") as raw:
        assert (await raw.frame()).opcode == 0x1
        for _ in range(3):
            frame = await raw.frame()
            assert frame.opcode == 0x9
            await raw.send_frame(0xA, frame.payload)


async def test_a_slow_client_is_told_what_it_missed_or_why_it_is_closed(
    strict: RangoGateway, rabbitmq: RabbitServer
) -> None:
    """Rango cuts it off without a word. Who reads meanwhile misses nothing."""
    scene = Scene(strict, Publisher(rabbitmq.port), f"slow{time.monotonic_ns()}")
    body = {"trades": ["x" * 10_000]}
    reader = await scene.client("/?stream=*.trades,*.fence")
    with await Raw.upgraded(strict.port, path=f"/?stream={scene.market}.trades", receive_buffer=4096) as slow:
        await slow.frame()
        for first in range(0, 400, 20):
            for number in range(first, first + 20):
                scene.say("public.*.trades", body | {"n": number})
            told = await reader.until(scene.fence())
            found = [json.loads(text)[f"{scene.market}.trades"]["n"] for text in told]
            assert found == [*range(first, first + 20)]

        async def is_closed() -> bool:
            return 'feedmux_closed_total{code="4008"} 1' in await asyncio.to_thread(strict.page, "/metrics")

        deadline = time.monotonic() + 10
        while not await is_closed():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        frame = await slow.closed()
    assert int.from_bytes(frame.payload[:2], "big") == 4008
    assert b"Too slow" in frame.payload
    await scene.end()
    scene.publisher.close()
