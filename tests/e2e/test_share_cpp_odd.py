"""The client in C++ at brokers that do what real ones do seldom, or never."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from feedmux.client.segment import make_ring
from feedmux.wire.local import encode
from feedmux.wire.local_records import (
    Beat,
    Close,
    Done,
    Entry,
    Failed,
    Last,
    Open,
    Opened,
    Send,
    Subscribe,
    What,
)
from support.cpp import WAYS, Puppet, program_of
from support.local import broker_name
from support.local_broker import ScriptedBroker, ScriptedLine, ScriptedRing, scripted_broker

pytestmark = pytest.mark.e2e


class Scene(NamedTuple):
    """A broker that the test is, and a client that has opened a WebSocket, number 7."""

    broker: ScriptedBroker
    line: ScriptedLine
    ring: ScriptedRing
    puppet: Puppet


@asynccontextmanager
async def opened(way: str = "plain", **welcome: int) -> AsyncIterator[Scene]:
    ring = ScriptedRing()
    with broker_name() as name:
        async with (
            scripted_broker(name) as broker,
            Puppet.run(program_of("puppet", way), "/bin/true", name) as puppet,
        ):
            puppet.tell("open", "ws://a")
            line = await broker.welcome(**welcome)
            line.opened((await line.hear(Open)).request, ring, id=7)
            await puppet.hears("open", 7, 1)
            await puppet.hears("opened", 7)
            yield Scene(broker, line, ring, puppet)
    ring.close()


async def again(scene: Scene, ring: ScriptedRing, *, is_new: int = 1) -> None:
    """Be the next broker, at which the client opens it again, by another number."""
    line = await scene.broker.welcome()
    line.opened((await line.hear(Open)).request, ring, id=8, is_new=is_new)
    await scene.puppet.hears("opened" if is_new else "opened for other", 7)
    ring.write(Entry(What.TEXT, b"again"))
    await scene.puppet.hears("data", 7, 0, "again")


def end_of(ring: ScriptedRing) -> int:
    """The position up to which it is written."""
    end = ring.writer.statistics()["bytes"]
    assert isinstance(end, int)
    return end


@pytest.mark.parametrize("is_new", [0, 1])
async def test_a_broker_that_is_silent_is_dead(is_new: int) -> None:
    async with opened(beat_ms=50, dead_ms=300) as scene:
        await scene.puppet.hears("disconnected")
        await scene.puppet.hears("closed", 7)
        other = ScriptedRing()
        await again(scene, other, is_new=is_new)
        error = await scene.puppet.hears("error", 7)
        assert error[2].endswith("ms: the broker said nothing for 300 ms; it is open again")
        assert int(error[2].split()[4]) >= 300
        other.close()


async def test_a_broker_that_beats_lives() -> None:
    async with opened(beat_ms=50, dead_ms=300) as scene:
        for number in range(20):  # the client beats, too
            assert await scene.line.hear(Beat)
            scene.line.say(Beat())
            scene.ring.write(Entry(What.TEXT, b"%d" % number))
        await scene.puppet.hears("data", 7, 0, 19)
        assert not scene.puppet.said("disconnected")


BROKEN = {
    "too long": b"\xff\xff\xff\xff\x25",
    "an unknown type": b"\0\0\0\0\x63",
    "a second welcome": b"\x16\0\0\0\x21" + bytes(22),
    "cut within a field": b"\x03\0\0\0\x25\1\0\0",
    "bytes too many": b"\6\0\0\0\x25\1\0\0\0\0\0",
    "an answer to nothing": b"\5\0\0\0\x25\x63\0\0\0\0",
    "a text that is none": b"\5\0\0\0\x26\2\2\0\xff\xff",
    "a length past the end": b"\x0c\0\0\0\x23\7\0\0\0\0\0\0\0\xff\xff\xff\0",
}


@pytest.mark.parametrize("what", BROKEN)
async def test_records_that_are_none_end_the_connection_and_nothing_else(what: str) -> None:
    async with opened("address") as scene:
        scene.line.sock.send(BROKEN[what])
        await scene.puppet.hears("disconnected")
        await scene.puppet.hears("closed", 7)
        other = ScriptedRing()
        await again(scene, other)
        assert "broke the protocol" in (await scene.puppet.hears("error", 7))[2]
        other.close()


ENTRIES = {"short": b"\1\0\0", "of no kind": bytes(24), "of another kind": b"\6" + bytes(23)}


@pytest.mark.parametrize("what", ENTRIES)
async def test_entries_that_are_none_end_the_connection_and_nothing_else(what: str) -> None:
    async with opened("address") as scene:
        scene.ring.write(Entry(What.TEXT, b"before"))
        await scene.puppet.hears("data", 7, 0, "before")
        scene.ring.writer.write(ENTRIES[what])
        scene.ring.writer.flush()
        await scene.puppet.hears("closed", 7)
        other = ScriptedRing()
        await again(scene, other)
        other.close()


async def test_what_the_ring_holds_is_read_when_the_broker_dies() -> None:
    async with opened() as scene:
        await scene.puppet.do("slow", 100)
        scene.ring.write(*(Entry(What.TEXT, b"%d" % number) for number in range(10)))
        scene.line.close()
        await scene.puppet.hears("closed", 7)
        said = [line[0] for line in scene.puppet.lines]
        assert len(scene.puppet.said("data")) == 10
        assert said.index("disconnected") > len(said) - 1 - said[::-1].index("data")


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_read_from_its_position_and_behind_the_last_messages(way: str) -> None:
    async with opened(way) as scene:
        scene.puppet.tell("open", "ws://b")
        request = (await scene.line.hear(Open)).request
        ring = ScriptedRing()
        ring.write(Entry(What.TEXT, b"not ours"))
        start = end_of(ring)
        last = Last(9, Entry(What.TEXT, b"the last").encode())
        scene.line.say(Opened(request, 9, 0, start, 1), descriptors=ring.descriptors)
        ring.write(Entry(What.TEXT, b"the first"))
        await scene.puppet.hears("open", 9, 0)
        scene.line.say(last)
        await scene.puppet.hears("data", 9, 0, "the first")
        assert [line[3] for line in scene.puppet.said("data", 9)] == ["the last", "the first"]
        ring.close()


async def test_a_position_that_is_shown_a_moment_later_is_waited_for() -> None:
    async with opened() as scene:
        scene.puppet.tell("open", "ws://b")
        request = (await scene.line.hear(Open)).request
        ring = ScriptedRing()
        ring.writer.write(Entry(What.TEXT, b"not ours").encode())
        scene.line.opened(request, ring, id=9, start=end_of(ring))
        await scene.puppet.hears("open", 9)
        ring.write(Entry(What.TEXT, b"ours"))
        await scene.puppet.hears("data", 9, 0, "ours")
        assert len(scene.puppet.said("data", 9)) == 1
        ring.close()


async def test_who_is_named_logs_in_although_it_was_open() -> None:
    async with opened(client=3) as scene:
        scene.ring.write(
            Entry(What.OPENED, b"", client=2), Entry(What.OPENED, b"", client=3), Entry(What.TEXT, b"x")
        )
        await scene.puppet.hears("opened", 7)
        await scene.puppet.hears("data", 7)
        assert not scene.puppet.said("opened for other")
        scene.ring.write(Entry(What.CLOSED, b"why", flags=1, code=1006), Entry(What.OPENED, b"", client=2))
        await scene.puppet.hears("closed", 7)
        await scene.puppet.hears("opened for other", 7)
        scene.ring.write(Entry(What.ERROR, b"not ours", client=2), Entry(What.ERROR, b"ours", client=3))
        assert (await scene.puppet.hears("error", 7))[2] == "ours"


async def test_what_may_shrink_is_no_ring(tmp_path: Path) -> None:
    async with opened("address") as scene:
        scene.puppet.tell("open", "ws://b")
        request = (await scene.line.hear(Open)).request
        path = tmp_path / "ring"
        path.write_bytes(bytes(4096 + 4096))
        with path.open("rb") as file:
            lent = (file.fileno(), file.fileno(), file.fileno())
            scene.line.say(Opened(request, 9, 1, 0, 0), descriptors=lent)
            await scene.puppet.hears("open", 0)
        await scene.puppet.hears("disconnected")
        errors = [line[2] for line in scene.puppet.said("error")]
        assert any("no memory" in error or "may shrink" in error for error in errors), errors


async def test_memory_that_holds_no_ring_is_refused() -> None:
    async with opened("address") as scene:
        scene.puppet.tell("open", "ws://b")
        request = (await scene.line.hear(Open)).request
        memory, descriptor = make_ring(1024)
        scene.line.say(
            Opened(request, 9, 1, 0, 0), descriptors=(descriptor, scene.ring.page.descriptor, scene.ring.bell)
        )
        assert (await scene.puppet.hears("open"))[1] == "0"
        assert "none of version 1" in (await scene.puppet.hears("error", 0))[2]
        memory.close()
        os.close(descriptor)


async def test_who_is_refused_is_told_why_and_comes_again() -> None:
    with broker_name() as name:
        async with (
            scripted_broker(name) as broker,
            Puppet.run(program_of("puppet"), "/bin/true", name) as puppet,
        ):
            puppet.tell("open", "ws://a")
            line = await broker.accept()
            line.say(Failed(0, "CAPACITY", "there are too many"))
            assert (await puppet.hears("open"))[1] == "0"
            assert "CAPACITY: there are too many" in (await puppet.hears("error", 0))[2]
            puppet.tell("open", "ws://a")
            line = await broker.welcome()
            line.say(Failed((await line.hear(Open)).request, "CONNECT_FAILED", "nobody is there"))
            assert (await puppet.hears("error", 0))[2] == "CONNECT_FAILED: nobody is there"


async def test_what_was_asked_is_asked_again_of_the_next_broker() -> None:
    async with opened() as scene:
        scene.puppet.tell("subscribe", 7, "AAPL", 1, "sub", "release")
        assert (await scene.line.hear(Subscribe)).symbol == "AAPL"
        scene.line.close()
        line = await scene.broker.welcome()
        other = ScriptedRing()
        line.opened((await line.hear(Open)).request, other, id=8)
        asked = await line.hear(Subscribe)
        assert (asked.id, asked.kinds, asked.message, asked.release) == (8, 1, b"sub", b"release")
        line.say(Done(asked.request, 1))
        await scene.puppet.hears("subscribe", 1, 1)
        scene.puppet.tell("send", 7, "hello")
        assert (await line.hear(Send)).id == 8
        scene.puppet.tell("close", 7)
        closing = await line.hear(Close)
        assert closing.id == 8
        line.say(Done(closing.request, 0))
        await scene.puppet.hears("close", 1)
        other.close()


async def test_a_place_that_nobody_takes_is_told() -> None:
    with broker_name() as name:
        async with Puppet.run(program_of("puppet"), "/bin/true", name) as puppet:
            puppet.tell("open", "ws://a")
            error = await puppet.hears("error", 0)
            assert "no broker came up within 10 s" in error[2]
            await puppet.hears("open", 0)


async def test_bytes_that_come_one_by_one_are_understood() -> None:
    async with opened() as scene:
        scene.puppet.tell("open", "ws://b")
        request = (await scene.line.hear(Open)).request
        first, *rest = encode(Opened(request, 9, 1, 0, 0))
        ring = ScriptedRing()
        socket.send_fds(scene.line.sock, [bytes((first,))], ring.descriptors)
        loop = asyncio.get_running_loop()
        for byte in rest:
            await loop.sock_sendall(scene.line.sock, bytes((byte,)))
        await scene.puppet.hears("open", 9, 1)
        ring.close()
