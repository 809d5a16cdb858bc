from __future__ import annotations

import asyncio
import math
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from feedmux.client import replay as module
from feedmux.client.recording import Direction, Entry, Kind, encode
from feedmux.client.replay import Metadata, metadata, read, replay
from feedmux.model.errors import InvalidSetting, MalformedRecording, TornRecording

AT_NS = 1_763_717_400_000_000_000
MS = 1_000_000


def message(number: int, at_ms: float = 0.0, direction: Direction = Direction.IN) -> Entry:
    return Entry(at_ns=AT_NS + int(at_ms * MS), direction=direction, kind=Kind.TEXT, payload=b"%d" % number)


def recording(path: Path, *entries: Entry, torn: bytes = b"") -> Path:
    file = path / "session.jsonl"
    file.write_bytes(b"".join(map(encode, entries)) + torn)
    return file


class Player:
    """Remembers what it was given and when."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.times: list[float] = []

    def __call__(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.times.append(asyncio.get_running_loop().time())

    @property
    def payloads(self) -> list[bytes]:
        return [entry.payload for entry in self.entries]


def test_entries_are_read_in_order(tmp_path: Path) -> None:
    entries = [
        message(1),
        message(2, 1.0, Direction.OUT),
        Entry(at_ns=AT_NS, direction=Direction.IN, kind=Kind.CLOSE, code=1001, reason="bye"),
    ]
    assert list(read(recording(tmp_path, *entries))) == entries
    assert list(read(recording(tmp_path))) == []


def test_a_bad_line_is_named_by_its_number_after_those_before_it(tmp_path: Path) -> None:
    file = recording(tmp_path, message(1), message(2), torn=b"nonsense\n" + encode(message(3)))
    entries = read(file)
    assert [next(entries).payload, next(entries).payload] == [b"1", b"2"]
    with pytest.raises(MalformedRecording, match=r"session\.jsonl, line 3: ") as caught:
        next(entries)
    assert not isinstance(caught.value, TornRecording)


def test_a_torn_last_line_is_told_as_such(tmp_path: Path) -> None:
    file = recording(tmp_path, message(1), torn=encode(message(2))[:-9])
    entries = read(file)
    assert next(entries).payload == b"1"
    with pytest.raises(TornRecording, match="line 2: the last line is torn"):
        next(entries)


def test_a_line_that_is_too_long_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 200)
    file = recording(tmp_path, message(1), torn=b"x" * 10_000 + b"\n")
    entries = read(file)
    next(entries)
    with pytest.raises(MalformedRecording, match="longer than 200 bytes"):
        next(entries)


def test_a_large_recording_takes_no_more_memory_than_a_line(tmp_path: Path) -> None:
    file = tmp_path / "large.jsonl"
    line = encode(Entry(at_ns=AT_NS, direction=Direction.IN, kind=Kind.TEXT, payload=b"x" * 1000))
    with file.open("wb") as writer:
        for _ in range(4_000):
            writer.write(line)
    tracemalloc.start()
    try:
        assert metadata(file).count == 4_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000 < file.stat().st_size


@pytest.mark.parametrize("name", ["missing", ".", "pipe", "nul\0"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidSetting, match="path"):
        next(read(tmp_path / name))
    assert len(list(Path("/proc/self/fd").iterdir())) < 1000


def test_metadata_say_what_a_recording_holds(tmp_path: Path) -> None:
    file = recording(
        tmp_path, message(1), message(2, 100.5, Direction.OUT), message(3, 2500.0), torn=b'{"ts":"2025'
    )
    assert metadata(file) == Metadata(
        count=3,
        inbound=2,
        outbound=1,
        first_ts="2025-11-21T09:30:00.000000Z",
        last_ts="2025-11-21T09:30:02.500000Z",
        duration_ms=2500,
        torn=True,
    )


def test_metadata_of_nothing(tmp_path: Path) -> None:
    assert metadata(recording(tmp_path)) == Metadata(
        count=0, inbound=0, outbound=0, first_ts=None, last_ts=None, duration_ms=0, torn=False
    )
    with pytest.raises(MalformedRecording):
        metadata(recording(tmp_path, torn=b"nonsense\n"))


async def test_only_what_came_in_is_played_unless_both_are_wanted(tmp_path: Path) -> None:
    file = recording(tmp_path, message(1, 0.0, Direction.OUT), message(2), message(3, 0.0, Direction.OUT))
    player = Player()
    assert await replay(file, player, speed=None) == 1
    assert player.payloads == [b"2"]
    player = Player()
    assert await replay(file, player, speed=None, directions=frozenset(Direction)) == 3
    assert player.payloads == [b"1", b"2", b"3"]


async def test_entries_come_no_earlier_than_they_came_then(tmp_path: Path) -> None:
    file = recording(
        tmp_path, message(0, -9e6, Direction.OUT), message(1), message(2, 30.0), message(3, 40.0)
    )
    player, began = Player(), asyncio.get_running_loop().time()
    assert await replay(file, player) == 3
    _, second, third = player.times
    assert second - began >= 0.029
    assert third - began >= 0.039


async def test_speed_shortens_the_waits_and_none_has_none(tmp_path: Path) -> None:
    file = recording(tmp_path, message(1), message(2, 3_600_000.0))
    player, began = Player(), asyncio.get_running_loop().time()
    async with asyncio.timeout(5):
        assert await replay(file, player, speed=360_000.0) == 2
        assert player.times[1] - began >= 0.009
        assert await replay(file, player, speed=None) == 2


async def test_a_clock_that_was_set_back_holds_nothing_up(tmp_path: Path) -> None:
    file = recording(tmp_path, message(1, 3_600_000.0), message(2, 0.0), message(3, 10.0))
    player = Player()
    async with asyncio.timeout(5):
        assert await replay(file, player) == 3
    assert player.payloads == [b"1", b"2", b"3"]


async def test_a_coroutine_is_awaited_before_the_next_entry(tmp_path: Path) -> None:
    file, seen = recording(tmp_path, message(1), message(2)), []

    async def play(entry: Entry) -> None:
        seen.append(("begin", entry.payload))
        await asyncio.sleep(0)
        seen.append(("end", entry.payload))

    assert await replay(file, play, speed=None) == 2
    assert seen == [("begin", b"1"), ("end", b"1"), ("begin", b"2"), ("end", b"2")]


async def test_others_have_their_turn_while_much_is_played(tmp_path: Path) -> None:
    file = recording(tmp_path, *(message(number, 0.0, Direction.OUT) for number in range(1000)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(count())
    assert await replay(file, Player(), speed=None) == 0
    task.cancel()
    await asyncio.wait([task])
    assert turns >= 9


async def test_what_is_whole_is_played_before_the_torn_end_is_told(tmp_path: Path) -> None:
    file, player = recording(tmp_path, message(1), torn=b'{"ts'), Player()
    with pytest.raises(TornRecording):
        await replay(file, player, speed=None)
    assert player.payloads == [b"1"]


async def test_what_the_player_raises_ends_the_replay(tmp_path: Path) -> None:
    def play(entry: Entry) -> None:
        raise KeyError(entry.payload)

    with pytest.raises(KeyError):
        await replay(recording(tmp_path, message(1)), play)


@pytest.mark.parametrize("speed", [0, -1.0, math.nan, math.inf, "2", True, pytest.param(10**400, id="huge")])
async def test_a_speed_that_is_none_is_refused(speed: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"speed: .* expected a factor above 0, or None"):
        await replay(tmp_path / "file", print, speed=speed)


@pytest.mark.parametrize("path", [None, 5, ["a"], "", "a\x00b"])
async def test_a_path_that_is_none_is_refused(path: Any) -> None:
    with pytest.raises(InvalidSetting, match="path"):
        await replay(path, print)
    with pytest.raises(InvalidSetting, match="path"):
        metadata(path)


async def test_what_takes_no_entries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"play: .* expected something that takes an entry"):
        await replay(tmp_path / "file", None)  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="directions"):
        await replay(tmp_path / "file", print, directions=5)  # type: ignore[arg-type]
