"""A tap reads a ring as it fills, and says when it cannot."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from feedmux.client.local_line import RingParts
from feedmux.client.local_tap import Tap
from feedmux.client.segment import make_bell, make_page
from feedmux.model.errors import MalformedMessage
from feedmux.model.ring_errors import InvalidPosition, InvalidRing
from support.local_broker import ScriptedRing
from support.waiting import until


class Cup:
    """What a tap has filled."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.events: list[object] = []
        self.has_room = True

    def has(self, number: int) -> bool:
        return len(self.entries) == number

    def took(self, entry: bytes) -> None:
        if entry == b"bad":
            raise MalformedMessage("entry", "it is bad")
        self.entries.append(entry)

    def lapped(self, size_bytes: int) -> None:
        self.events.append(size_bytes)

    def spoiled(self, reason: str) -> None:
        self.events.append(reason)


class Scene:
    """A ring, and taps at it."""

    def __init__(self) -> None:
        self.ring, self.cup = ScriptedRing(), Cup()
        self.taps: list[Tap] = []

    def tap(self, start: int = 0) -> Tap:
        parts = RingParts(*map(os.dup, self.ring.descriptors))
        tap = Tap(self.cup, parts, start, lambda: self.cup.has_room)
        self.taps.append(tap)
        return tap

    def write(self, *entries: bytes) -> None:
        for entry in entries:
            self.ring.writer.write(entry)
        self.ring.writer.flush()


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    before = count_descriptors()
    yield scene
    for tap in scene.taps:
        tap.close()
        tap.close()
    assert count_descriptors() == before, "everything is given back"
    scene.ring.close()


async def test_it_begins_where_it_is_told_and_goes_on_as_the_ring_fills(scene: Scene) -> None:
    scene.write(b"before", b"first")
    tap = scene.tap(32)
    assert scene.cup.entries == []
    tap.open()
    tap.open()
    assert scene.cup.entries == [b"first"]
    scene.write(b"second")
    await until(lambda: scene.cup.entries == [b"first", b"second"])
    assert tap.statistics()["lost"] == 0


async def test_it_sleeps_between(scene: Scene) -> None:
    scene.tap().open()
    for number in range(1, 6):
        await until(lambda: scene.ring.page.memory[0] == 1, "it sleeps")
        scene.write(b"%d" % number)
        await until(partial(scene.cup.has, number))
    assert scene.ring.writer.statistics()["wakes"] == 5


async def test_many_are_read_in_turns(scene: Scene) -> None:
    scene.ring.close()
    scene.ring = ScriptedRing(65536)
    scene.write(*[b"x"] * 1000)
    scene.tap().open()
    assert len(scene.cup.entries) == 256
    await until(lambda: len(scene.cup.entries) == 1000)


async def test_who_was_lapped_is_told_and_goes_on(scene: Scene) -> None:
    tap = scene.tap()
    scene.write(*[bytes(100)] * 100)
    tap.open()
    assert scene.cup.events == [100 * 128]
    scene.write(b"next")
    await until(lambda: scene.cup.entries == [b"next"])


async def test_while_there_is_no_room_nothing_is_read(scene: Scene) -> None:
    scene.cup.has_room = False
    tap = scene.tap()
    tap.open()
    scene.write(b"one")
    await asyncio.sleep(0)
    assert scene.cup.entries == []
    assert scene.ring.page.memory[0] == 0, "nobody need wake it"
    scene.cup.has_room = True
    tap.resume()
    tap.resume()
    scene.write(b"two")
    await until(lambda: scene.cup.entries == [b"one", b"two"])


async def test_what_is_left_by_a_dead_writer_is_read_room_or_not(scene: Scene) -> None:
    scene.cup.has_room = False
    tap = scene.tap()
    scene.write(*[b"x"] * 60)
    tap.drain()
    assert len(scene.cup.entries) == 60


@pytest.mark.parametrize("damage", ["an entry", "the ring"])
async def test_what_cannot_be_read_is_told(scene: Scene, damage: str) -> None:
    scene.write(b"bad")
    if damage == "the ring":
        struct.pack_into("<II", scene.ring.ring.memory, 4096, 50_000, 1)
    scene.tap().open()
    (reason,) = scene.cup.events
    assert "cannot be read" in str(reason)


async def test_a_place_where_nothing_begins_is_named(scene: Scene) -> None:
    with pytest.raises(InvalidPosition):
        scene.tap(16)


async def test_what_is_no_ring_is_named_and_given_back(scene: Scene) -> None:
    pages = make_page(), make_page()
    with pytest.raises(InvalidRing):
        Tap(scene.cup, RingParts(pages[0].descriptor, pages[1].descriptor, make_bell()), 0)
