"""A front end as OpenDAX' baseapp is: its sequence of steps, its book, and what it does about holes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from websockets.exceptions import ConnectionClosed

from support.rabbitmq import Publisher, RabbitServer
from support.rango_book import Copy, Engine, OutOfSequence
from support.rango_gateway import RangoClient, Scene, token
from support.tokens import Signer
from support.waiting import until

RECONNECT_S: Final = 1.0
"""After how long baseapp connects anew."""
SNAPSHOT_AFTER: Final = 20
"""So many increments, and Peatio repeats the snapshot."""


class FrontEnd:
    """Connects, asks for the book of its market in a message, and connects anew when a change is missing.

    Args:
        scene: where it connects.
        path: with the streams that it wants at once.
        jwt: its user's token; empty: nobody has logged in.
    """

    def __init__(self, scene: Scene, path: str, jwt: str = "") -> None:
        self._scene, self._path, self._jwt = scene, path, jwt
        self.book = Copy()
        self.connections = 0
        self.holes = 0
        self.seen: Counter[str] = Counter()
        self.orders: list[Any] = []
        self.states: list[str] = []

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            client = await self._scene.client(self._path, jwt=self._jwt)
            self.connections += 1
            try:
                await self._follow(client)
            except OutOfSequence:
                self.holes += 1
                await client.socket.close()
            except ConnectionClosed:
                pass
            await asyncio.sleep(RECONNECT_S)

    async def _follow(self, client: RangoClient) -> None:
        self.book = Copy()
        await client.send({"event": "subscribe", "streams": [f"{self._scene.market}.ob-inc"]})
        async for text in client.socket:
            for name, body in json.loads(text).items():
                self.seen[name] += 1
                if name == "order":
                    self.orders.append(body)
                elif name == "system.status":
                    self.states.append(body["state"])
            self.book.take(str(text))


async def test_a_front_end_has_the_producers_book_whatever_happens_to_the_producer(
    scene: Scene, signer: Signer, rabbitmq: RabbitServer
) -> None:
    scene.publisher = Publisher(rabbitmq.port)
    streams = "stream=global.tickers&stream=*.trades"
    ends = [
        FrontEnd(scene, f"/public/?{streams}"),
        FrontEnd(scene, f"/private/?{streams}&stream=order", token(signer, "U1")),
    ]
    async with following(ends):
        await story(scene, rabbitmq, ends)


@asynccontextmanager
async def following(ends: list[FrontEnd]) -> AsyncIterator[None]:
    """Let front ends run."""
    running = [asyncio.create_task(end.run()) for end in ends]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def story(scene: Scene, rabbitmq: RabbitServer, ends: list[FrontEnd]) -> None:
    """What happens to the producer, and what front ends have of it."""
    engine = Engine(scene)
    await until(lambda: all(end.connections for end in ends), "both are connected")
    await trade(scene, engine, 3 * SNAPSHOT_AFTER)
    await until(lambda: all(end.book.equals(engine) for end in ends), "both have the book")

    # The producer dies with changes that it has not published, and comes back: it counts from 1 again.
    scene.publisher.close()
    for _ in range(5):
        engine.skip()
    engine.sequence = 0
    scene.publisher = Publisher(rabbitmq.port)
    engine.change(3)
    await until(lambda: all(end.holes for end in ends), "both have seen the hole")
    await trade(scene, engine, 2 * SNAPSHOT_AFTER)
    await until(lambda: all(end.book.equals(engine) for end in ends), "both have the book again")
    assert all(end.connections > 1 and "stale" in end.states for end in ends)

    # Who is there goes on, and nobody connects anew without a reason.
    before = [end.connections for end in ends]
    await trade(scene, engine, 50)
    await until(lambda: all(end.book.equals(engine) for end in ends), "both follow")
    assert [end.connections for end in ends] == before
    anonymous, user = ends
    market = scene.market
    await until(lambda: user.orders[-1:] == [{"id": engine.sequence, "market": market}], "orders come")
    assert not anonymous.orders
    for end in ends:
        assert min(end.seen[name] for name in ("global.tickers", f"{market}.trades")) > 0
    scene.publisher.close()


async def trade(scene: Scene, engine: Engine, count: int) -> None:
    """Change the book, and say all that goes with it, a little at a time."""
    for number in range(count):
        if number % SNAPSHOT_AFTER == 0:
            engine.show()
        engine.change()
        scene.say("public.*.trades", {"trades": [{"tid": engine.sequence}]})
        scene.say("private.U1.order", {"id": engine.sequence, "market": scene.market})
        scene.say("private.U2.order", {"id": -1})
        if number % 10 == 0:
            scene.say("public.global.tickers", {scene.market: {"last": "1.0"}})
        await asyncio.sleep(0)
