from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feedmux.client.clock import SystemClock
from feedmux.client.recorder import Recorder, RecorderConfig
from feedmux.client.recording import Direction, Kind
from feedmux.client.replay import metadata, read
from feedmux.model.errors import InvalidSetting
from support.waiting import until

AT_NS = 1_763_717_400_123_456_789


class Still(SystemClock):
    """A clock that stands."""

    time_ns = staticmethod(lambda: AT_NS)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def content(path: Path) -> bytes:
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.jsonl"


async def test_both_directions_are_written_in_order(path: Path) -> None:
    async with Recorder(path, clock=Still()) as recorder:
        recorder.sent('{"op":"subscribe"}')
        recorder.received(b'{"op":"subscribe","success":true}')
        recorder.received(b"\x00\xff", binary=True)
        recorder.sent(b"\x01", binary=True)
        recorder.closed(1001, "maintenance")
        recorder.closed(1000, "done", direction=Direction.OUT)
    ts = "2025-11-21T09:30:00.123456Z"
    assert lines(path) == [
        {"ts": ts, "dir": "out", "type": "text", "data": '{"op":"subscribe"}'},
        {"ts": ts, "dir": "in", "type": "text", "data": '{"op":"subscribe","success":true}'},
        {"ts": ts, "dir": "in", "type": "binary", "data": "AP8=", "binary": True},
        {"ts": ts, "dir": "out", "type": "binary", "data": "AQ==", "binary": True},
        {"ts": ts, "dir": "in", "type": "close", "data": '{"code":1001,"reason":"maintenance"}'},
        {"ts": ts, "dir": "out", "type": "close", "data": '{"code":1000,"reason":"done"}'},
    ]
    assert recorder.statistics() == {
        "path": str(path),
        "written": 6,
        "written_bytes": len(content(path)),
        "waiting": 0,
        "dropped": 0,
        "failed": 0,
    }


async def test_entries_are_written_after_a_second_and_a_hundred_at_once(path: Path) -> None:
    patient = RecorderConfig(flush_interval_s=3600.0)
    async with Recorder(path, config=patient) as recorder:
        for number in range(99):
            recorder.received(b"%d" % number)
        assert len(content(path)) == 0
        recorder.received(b"99")
        await until(lambda: recorder.statistics()["written"] == 100, "the hundredth entry writes all")
        assert len(lines(path)) == 100
    quick = RecorderConfig(flush_interval_s=0.01)
    async with Recorder(path, config=quick) as recorder:
        recorder.received(b"alone")
        await until(lambda: len(lines(path)) == 1, "an entry alone is written after the interval")
    assert RecorderConfig() == RecorderConfig(flush_interval_s=1.0, flush_entries=100)


async def test_many_entries_at_once_arrive_whole_and_in_order(path: Path) -> None:
    async with Recorder(path) as recorder:
        for number in range(5000):
            recorder.received(b"%d" % number)
    assert [entry.payload for entry in read(path)] == [b"%d" % number for number in range(5000)]


async def test_secrets_are_masked_before_they_are_written(path: Path) -> None:
    async with Recorder(path, secrets=["hunter22"], secret_names=["pin"]) as recorder:
        recorder.sent('{"op":"auth","pin":"1234","note":"hunter22"}')
        recorder.sent(b'{"pin":5678}', binary=True)
        recorder.received(b"welcome hunter22")
        recorder.closed(1008, "hunter22 is wrong")
    data = [entry.payload.decode() or entry.reason for entry in read(path)]
    assert data == ['{"op":"auth","pin":"***","note":"***"}', '{"pin":"***"}', "welcome ***", "*** is wrong"]
    assert b"hunter22" not in content(path)


async def test_names_of_secrets_are_known_by_default(path: Path) -> None:
    async with Recorder(path) as recorder:
        recorder.sent('{"method":"public/auth","params":{"client_id":"s3cr3t","client_secret":"s3cr3t"}}')
        recorder.received(b'{"result":{"access_token":"s3cr3t","expires_in":900}}')
    assert b"s3cr3t" not in content(path)
    assert b'"client_id\\":\\"***\\"' in content(path)


async def test_what_is_learnt_meanwhile_is_hidden_in_all_that_was_not_written_yet(path: Path) -> None:
    patient = RecorderConfig(flush_interval_s=3600.0, flush_entries=1000)
    async with Recorder(path, secrets=["hunter22"], config=patient) as recorder:
        recorder.received(b"hunter22 hunter33 abc")
        recorder.hide(["hunter33", "abc"])
        recorder.received(b"hunter33 again")
        recorder.closed(1000, "bye hunter33")
    assert [entry.payload for entry in read(path)] == [b"*** *** abc", b"*** again", b""]
    assert b"hunter33" not in content(path)


