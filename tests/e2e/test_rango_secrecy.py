"""Nothing private reaches anybody else: two hundred users, while connections are cut and queues deleted.

In a quiet round everything is under way undisturbed: who is subscribed gets every message once. In a
round of faults only one thing is asked, and it is asked of every message that ever comes: whose is it?
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from feedmux.sim.faults import FaultProxy
from support.certificates import HOST
from support.rabbitmq import Publisher, RabbitServer
from support.rango_gateway import RangoClient, RangoGateway, Scene, token
from support.tokens import Signer
from support.waiting import until

USERS: Final = 200
CONNECTIONS: Final = 240
ROUNDS: Final = 4
MESSAGES: Final = 400
"""Published in a quiet round."""
PATIENCE_S: Final = 30.0
KINDS: Final = ("order", "trade", "balance-inc")
SCOPES: Final = ("public", "admin", "sys", "private")


class Message:
    """One that is published, and who is to get it."""

    def __init__(self, scope: str, uid: str, kind: str, number: int) -> None:
        self.scope, self.uid, self.kind, self.number = scope, uid, kind, number

    def routing_key(self, market: str) -> str:
        return f"{self.scope}.{self.uid or market}.{self.kind}"

    @property
    def body(self) -> dict[str, Any]:
        owner = {"uid": self.uid} if self.uid else {}
        return owner | {"scope": self.scope, "kind": self.kind, "n": self.number}

    def stream(self, market: str) -> str:
        """What its readers call its stream."""
        named = {"private": "", "public": f"{market}."}.get(self.scope, f"{self.scope}.{market}.")
        return named + self.kind


class Guest:
    """One connection of a user, and all that it heard."""

    def __init__(self, uid: str, role: str, market: str, streams: set[str]) -> None:
        self.uid, self.role, self.streams = uid, role, streams
        self._market = market
        self.client: RangoClient
        self.former: set[str] = set()
        """Streams that were given back since the last quiet round: what was under way may still come."""
        self.unanswered = 0
        self.heard: list[int] = []
        self.fences: set[int] = set()
        self.refusals = 0
        self.leaks: list[str] = []
        self.reading: asyncio.Task[None]

    def may_read(self, message: Message) -> bool:
        """Whether a message is for this connection."""
        is_mine = message.uid == self.uid if message.scope == "private" else True
        is_open = message.scope not in ("admin", "sys") or self.role == "admin"
        return is_mine and is_open and message.stream(self._market) in self.streams

    async def ask(self, event: str, streams: Iterable[str]) -> None:
        """Want other streams."""
        self.unanswered += 1
        await self.client.send({"event": event, "streams": [*streams]})

    def is_up_to(self, fence: int) -> bool:
        """Whether all has come that was published before a fence, and all of its wishes were answered."""
        return not self.unanswered and {fence, -fence} <= self.fences

    async def read(self) -> None:
        """Hear everything until the end."""
        async for text in self.client.socket:
            for name, body in json.loads(text).items():
                self._take(name, body, str(text))

    def _take(self, name: str, body: Any, text: str) -> None:
        if name == "system.auth":
            self.refusals += body["state"] == "refused"
        elif name == "success":
            self.unanswered -= "streams" in body
        elif name.endswith("fence"):
            self.fences.add(body if "." in name else -body)
        elif isinstance(body, dict) and "scope" in body:
            message = Message(body["scope"], body.get("uid", ""), body["kind"], body["n"])
            if body.get("scope") == "private" and body["uid"] != self.uid:
                self.leaks.append(f"{self.uid} heard: {text}")
            elif not self.may_read(message) and message.stream(self._market) not in self.former:
                self.leaks.append(f"{self.uid}, {self.role}, {self.streams} heard: {text}")
            if not name.endswith("-snap"):
                self.heard.append(message.number)


class Crowd:
    """All connections, and what is published to them."""

    def __init__(self, scene: Scene, signer: Signer, dice: random.Random) -> None:
        self.scene, self._signer, self._dice = scene, signer, dice
        self.guests: list[Guest] = []
        self.leaks: list[str] = []
        self._number = 0

    def random_user(self) -> tuple[str, str]:
        """A user and its role."""
        number = self._dice.randrange(USERS)
        return f"U{number}", "admin" if number % 10 == 0 else "member"

    def random_streams(self) -> set[str]:
        """Private, public and prefixed ones of the same names."""
        market = self.scene.market
        every = [Message(scope, "", kind, 0).stream(market) for scope in SCOPES for kind in KINDS]
        return set(self._dice.sample(every, self._dice.randint(2, len(every))))

    async def come(self) -> None:
        """Somebody connects, and shows its token in one of three ways."""
        (uid, role), streams, market = self.random_user(), self.random_streams(), self.scene.market
        guest, jwt = Guest(uid, role, market, streams), token(self._signer, uid, role)
        wished = [f"{market}.fence", "fence", *streams]
        match self._dice.randrange(3):
            case 0:
                guest.client = await self.scene.client(f"/private?stream={','.join(wished)}", jwt=jwt)
            case 1:
                guest.client = await self.scene.client("/", subprotocols=["bearer", jwt])
                await guest.ask("subscribe", wished)
            case _:
                guest.client = await self.scene.client(f"/public/?stream={','.join(wished)}")
                await guest.client.send({"event": "auth", "token": jwt})
                await guest.ask("subscribe", wished)
        guest.reading = asyncio.create_task(guest.read())
        self.guests.append(guest)

    async def go(self, guest: Guest) -> None:
        """Somebody hangs up."""
        self.guests.remove(guest)
        await guest.client.socket.close()
        await guest.reading
        self.leaks += guest.leaks

    async def change(self, guest: Guest) -> None:
        """Somebody wants other streams, or to be somebody else, which is refused."""
        if self._dice.random() < 0.3:
            await guest.client.send({"event": "auth", "token": token(self._signer, "U999", "admin")})
            return
        wished = self.random_streams()
        former, guest.former = guest.streams, guest.former | guest.streams
        guest.streams = wished
        await guest.ask("unsubscribe", former - wished)
        await guest.ask("subscribe", wished)

    def publish(self, count: int) -> list[Message]:
        """Publish messages to anybody; all of them."""
        said = []
        for _ in range(count):
            self._number += 1
            scope = self._dice.choices(SCOPES, (2, 2, 1, 12))[0]
            uid = self.random_user()[0] if scope == "private" else ""
            message = Message(scope, uid, self._dice.choice(KINDS), self._number)
            key = message.routing_key(self.scene.market)
            if key.endswith("-inc"):
                self.scene.say(f"{key[:-4]}-snap", message.body | {"n": -self._number})
            self.scene.say(key, message.body)
            said.append(message)
        return said

    async def settle(self, fence: int) -> None:
        """Wait until messages reach everybody on both sides again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        while missing := [guest for guest in self.guests if not guest.is_up_to(fence)]:
            self.check_secrets()
            assert loop.time() < end, f"{len(missing)} hear nothing, {missing[0].client.seen}"
            self.fence(fence)
            with suppress(AssertionError):
                await until(lambda: all(guest.is_up_to(fence) for guest in missing), deadline=0.3)

    def fence(self, fence: int) -> None:
        """Publish what comes behind all that was published before, to everybody, on both sides."""
        self.scene.say("public.*.fence", str(fence))
        for uid in {guest.uid for guest in self.guests}:
            self.scene.say(f"private.{uid}.fence", str(fence))

    def check_secrets(self) -> None:
        """Nobody has heard what is another's."""
        found = [*self.leaks, *(leak for guest in self.guests for leak in guest.leaks)]
        assert not found, "\n".join(found[:5])


