"""What a client does by itself, at brokers that do what real ones do seldom, or not when they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from feedmux.client import local_core
from feedmux.client.local_async import AsyncLocalClient
from feedmux.client.local_events import (
    BrokerGone,
    BrokerLog,
    LocalEvent,
    SocketClosed,
    SocketData,
    SocketError,
    SocketOpened,
    SocketRestored,
)
from feedmux.model.link_errors import LinkLost, RequestTimeout
from feedmux.model.local_errors import BrokerLost, BrokerRefused, UnknownWebSocket
from feedmux.wire.local_records import (
    AGAIN,
    Close,
    Done,
    Entry,
    Failed,
    Kinds,
    Last,
    Log,
    LogLevel,
    Open,
    Opened,
    Send,
    Subscribe,
    Unsubscribe,
    What,
)
from support.local import broker_name
from support.local_broker import ScriptedBroker, ScriptedLine, ScriptedRing, scripted_broker

URL = "wss://venue.example/stream"
Result = TypeVar("Result")


class Scene:
    """A client, and the line that the broker has of it."""

    def __init__(self, client: AsyncLocalClient, broker: ScriptedBroker, line: ScriptedLine) -> None:
        self.client, self.broker, self.line = client, broker, line
        self.rings: list[ScriptedRing] = []

    def ring(self) -> ScriptedRing:
        self.rings.append(ScriptedRing())
        return self.rings[-1]

    async def open(self, *, id: int = 1, is_new: int = 1, **how: Any) -> ScriptedRing:
        """Have the client open a WebSocket."""
        opening = asyncio.create_task(self.client.open_websocket(URL, **how))
        ring = await self.answer_open(id=id, is_new=is_new)
        await opening
        return ring

    async def answer_open(self, *, id: int = 1, is_new: int = 1) -> ScriptedRing:
        ring = self.ring()
        self.line.opened((await self.line.hear(Open)).request, ring, id=id, is_new=is_new)
        return ring

    async def replace(self) -> None:
        """Hang up, and be the next broker."""
        self.line.close()
        self.line = await self.broker.welcome()

    async def wait(self, kind: type[LocalEvent]) -> Any:
        async with asyncio.timeout(10):
            while not isinstance(event := await self.client.receive(), kind):
                continue
            return event


@asynccontextmanager
async def scene_of(**how: Any) -> AsyncIterator[Scene]:
    with broker_name() as name:
        async with scripted_broker(name) as broker:
            client = AsyncLocalClient("me", broker=name, **how)
            starting = asyncio.create_task(client.start())
            line = await broker.welcome()
            await starting
            scene = Scene(client, broker, line)
            try:
                yield scene
            finally:
                await client.close()
                await client.close()
                for ring in scene.rings:
                    ring.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with scene_of() as scene:
        yield scene


def later(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    return asyncio.create_task(work)


async def test_everything_about_an_opening_is_said(scene: Scene) -> None:
    opening = later(
        scene.client.open_websocket(
            URL,
            "key",
            headers=[("X-Key", "1")],
            subprotocols=["v2"],
            opening=["login", b"\0"],
            last_by="S",
        )
    )
    said = await scene.line.hear(Open)
    assert (said.url, said.key, said.headers, said.subprotocols, said.last_by) == (
        URL,
        "key",
        (("X-Key", "1"),),
        ("v2",),
        "S",
    )
    assert said.opening == ((b"login", False), (b"\0", True))
    scene.line.opened(said.request, scene.ring(), id=5, is_new=0)
    assert await opening == (5, False)
    assert await scene.client.receive() == SocketOpened(5, False)


async def test_last_messages_come_before_what_is_in_the_ring(scene: Scene) -> None:
    opening = later(scene.client.open_websocket(URL))
    request = (await scene.line.hear(Open)).request
    ring = scene.ring()
    ring.write(Entry(What.TEXT, b"new"))
    scene.line.say(Opened(request, 1, 0, 0, 2), descriptors=ring.descriptors)
    for number in (b"1", b"2"):
        scene.line.say(Last(1, Entry(What.TEXT, number, 0, 7).encode()))
    await opening
    got = [await scene.wait(SocketData) for _ in range(3)]
    assert [(each.payload, each.is_last) for each in got] == [(b"1", True), (b"2", True), (b"new", False)]
    assert got[0].received_ns == 7


async def test_who_opens_the_same_again_has_the_same_number(scene: Scene) -> None:
    await scene.open(id=3)
    again = later(scene.client.open_websocket(URL))
    request = (await scene.line.hear(Open)).request
    scene.line.say(Opened(request, 3, 0, 0, 0))
    assert await again == (3, False)


async def test_a_refused_opening_is_raised(scene: Scene) -> None:
    opening = later(scene.client.open_websocket(URL))
    scene.line.say(
        Failed((await scene.line.hear(Open)).request, "CONNECT_FAILED", "the name does not resolve")
    )
    with pytest.raises(
        BrokerRefused, match="open_websocket was refused: the name does not resolve"
    ) as caught:
        await opening
    assert caught.value.code == "CONNECT_FAILED"


async def test_an_opening_that_nobody_waits_for_any_more_is_left() -> None:
    async with scene_of(request_timeout_s=0.05) as scene:
        opening = later(scene.client.open_websocket(URL))
        request = (await scene.line.hear(Open)).request
        with pytest.raises(RequestTimeout, match=r"open_websocket: no answer within 0\.05 s"):
            await opening
        scene.line.opened(request, scene.ring(), id=4)
        assert (await scene.line.hear(Close)).id == 4
        with pytest.raises(UnknownWebSocket):
            await scene.client.send(4, "x")


async def test_a_ring_that_is_none_is_an_error_of_the_opening_and_is_left(scene: Scene) -> None:
    opening = later(scene.client.open_websocket(URL))
    request = (await scene.line.hear(Open)).request
    scene.line.opened(request, scene.ring(), start=48)
    with pytest.raises(Exception, match="no reader can begin at the position 48"):
        await opening
    await scene.line.hear(Close)


async def test_what_is_sent_and_asked_for_is_said(scene: Scene) -> None:
    await scene.open(id=2)
    await scene.client.send(2, "text")
    await scene.client.send(2, b"bytes")
    assert await scene.line.hear(Send) == Send(2, 0, b"text")
    assert await scene.line.hear(Send) == Send(2, 1, b"bytes")
    asking = later(scene.client.subscribe(2, "BTC", b"sub", Kinds.TRADES, release=b"unsub"))
    said = await scene.line.hear(Subscribe)
    assert said == Subscribe(said.request, 2, 2, 1, "BTC", b"sub", b"unsub")
    scene.line.say(Done(said.request, 1))
    assert await asking is True
    leaving = later(scene.client.unsubscribe(2, "BTC", "unsub"))
    left = await scene.line.hear(Unsubscribe)
    assert left == Unsubscribe(left.request, 2, 0, "BTC", b"unsub")
    scene.line.say(Done(left.request, 0))
    await leaving
    closing = later(scene.client.close_websocket())
    closed = await scene.line.hear(Close)
    assert closed.id == 2
    scene.line.say(Done(closed.request, 0))
    await closing
    with pytest.raises(UnknownWebSocket, match="2 is none of this client's WebSockets"):
        await scene.client.send(2, "x")


async def test_a_refused_symbol_is_not_wanted_again(scene: Scene) -> None:
    await scene.open()
    asking = later(scene.client.subscribe(1, "BTC", "sub"))
    scene.line.say(Failed((await scene.line.hear(Subscribe)).request, "CAPACITY", "too many symbols"))
    with pytest.raises(BrokerRefused, match="subscribe was refused: too many symbols"):
        await asking
    await scene.replace()
    await scene.answer_open()
    await scene.wait(SocketRestored)
    assert not [record for record in scene.line.heard if isinstance(record, Subscribe)]


async def test_events_of_the_ring_are_told_to_whom_they_concern(scene: Scene) -> None:
    ring = await scene.open()
    ring.write(
        Entry(What.CLOSED, b"cut", code=1006, flags=AGAIN),
        Entry(What.ERROR, b"for another", client=9),
        Entry(What.ERROR, b"for us", client=1),
        Entry(What.ERROR, b"for all"),
        Entry(What.OPENED, b"", client=9),
        Entry(What.OPENED, b"", client=1),
        Entry(What.OPENED, b""),
    )
    told = [await scene.client.receive() for _ in range(7)]
    assert told == [
        SocketOpened(1, True),
        SocketClosed(1, "cut", 1006),
        SocketError(1, "for us"),
        SocketError(1, "for all"),
        SocketOpened(1, False),
        SocketOpened(1, True),
        SocketOpened(1, False),
    ]


async def test_what_a_dead_broker_left_in_the_ring_is_read(scene: Scene) -> None:
    ring = await scene.open()
    ring.write(Entry(What.TEXT, b"before"))
    await scene.wait(SocketData)
    ring.writer.write(Entry(What.TEXT, b"the last").encode())
    ring.seat.set(False)  # nobody rings
    ring.writer.flush()
    scene.line.close()
    told = [await scene.client.receive() for _ in range(3)]
    assert told == [
        SocketData(1, b"the last"),
        BrokerGone("it hung up"),
        SocketClosed(1, "the broker is gone: it hung up"),
    ]


async def test_everything_is_restored_under_the_numbers_that_are_known(scene: Scene) -> None:
    await scene.open(id=7)
    for symbol, kinds in (("BTC", Kinds.QUOTES), ("BTC", Kinds.TRADES), ("BTC", Kinds.QUOTES)):
        asking = later(scene.client.subscribe(7, symbol, f"sub {kinds}", kinds))
        scene.line.say(Done((await scene.line.hear(Subscribe)).request, 0))
        await asking
    await scene.replace()
    ring = await scene.answer_open(id=1, is_new=0)
    said = [await scene.line.hear(Subscribe)]
    scene.line.say(Done(said[0].request, 0))
    said.append(await scene.line.hear(Subscribe))
    scene.line.say(Done(said[1].request, 0))
    assert [(each.id, each.symbol, each.message) for each in said] == [
        (1, "BTC", b"sub 1"),
        (1, "BTC", b"sub 2"),
    ]
    restored = await scene.wait(SocketRestored)
    assert restored.id == 7
    assert 0 <= restored.blind_s < 10
    ring.write(Entry(What.TEXT, b"again"))
    assert (await scene.wait(SocketData)).id == 7
    await scene.client.send(7, "x")
    assert (await scene.line.hear(Send)).id == 1


async def test_what_was_opened_later_never_gets_a_number_that_was_used(scene: Scene) -> None:
    await scene.open(id=7)
    await scene.replace()
    await scene.answer_open(id=1)
    await scene.wait(SocketRestored)
    opening = later(scene.client.open_websocket(URL, "another"))
    await scene.answer_open(id=7)
    assert await opening == (8, True)


async def test_an_opening_during_the_restoration_meets_the_same_websocket(scene: Scene) -> None:
    await scene.open(id=7)
    await scene.replace()
    first = await scene.line.hear(Open)
    opening = later(scene.client.open_websocket(URL))
    second = await scene.line.hear(Open)
    scene.line.opened(second.request, scene.ring(), id=1)
    scene.line.say(Opened(first.request, 1, 0, 0, 0))
    assert await opening == (7, True)
    assert (await scene.wait(SocketRestored)).id == 7


async def test_what_is_not_opened_again_at_once_is_tried_again(scene: Scene) -> None:
    await scene.open()
    await scene.replace()
    scene.line.say(Failed((await scene.line.hear(Open)).request, "CONNECT_FAILED", "it is down"))
    error = await scene.wait(SocketError)
    assert (error.id, error.code) == (1, "CONNECT_FAILED")
    assert "it was not opened again" in error.reason
    await scene.answer_open()
    await scene.wait(SocketRestored)


async def test_what_is_closed_while_it_is_opened_again_is_left(scene: Scene) -> None:
    await scene.open()
    await scene.replace()
    await scene.wait(SocketClosed)
    request = (await scene.line.hear(Open)).request
    await scene.client.close_websocket(1)
    scene.line.opened(request, scene.ring(), id=3)
    assert (await scene.line.hear(Close)).id == 3
    await scene.client.set_log_level(6)
    await scene.line.hear(LogLevel)
    scene.line.say(Log(5, "the end"))
    assert await scene.client.receive() == BrokerLog(5, "the end"), "nothing is said of it any more"


async def test_what_is_left_while_it_is_restored_is_not_subscribed_to(scene: Scene) -> None:
    await scene.open()
    for symbol in ("BTC", "ETH"):
        asking = later(scene.client.subscribe(1, symbol, f"sub {symbol}"))
        scene.line.say(Done((await scene.line.hear(Subscribe)).request, 0))
        await asking
    await scene.replace()
    await scene.answer_open()
    first = await scene.line.hear(Subscribe)
    assert first.symbol == "BTC"
    leaving = later(scene.client.unsubscribe(1, "ETH", "unsub ETH"))
    scene.line.say(Done((await scene.line.hear(Unsubscribe)).request, 0))
    await leaving
    scene.line.say(Done(first.request, 0))
    await scene.wait(SocketRestored)
    await scene.client.send(1, "after it")
    await scene.line.hear(Send)
    assert [record.symbol for record in scene.line.heard if isinstance(record, Subscribe)] == ["BTC"]


async def test_what_cannot_be_opened_again_is_closed_for_good(scene: Scene) -> None:
    await scene.open()
    await scene.replace()
    waiting = later(scene.client.subscribe(1, "BTC", "sub"))
    scene.line.say(Failed((await scene.line.hear(Open)).request, "INVALID_SETTING", "no such address"))
    while (closed := await scene.wait(SocketClosed)).again:
        continue
    assert "no such address" in closed.reason
    with pytest.raises(UnknownWebSocket):
        await waiting


async def test_what_a_broker_closes_without_leaving_is_opened_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_core, "_LEAVING_S", 0.01)
    ring = await scene.open()
    ring.write(Entry(What.CLOSED, b"it was closed"))
    assert (await scene.wait(SocketClosed)).again
    await scene.answer_open(id=2)
    assert (await scene.wait(SocketRestored)).id == 1


async def test_subscriptions_wait_for_the_login_of_the_one_who_has_to(scene: Scene) -> None:
    await scene.open()
    await scene.client.send(1, "login")
    asking = later(scene.client.subscribe(1, "BTC", "sub BTC"))
    scene.line.say(Done((await scene.line.hear(Subscribe)).request, 0))
    await asking
    await scene.replace()
    await scene.wait(BrokerGone)
    await scene.answer_open(is_new=1)
    assert (await scene.wait(SocketOpened)).is_new
    for _ in range(10):  # turns of the loop, for whoever does not wait
        await asyncio.sleep(0)
    await scene.client.send(1, "login again")
    asking = later(scene.client.subscribe(1, "ETH", "sub ETH"))
    said = []
    for _ in range(2):
        said.append(await scene.line.hear(Subscribe))
        scene.line.say(Done(said[-1].request, 0))
    await asking
    await scene.wait(SocketRestored)
    assert {each.symbol for each in said} == {"BTC", "ETH"}
    kinds = [type(record) for record in scene.line.heard]
    assert kinds.index(Send) < kinds.index(Subscribe)


async def test_sending_while_nobody_is_there_is_refused_and_asking_waits(scene: Scene) -> None:
    await scene.open()
    scene.line.close()
    await scene.wait(BrokerGone)
    with pytest.raises(BrokerLost, match="nothing was sent"):
        await scene.client.send(1, "x")
    leaving = later(scene.client.unsubscribe(1, "BTC", "unsub"))
    scene.line = await scene.broker.welcome()
    await scene.answer_open()
    scene.line.say(Done((await scene.line.hear(Unsubscribe)).request, 0))
    await leaving


async def test_closing_while_nobody_is_there_is_done_at_once(scene: Scene) -> None:
    await scene.open()
    scene.line.close()
    await scene.wait(BrokerGone)
    await scene.client.close_websocket(1)
    scene.line = await scene.broker.welcome()
    await scene.client.set_log_level(6)
    await scene.line.hear(LogLevel)
    assert not [record for record in scene.line.heard if isinstance(record, Open)]


async def test_the_log_is_asked_of_every_broker(scene: Scene) -> None:
    await scene.client.set_log_level(2)
    assert (await scene.line.hear(LogLevel)).level == 2
    scene.line.say(Log(2, "a line"))
    assert await scene.wait(BrokerLog) == BrokerLog(2, "a line")
    await scene.replace()
    assert (await scene.line.hear(LogLevel)).level == 2


async def test_a_broker_that_does_not_want_us_is_told_and_asked_again(scene: Scene) -> None:
    scene.line.close()
    refusing = await scene.broker.accept()
    refusing.say(Failed(0, "CAPACITY", "256 clients are there"))
    error = await scene.wait(SocketError)
    assert (error.id, error.code) == (0, "CAPACITY")
    await scene.broker.welcome()


async def test_whoever_waits_when_the_client_is_closed_is_told(scene: Scene) -> None:
    await scene.open()
    waiting = [
        later(scene.client.subscribe(1, "BTC", "sub")),
        later(scene.client.open_websocket(URL, "other")),
    ]
    await scene.line.hear(Subscribe)
    await scene.client.close()
    for task in waiting:
        with pytest.raises(LinkLost, match="the client was closed"):
            await task
    await scene.line.hangs_up()
    for late in (scene.client.open_websocket(URL), scene.client.receive(), scene.client.start()):
        with pytest.raises(LinkLost, match="the client was closed"):
            await late


async def test_whoever_waits_for_a_broker_when_the_client_is_closed_is_told(scene: Scene) -> None:
    await scene.open()
    scene.line.close()
    await scene.wait(BrokerGone)
    waiting = [
        later(scene.client.subscribe(1, "BTC", "sub")),
        later(scene.client.open_websocket(URL, "other")),
    ]
    await asyncio.sleep(0)
    await scene.client.close()
    for task in waiting:
        with pytest.raises(LinkLost, match="the client was closed"):
            await task
