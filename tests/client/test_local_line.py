"""A line to a broker: what it says, and every way in which it ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from feedmux.client.local_line import BrokerLine
from feedmux.model.errors import MalformedMessage, Overflow
from feedmux.model.local_errors import BrokerLost, BrokerRefused
from feedmux.wire.local_records import Beat, Done, Failed, Log, Record, Send
from support.local_broker import ScriptedLine, ScriptedRing
from support.waiting import until


class Scene:
    """Both ends of a line."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        self.records: list[Record] = []
        self.ends: list[str] = []
        self.line = BrokerLine(ours, self.records.append, self.ends.append)
        self.broker = ScriptedLine(theirs)

    async def greet(self, **how: int) -> None:
        greeting = asyncio.create_task(self.line.greet("me"))
        hello = await self.broker.greet(**how)
        welcome = await greeting
        assert (hello.pid, hello.name, welcome.pid) == (os.getpid(), "me", os.getpid())


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    before = descriptors()
    scene = Scene()
    yield scene
    scene.line.close("the test is over")
    scene.broker.close()
    assert descriptors() <= before


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.exists()}


async def test_records_are_handed_on_and_beats_are_not(scene: Scene) -> None:
    await scene.greet()
    scene.broker.say(Done(1, 0), Beat(), Log(2, "hello"))
    await until(lambda: len(scene.records) == 2)
    assert scene.records == [Done(1, 0), Log(2, "hello")]


async def test_it_beats_when_nothing_else_is_said(scene: Scene) -> None:
    await scene.greet(beat_ms=5)
    await scene.broker.hear(Beat)
    await scene.broker.hear(Beat)


async def test_a_broker_that_is_silent_for_too_long_is_dead(scene: Scene) -> None:
    await scene.greet(beat_ms=10, dead_ms=60)
    async with asyncio.timeout(10):
        assert await scene.line.wait_end() == "nothing came from it for 0.06 s"
    assert scene.ends == ["nothing came from it for 0.06 s"]
    with pytest.raises(BrokerLost, match="nothing came from it"):
        scene.line.say(Beat())


async def test_who_did_not_listen_himself_takes_nobody_for_dead(scene: Scene) -> None:
    """The loop stood still for longer than the broker may be silent, and it was not."""
    await scene.greet(beat_ms=1, dead_ms=10)
    scene.broker.say(Done(7, 0))
    heard_at = scene.line.heard_at
    loop = asyncio.get_running_loop()
    while loop.time() < heard_at + 0.05:
        pass
    scene.line._tick()
    assert not scene.line.is_over
    assert scene.records == [Done(7, 0)]


async def test_a_broker_that_hangs_up_is_gone(scene: Scene) -> None:
    await scene.greet()
    scene.broker.say(Done(1, 1))
    scene.broker.close()
    assert await scene.line.wait_end() == "it hung up"
    assert scene.records == [Done(1, 1)], "what it said before is heard"
    assert scene.ends == ["it hung up"]


async def test_a_refusal_instead_of_a_welcome_is_raised(scene: Scene) -> None:
    scene.broker.say(Failed(0, "VERSION", "it speaks version 2"))
    with pytest.raises(BrokerRefused, match=r"hello was refused: it speaks version 2 \(VERSION\)") as caught:
        await scene.line.greet("me")
    assert caught.value.code == "VERSION"
    assert scene.ends == []


async def test_a_broker_that_leaves_without_a_welcome_is_lost(scene: Scene) -> None:
    scene.broker.close()
    with pytest.raises(BrokerLost, match="it hung up"):
        await scene.line.greet("me")
    assert scene.ends == []


async def test_a_greeting_that_is_cancelled_gives_the_socket_back(scene: Scene) -> None:
    greeting = asyncio.create_task(scene.line.greet("me"))
    await asyncio.sleep(0)
    greeting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await greeting
    assert scene.line.is_over


async def test_a_broker_that_ends_the_connection_says_why(scene: Scene) -> None:
    await scene.greet()
    scene.broker.say(Failed(0, "MALFORMED_MESSAGE", "no such record"))
    assert await scene.line.wait_end() == "no such record (MALFORMED_MESSAGE)"


async def test_a_broker_that_breaks_the_protocol_is_left(scene: Scene) -> None:
    await scene.greet()
    scene.broker.sock.send(b"\xff" * 16)
    assert "it broke the protocol" in await scene.line.wait_end()


async def test_what_the_socket_does_not_take_at_once_follows(scene: Scene) -> None:
    await scene.greet()
    large = Send(1, 1, bytes(range(256)) * 20_000)
    scene.line.say(large)
    scene.line.say(Send(2, 0, b"after it"))
    flushing = asyncio.create_task(scene.line.flush(10))
    assert await scene.broker.hear(Send) == large
    assert await scene.broker.hear(Send) == Send(2, 0, b"after it")
    await flushing


async def test_a_broker_that_does_not_read_is_not_written_to_for_ever(scene: Scene) -> None:
    await scene.greet()
    message = Send(1, 1, bytes(16 * 1024 * 1024))
    with pytest.raises(Overflow, match="what the broker has not read yet"):
        for _ in range(6):
            scene.line.say(message)
    await scene.line.flush(0.01)
    assert not scene.line.is_over


async def test_three_descriptors_come_with_a_record(scene: Scene) -> None:
    await scene.greet()
    ring = ScriptedRing()
    scene.broker.opened(1, ring)
    scene.broker.opened(2, ring, id=2)
    await until(lambda: len(scene.records) == 2)
    first = scene.line.parts()
    assert os.fstat(first.ring).st_size == 4096 + 4096
    assert not os.get_inheritable(first.bell)
    first.close()
    ring.close()
    scene.line.close("enough")  # gives back what nobody took


async def test_another_number_of_descriptors_ends_it(scene: Scene) -> None:
    await scene.greet()
    ring = ScriptedRing()
    scene.broker.say(Done(1, 0), descriptors=ring.descriptors[:2])
    assert "2 descriptors came; expected three" in await scene.line.wait_end()
    ring.close()


async def test_a_new_websocket_without_descriptors_is_named(scene: Scene) -> None:
    await scene.greet()
    with pytest.raises(MalformedMessage, match="without its three descriptors"):
        scene.line.parts()