@pytest_asyncio.fixture
async def way(rabbitmq: RabbitServer) -> AsyncIterator[FaultProxy]:
    """The way to RabbitMQ, which can be cut."""
    proxy = FaultProxy(HOST, rabbitmq.port)
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
def gateway(way: FaultProxy, signer: Signer, exchange: str, tmp_path: Path) -> Iterator[RangoGateway]:
    """A gateway behind it."""
    started = RangoGateway(tmp_path / "gateway")
    (started.folder / "key.pem").write_text(signer.raw_pem)
    place = {"RABBITMQ_HOST": HOST, "RABBITMQ_PORT": str(way.port), "RABBITMQ_RECONNECT_DELAY_MAX": "0.1"}
    roles = {"RANGO_RBAC_ADMIN": "admin", "RANGO_RBAC_SYS": "admin"}
    started.start("-exchange", exchange, "-pubKey", "key.pem", env=place | roles)
    try:
        yield started
    finally:
        started.dispose()


async def test_what_is_private_reaches_its_user_everywhere_and_nobody_else(
    gateway: RangoGateway,
    way: FaultProxy,
    rabbitmq: RabbitServer,
    signer: Signer,
    exchange: str,
) -> None:
    await asyncio.to_thread(gateway.listens)
    await asyncio.to_thread(gateway.consumes)
    dice = random.Random(7)
    with Publisher(rabbitmq.port, exchange) as publisher:
        crowd = Crowd(Scene(gateway, publisher, "market"), signer, dice)
        try:
            for _ in range(CONNECTIONS):
                await crowd.come()
            for number in range(1, ROUNDS + 1):
                await crowd.settle(1000 * number)
                await quiet_round(crowd, 1000 * number + 1)
                await round_of_faults(crowd, dice, way, rabbitmq, exchange)
            assert sum(guest.refusals for guest in crowd.guests)
        finally:
            await asyncio.gather(*map(crowd.go, list(crowd.guests)))
        crowd.check_secrets()


async def quiet_round(crowd: Crowd, fence: int) -> None:
    """Everybody gets what is his, each message once, and nothing else."""
    for guest in crowd.guests:
        guest.heard, guest.former = [], set()
    said = crowd.publish(MESSAGES)
    crowd.fence(fence)
    await until(lambda: all(guest.is_up_to(fence) for guest in crowd.guests), "all have heard", PATIENCE_S)
    for guest in crowd.guests:
        expected = [message.number for message in said if guest.may_read(message)]
        assert Counter(guest.heard) == Counter(expected), f"{guest.uid} with {guest.streams}"
    crowd.check_secrets()


async def round_of_faults(
    crowd: Crowd, dice: random.Random, way: FaultProxy, rabbitmq: RabbitServer, exchange: str
) -> None:
    """Connections are cut and queues deleted while all goes on, and users come, go, and change."""

    async def delete_a_queue() -> None:
        for queue in [*await asyncio.to_thread(rabbitmq.queues, exchange)][:1]:
            with suppress(AssertionError):  # it went by itself
                await asyncio.to_thread(rabbitmq.delete_queue, queue)

    async def cut() -> None:
        way.cut()

    faults: list[Callable[[], Any]] = [cut, delete_a_queue]
    dice.shuffle(faults)
    for fault in faults:
        crowd.publish(50)
        breaking = asyncio.create_task(fault())
        for guest in dice.sample(crowd.guests, 20):
            crowd.publish(3)
            await crowd.go(guest)
            await crowd.come()
        for guest in dice.sample(crowd.guests, 40):
            await crowd.change(guest)
            crowd.publish(1)
            await asyncio.sleep(0)
        await breaking
