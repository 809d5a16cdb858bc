"""A stranger publishes on a cluster's channels: he is named in the log, and nobody is shown what he said."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

from feedmux.model.event import EventKind
from feedmux.wire.cluster import Said, Word
from feedmux.wire.envelope import encode
from feedmux.wire.record import Lost
from feedmux.wire.record import encode as encode_record
from support.envelopes import TICKER as TICKER_TOPIC
from support.envelopes import TRADES as TRADES_TOPIC
from support.envelopes import update
from support.family import TICKER, TRADES
from support.nodes import CANDLES, LINEAR, Nodes, clients_of, told
from support.overhearing import Overhearing
from support.processes import Stage
from support.redis import RedisServer

PREFIX: Final = f"feedmux:{LINEAR}"
ASKS, WORDS = f"{PREFIX}:asks", f"{PREFIX}:writer"
CHANNELS: Final = {topic: f"{PREFIX}:topic:{topic.text}" for topic in (TICKER_TOPIC, TRADES_TOPIC)}
FAR: Final = 2**62
"""A life and an epoch that would be above all others."""


def garbage() -> list[bytes]:
    """What belongs on none of the channels."""
    words = [Said(word, "n1", FAR, b"garbage").encode() for word in Word if word is not Word.REPLACED]
    return [
        *(b"", b"garbage", b'{"price":"1"}', b"fm", b"fm" + bytes(60), bytes(18 << 20), *words),
        *(encode_record(Lost(1))[:-1], encode_record(Lost(1)) * 2, encode(update(TICKER_TOPIC, 1))[:-1]),
        encode(update(TICKER_TOPIC, 9, b'{"price":"1"}', epoch=FAR)),
    ]


def foreign(epoch: int) -> dict[str, list[bytes]]:
    """What could be believed, if it were on the other channel."""
    values = {
        topic: [encode(update(topic, seq, b'{"price":"1"}', epoch)) for seq in (1, 10**6)]
        for topic in CHANNELS
    }
    return {CHANNELS[TICKER_TOPIC]: values[TRADES_TOPIC], CHANNELS[TRADES_TOPIC]: values[TICKER_TOPIC]}


async def publish(redis: RedisServer, said: dict[str, list[bytes]]) -> None:
    """Say all that, while everything goes on."""
    with redis.client() as stranger:
        for channel, bodies in said.items():
            for body in bodies:
                await asyncio.to_thread(stranger.ask, "PUBLISH", channel, body)


async def test_what_does_not_belong_on_a_channel_changes_nothing_and_is_named(
    stage: Stage, redis: RedisServer
) -> None:
    nodes = await Nodes.start(stage, redis, 3)
    owner = await nodes.owner()
    channels = (ASKS, WORDS, *CHANNELS.values())
    await publish(redis, dict.fromkeys(channels, garbage()))
    await publish(redis, foreign(int(nodes.lease(LINEAR, "top")[0])))
    await nodes.flow()
    for client, runs in zip(nodes.clients, nodes.check(), strict=True):
        assert told(client.messages, TICKER) == told(client.messages, CANDLES) == ["snapshot", "values"]
        assert told(client.messages, TRADES) == ["values"]
        assert [len(several) for several in runs.values()] == [1, 1, 1]
    for node in nodes.all:
        heard = [ASKS] if node is owner else channels[1:]
        for channel in heard:
            (line,) = [text for text in node.running.output if f"redis_malformed channel={channel} " in text]
            assert "WARNING" in line
    assert (await nodes.venue.report())["connections_ever"] == 1


async def test_what_a_former_owner_said_is_not_believed_once_there_is_another(
    stage: Stage, redis: RedisServer
) -> None:
    with Overhearing(redis) as heard:
        nodes = await Nodes.start(stage, redis, 3)
        former = await nodes.owner()
        heard.read()
    former.signal(signal.SIGKILL)
    await nodes.owner(former)
    left = clients_of(nodes.others(former))
    await asyncio.gather(*(client.status("live", TICKER) for client in left))
    old: dict[str, list[bytes]] = {}
    for channel, body in heard.said:
        if channel != ASKS.encode():
            old.setdefault(channel.decode(), []).append(body)
    assert sum(len(bodies) for bodies in old.values()) > 10
    newcomers = [nodes.client(node, "trade:BTCUSDT", "ticker:BTCUSDT") for node in nodes.others(former)]
    await asyncio.gather(publish(redis, old), *newcomers)
    await publish(redis, old)
    await nodes.flow(left)
    nodes.check(clients_of(nodes.others(former)))
    for client in left:
        assert told(client.messages, TRADES) == ["values", "reconnecting", "gap", "live", "values"]
    assert {envelope.kind for envelope in heard.envelopes()} >= {EventKind.STATUS, EventKind.UPDATE}
