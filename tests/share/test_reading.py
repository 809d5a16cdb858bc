"""One ring and its session: order, time, defects, and what does not fit."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from feedmux.model.ring_errors import NoMemory
from feedmux.share import outlet as outlets
from feedmux.share.reading import Reading
from support.local_offer import ScriptedMeans, ScriptedSession
from support.share_client import ERROR, IS_CLOSED, TEXT, Item, Ring
from support.share_scene import open_descriptors
from support.waiting import until


class Scene:
    def __init__(self, ring_bytes: int = 65536) -> None:
        self.means = ScriptedMeans()
        self.closed = 0
        self.reading = Reading(1, self.means, ring_bytes=ring_bytes, closed=self._note)
        self.ring = Ring(*self.reading.descriptors, self.reading.start)

    @property
    def session(self) -> ScriptedSession:
        return self.means.sessions[0]

    def items(self) -> Iterator[Item]:
        while (item := self.ring.read()) is not None:
            yield item

    async def read(self, count: int) -> list[Item]:
        found: list[Item] = []

        def has_come() -> bool:
            found.extend(self.items())
            return len(found) >= count

        await until(has_come)
        return found

    async def messages(self, count: int) -> list[bytes]:
        found = await self.read(count)
        assert {item.what for item in found} <= {TEXT}
        return [item.payload for item in found]

    def _note(self) -> None:
        self.closed += 1


@asynccontextmanager
async def scene_of() -> AsyncIterator[Scene]:
    before = open_descriptors()
    scene = Scene()
    try:
        yield scene
    finally:
        scene.reading.end()
        scene.reading.end()
        scene.ring.close()
    assert open_descriptors() == before


@pytest.fixture(name="scene")
async def _scene() -> AsyncIterator[Scene]:
    async with scene_of() as scene:
        yield scene


async def test_what_was_offered_first_is_written_first(scene: Scene) -> None:
    scene.reading.begin()
    scene.means.publish(b"1", b"2")
    scene.reading.take(b"x")
    scene.means.publish(b"3")
    assert await scene.messages(4) == [b"1", b"2", b"re: x", b"3"]
    assert scene.reading.entries == 4
    assert scene.reading.size_bytes >= 4 * 40


async def test_all_is_taken_however_much(scene: Scene) -> None:
    scene.reading.begin()
    for number in range(10_000):
        scene.means.publish(b"%d" % number)
    await until(lambda: scene.reading.entries == 10_000)
    assert scene.ring.read() is None
    assert scene.ring.missed == 1, "it was slow, and knows it"
    scene.means.publish(b"next")
    assert await scene.messages(1) == [b"next"]


async def test_what_is_too_long_for_the_ring_is_told(scene: Scene) -> None:
    scene.reading.begin()
    scene.reading.answer(b"x" * 60_000)
    (item,) = await scene.read(1)
    assert item.what == ERROR
    assert item.payload.startswith(b"a message was left out: ")
    assert item.payload.endswith(b"a gateway with more LOCAL_RING_BYTES takes it")
    assert (scene.reading.entries, scene.reading.left_out) == (0, 1)


async def test_a_request_that_cannot_be_answered_is_answered_so(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.reading.begin()
    scene.reading.take(b"break")
    scene.reading.take(b"x")
    assert await scene.messages(2) == [b"it failed", b"re: x"]
    assert "this is a defect" in caplog.text


async def test_who_cannot_be_served_is_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.means.is_broken = True
    scene.reading.begin()
    scene.reading.take(b"x")
    scene.reading.close(4001, "twice is once")
    (item,) = await scene.read(1)
    assert (item.what, item.code, item.payload) == (
        IS_CLOSED, 1011, b"the gateway cannot serve this program",
    )  # fmt: skip
    assert scene.ring.read() is None
    assert scene.closed == 1
    assert "this is a defect" in caplog.text


async def test_the_session_looks_at_its_deadlines_in_time(scene: Scene) -> None:
    scene.reading.begin()
    scene.reading.remind(3600)
    scene.session.later = [1.0]  # long ago
    scene.reading.remind(0.001)
    scene.reading.remind(3600)
    await until(lambda: len(scene.session.expired) == 2)


async def test_who_sleeps_is_woken_for_the_last_word(scene: Scene) -> None:
    scene.reading.begin()
    scene.ring.page[:4] = b"\1\0\0\0"
    scene.reading.close(4001, "Token expired")
    assert select.select([scene.ring.bell], [], [], 0)[0]


async def test_after_its_end_nothing_is_written_and_nothing_falls_due(scene: Scene) -> None:
    scene.reading.begin()
    session = scene.session
    scene.reading.remind(0.0)
    scene.means.publish(b"1")
    scene.reading.end()
    scene.reading.remind(0.0)
    scene.reading.answer(b"x")
    assert session.is_over
    scene.means.publish(b"2")
    assert (scene.reading.entries, session.expired, scene.closed) == (0, [], 0)


async def test_without_memory_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_descriptors()

    def refuse(*_: object) -> int:
        raise NoMemory(8, "no bell")

    monkeypatch.setattr(outlets, "make_bell", refuse)
    with pytest.raises(NoMemory):
        Scene()
    assert open_descriptors() == before