async def test_only_the_latest_of_what_is_learnt_is_remembered(path: Path) -> None:
    async with Recorder(path) as recorder:
        for number in range(300):
            recorder.hide([f"token-{number:03d}"])
        recorder.received(b"token-000 token-299")
    assert [entry.payload for entry in read(path)] == [b"token-000 ***"]


async def test_what_a_full_buffer_does_not_take_is_counted_and_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = RecorderConfig(flush_interval_s=3600.0, flush_entries=1000, max_waiting_entries=5)
    async with Recorder(path, config=small) as recorder:
        for number in range(8):
            recorder.received(b"%d" % number)
        assert {**recorder.statistics(), "path": ""} == {
            "path": "", "written": 0, "written_bytes": 0, "waiting": 5, "dropped": 3, "failed": 0,
        }  # fmt: skip
    assert [entry.payload for entry in read(path)] == [b"0", b"1", b"2", b"3", b"4"]
    assert [record.message for record in caplog.records] == [
        f"{path}: entries are dropped, because more than 5 entries or 67108864 bytes wait to be written"
    ]


async def test_the_bytes_that_wait_are_bounded_too(path: Path) -> None:
    small = RecorderConfig(flush_interval_s=3600.0, max_waiting_bytes=100)
    async with Recorder(path, config=small) as recorder:
        recorder.received(b"x" * 60)
        recorder.received(b"y" * 41)
        recorder.received(b"z" * 40)
        assert recorder.statistics()["dropped"] == 1
    assert [entry.payload[:1] for entry in read(path)] == [b"x", b"z"]


async def test_room_comes_back_when_entries_are_written(path: Path) -> None:
    small = RecorderConfig(flush_interval_s=0.001, max_waiting_entries=5, max_waiting_bytes=10)
    async with Recorder(path, config=small) as recorder:
        for number in range(20):
            recorder.received(b"%d" % number)
            await until(lambda: recorder.statistics()["waiting"] == 0)
    assert recorder.statistics()["written"] == 20
    assert recorder.statistics()["dropped"] == 0


async def test_a_disk_that_is_full_raises_nothing_into_the_link_and_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    config = RecorderConfig(flush_interval_s=0.001)
    try:
        async with Recorder(path, config=config) as recorder:
            recorder.received(b"before")
            await until(lambda: recorder.statistics()["written"] == 1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(content(path)) + 50, limits[1]))
            recorder.received(b"x" * 100)
            await until(lambda: recorder.statistics()["failed"] == 1)
            recorder.received(b"y" * 100)
            await until(lambda: recorder.statistics()["failed"] == 2)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            recorder.received(b"after")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)
    assert [entry.payload for entry in read(path)] == [b"before", b"after"]
    assert [record.message for record in caplog.records] == [
        f"{path}: entries cannot be written: [Errno 27] File too large"
    ]


async def test_a_message_that_cannot_be_written_costs_no_other(path: Path) -> None:
    class Broken(SystemClock):
        at = iter((AT_NS, 10**40, AT_NS))

        def time_ns(self) -> int:
            return next(self.at)

    async with Recorder(path, clock=Broken()) as recorder:
        for payload in (b"1", b"2", b"3"):
            recorder.received(payload)
    assert [entry.payload for entry in read(path)] == [b"1", b"3"]
    assert recorder.statistics()["failed"] == 1


async def test_the_end_leaves_no_thread_and_what_comes_later_is_dropped(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = threading.active_count()
    recorder = Recorder(path)
    recorder.received(b"in time")
    await asyncio.gather(recorder.close(), recorder.close())
    await recorder.close()
    assert threading.active_count() == before
    recorder.received(b"late")
    recorder.sent("late")
    assert [entry.payload for entry in read(path)] == [b"in time"]
    assert recorder.statistics()["dropped"] == 2
    assert not caplog.records


async def test_a_disk_that_hangs_does_not_hold_up_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken, freed = threading.Event(), threading.Event()
    write = os.write

    def stuck(descriptor: int, data: Any) -> int:
        taken.set()
        assert freed.wait(10)
        return write(descriptor, data)

    recorder = Recorder(path, config=RecorderConfig(flush_interval_s=0.001, close_timeout_s=0.05))
    monkeypatch.setattr(os, "write", stuck)
    recorder.received(b"x")
    await until(taken.is_set)
    recorder.received(b"y")
    await recorder.close()
    assert [record.message for record in caplog.records] == [
        f"{path}: the disk did not take what waits within 0.05 s; it was given up"
    ]
    freed.set()
    await recorder.close()
    assert [entry.payload for entry in read(path)] == [b"x", b"y"]


async def test_recording_lets_the_event_loop_go_on(path: Path) -> None:
    """A portion at a time: nobody waits for all that is written."""
    message = msgspec.json.encode({"token": "x", "levels": [["67000.10", "1.5"]] * 40})
    async with Recorder(path) as recorder:
        turns = 0
        for _ in range(1500):
            recorder.received(message)
        while recorder.statistics()["written"] != 1500:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 15, "the loop turned while many portions were written"
    assert metadata(path).count == 1500


def test_a_killed_process_leaves_whole_lines(path: Path) -> None:
    program = f"""
import asyncio, os, signal
from feedmux.client.recorder import Recorder, RecorderConfig

async def main():
    recorder = Recorder({str(path)!r}, config=RecorderConfig(flush_interval_s=0.001))
    for number in range(300):
        recorder.received(b"%d" % number)
    while recorder.statistics()["written"] < 300:
        await asyncio.sleep(0)
    recorder.received(b"too late")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    found = list(read(path))
    assert len(found) >= 300
    assert all(entry.kind is Kind.TEXT for entry in found)


async def test_what_cannot_be_recorded_to_is_said_at_once(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(InvalidSetting, match="path"):
        Recorder(tmp_path / "missing" / "file")
    with pytest.raises(InvalidSetting, match="secrets"):
        Recorder(tmp_path / "file", secrets=["abc"])
    assert not list(tmp_path.glob("*"))  # noqa: ASYNC240 - a test
    assert threading.active_count() == before


@pytest.mark.parametrize("name", RecorderConfig.__struct_fields__)
def test_bounds_are_numbers_above_zero(name: str) -> None:
    values: list[Any] = [0, -1, math.nan, math.inf, "5", True, None, [5]]
    for value in values:
        with pytest.raises(InvalidSetting, match=name):
            RecorderConfig(**{name: value})


@pytest.mark.parametrize("name", ["flush_interval_s", "close_timeout_s"])
@pytest.mark.parametrize("value", [86_401.0, 1e300, pytest.param(10**400, id="huge")])
def test_nobody_waits_for_longer_than_a_day(name: str, value: Any) -> None:
    with pytest.raises(InvalidSetting, match=rf"{name}: .* expected seconds above 0, at most a day"):
        RecorderConfig(**{name: value})


@pytest.mark.parametrize("name", ["flush_entries", "max_waiting_entries", "max_waiting_bytes"])
def test_counts_are_whole_numbers(name: str) -> None:
    wrong: dict[str, Any] = {name: 1.5}
    with pytest.raises(InvalidSetting, match=rf"{name}: 1\.5 .* expected a whole number above 0"):
        RecorderConfig(**wrong)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("path", {"path": None}), ("path", {"path": 1.5}), ("path", {"path": ["a"]}),
        ("path", {"path": "a\x00b"}),
        ("path", {"path": ""}), ("secrets", {"secrets": "hunter22"}), ("secrets", {"secrets": None}),
        ("secrets", {"secrets": [b"hunter22"]}), ("secrets", {"secrets": {"hunter22": 5, 5: 5}}),
        ("secret_names", {"secret_names": "hunter22"}), ("secret_names", {"secret_names": [5]}),
        ("config", {"config": None}), ("config", {"config": {"flush_entries": 5}}),
    ],
)  # fmt: skip
def test_a_recording_that_cannot_be_is_refused_by_name(
    name: str, wrong: dict[str, Any], tmp_path: Path
) -> None:
    before = threading.active_count()
    with pytest.raises(InvalidSetting) as caught:
        Recorder(**{"path": tmp_path / "file", **wrong})
    assert caught.value.name == name
    assert "hunter22" not in f"{caught.value!s} {caught.value!r}"
    assert threading.active_count() == before
    assert not list(tmp_path.glob("*"))


@pytest.mark.parametrize("value", [None, 5, True, 1.5, [], {"a": 1}, object()])
async def test_what_is_no_message_is_named_and_costs_no_other(path: Path, value: Any) -> None:
    async with Recorder(path) as recorder:
        recorder.sent(value)
        recorder.received(value)
        recorder.closed(value, value)
        recorder.received(b"after")
    entries = list(read(path))
    named = f"a value of type {type(value).__name__}"
    assert [entry.payload for entry in entries] == [named.encode(), named.encode(), b"", b"after"]
    assert (entries[2].code, entries[2].reason) == (5 if value == 5 else None, named)
    assert (recorder.statistics()["failed"], recorder.statistics()["dropped"]) == (0, 0)


async def test_bytes_of_every_kind_and_texts_of_any_are_written(path: Path) -> None:
    async with Recorder(path) as recorder:
        messages: list[Any] = [bytearray(b"a"), memoryview(b"b"), "c \ud800"]
        for message in messages:
            recorder.sent(message)
    assert [entry.payload for entry in read(path)] == [b"a", b"b", b"c ?"]


@pytest.mark.parametrize("secrets", [None, 5, "hunter22", [b"hunter22"], [None]])
async def test_what_is_no_list_of_secrets_is_refused_and_not_shown(path: Path, secrets: Any) -> None:
    async with Recorder(path) as recorder:
        with pytest.raises(InvalidSetting, match="secrets") as caught:
            recorder.hide(secrets)
    assert "hunter22" not in str(caught.value)
